#define _POSIX_C_SOURCE 200809L

#include "screen.h"
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int has_channels(const struct fb_var_screeninfo *info, const unsigned bits[3], const unsigned shifts[3]) {
    const struct fb_bitfield *channels[3] = {&info->red, &info->green, &info->blue};
    int i;
    for (i = 0; i < 3; ++i) {
        if (channels[i]->length != bits[i] || channels[i]->offset != shifts[i]) return 0;
    }
    return 1;
}

/* Takes the size and the format of a framebuffer. */
static int measure_framebuffer(struct screen *screen, const struct fb_var_screeninfo *info) {
    static const unsigned BITS_565[3] = {5, 6, 5}, SHIFTS_565[3] = {11, 5, 0};
    static const unsigned BITS_888[3] = {8, 8, 8}, SHIFTS_888[3] = {16, 8, 0};
    struct fb_fix_screeninfo fixed;
    if (ioctl(screen->fd, FBIOGET_FSCREENINFO, &fixed) < 0) {
        return report(screen->path, "expected a framebuffer, but FBIOGET_FSCREENINFO failed: %s", strerror(errno));
    }
    if (info->bits_per_pixel == 16 && has_channels(info, BITS_565, SHIFTS_565)) {
        screen->format = SCREEN_RGB565;
    } else if (info->bits_per_pixel == 32 && has_channels(info, BITS_888, SHIFTS_888)) {
        screen->format = SCREEN_XRGB8888;
    } else {
        return report(screen->path, "expected RGB565 or XRGB8888, but it has %u bits per pixel in another order",
                      info->bits_per_pixel);
    }
    screen->width = info->xres;
    screen->height = info->yres;
    screen->stride = fixed.line_length;
    screen->offset = (off_t)info->yoffset * fixed.line_length + (off_t)info->xoffset * (screen->format / 8);
    screen->is_framebuffer = 1;
    return 0;
}

int screen_open(struct screen *screen) {
    struct fb_var_screeninfo info;
    struct stat status;
    int is_device = stat(screen->path, &status) == 0 && S_ISCHR(status.st_mode);
    size_t row;
    screen->fd = open(screen->path, is_device ? O_RDWR | O_CLOEXEC : O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (screen->fd < 0) {
        return report(screen->path, "expected a file or a framebuffer to write to, but it cannot be opened: %s",
                      strerror(errno));
    }
    screen->stride = 0;
    if (is_device && ioctl(screen->fd, FBIOGET_VSCREENINFO, &info) == 0 && measure_framebuffer(screen, &info) < 0) {
        return -1;
    }
    row = screen->width * (screen->format / 8);
    if (screen->stride == 0) screen->stride = row;
    if (screen->width == 0 || screen->height == 0 || screen->stride < row) {
        return report(screen->path, "expected a framebuffer in use, but it has %zux%zu pixels in rows of %zu bytes",
                      screen->width, screen->height, screen->stride);
    }
    /* A framebuffer may end with the last visible pixel. */
    screen->bytes = (screen->height - 1) * screen->stride + row;
    screen->pixels = calloc(1, screen->bytes);
    if (screen->pixels == NULL) return report(screen->path, "no memory for a picture of %zu bytes", screen->bytes);
    return 0;
}

int screen_show(const struct screen *screen) {
    size_t done = 0;
    while (done < screen->bytes) {
        const uint8_t *from = screen->pixels + done;
        size_t left = screen->bytes - done;
        ssize_t n = screen->is_framebuffer ? pwrite(screen->fd, from, left, screen->offset + (off_t)done)
                                           : write(screen->fd, from, left);
        if (n > 0) {
            done += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            return report(screen->path, "expected to write %zu bytes, but %zu could not be written: %s", screen->bytes,
                          left, n == 0 ? "no space left" : strerror(errno));
        }
    }
    return 0;
}

int screen_close(struct screen *screen) {
    int status = 0;
    if (screen->fd >= 0 && close(screen->fd) < 0) {
        status = report(screen->path, "expected to write to it, but it could not be closed: %s", strerror(errno));
    }
    screen->fd = -1;
    free(screen->pixels);
    screen->pixels = NULL;
    return status;
}

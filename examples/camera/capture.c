/* Frames from a file of raw frames. A named pipe or /dev/stdin will do as well. */
#define _POSIX_C_SOURCE 200809L

#include "capture.h"
#include "report.h"
#include "v4l2.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

size_t capture_frame_bytes(const beitle_image *image) {
    if (image->format == BEITLE_YUYV) return (image->height - 1) * image->stride + 2 * image->width;
    /* NV12: a row of chroma is as long as a row of luma, and serves two of them. */
    return (image->height + image->height / 2 - 1) * image->stride + image->width;
}

static int open_file(struct capture *capture, uint32_t format, size_t width, size_t height) {
    beitle_image *image = &capture->image;
    image->format = format;
    image->width = width;
    image->height = height;
    image->stride = format == BEITLE_YUYV ? 2 * width : width;
    image->bytes = capture_frame_bytes(image);
    capture->fd = open(capture->path, O_RDONLY | O_CLOEXEC);
    if (capture->fd < 0) {
        return report(capture->path, "expected a file of frames, but it cannot be opened: %s", strerror(errno));
    }
    capture->memory = malloc(image->bytes);
    if (capture->memory == NULL) return report(capture->path, "no memory for a frame of %zu bytes", image->bytes);
    image->data = capture->memory;
    return 0;
}

/* The file has ended with `found` bytes of a frame. */
static enum capture_status end_of_file(const struct capture *capture, size_t found) {
    const beitle_image *image = &capture->image;
    if (capture->frames == 0) {
        report(capture->path, "has %zu bytes, but one frame of %zux%zu in %s has %zu", found, image->width,
               image->height, image->format == BEITLE_YUYV ? "YUYV" : "NV12", image->bytes);
        return CAPTURE_FAILED;
    }
    if (found > 0) {
        report(capture->path, "the last frame is left out: it has %zu bytes instead of %zu", found, image->bytes);
    }
    return CAPTURE_END;
}

static enum capture_status read_frame(struct capture *capture) {
    size_t found = 0;
    while (found < capture->image.bytes) {
        ssize_t n;
        if (*capture->stop) return CAPTURE_END;
        n = read(capture->fd, capture->memory + found, capture->image.bytes - found);
        if (n == 0) return end_of_file(capture, found);
        if (n > 0) {
            found += (size_t)n;
        } else if (errno != EINTR) {
            report(capture->path, "expected frames, but it cannot be read: %s", strerror(errno));
            return CAPTURE_FAILED;
        }
    }
    ++capture->frames;
    return CAPTURE_FRAME;
}

int capture_open(struct capture *capture, uint32_t format, size_t width, size_t height) {
    capture->fd = -1;
    capture->held = -1;
    return capture->is_camera ? v4l2_open(capture, format, width, height) : open_file(capture, format, width, height);
}

enum capture_status capture_next(struct capture *capture) {
    return capture->is_camera ? v4l2_next(capture) : read_frame(capture);
}

void capture_close(struct capture *capture) {
    if (capture->is_camera) v4l2_stop(capture);
    if (capture->fd >= 0) close(capture->fd);
    capture->fd = -1;
    free(capture->memory);
    capture->memory = NULL;
}

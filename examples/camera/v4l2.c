/* Frames from a camera. The calls are explained in the kernel's "Video for Linux API", under "Streaming I/O (Memory
 * Mapping)". */
#define _POSIX_C_SOURCE 200809L

#include "v4l2.h"
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

/* One buffer is with the program while the model runs, the others are with the driver. */
#define BUFFERS 4
#define TIMEOUT_SECONDS 5
/* So many damaged frames without an intact one are an error. */
#define MAX_DAMAGED 100

/* The pixel formats, the preferred one first: NV12 has 12 bits per pixel, YUYV 16. */
static const struct {
    uint32_t v4l2, beitle;
    const char *name;
} FORMATS[] = {{V4L2_PIX_FMT_NV12, BEITLE_NV12, "NV12"}, {V4L2_PIX_FMT_YUYV, BEITLE_YUYV, "YUYV"}};
#define FORMAT_COUNT (sizeof FORMATS / sizeof FORMATS[0])

/* ioctl, repeated if a signal interrupts it. */
static int control(const struct capture *capture, unsigned long request, void *argument) {
    int result;
    do {
        result = ioctl(capture->fd, request, argument);
    } while (result < 0 && errno == EINTR);
    return result;
}

static struct v4l2_buffer buffer_number(unsigned index) {
    struct v4l2_buffer buffer;
    memset(&buffer, 0, sizeof buffer);
    buffer.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    buffer.memory = V4L2_MEMORY_MMAP;
    buffer.index = index;
    return buffer;
}

static int check_device(const struct capture *capture) {
    struct v4l2_capability capability;
    uint32_t flags;
    memset(&capability, 0, sizeof capability);
    if (control(capture, VIDIOC_QUERYCAP, &capability) < 0) {
        return report(capture->path, "expected a V4L2 camera, but VIDIOC_QUERYCAP failed: %s", strerror(errno));
    }
    /* `capabilities` is about all devices of the hardware, `device_caps` about this one. */
    flags = capability.capabilities & V4L2_CAP_DEVICE_CAPS ? capability.device_caps : capability.capabilities;
    if (!(flags & V4L2_CAP_VIDEO_CAPTURE)) {
        return report(capture->path, flags & V4L2_CAP_VIDEO_CAPTURE_MPLANE
                                         ? "expected the single-planar interface of V4L2, but it has only the "
                                           "multi-planar one"
                                         : "expected a V4L2 camera, but it does not capture video");
    }
    if (!(flags & V4L2_CAP_STREAMING)) return report(capture->path, "expected a camera with streaming I/O");
    return 0;
}

/* Writes a pixel format as the four characters that V4L2 names it by. */
static void write_name(uint32_t format, char name[5]) {
    int i;
    for (i = 0; i < 4; ++i) {
        char c = (char)(format >> 8 * i & 127);
        name[i] = c < ' ' ? '?' : c;
    }
    name[4] = '\0';
}

/* Finds the first of FORMATS that the camera offers and the caller accepts. Returns its index, or -1. */
static int choose_format(const struct capture *capture, uint32_t wanted) {
    struct v4l2_fmtdesc description;
    char offered[200] = "";
    int best = -1;
    memset(&description, 0, sizeof description);
    description.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    for (; control(capture, VIDIOC_ENUM_FMT, &description) == 0; ++description.index) {
        uint32_t code = description.pixelformat;
        size_t used = strlen(offered);
        char name[5];
        int i;
        for (i = 0; i < (int)FORMAT_COUNT; ++i) {
            if (code != FORMATS[i].v4l2 || (wanted != CAPTURE_ANY_FORMAT && wanted != FORMATS[i].beitle)) continue;
            if (best < 0 || i < best) best = i;
        }
        write_name(code, name);
        snprintf(offered + used, sizeof offered - used, " %s", name);
    }
    if (best < 0) {
        report(capture->path, "expected a camera that offers %s, but it offers%s",
               wanted == BEITLE_NV12   ? "NV12"
               : wanted == BEITLE_YUYV ? "YUYV"
                                       : "NV12 or YUYV",
               offered[0] ? offered : " nothing");
    }
    return best;
}

/* The matrix and the range. What the driver leaves open follows from the colour space. */
static void set_colours(beitle_frame *frame, const struct v4l2_pix_format *pix) {
    uint32_t encoding = pix->ycbcr_enc, range = pix->quantization;
    if (encoding == V4L2_YCBCR_ENC_DEFAULT) encoding = V4L2_MAP_YCBCR_ENC_DEFAULT(pix->colorspace);
    if (range == V4L2_QUANTIZATION_DEFAULT) {
        range = V4L2_MAP_QUANTIZATION_DEFAULT(0, pix->colorspace, encoding);
    }
    frame->matrix = encoding == V4L2_YCBCR_ENC_709 ? BEITLE_BT709 : BEITLE_BT601;
    frame->range = range == V4L2_QUANTIZATION_FULL_RANGE ? BEITLE_FULL_RANGE : BEITLE_LIMITED_RANGE;
}

/* Sets the format and the size. The driver may change the size and pad the rows. */
static int set_format(struct capture *capture, int format, size_t width, size_t height) {
    const char *name = FORMATS[format].name;
    beitle_image *image = &capture->image;
    struct v4l2_format f;
    struct v4l2_pix_format *pix = &f.fmt.pix;
    char chosen[5];
    size_t row;
    memset(&f, 0, sizeof f);
    f.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    pix->width = (uint32_t)width;
    pix->height = (uint32_t)height;
    pix->pixelformat = FORMATS[format].v4l2;
    pix->field = V4L2_FIELD_NONE;
    if (control(capture, VIDIOC_S_FMT, &f) < 0) {
        return report(capture->path, "expected %s of %zux%zu, but VIDIOC_S_FMT failed: %s", name, width, height,
                      strerror(errno));
    }
    write_name(pix->pixelformat, chosen);
    row = FORMATS[format].beitle == BEITLE_YUYV ? 2 * (size_t)pix->width : pix->width;
    if (pix->bytesperline == 0) pix->bytesperline = (uint32_t)row; /* some drivers do not set it */
    if (pix->pixelformat != FORMATS[format].v4l2 || pix->width < 2 || pix->width % 2 != 0 || pix->height < 2 ||
        pix->height % 2 != 0 || pix->width > CAPTURE_MAX_SIDE || pix->height > CAPTURE_MAX_SIDE ||
        pix->bytesperline < row || pix->bytesperline > 8 * CAPTURE_MAX_SIDE) {
        return report(capture->path, "expected %s of %zux%zu, but the driver chose %s of %ux%u in rows of %u bytes",
                      name, width, height, chosen, pix->width, pix->height, pix->bytesperline);
    }
    if (pix->width != width || pix->height != height) {
        report(capture->path, "captures %ux%u instead of %zux%zu", pix->width, pix->height, width, height);
    }
    image->format = FORMATS[format].beitle;
    image->width = pix->width;
    image->height = pix->height;
    image->stride = pix->bytesperline;
    set_colours(&capture->frame, pix);
    return 0;
}

/* Maps the driver's buffers into memory. */
static int map_buffers(struct capture *capture) {
    struct v4l2_requestbuffers request;
    memset(&request, 0, sizeof request);
    request.count = BUFFERS;
    request.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    request.memory = V4L2_MEMORY_MMAP;
    if (control(capture, VIDIOC_REQBUFS, &request) < 0) {
        return report(capture->path, "expected %d mapped buffers, but VIDIOC_REQBUFS failed: %s", BUFFERS,
                      strerror(errno));
    }
    if (request.count < 2) return report(capture->path, "expected at least 2 buffers, got %u", request.count);
    while (capture->buffer_count < request.count && capture->buffer_count < CAPTURE_MAX_BUFFERS) {
        struct v4l2_buffer buffer = buffer_number(capture->buffer_count);
        struct capture_buffer *mapped = &capture->buffers[capture->buffer_count];
        if (control(capture, VIDIOC_QUERYBUF, &buffer) < 0) {
            return report(capture->path, "VIDIOC_QUERYBUF of buffer %u failed: %s", buffer.index, strerror(errno));
        }
        mapped->bytes = buffer.length;
        /* The program only reads, but some drivers want PROT_WRITE as well. */
        mapped->data =
            mmap(NULL, buffer.length, PROT_READ | PROT_WRITE, MAP_SHARED, capture->fd, (off_t)buffer.m.offset);
        if (mapped->data == MAP_FAILED) {
            return report(capture->path, "buffer %u of %u bytes cannot be mapped: %s", buffer.index, buffer.length,
                          strerror(errno));
        }
        ++capture->buffer_count;
    }
    return 0;
}

/* Gives a buffer to the driver, to be filled. */
static int queue(const struct capture *capture, unsigned index) {
    struct v4l2_buffer buffer = buffer_number(index);
    if (control(capture, VIDIOC_QBUF, &buffer) == 0) return 0;
    return report(capture->path, "VIDIOC_QBUF of buffer %u failed: %s", index, strerror(errno));
}

int v4l2_open(struct capture *capture, uint32_t format, size_t width, size_t height) {
    int chosen, type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    unsigned i;
    capture->fd = open(capture->path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (capture->fd < 0) {
        return report(capture->path, "expected a V4L2 camera, but it cannot be opened: %s", strerror(errno));
    }
    if (check_device(capture) < 0) return -1;
    chosen = choose_format(capture, format);
    if (chosen < 0 || set_format(capture, chosen, width, height) < 0 || map_buffers(capture) < 0) return -1;
    for (i = 0; i < capture->buffer_count; ++i) {
        if (queue(capture, i) < 0) return -1;
    }
    if (control(capture, VIDIOC_STREAMON, &type) < 0) {
        return report(capture->path, "expected it to capture, but VIDIOC_STREAMON failed: %s", strerror(errno));
    }
    return 0;
}

/* Gives the buffer of the current frame back to the driver. */
static int release(struct capture *capture) {
    int index = capture->held;
    capture->held = -1;
    return index < 0 ? 0 : queue(capture, (unsigned)index);
}

/* Makes the newest frame that the driver has filled the current one, and returns how many frames there were. Does not
 * wait. Returns -1 after an error. */
static int take_newest(struct capture *capture) {
    int taken = 0;
    for (;;) {
        struct v4l2_buffer buffer = buffer_number(0);
        beitle_image *image = &capture->image;
        if (control(capture, VIDIOC_DQBUF, &buffer) < 0) {
            if (errno == EAGAIN) return taken;
            return report(capture->path, "expected a frame, but VIDIOC_DQBUF failed: %s", strerror(errno));
        }
        if (buffer.index >= capture->buffer_count) {
            return report(capture->path, "VIDIOC_DQBUF returned buffer %u of %u", buffer.index, capture->buffer_count);
        }
        if ((buffer.flags & V4L2_BUF_FLAG_ERROR) || buffer.bytesused < capture_frame_bytes(image) ||
            buffer.bytesused > capture->buffers[buffer.index].bytes) {
            ++capture->damaged;
            if (queue(capture, buffer.index) < 0) return -1;
            continue;
        }
        if (release(capture) < 0) return -1;
        capture->held = (int)buffer.index;
        image->data = capture->buffers[buffer.index].data;
        image->bytes = buffer.bytesused;
        ++taken;
    }
}

/* Waits until the driver has filled a buffer. */
static enum capture_status wait_for_frame(const struct capture *capture) {
    struct pollfd p = {capture->fd, POLLIN, 0};
    int ready;
    do {
        if (*capture->stop) return CAPTURE_END;
        ready = poll(&p, 1, TIMEOUT_SECONDS * 1000);
    } while (ready < 0 && errno == EINTR);
    if (ready > 0 && !(p.revents & (POLLERR | POLLHUP | POLLNVAL))) return CAPTURE_FRAME;
    if (ready < 0) {
        report(capture->path, "expected a frame, but poll failed: %s", strerror(errno));
    } else if (ready == 0) {
        report(capture->path, "expected a frame, but none came within %d seconds", TIMEOUT_SECONDS);
    } else {
        report(capture->path, "expected a frame, but the camera has stopped (is it still connected?)");
    }
    return CAPTURE_FAILED;
}

/* A model that is slower than the camera should see the newest frame. If a single frame has come while it ran, that is
 * the newest. If there are more, the driver may have run out of buffers long ago, and all of them may be old: they are
 * given back, and the next one is new. */
enum capture_status v4l2_next(struct capture *capture) {
    unsigned long damaged_before = capture->damaged;
    int taken;
    if (release(capture) < 0) return CAPTURE_FAILED;
    taken = take_newest(capture);
    if (taken > 1 && release(capture) < 0) return CAPTURE_FAILED;
    while (taken >= 0 && capture->held < 0) {
        enum capture_status status = wait_for_frame(capture);
        if (status != CAPTURE_FRAME) return status;
        if (capture->damaged - damaged_before >= MAX_DAMAGED) {
            report(capture->path, "expected frames of at least %zu bytes, but %d in a row were shorter or damaged",
                   capture_frame_bytes(&capture->image), MAX_DAMAGED);
            return CAPTURE_FAILED;
        }
        taken = take_newest(capture);
    }
    return taken < 0 ? CAPTURE_FAILED : CAPTURE_FRAME;
}

void v4l2_stop(struct capture *capture) {
    int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    if (capture->buffer_count > 0) control(capture, VIDIOC_STREAMOFF, &type);
    while (capture->buffer_count > 0) {
        struct capture_buffer *mapped = &capture->buffers[--capture->buffer_count];
        munmap(mapped->data, mapped->bytes);
    }
}

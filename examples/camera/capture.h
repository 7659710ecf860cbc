/* Frames in NV12 or YUYV, from a V4L2 camera or from a file of raw frames, one after the other.
 *
 * A frame is used where the driver or `read` has put it. No memory is allocated after capture_open. */
#ifndef CAPTURE_H
#define CAPTURE_H

#include "beitle.h"

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

/* The most buffers that a driver may provide. */
#define CAPTURE_MAX_BUFFERS 32
/* The largest width or height. */
#define CAPTURE_MAX_SIDE 16384
/* Instead of BEITLE_NV12 or BEITLE_YUYV: whichever the camera offers. */
#define CAPTURE_ANY_FORMAT UINT32_MAX

enum capture_status { CAPTURE_FRAME, CAPTURE_END, CAPTURE_FAILED };

/* A buffer of the driver, mapped into memory. */
struct capture_buffer {
    void *data;
    size_t bytes;
};

struct capture {
    /* Set by the caller. */
    const char *path;
    int is_camera;                     /* 0: the path is that of a file */
    const volatile sig_atomic_t *stop; /* capture_next ends once it is not 0 */

    /* The current frame. Only `data` and `bytes` change from frame to frame. */
    beitle_image image;
    beitle_frame frame;    /* the matrix and the range of its colours */
    unsigned long damaged; /* frames of the camera that were skipped because they were incomplete */

    /* Private. */
    int fd;
    unsigned long frames;                               /* file: number of frames read */
    uint8_t *memory;                                    /* file: the frame */
    struct capture_buffer buffers[CAPTURE_MAX_BUFFERS]; /* camera: its buffers */
    unsigned buffer_count;
    int held; /* camera: the buffer of the current frame, -1 if there is none */
};

/* Opens the camera or the file. A camera may choose another size than this one; `image` has the actual one. Returns 0,
 * or -1 after a message. Call capture_close in both cases. */
int capture_open(struct capture *capture, uint32_t format, size_t width, size_t height);

/* Waits for the next frame and makes it the current one. The one before is no longer valid. */
enum capture_status capture_next(struct capture *capture);

void capture_close(struct capture *capture);

/* The minimum size of a frame in bytes: the last row needs no padding. */
size_t capture_frame_bytes(const beitle_image *image);

#endif

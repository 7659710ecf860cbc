/* The camera of capture.h: Video4Linux2, single-planar, streaming with memory-mapped buffers. */
#ifndef V4L2_H
#define V4L2_H

#include "capture.h"

/* As the functions of capture.h. */
int v4l2_open(struct capture *capture, uint32_t format, size_t width, size_t height);
enum capture_status v4l2_next(struct capture *capture);

/* Ends streaming and unmaps the buffers. */
void v4l2_stop(struct capture *capture);

#endif

/* The command line. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "screen.h"

#include <stddef.h>
#include <stdint.h>

struct options {
    const char *model;
    const char *input; /* the camera or the file */
    int is_camera;
    uint32_t format; /* BEITLE_NV12, BEITLE_YUYV or CAPTURE_ANY_FORMAT */
    size_t width;    /* of the frames */
    size_t height;
    uint32_t rotation; /* quarter turns clockwise */
    size_t frames;     /* 0: all */
    size_t threads;
    const char *output;  /* NULL: no pictures */
    size_t output_width; /* 0: as the frames, rotated */
    size_t output_height;
    enum screen_format output_format;
};

/* Returns 0, or -1 after a message. */
int options_parse(struct options *options, int argc, char **argv);

#endif

/* Where pictures are shown: a Linux framebuffer such as /dev/fb0, or a file of raw pictures, one after the other. */
#ifndef SCREEN_H
#define SCREEN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Little-endian pixels, named by their bits. */
enum screen_format { SCREEN_RGB565 = 16, SCREEN_XRGB8888 = 32 };

struct screen {
    /* Of a file, set by the caller; of a framebuffer, set by screen_open. */
    const char *path;
    size_t width;
    size_t height;
    enum screen_format format;

    /* The picture. It is drawn here, in ordinary memory, and copied by screen_show, so that nobody sees half of it. */
    uint8_t *pixels; /* black at first */
    size_t stride;   /* bytes from one row to the next */

    /* Private. */
    int fd;
    size_t bytes;
    int is_framebuffer;
    off_t offset; /* of the visible part of a framebuffer */
};

/* Returns 0, or -1 after a message. Call screen_close in both cases. */
int screen_open(struct screen *screen);

/* Shows the picture. Returns 0, or -1 after a message. */
int screen_show(const struct screen *screen);

/* Returns 0, or -1 after a message if the rest of a file could not be written. */
int screen_close(struct screen *screen);

#endif

/* Draws a frame blended with the colours of its classes, as large as the screen allows. */
#ifndef OVERLAY_H
#define OVERLAY_H

#include "beitle.h"
#include "screen.h"

#include <stddef.h>
#include <stdint.h>

/* Positions on the screen become positions in the frame and in the class map by steps of 1/65536 pixel. */
struct overlay_steps {
    uint32_t x;
    uint32_t y;
};

struct overlay {
    uint8_t colours[256][3]; /* of the classes */
    beitle_frame frame;      /* how frames are stored and seen */
    int32_t luma_offset;
    /* From YUV to RGB, in units of 1/4096. */
    int32_t luma, v_to_red, u_to_green, v_to_green, u_to_blue;
    /* The part of the screen that the frame covers, in pixels. */
    size_t left, top, width, height;
    struct overlay_steps frame_steps;
    struct overlay_steps map_steps;
};

/* Prepares to draw frames like `image` and `frame`, with class maps of map_width x map_height pixels, on a screen like
 * this. Sides are at most 16384 pixels long. Rotation, matrix and range of `frame` are taken into account. */
void overlay_init(struct overlay *overlay, const beitle_engine *engine, const beitle_image *image,
                  const beitle_frame *frame, size_t map_width, size_t map_height, const struct screen *screen);

/* Draws a frame and its class map, an upright map of bytes, into the pixels of the screen. */
void overlay_draw(const struct overlay *overlay, const beitle_image *image, const uint8_t *classes, size_t map_width,
                  struct screen *screen);

#endif

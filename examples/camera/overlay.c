#include "overlay.h"

#include <string.h>

static void init_colours(struct overlay *overlay, const beitle_engine *engine) {
    size_t i;
    memset(overlay->colours, 0, sizeof overlay->colours);
    for (i = 0; i < 256; ++i) {
        if (beitle_class_colour(engine, i, overlay->colours[i], NULL, 0) != BEITLE_OK) break; /* the model has no more classes */
    }
}

/* ITU-R BT.601 and BT.709, from the weights of red and blue in the luma. */
static void init_conversion(struct overlay *overlay) {
    int is_full = overlay->frame.range == BEITLE_FULL_RANGE;
    double red = overlay->frame.matrix == BEITLE_BT709 ? 0.2126 : 0.299;
    double blue = overlay->frame.matrix == BEITLE_BT709 ? 0.0722 : 0.114;
    double green = 1 - red - blue;
    double chroma = 4096 * (is_full ? 2 : 2 * 255.0 / 224);
    overlay->luma_offset = is_full ? 0 : 16;
    overlay->luma = (int32_t)(4096 * (is_full ? 1 : 255.0 / 219) + 0.5);
    overlay->v_to_red = (int32_t)(chroma * (1 - red) + 0.5);
    overlay->u_to_green = (int32_t)(chroma * (1 - blue) * blue / green + 0.5);
    overlay->v_to_green = (int32_t)(chroma * (1 - red) * red / green + 0.5);
    overlay->u_to_blue = (int32_t)(chroma * (1 - blue) + 0.5);
}

static struct overlay_steps steps(const struct overlay *overlay, size_t width, size_t height) {
    struct overlay_steps steps;
    steps.x = (uint32_t)(((uint64_t)width << 16) / overlay->width);
    steps.y = (uint32_t)(((uint64_t)height << 16) / overlay->height);
    return steps;
}

void overlay_init(struct overlay *overlay, const beitle_engine *engine, const beitle_image *image,
                  const beitle_frame *frame, size_t map_width, size_t map_height, const struct screen *screen) {
    size_t width = frame->rotation % 2 ? image->height : image->width;
    size_t height = frame->rotation % 2 ? image->width : image->height;
    overlay->frame = *frame;
    init_colours(overlay, engine);
    init_conversion(overlay);

    /* The frame keeps its aspect ratio, and what it does not cover stays black. */
    overlay->width = screen->width;
    overlay->height = screen->height;
    if (screen->width * height > screen->height * width) {
        overlay->width = screen->height * width / height;
    } else {
        overlay->height = screen->width * height / width;
    }
    if (overlay->width == 0) overlay->width = 1;
    if (overlay->height == 0) overlay->height = 1;
    overlay->left = (screen->width - overlay->width) / 2;
    overlay->top = (screen->height - overlay->height) / 2;
    overlay->frame_steps = steps(overlay, width, height);
    overlay->map_steps = steps(overlay, map_width, map_height);
}

/* Reads Y, U and V at column x and row y of the frame as it is seen. */
static inline void read_yuv(const beitle_image *image, uint32_t rotation, size_t x, size_t y, int32_t yuv[3]) {
    size_t column = x, row = y;
    const uint8_t *luma, *chroma;
    if (rotation == 1 || rotation == 3) {
        column = y;
        row = x;
    }
    if (rotation == 2 || rotation == 3) column = image->width - 1 - column;
    if (rotation == 1 || rotation == 2) row = image->height - 1 - row;
    if (image->format == BEITLE_YUYV) {
        luma = image->data + row * image->stride + 2 * column;
        chroma = luma + (column % 2 ? -1 : 1);
        yuv[1] = chroma[0];
        yuv[2] = chroma[2];
    } else { /* BEITLE_NV12 */
        luma = image->data + row * image->stride + column;
        chroma = image->data + (image->height + row / 2) * image->stride + (column & ~(size_t)1);
        yuv[1] = chroma[0];
        yuv[2] = chroma[1];
    }
    yuv[0] = *luma;
}

/* From units of 1/4096 to 0 ... 255, rounded. */
static inline uint32_t to_byte(int32_t value) {
    value += 2048;
    return value < 0 ? 0 : value >= 256 * 4096 ? 255 : (uint32_t)value / 4096;
}

static inline void read_rgb(const struct overlay *overlay, const beitle_image *image, size_t x, size_t y,
                            uint32_t rgb[3]) {
    int32_t yuv[3], luma, u, v;
    read_yuv(image, overlay->frame.rotation, x, y, yuv);
    luma = (yuv[0] - overlay->luma_offset) * overlay->luma;
    u = yuv[1] - 128;
    v = yuv[2] - 128;
    rgb[0] = to_byte(luma + overlay->v_to_red * v);
    rgb[1] = to_byte(luma - overlay->u_to_green * u - overlay->v_to_green * v);
    rgb[2] = to_byte(luma + overlay->u_to_blue * u);
}

/* Row y of the frame and row map_row of the class map, in one row of the screen. Each pixel takes the nearest pixel of
 * the frame and the nearest of the map. */
static void draw_row(const struct overlay *overlay, const beitle_image *image, size_t y, const uint8_t *map_row,
                     enum screen_format format, uint8_t *out) {
    uint32_t frame_x = overlay->frame_steps.x / 2, map_x = overlay->map_steps.x / 2;
    size_t i;
    for (i = 0; i < overlay->width; ++i) {
        const uint8_t *colour = overlay->colours[map_row[map_x >> 16]];
        uint32_t rgb[3];
        int c;
        read_rgb(overlay, image, frame_x >> 16, y, rgb);
        for (c = 0; c < 3; ++c) rgb[c] = (rgb[c] + colour[c] + 1) / 2;
        if (format == SCREEN_RGB565) {
            uint32_t pixel = rgb[0] >> 3 << 11 | rgb[1] >> 2 << 5 | rgb[2] >> 3;
            *out++ = (uint8_t)pixel;
            *out++ = (uint8_t)(pixel >> 8);
        } else {
            *out++ = (uint8_t)rgb[2];
            *out++ = (uint8_t)rgb[1];
            *out++ = (uint8_t)rgb[0];
            *out++ = 0;
        }
        frame_x += overlay->frame_steps.x;
        map_x += overlay->map_steps.x;
    }
}

void overlay_draw(const struct overlay *overlay, const beitle_image *image, const uint8_t *classes, size_t map_width,
                  struct screen *screen) {
    uint32_t frame_y = overlay->frame_steps.y / 2, map_y = overlay->map_steps.y / 2;
    size_t i;
    for (i = 0; i < overlay->height; ++i) {
        uint8_t *out = screen->pixels + (overlay->top + i) * screen->stride + overlay->left * (screen->format / 8);
        draw_row(overlay, image, frame_y >> 16, classes + (map_y >> 16) * map_width, screen->format, out);
        frame_y += overlay->frame_steps.y;
        map_y += overlay->map_steps.y;
    }
}

/* Segments an image: segment MODEL IMAGE.ppm MAP.pgm [THREADS]
 *
 * The image is a binary PPM (P6). The output is a binary PGM (P5) whose pixel values are class indices. The README
 * says under "From C" how to build this program.
 */
#define _POSIX_C_SOURCE 200809L

#include "beitle.h"
#include "pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *subject, const char *message) {
    fprintf(stderr, "segment: %s: %s\n", subject, message);
    exit(1);
}

/* Allocates memory aligned to 64 bytes. */
static void *allocate(size_t bytes) {
    void *p = NULL;
    if (posix_memalign(&p, 64, bytes ? bytes : 64) != 0) fail("memory", "allocation failed");
    return p;
}

/* Reads a file into memory. (Mapping the weight file instead needs less memory.) */
static uint8_t *read_file(const char *path, size_t *bytes) {
    FILE *f = fopen(path, "rb");
    long size = -1;
    uint8_t *data;
    if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0) fail(path, "cannot be read");
    rewind(f);
    *bytes = (size_t)size;
    data = allocate(*bytes);
    if (fread(data, 1, *bytes, f) != *bytes) fail(path, "cannot be read");
    fclose(f);
    return data;
}

/* Parses the next number of a PPM header, after white space and comments. */
static size_t parse_number(const uint8_t *data, size_t bytes, size_t *at) {
    size_t n = 0;
    while (*at < bytes && (strchr(" \t\r\n", data[*at]) != NULL || data[*at] == '#')) {
        if (data[*at] == '#') {
            while (*at < bytes && data[*at] != '\n') ++*at;
        } else {
            ++*at;
        }
    }
    while (*at < bytes && data[*at] >= '0' && data[*at] <= '9' && n < 100000) n = 10 * n + (data[(*at)++] - '0');
    return n;
}

static beitle_image read_ppm(const char *path) {
    beitle_image image = {0};
    size_t bytes, at = 2;
    const uint8_t *data = read_file(path, &bytes);
    if (bytes < 2 || memcmp(data, "P6", 2) != 0) fail(path, "is not a binary PPM file");
    image.width = parse_number(data, bytes, &at);
    image.height = parse_number(data, bytes, &at);
    if (parse_number(data, bytes, &at) != 255 || at >= bytes) fail(path, "is not a PPM file with 8 bits per channel");
    image.data = data + at + 1;
    image.bytes = bytes - at - 1;
    image.format = BEITLE_RGB8;
    return image;
}

static void write_pgm(const char *path, const uint8_t *map, size_t width, size_t height) {
    FILE *f = fopen(path, "wb");
    if (f == NULL) fail(path, "cannot be written");
    fprintf(f, "P5\n%lu %lu\n255\n", (unsigned long)width, (unsigned long)height);
    if (fwrite(map, width, height, f) != height || fclose(f) != 0) fail(path, "cannot be written");
}

/* Prints the share of the pixels for every class that occurs. */
static void print_shares(const beitle_engine *engine, const uint8_t *map, size_t pixels) {
    size_t counts[256] = {0};
    char name[64], message[200];
    beitle_status status;
    size_t i;
    for (i = 0; i < pixels; ++i) ++counts[map[i]];
    for (i = 0; i < 256; ++i) {
        if (counts[i] == 0) continue;
        status = beitle_class_name(engine, i, name, sizeof name, message, sizeof message);
        /* The beginning of a long name is enough. */
        if (status != BEITLE_OK && status != BEITLE_BUFFER_TOO_SMALL) fail("class name", message);
        printf("%3lu %-24s %6.2f %%\n", (unsigned long)i, name, 100.0 * (double)counts[i] / (double)pixels);
    }
}

int main(int argc, char **argv) {
    static beitle_engine engine;
    static struct pool pool;
    char message[200];
    size_t file_bytes, pixels, workers = argc == 5 ? (size_t)atoi(argv[4]) : 1;
    const uint8_t *file;
    uint8_t *map;
    beitle_info info = {0};
    beitle_run_params params = {0};

    if (argc < 4 || argc > 5 || workers < 1 || workers > POOL_MAX_THREADS) {
        fail("usage", "segment MODEL IMAGE.ppm MAP.pgm [THREADS, 1 to 64]");
    }
    if (beitle_version() < BEITLE_VERSION) fail("libbeitle", "the library is older than the header");
    file = read_file(argv[1], &file_bytes);
    if (beitle_open(&engine, file, file_bytes, message, sizeof message) != BEITLE_OK) fail(argv[1], message);
    info.size = sizeof info;
    if (beitle_model_info(&engine, &info, message, sizeof message) != BEITLE_OK) fail(argv[1], message);
    if (info.task != BEITLE_SEGMENTATION) fail(argv[1], "does not segment images");
    if (info.classes > 256) fail(argv[1], "has more than 256 classes, the limit of an 8-bit PGM file");

    params.size = sizeof params;
    params.image = read_ppm(argv[2]);
    if (beitle_plan(&engine, workers, params.image.width, params.image.height, &params.arena_bytes, message,
                    sizeof message) != BEITLE_OK) {
        fail(argv[2], message);
    }
    params.arena = allocate(params.arena_bytes);
    pixels = params.image.width * params.image.height;
    map = allocate(pixels);
    params.map.data = map;
    params.map.bytes = pixels;
    params.map.pixel_bytes = 1;
    if (pool_open(&pool, workers) != 0) fail("threads", "cannot be created");
    params.thread_pool = &pool.interface;
    if (beitle_run(&engine, &params, message, sizeof message) != BEITLE_OK) fail(argv[2], message);
    pool_close(&pool);

    write_pgm(argv[3], map, params.image.width, params.image.height);
    print_shares(&engine, map, pixels);
    return 0;
}

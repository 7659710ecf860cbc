/* Segments a picture with beitle from C: segment MODEL PICTURE.ppm MAP.pgm [THREADS]
 *
 * The picture is a binary PPM (P6), the map a binary PGM (P5) whose pixels are class numbers. See the README, "From C".
 */
#define _POSIX_C_SOURCE 200112L

#include "beitle.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_THREADS 16

static void fail(const char *what, const char *why) {
    fprintf(stderr, "segment: %s: %s\n", what, why);
    exit(1);
}

/* Memory at a multiple of 64. */
static void *memory(size_t bytes) {
    void *p = NULL;
    if (posix_memalign(&p, 64, bytes ? bytes : 64) != 0) fail("memory", "there is not enough");
    return p;
}

/* A whole file. (mmap serves as well, and saves the memory.) */
static uint8_t *read_file(const char *path, size_t *bytes) {
    FILE *f = fopen(path, "rb");
    long size = -1;
    uint8_t *data;
    if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0) fail(path, "cannot be read");
    rewind(f);
    *bytes = (size_t)size;
    data = memory(*bytes);
    if (fread(data, 1, *bytes, f) != *bytes) fail(path, "cannot be read");
    fclose(f);
    return data;
}

/* The next number of a PPM's head, after white space and comments. */
static size_t number(const uint8_t *data, size_t bytes, size_t *at) {
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

static beitle_picture read_ppm(const char *path) {
    beitle_picture picture = {0};
    size_t bytes, at = 2;
    const uint8_t *data = read_file(path, &bytes);
    if (bytes < 2 || memcmp(data, "P6", 2) != 0) fail(path, "is not a binary PPM");
    picture.width = number(data, bytes, &at);
    picture.height = number(data, bytes, &at);
    if (number(data, bytes, &at) != 255 || at >= bytes) fail(path, "is not a PPM of 8 bits");
    picture.data = data + at + 1;
    picture.bytes = bytes - at - 1;
    picture.format = BEITLE_RGB8;
    return picture;
}

/* One thread's share of the work. */
struct share {
    void (*work)(void *);
    void *argument;
};

static void *do_share(void *p) {
    struct share *share = p;
    share->work(share->argument);
    return NULL;
}

/* Threads for the library, started anew each time: short, and good enough here. A program that minds the microseconds
 * keeps its threads waiting instead. */
static void run_threads(void *context, void (*work)(void *), void *argument) {
    size_t i, started = 0, others = *(const size_t *)context - 1;
    pthread_t threads[MOST_THREADS];
    struct share share;
    share.work = work;
    share.argument = argument;
    while (started < others && pthread_create(&threads[started], NULL, do_share, &share) == 0) ++started;
    work(argument);
    for (i = 0; i < started; ++i) pthread_join(threads[i], NULL);
}

int main(int argc, char **argv) {
    static beitle_engine engine;
    char why[200], name[64];
    size_t file_bytes, pixels, i, workers = argc == 5 ? (size_t)atoi(argv[4]) : 1;
    size_t *counts;
    uint8_t *map;
    const uint8_t *file;
    FILE *out;
    beitle_info info;
    beitle_threads threads;
    beitle_job job = {0};

    if (argc < 4 || argc > 5 || workers < 1 || workers > MOST_THREADS) {
        fail("usage", "segment MODEL PICTURE.ppm MAP.pgm [THREADS, 1 to 16]");
    }
    if (beitle_version() != BEITLE_VERSION) fail("libbeitle", "is not of this program's version");
    file = read_file(argv[1], &file_bytes);
    if (beitle_open(&engine, file, file_bytes, why, sizeof why) != BEITLE_OK) fail(argv[1], why);
    if (beitle_info_of(&engine, &info, why, sizeof why) != BEITLE_OK) fail(argv[1], why);
    if (info.classes > 256) fail(argv[1], "has more classes than a PGM of 8 bits holds");

    job.size = sizeof job;
    job.picture = read_ppm(argv[2]);
    pixels = job.picture.width * job.picture.height;
    if (beitle_plan(&engine, workers, job.picture.width, job.picture.height, &job.arena_bytes, why, sizeof why) !=
        BEITLE_OK) {
        fail(argv[2], why);
    }
    job.arena = memory(job.arena_bytes);
    map = memory(pixels);
    job.map.data = map;
    job.map.bytes = pixels;
    job.map.pixel_bytes = 1;
    threads.workers = workers;
    threads.run = run_threads;
    threads.context = &workers;
    job.threads = workers > 1 ? &threads : NULL;
    if (beitle_run(&engine, &job, why, sizeof why) != BEITLE_OK) fail(argv[2], why);

    out = fopen(argv[3], "wb");
    if (out == NULL) fail(argv[3], "cannot be written");
    fprintf(out, "P5\n%lu %lu\n255\n", (unsigned long)job.picture.width, (unsigned long)job.picture.height);
    if (fwrite(map, 1, pixels, out) != pixels || fclose(out) != 0) fail(argv[3], "cannot be written");

    counts = calloc(info.classes, sizeof *counts);
    if (counts == NULL) fail("memory", "there is not enough");
    for (i = 0; i < pixels; ++i) ++counts[map[i]];
    for (i = 0; i < info.classes; ++i) {
        if (counts[i] == 0) continue;
        beitle_class_name(&engine, i, name, sizeof name);
        printf("%3lu %-24s %6.2f %%\n", (unsigned long)i, name, 100.0 * (double)counts[i] / (double)pixels);
    }
    free(counts);
    return 0;
}

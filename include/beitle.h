/* beitle: BEiT semantic segmentation for edge devices. C99 and C++11; one header, one library.
 *
 *     static beitle_engine engine;
 *     size_t arena_bytes;
 *     char why[200];
 *     beitle_open(&engine, file, file_bytes, why, sizeof why);
 *     beitle_plan(&engine, 1, 640, 480, &arena_bytes, why, sizeof why);
 *     ... an arena of arena_bytes at a multiple of 64; then, for each picture:
 *     beitle_job job = {0};
 *     job.size = sizeof job;
 *     job.arena = arena;               job.arena_bytes = arena_bytes;
 *     job.picture.data = rgb;          job.picture.bytes = 640 * 480 * 3;
 *     job.picture.width = 640;         job.picture.height = 480;
 *     job.map.data = map;              job.map.bytes = 640 * 480;
 *     job.map.pixel_bytes = 1;
 *     if (beitle_run(&engine, &job, why, sizeof why) != BEITLE_OK) puts(why);
 *
 * examples/segment.c is a whole program.
 *
 * Memory is the caller's throughout: the library allocates nothing and keeps no state outside the engine. The same file
 * and picture give the same map and logits on every processor and for every number of threads.
 *
 * Every function returns a status. Where there are `message` and `message_bytes`, the reason of a refusal is written
 * there as a sentence that ends in a zero byte (cut where there is too little room; empty after success); NULL and 0
 * where nobody reads it. Of its arguments the library checks whatever can be checked: NULL, alignment, sizes, overlaps,
 * numbers. It cannot check that memory is really there.
 *
 * Different engines may be used by different threads at a time. One engine may be run by several threads at a time, each
 * with its own arena; beitle_open and beitle_plan must have it for themselves.
 */
#ifndef BEITLE_H
#define BEITLE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version this header belongs to: major << 16 | minor << 8 | patch. */
#define BEITLE_VERSION 0x000100u

/* The version of the library that is linked; compare it with BEITLE_VERSION. */
uint32_t beitle_version(void);

/* How a call ended. */
typedef int32_t beitle_status;
enum {
    BEITLE_OK = 0,
    BEITLE_ARGUMENT = 1,    /* a pointer, a size or a number makes no sense; the engine is not open or not planned */
    BEITLE_NOT_A_MODEL = 2, /* not a .beitle file */
    BEITLE_OTHER_VERSION = 3, /* a weight file of a version that this library does not read */
    BEITLE_DAMAGED = 4,     /* a weight file that is cut short, damaged or makes no sense */
    BEITLE_MISALIGNED = 5,  /* memory does not start where it must */
    BEITLE_BUFFER = 6,      /* memory is too small for what goes there; too large a picture, too many workers */
    BEITLE_PICTURE = 7,     /* the picture cannot be taken, or its map needs two bytes a pixel */
    BEITLE_TOO_LARGE = 8,   /* more memory would be needed than this machine can address */
    BEITLE_CANCELLED = 9,   /* the progress function asked to stop; map and logits are incomplete */
    BEITLE_INTERNAL = 10    /* a defect of the library; please report it */
};

/* An open model and its plan. Its contents are the library's; it may be static, on the stack or anywhere else, and needs
 * no closing. It may be copied. It points to the file. */
#define BEITLE_ENGINE_WORDS 256
typedef struct beitle_engine {
    uint64_t opaque[BEITLE_ENGINE_WORDS];
} beitle_engine;

/* What a model is. */
typedef struct beitle_info {
    size_t input_width; /* pixels that every picture is brought to */
    size_t input_height;
    size_t classes;
    size_t logits_width;
    size_t logits_height;
} beitle_info;

/* The order of a pixel's bytes. */
enum {
    BEITLE_RGB8 = 0,
    BEITLE_BGR8 = 1,
    BEITLE_RGBA8 = 2, /* the fourth byte is ignored */
    BEITLE_BGRA8 = 3, /* the fourth byte is ignored */
    BEITLE_GRAY8 = 4
};

/* A picture. */
typedef struct beitle_picture {
    const uint8_t *data;
    size_t bytes;  /* that there are at data */
    size_t width;  /* in pixels */
    size_t height;
    size_t stride; /* bytes from one row to the next; 0: the rows follow each other without gaps */
    uint32_t format;
} beitle_picture;

/* A class number for each pixel, row by row without gaps. */
typedef struct beitle_map {
    void *data;
    size_t bytes;         /* that there are at data */
    size_t width;         /* 0 and 0: as large as the picture */
    size_t height;
    uint32_t pixel_bytes; /* 1: uint8_t, for up to 256 classes; 2: uint16_t, for any number */
} beitle_map;

/* The caller's threads.
 *
 * The library calls `run` some hundred times a picture, always from the thread that called beitle_run. It shall call
 * work(argument) from up to `workers` threads at a time, its own among them, and return when all these calls have
 * returned. Each call does part of what there is to do; which part is the library's concern. Fewer calls than workers
 * make it slower, more do nothing: a thread that is busy elsewhere can be left out. */
typedef struct beitle_threads {
    size_t workers;
    void (*run)(void *context, void (*work)(void *argument), void *argument);
    void *context; /* passed to run */
} beitle_threads;

/* What beitle_run is to do. Zero it, set `size`, then what is wanted. */
typedef struct beitle_job {
    size_t size;             /* sizeof(beitle_job) */
    void *arena;             /* working memory at a multiple of 64, of the planned size; its contents do not matter */
    size_t arena_bytes;
    beitle_picture picture;
    beitle_map map;
    float *logits;           /* NULL, or [classes][logits_height][logits_width] */
    size_t logits_count;     /* numbers there is room for */
    const beitle_threads *threads; /* NULL: the calling thread alone */
    int (*progress)(void *context); /* NULL, or called after each of a few hundred steps, by the calling thread: the place
                                       to feed a watchdog. Anything but 0 stops the run. */
    void *progress_context;  /* passed to progress */
} beitle_job;

/* Opens a model: `file` is a .beitle file in memory (mapped, read or linked in) that starts at a multiple of 64. Its
 * structure is checked in microseconds, whatever its size; nothing is copied, so it must stay there unchanged for as long
 * as the engine is used. After a refusal the engine is not open. */
beitle_status beitle_open(beitle_engine *engine, const void *file, size_t file_bytes, char *message,
                          size_t message_bytes);

/* Reads the whole file and compares the checksums: worth it once, after a transfer. */
beitle_status beitle_verify(const beitle_engine *engine, char *message, size_t message_bytes);

/* Says what the model is. */
beitle_status beitle_info_of(const beitle_engine *engine, beitle_info *info, char *message, size_t message_bytes);

/* The name of class `number` in UTF-8, ending in a zero byte; BEITLE_BUFFER where it had to be cut. */
beitle_status beitle_class_name(const beitle_engine *engine, size_t number, char *name, size_t name_bytes);

/* The colour of class `number`: red, green, blue. */
beitle_status beitle_class_colour(const beitle_engine *engine, size_t number, uint8_t rgb[3]);

/* Lays out the working memory for up to `workers` threads (1: the calling one) and pictures of up to `width` x `height`
 * pixels, and says how many bytes the arena must have. It may be called again, with other sizes. */
beitle_status beitle_plan(beitle_engine *engine, size_t workers, size_t width, size_t height, size_t *arena_bytes,
                          char *message, size_t message_bytes);

/* Turns a picture into a map. Arena, map and logits must not overlap each other or anything that is read. */
beitle_status beitle_run(const beitle_engine *engine, const beitle_job *job, char *message, size_t message_bytes);

/* Only for libraries built with the feature `firmware`: a function of yours that such a library calls instead of
 * returning BEITLE_INTERNAL. It must not return. */
void beitle_panicked(void);

#ifdef __cplusplus
}
#endif

#endif

/* beitle: BEiT for edge devices: segmentation, classification and features of images. C interface, for C99 and C++11.
 *
 * To segment an image:
 *
 *     static beitle_engine engine;
 *     beitle_run_params params = {0};
 *     char message[200];
 *
 *     beitle_open(&engine, file, file_bytes, message, sizeof message);
 *     beitle_plan(&engine, 1, 640, 480, &params.arena_bytes, message, sizeof message);
 *
 *     params.size = sizeof params;
 *     params.arena = ...;      params.arena_bytes bytes, aligned to 64 bytes
 *     params.image.data = rgb;
 *     params.image.bytes = 640 * 480 * 3;
 *     params.image.width = 640;
 *     params.image.height = 480;
 *     params.image.format = BEITLE_RGB8;
 *     params.map.data = map;
 *     params.map.bytes = 640 * 480;
 *     params.map.pixel_bytes = 1;
 *     if (beitle_run(&engine, &params, message, sizeof message) != BEITLE_OK) puts(message);
 *
 * A real program must check every status: see examples/segment.c.
 *
 * Memory. The caller owns all memory. The library never allocates. It does not retain a pointer after a call returns,
 * with one exception: an open engine refers to its weight file. Its only state outside beitle_engine is a table of the
 * parallel steps in progress.
 *
 * Errors. Every function that can fail returns a beitle_status; its documentation lists the possible values besides
 * BEITLE_OK. A function with the parameters `message` and `message_bytes` also writes a description of the error to
 * `message`: UTF-8 text with a terminating zero, truncated to `message_bytes`. After success it is empty. Pass NULL and
 * 0 if you do not need it; beitle_status_string describes the status alone. Every argument that can be validated is
 * validated: null pointers, misalignment, wrong sizes, overlaps and invalid enumeration values are reported. No memory
 * that a call writes to, the message included, may overlap other memory of the call; if the message does, the status
 * alone reports it. The library cannot validate that memory of the stated size exists.
 *
 * If the library detects a bug of its own, the function returns BEITLE_INTERNAL_ERROR. A library built with panic =
 * "abort" ends the program instead, and one built without the feature `std` calls beitle_panicked.
 *
 * Threads. Functions that take a `const beitle_engine *` may run concurrently on the same engine, provided that
 * concurrent calls of beitle_run have different arenas and outputs. beitle_open, beitle_plan and beitle_plan_views
 * require that no other function uses the engine at the same time. Calls on different engines are independent.
 *
 * Versions. BEITLE_VERSION is that of the source interface: before 1.0 a new MINOR, then a new MAJOR, may require
 * changes to a program before it compiles again; a PATCH never does. The SONAME of the shared library (libbeitle.so.0)
 * is counted by itself and changes only if a program that was linked before could break. A library with the same SONAME
 * may be newer than this header, but must not be older: beitle_version() >= BEITLE_VERSION. Weight files have a version
 * of their own; libraries with the same SONAME keep reading every version that one of them read. A structure with a
 * field `size` may come from an older or a newer version of this header: fields that the caller does not have count as
 * zero, and fields that the library does not know must be zero. A PATCH changes results only where they were wrong.
 *
 * Stack. beitle_run needs at most 47 KiB, a call of `worker` 31, beitle_plan_views 23, beitle_plan 10, beitle_open 5,
 * any other function 2 (measured on x86-64 and 64-bit Arm, plus a quarter).
 *
 * Results. The same weight file and image give the same outputs, bit for bit, on every CPU and for every number of
 * threads. */
#ifndef BEITLE_H
#define BEITLE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header. */
#define BEITLE_VERSION_MAJOR 0
#define BEITLE_VERSION_MINOR 1
#define BEITLE_VERSION_PATCH 0
#define BEITLE_VERSION ((uint32_t)BEITLE_VERSION_MAJOR << 16 | (uint32_t)BEITLE_VERSION_MINOR << 8 | BEITLE_VERSION_PATCH)

/* Returns the version of the linked library, encoded like BEITLE_VERSION. */
uint32_t beitle_version(void);

/* The result of a call. */
typedef int32_t beitle_status;
enum {
    BEITLE_OK = 0,
    BEITLE_INVALID_ARGUMENT = 1,    /* a null pointer, an overlap or an invalid value; no open engine or no plan */
    BEITLE_NOT_A_MODEL = 2,         /* the file is not a .beitle file */
    BEITLE_UNSUPPORTED_VERSION = 3, /* this library does not read the file's format version */
    BEITLE_CORRUPT_FILE = 4,        /* the file is truncated, damaged or inconsistent */
    BEITLE_MISALIGNED = 5,          /* a pointer does not have the required alignment */
    BEITLE_BUFFER_TOO_SMALL = 6,    /* a buffer is too small; the image or the thread pool is larger than planned */
    BEITLE_INVALID_IMAGE = 7,       /* unsupported or malformed image; an image without the model's channels; the class
                                       map needs two bytes per pixel */
    BEITLE_TOO_LARGE = 8,           /* the arena would be larger than this machine can address */
    BEITLE_CANCELLED = 9,           /* the progress callback stopped the run */
    BEITLE_INTERNAL_ERROR = 10      /* a bug in the library; please report it (any function may return it) */
};

/* Returns what a status means, as a short text in English. It is never NULL: unknown values have a text, too. */
const char *beitle_status_string(beitle_status status);

/* Returns the name of the instruction set whose kernels beitle_run uses unless beitle_run_params.isa names another:
 * "portable", "sse4.1", "avx2", "avxvnni", "avx512", "neon", "neon-vfpv4", "dotprod" or "i8mm".
 *
 * It is the fastest one that the library finds in this processor. On Arm a library built without the feature `std`
 * cannot ask the processor, because that takes privileges: it finds what the target features of its build promise. */
const char *beitle_isa_name(void);

/* An open model and its plan. The contents are private. It may be in any memory (static, stack, heap), may be copied
 * with `=` or memcpy, and needs no cleanup. Zero it before beitle_open (static memory is zero), so that the library
 * recognises an engine that was never opened. */
#define BEITLE_ENGINE_WORDS 256
typedef struct beitle_engine {
    uint64_t opaque[BEITLE_ENGINE_WORDS];
} beitle_engine;

/* What a model computes. */
enum {
    BEITLE_SEGMENTATION = 0,   /* a class for every pixel: the map, or logits */
    BEITLE_CLASSIFICATION = 1, /* a class for the image: logits; also its features and tokens */
    BEITLE_FEATURES = 2        /* features and tokens of the image */
};

/* The precision of the weights that was asked of the converter. */
enum { BEITLE_F32 = 0, BEITLE_F16 = 1, BEITLE_INT8 = 2, BEITLE_INT4 = 3 };

/* The facts of a model. Set `size` before beitle_model_info, which writes the other fields. */
typedef struct beitle_info {
    size_t size;             /* sizeof(beitle_info) */
    size_t input_width;      /* in pixels: the size of a window */
    size_t input_height;     /* in pixels */
    size_t classes;          /* number of classes; 0 for BEITLE_FEATURES */
    size_t logits_width;     /* columns of the logits; 1 unless the task is BEITLE_SEGMENTATION */
    size_t logits_height;    /* rows of the logits; 1 unless the task is BEITLE_SEGMENTATION */
    size_t features;         /* numbers in the features of an image, and in each token; 0 for BEITLE_SEGMENTATION */
    size_t tokens;           /* number of tokens; 0 for BEITLE_SEGMENTATION */
    uint32_t task;           /* BEITLE_SEGMENTATION ... BEITLE_FEATURES */
    uint32_t image_channels; /* channels of the images: 3 (any format but BEITLE_DUAL8), 1 (BEITLE_GRAY8, BEITLE_GRAY16),
                                2 (BEITLE_DUAL8) or 4 (BEITLE_RGBA8, BEITLE_BGRA8) */
    uint32_t precision;      /* BEITLE_F32 ... BEITLE_INT4 */
    uint32_t format_version; /* version of the weight file's format */
    uint8_t source_sha256[32]; /* SHA-256 of the checkpoint from which the file was made */
} beitle_info;

/* How an image is fitted to the network's input. */
enum {
    BEITLE_MODE_DEFAULT = 0, /* as the weight file says: BEITLE_MODE_SLIDE if the model was tested so, else whole */
    BEITLE_MODE_WHOLE = 1,   /* once, as a whole: stretched to the input size, or for models that do not segment images
                                as the weight file says */
    BEITLE_MODE_SLIDE = 2,   /* resized, keeping its aspect ratio, until its short side is that of the weight file,
                                normally the window's, but its long side at most four times as long; a window
                                slides over it, and the logits of overlapping windows are averaged */
    BEITLE_MODE_NATIVE = 3   /* a window slides over the image at its own resolution */
};

/* The arguments of beitle_plan_views. Zero the structure, then set `size` and the fields you need. */
typedef struct beitle_plan_params {
    size_t size;           /* sizeof(beitle_plan_params) */
    size_t workers;        /* number of threads, at least 1 (1: only the thread that calls beitle_run) */
    size_t width;          /* size of the images in pixels: the largest with BEITLE_MODE_WHOLE, else the exact one */
    size_t height;
    uint32_t mode;         /* BEITLE_MODE_DEFAULT ... BEITLE_MODE_NATIVE */
    uint32_t flip;         /* 1: run mirrored images too, and average the probabilities; else 0 */
    const double *scales;  /* NULL, or ratios of the window's size: run the image at each scale, and average the
                              probabilities. Only with BEITLE_MODE_SLIDE; each above 0 and at most 16 */
    size_t scale_count;    /* number of ratios, at most 16 */
    size_t overlap_bytes;  /* about how much of the arena may hold logits of overlapping windows, 0: 34 MiB. If an image
                              needs more, some windows run twice. The result does not depend on it */
} beitle_plan_params;

/* Pixel formats, named after the order of the bytes in memory. */
enum {
    BEITLE_RGB8 = 0,  /* 3 bytes per pixel */
    BEITLE_BGR8 = 1,  /* 3 bytes per pixel */
    BEITLE_RGBA8 = 2, /* 4 bytes per pixel; the last is ignored by models for 3 channels */
    BEITLE_BGRA8 = 3, /* 4 bytes per pixel; the last is ignored by models for 3 channels */
    BEITLE_GRAY8 = 4, /* 1 byte per pixel */
    BEITLE_DUAL8 = 5, /* 2 bytes per pixel, for models for 2 channels */
    BEITLE_RGB565 = 6, /* 16 bits per pixel, little-endian: 5 of red (the highest), 6 of green, 5 of blue */
    BEITLE_GRAY16 = 7, /* 16 bits per pixel, little-endian, of which a range becomes 0 to 255 (beitle_frame.gray16) */
    BEITLE_YUYV = 8,   /* Y, U, Y, V for 2 pixels in 4 bytes */
    BEITLE_UYVY = 9,   /* U, Y, V, Y for 2 pixels in 4 bytes */
    BEITLE_NV12 = 10,  /* 2 planes: Y; U and V in turn for 2x2 pixels */
    BEITLE_NV21 = 11,  /* 2 planes: Y; V and U in turn for 2x2 pixels */
    BEITLE_I420 = 12   /* 3 planes: Y; U for 2x2 pixels; V for 2x2 pixels */
};

/* The input: pixels in the caller's memory. */
typedef struct beitle_image {
    const uint8_t *data; /* first byte of the top row */
    size_t bytes;        /* size of the memory at `data`: for one plane at least
                            (height - 1) * stride + width * bytes per pixel */
    size_t width;        /* in pixels, 1 to 16777216 */
    size_t height;       /* in pixels, 1 to 16777216 */
    size_t stride;       /* bytes from one row to the next; 0: rows are contiguous */
    uint32_t format;     /* BEITLE_RGB8 ... BEITLE_I420 */
} beitle_image;

/* A plane of the image after the first. */
typedef struct beitle_plane {
    const uint8_t *data; /* first byte of the top row */
    size_t bytes;        /* size of the memory at `data` */
    size_t stride;       /* bytes from one row to the next; 0: rows are contiguous */
} beitle_plane;

/* The matrix and the range of YUV formats. */
enum { BEITLE_BT601 = 0, BEITLE_BT709 = 1 };
enum { BEITLE_LIMITED_RANGE = 0, BEITLE_FULL_RANGE = 1 };

/* How the image of a camera is stored, and how it is seen: as it is where all fields are zero. The size of a plan and
 * of a class map are those of the image as it is seen. */
typedef struct beitle_frame {
    beitle_plane planes[2]; /* the second and the third plane. If `data` is NULL in all that the format has, they lie in
                               beitle_image.data, each behind all rows of the one before, with the same stride (U and V
                               of BEITLE_I420: half of it) */
    size_t crop[4];         /* first column and row, width and height of the part that is seen, in pixels of the image as
                               it is stored; all 0: the whole image */
    uint32_t rotation;      /* quarter turns clockwise of that part, 0 to 3 */
    uint32_t mirror;        /* 1: it is then mirrored left to right; else 0 */
    uint32_t matrix;        /* BEITLE_BT601, BEITLE_BT709 */
    uint32_t range;         /* BEITLE_LIMITED_RANGE, BEITLE_FULL_RANGE */
    uint16_t gray16[2];     /* BEITLE_GRAY16: the values that become 0 and 255; both 0: 0 and 65535 */
} beitle_frame;

/* The output of a segmentation model: the class of every pixel, in contiguous rows from the top. */
typedef struct beitle_class_map {
    void *data;           /* uint8_t or uint16_t, see pixel_bytes; NULL if it is not wanted */
    size_t bytes;         /* size of the memory at `data`, at least width * height * pixel_bytes */
    size_t width;         /* in pixels; 0 for width and height: the size of the image */
    size_t height;        /* in pixels */
    uint32_t pixel_bytes; /* 1: uint8_t, for classes or labels up to 255; 2: uint16_t */
} beitle_class_map;

/* The caller's threads.
 *
 * A run consists of parallel steps: about 160 per window for the demonstration model, about 190 for BEiT base. For
 * each step the thread that called beitle_run calls run(context, worker, argument). `run` calls worker(argument) on up
 * to `workers` threads concurrently, which may include its own thread, and returns after all these calls have returned.
 * The calls distribute the tasks of the step among themselves.
 *
 * `run` may make fewer calls than `workers`, even none: the calling thread completes the remaining tasks. Additional
 * calls return immediately, and so do calls after `run` has returned. The library waits for calls that are still active
 * then by spinning: where threads have strict priorities, `run` must return only after its calls have returned. `run`
 * must return normally (no longjmp, exception, pthread_exit or cancellation), and must not call beitle_open,
 * beitle_plan or beitle_plan_views on the running engine. It may block and allocate; since it is called so often, it is
 * faster to let existing threads wait for work than to create threads for every step (see examples/pool.h). While
 * 16 parallel steps are in progress, a further step runs on its calling thread alone.
 *
 * The library does not choose CPUs: a thread of the caller runs where the caller lets it. A slower core runs fewer tasks,
 * but may hold the others up with its last one. Where some cores are much slower, compare with threads on the fast ones
 * alone (on Linux: /sys/devices/system/cpu/cpuN/cpu_capacity, sched_setaffinity). With as many threads as CPUs, give each
 * thread a CPU of its own: beside another busy program, Linux may otherwise let two of them share one. */
typedef struct beitle_thread_pool {
    size_t workers; /* maximum number of concurrent worker calls: 1 to the number passed to beitle_plan */
    void (*run)(void *context, void (*worker)(void *argument), void *argument);
    void *context; /* passed to `run` */
} beitle_thread_pool;

/* A point of a class map. */
typedef struct beitle_point {
    size_t x; /* column */
    size_t y; /* row */
} beitle_point;

/* A class and its probability. */
typedef struct beitle_ranked {
    uint32_t class_index;
    float probability; /* share of the softmax over all classes, 0 to 1; of several views, the mean of their shares */
} beitle_ranked;

/* The value of unknown pixels in a class map: see beitle_run_params.min_confidence. */
#define BEITLE_UNKNOWN8 255    /* uint8_t */
#define BEITLE_UNKNOWN16 65535 /* uint16_t */

/* The arguments of beitle_run. Zero the structure, then set `size` and the fields you need. */
typedef struct beitle_run_params {
    size_t size;        /* sizeof(beitle_run_params) */
    void *arena;        /* scratch memory, aligned to 64 bytes; its contents do not matter */
    size_t arena_bytes; /* size of the arena, at least what beitle_plan returned */
    beitle_image image;
    beitle_class_map map;
    float *logits;       /* NULL, or the output logits: [classes][logits_height][logits_width], row-major. A segmentation
                            model has logits only if images are stretched and seen once */
    size_t logits_count; /* size of the memory at `logits`, in floats */
    const beitle_thread_pool *thread_pool; /* NULL: run on the calling thread only. On CPUs without atomics it
                                              must be NULL. */
    int (*progress)(void *context); /* NULL, or a callback for progress or a watchdog. The thread that called beitle_run
                                       calls it after every step, while no worker is running. It returns 0
                                       to continue and any other value to cancel the run. The restrictions of
                                       beitle_thread_pool.run apply. */
    void *progress_context; /* passed to progress and window_done */
    uint16_t *scores;    /* the output scores if the plan has several views (flip, or more than one scale), else
                            NULL: [height][width][classes], height and width those of the class map. A score is the
                            mean of the class's probabilities in all views, in units of about 1/65535 */
    size_t scores_count; /* size of the memory at `scores`, in elements */
    /* NULL, or a callback after each of the `total` windows of the image, under the restrictions of progress. */
    void (*window_done)(void *context, size_t done, size_t total);
    float *features;       /* NULL (always for segmentation models), or the output features of the image:
                              [beitle_info.features] */
    size_t features_count; /* size of the memory at `features`, in floats */
    float *tokens;         /* NULL (always for segmentation models), or the output tokens after the last block,
                              normalised if the model does that: [beitle_info.tokens][beitle_info.features]; the class
                              token, then the patches row by row */
    size_t tokens_count;   /* size of the memory at `tokens`, in floats */
    beitle_frame frame;    /* how the image is stored and seen; zero: as it is, in one plane or contiguous ones */
    uint8_t *confidence;        /* NULL, or the output confidences, one for each pixel of the map: the probability
                                   (softmax) of its class, in units of 1/255. Width and height are those of `map`, whose
                                   data may be NULL */
    size_t confidence_count;    /* size of the memory at `confidence`, in bytes */
    size_t min_confidence;      /* 0 to 255: pixels with a lower confidence get BEITLE_UNKNOWN8 or BEITLE_UNKNOWN16 in
                                   the map; 0: none do */
    const uint16_t *labels;     /* NULL, or what the map holds instead of the classes: labels[i] for class i. The class
                                   is chosen first; confidences are those of classes */
    size_t labels_count;        /* number of elements at `labels`, at least beitle_info.classes */
    const beitle_point *points; /* NULL, or points of the map of which the most likely classes are wanted */
    size_t points_count;        /* number of points */
    beitle_ranked *ranked;      /* the output for the points: [points_count][ranked_count / points_count], the most
                                   likely class first */
    size_t ranked_count;        /* number of elements at `ranked`, a multiple of points_count */
    const char *isa;            /* NULL: the instruction set that beitle_isa_name returns. Or the name of another one that
                                   this processor has; results are the same (see below for Arm without `std`) */
} beitle_run_params;

/* Instruction sets of Arm without the feature `std`. The library cannot ask the processor there and relies on
 * beitle_run_params.isa: with the name of an instruction set that the processor does not have, the program crashes. It
 * has "dotprod" if bits 44 to 47 of the register ID_AA64ISAR0_EL1 are not 0, and "i8mm" if bits 52 to 55 of
 * ID_AA64ISAR1_EL1 are not. */

/* Some pixels of a class map. Columns and rows count from 0. Their centroid is (sum_x / pixels, sum_y / pixels), where
 * (0, 0) is the middle of the first pixel; in the coordinates of contours that is (0.5, 0.5). */
typedef struct beitle_area {
    uint64_t pixels; /* their number; if it is 0, so are all other fields */
    uint64_t sum_x;  /* sum of the columns of all pixels */
    uint64_t sum_y;  /* sum of the rows of all pixels */
    uint32_t left;   /* the bounding box: first column, first row, the column behind it and the row below it */
    uint32_t top;
    uint32_t right;
    uint32_t bottom;
} beitle_area;

/* Connected pixels of the same class. */
typedef struct beitle_region {
    beitle_area area;
    uint32_t first_x;      /* the first pixel of the region: the leftmost in its top row */
    uint32_t first_y;
    uint32_t class_index;  /* the value of its pixels in the map */
    uint32_t connectivity; /* which pixels are connected: see beitle_regions */
} beitle_region;

/* Opens a model.
 *
 * `file` is a complete .beitle file of `file_bytes` bytes (memory-mapped, read or linked into the program), aligned
 * to 64 bytes. Nothing is copied: the file must remain in place, unchanged, for as long as the engine is used. Only
 * the structure of the file and its names are checked, which takes microseconds for weights of any size. If opening
 * fails, the engine is not open.
 *
 * Errors: BEITLE_INVALID_ARGUMENT, BEITLE_NOT_A_MODEL, BEITLE_UNSUPPORTED_VERSION, BEITLE_CORRUPT_FILE,
 * BEITLE_MISALIGNED. */
beitle_status beitle_open(beitle_engine *engine, const void *file, size_t file_bytes, char *message,
                          size_t message_bytes);

/* Reads the whole file and verifies checksums, padding and sums of the weights. Call it once after a file has been
 * transferred: identical results on every CPU are guaranteed only for a file that passes.
 *
 * Errors: BEITLE_INVALID_ARGUMENT, BEITLE_MISALIGNED, BEITLE_CORRUPT_FILE. */
beitle_status beitle_verify(const beitle_engine *engine, char *message, size_t message_bytes);

/* Writes the facts of the model to `info`, whose field `size` must be set.
 *
 * Errors: BEITLE_INVALID_ARGUMENT, BEITLE_MISALIGNED. */
beitle_status beitle_model_info(const beitle_engine *engine, beitle_info *info, char *message, size_t message_bytes);

/* Writes the name of the checkpoint to `name`, as UTF-8 text without control characters and with a terminating zero.
 * `name_bytes` is the size of the memory at `name`.
 *
 * Errors: BEITLE_INVALID_ARGUMENT, BEITLE_MISALIGNED; BEITLE_BUFFER_TOO_SMALL if `name` is too small or NULL: it holds
 * the beginning of the name then, and the message says how many bytes the whole name needs. After other errors `name`
 * is empty, unless it overlaps other memory of the call. */
beitle_status beitle_model_name(const beitle_engine *engine, char *name, size_t name_bytes, char *message,
                                size_t message_bytes);

/* Writes the name of a class to `name`, as beitle_model_name does. `class_index` is less than beitle_info.classes. The
 * time is proportional to the length of all names.
 *
 * Errors: as beitle_model_name; BEITLE_INVALID_ARGUMENT also if the file has no name for the class. */
beitle_status beitle_class_name(const beitle_engine *engine, size_t class_index, char *name, size_t name_bytes,
                                char *message, size_t message_bytes);

/* Writes the display colour of a class to `rgb`: red, green, blue; black if the model does not segment images.
 * `class_index` is less than beitle_info.classes.
 *
 * Errors: BEITLE_INVALID_ARGUMENT, BEITLE_MISALIGNED. */
beitle_status beitle_class_colour(const beitle_engine *engine, size_t class_index, uint8_t rgb[3], char *message,
                                  size_t message_bytes);

/* Plans the arena for up to `workers` threads (1: only the thread that calls beitle_run) and images of up to `width` x
 * `height` pixels that are run as in BEITLE_MODE_WHOLE. Writes the size of the arena in bytes to `arena_bytes`. It must
 * be called before beitle_run, and may be called again with other arguments. If it fails, a previous plan remains
 * valid.
 *
 * Errors: BEITLE_INVALID_ARGUMENT, BEITLE_MISALIGNED, BEITLE_INVALID_IMAGE, BEITLE_TOO_LARGE. */
beitle_status beitle_plan(beitle_engine *engine, size_t workers, size_t width, size_t height, size_t *arena_bytes,
                          char *message, size_t message_bytes);

/* As beitle_plan, for images that are run in several windows, mirrored, or at several scales. `arena_bytes` receives
 * the size of the arena, `scores_count` the number of scores that a run needs for a class map of the size of the image
 * (it may be NULL if there is a single view). Unless the mode is BEITLE_MODE_WHOLE the plan is for images of exactly
 * this size; beitle_run refuses an image that needs more memory than planned.
 *
 * Errors: as beitle_plan; BEITLE_INVALID_ARGUMENT if the views are invalid, BEITLE_CORRUPT_FILE if the file's stride or
 * short side do not fit its windows. */
beitle_status beitle_plan_views(beitle_engine *engine, const beitle_plan_params *params, size_t *arena_bytes,
                                size_t *scores_count, char *message, size_t message_bytes);

/* Runs an image in the views of the plan, and writes the outputs that `params` requests, at least one: the class map,
 * confidences, the classes at points and the logits of a segmentation model; logits, features and tokens of a
 * classification model; features and tokens of other models. Arena, outputs and message must not overlap each other,
 * the image, the file, the engine, `params`, labels, points or the thread pool. `params` and the thread pool must not
 * change during the call, not even by its callbacks.
 *
 * Errors: BEITLE_INVALID_ARGUMENT, BEITLE_MISALIGNED, BEITLE_BUFFER_TOO_SMALL, BEITLE_INVALID_IMAGE, BEITLE_TOO_LARGE,
 * BEITLE_CANCELLED. After an error the contents of the outputs are unspecified. */
beitle_status beitle_run(const beitle_engine *engine, const beitle_run_params *params, char *message,
                         size_t message_bytes);

/* The functions below evaluate a class map, also one that the caller has changed or that comes from elsewhere. In `map`
 * width and height must be set. A class is a value in the map: a label, if the run had labels. An array that receives
 * a result may be NULL if its count is 0.
 *
 * Errors: BEITLE_INVALID_ARGUMENT, BEITLE_MISALIGNED; BEITLE_INVALID_IMAGE if width or height is invalid,
 * BEITLE_BUFFER_TOO_SMALL if the map or the scratch memory is too small. */

/* Writes the area of class i to areas[i], and to `outside` (which may be NULL) the number of pixels whose class is not
 * less than `areas_count`. */
beitle_status beitle_areas(const beitle_class_map *map, beitle_area *areas, size_t areas_count, uint64_t *outside,
                           char *message, size_t message_bytes);

/* Returns the number of uint64_t of scratch memory that beitle_regions needs for a map of this width: 18 per column. */
size_t beitle_regions_scratch(size_t width);

/* No class: see beitle_regions. */
#define BEITLE_NO_CLASS 0xffffffffu

/* Writes the regions of at least `min_pixels` pixels to `regions`, in the order of their first pixels, and their number
 * to `found`. Regions of the class `background` are left out; BEITLE_NO_CLASS: of none. If `found` is greater than
 * `regions_count`, `regions` receives the largest, of equally large ones those that come first. `connectivity` is 4
 * (pixels are connected by edges) or 8 (by edges and corners). The contents of the scratch memory do not matter. */
beitle_status beitle_regions(const beitle_class_map *map, uint32_t connectivity, uint64_t min_pixels, uint32_t background,
                             uint64_t *scratch, size_t scratch_count, beitle_region *regions, size_t regions_count,
                             size_t *found, char *message, size_t message_bytes);

/* Traces the contour that runs along the top edge of pixel (x, y): for the first pixel of a region its outer contour,
 * for a pixel below a hole that of the hole; the pixel above must have another class. Writes its corners to `corners`
 * and their number, which may be greater than `corners_count`, to `found`. A corner is a column and a row in the grid
 * of the pixels' corners: (0, 0) is the top left corner of the map, (width, height) its bottom right one. The region is
 * on the right of the contour; y grows downwards. */
beitle_status beitle_contour(const beitle_class_map *map, uint32_t connectivity, uint32_t x, uint32_t y,
                             uint32_t (*corners)[2], size_t corners_count, size_t *found, char *message,
                             size_t message_bytes);

/* Encodes the mask of a class as in COCO's annotations: writes to `counts` the lengths of alternating runs of pixels
 * outside and inside the mask, column by column; the first run is outside and may be empty. Writes their number, which
 * may be greater than `counts_count`, to `found`. Also BEITLE_TOO_LARGE, if the map has more than 2^32 - 1 pixels. */
beitle_status beitle_rle(const beitle_class_map *map, uint32_t class_index, uint32_t *counts, size_t counts_count,
                         size_t *found, char *message, size_t message_bytes);

/* Writes run lengths as the text of COCO's compressed masks to `text`, with a terminating zero, and the length of the
 * whole text, without the zero, to `length`. The text was truncated if that is not less than `text_bytes`. */
beitle_status beitle_rle_text(const uint32_t *counts, size_t counts_count, char *text, size_t text_bytes,
                              size_t *length, char *message, size_t message_bytes);

/* The program must define this function if it links the library built without the feature `std`. Such a library calls
 * it after an internal error instead of returning BEITLE_INTERNAL_ERROR. The function must not return; it
 * must stop the whole program, not only the current thread. */
void beitle_panicked(void);

#ifdef __cplusplus
}
#endif

#endif

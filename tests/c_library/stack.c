/* Measures how much stack each C function uses, and compares it with the bounds that beitle.h states: stack MODEL.
 *
 * Each call runs on a thread of its own, whose stack was filled with a pattern. What the thread itself uses is subtracted. Runs
 * are measured with every instruction set of the processor. The bounds are about 1.25 times the most that was measured on x86-64
 * (SSE4.1, AVX2; profiles release and release-small) and on an emulated Neoverse V1 (release). The freestanding library
 * needs no more. */
#define _POSIX_C_SOURCE 200809L

#include "beitle.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STACK_BYTES (1 << 20)
#define PATTERN 0xa5
#define WIDTH 96
#define HEIGHT 64
#define PIXELS (WIDTH * HEIGHT)
#define RUN_KIB 47

static void require(int condition, const char *what) {
    if (condition) return;
    fprintf(stderr, "stack: %s\n", what);
    exit(1);
}

static void *allocate(size_t bytes) {
    void *p = NULL;
    require(posix_memalign(&p, 4096, bytes) == 0, "allocation failed");
    return p;
}

/* Stacks of threads that measure. */
static unsigned char *stack, *worker_stack;

static void start(pthread_t *thread, unsigned char *on, void *(*function)(void *), void *argument) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    require(pthread_attr_setstack(&attributes, on, STACK_BYTES) == 0, "pthread_attr_setstack failed");
    require(pthread_create(thread, &attributes, function, argument) == 0, "pthread_create failed");
    pthread_attr_destroy(&attributes);
}

/* Bytes of a stack that are in use or were. */
static size_t used(const unsigned char *of) {
    size_t untouched = 0;
    while (untouched < STACK_BYTES && of[untouched] == PATTERN) ++untouched;
    require(untouched > 0, "a stack overflowed");
    return STACK_BYTES - untouched;
}

/* The state of the calls. */
static beitle_engine engine;
static beitle_run_params params;
static const void *file;
static size_t file_bytes;
static uint8_t map[PIXELS], confidence[PIXELS];
static beitle_class_map view = {map, PIXELS, WIDTH, HEIGHT, 1};
static beitle_info info;
static char message[200];
static uint32_t counts[PIXELS];

static void check(beitle_status status) { require(status == BEITLE_OK, message); }

static void nothing(void) {}
static void open_model(void) { check(beitle_open(&engine, file, file_bytes, message, sizeof message)); }
static void verify(void) { check(beitle_verify(&engine, message, sizeof message)); }
static void model_info(void) {
    info.size = sizeof info;
    check(beitle_model_info(&engine, &info, message, sizeof message));
}
static void class_name(void) {
    char name[32];
    check(beitle_class_name(&engine, 0, name, sizeof name, message, sizeof message));
}
static void class_colour(void) {
    uint8_t rgb[3];
    check(beitle_class_colour(&engine, 0, rgb, message, sizeof message));
}
static void plan(void) {
    check(beitle_plan(&engine, 2, WIDTH, HEIGHT, &params.arena_bytes, message, sizeof message));
}
static void plan_views(void) {
    beitle_plan_params views = {0};
    views.size = sizeof views;
    views.workers = 2;
    views.width = WIDTH;
    views.height = HEIGHT;
    views.mode = BEITLE_MODE_NATIVE;
    check(beitle_plan_views(&engine, &views, &params.arena_bytes, NULL, message, sizeof message));
}
static void run(void) { check(beitle_run(&engine, &params, message, sizeof message)); }
/* A message that names numbers: the longest formatting. */
static void failing_run(void) {
    beitle_run_params small = params;
    small.arena_bytes = 64;
    require(beitle_run(&engine, &small, message, sizeof message) == BEITLE_BUFFER_TOO_SMALL, "a small arena was accepted");
}
static void areas(void) {
    static beitle_area of_classes[256];
    check(beitle_areas(&view, of_classes, 256, NULL, message, sizeof message));
}
static void regions(void) {
    static beitle_region largest[10];
    static uint64_t scratch[18 * WIDTH];
    size_t found;
    check(beitle_regions(&view, 8, 1, BEITLE_NO_CLASS, scratch, beitle_regions_scratch(WIDTH), largest, 10, &found, message,
                         sizeof message));
}
static void contour(void) {
    static uint32_t corners[PIXELS][2];
    size_t found;
    check(beitle_contour(&view, 8, 0, 0, corners, PIXELS, &found, message, sizeof message));
}
static void rle(void) {
    size_t found;
    static char text[8 * PIXELS];
    check(beitle_rle(&view, map[0], counts, PIXELS, &found, message, sizeof message));
    check(beitle_rle_text(counts, found, text, sizeof text, &found, message, sizeof message));
}

/* Whether this processor has the instruction set that `params` names: it is looked at before the arena. */
static int isa_available(void) {
    beitle_run_params small = params;
    beitle_status status;
    small.arena_bytes = 64;
    status = beitle_run(&engine, &small, message, sizeof message);
    require(status == BEITLE_BUFFER_TOO_SMALL || status == BEITLE_INVALID_ARGUMENT, message);
    return status == BEITLE_BUFFER_TOO_SMALL;
}

static void *call(void *function) {
    void (**call_of)(void) = function;
    (*call_of)();
    return NULL;
}

/* Bytes of stack that a call uses, beyond those of a thread that calls nothing. */
static size_t depth(void (*function)(void)) {
    pthread_t thread;
    memset(stack, PATTERN, STACK_BYTES);
    start(&thread, stack, call, &function);
    pthread_join(thread, NULL);
    return used(stack);
}

/* The stack of the threads that call `worker`. Thread by thread, so that one stack is enough. */
struct worker_call {
    void (*worker)(void *);
    void *argument;
};
static void *call_worker(void *p) {
    const struct worker_call *of = p;
    of->worker(of->argument);
    return NULL;
}
static void run_on_thread(void *context, void (*worker)(void *), void *argument) {
    pthread_t thread;
    struct worker_call of;
    (void)context;
    of.worker = worker;
    of.argument = argument;
    start(&thread, worker_stack, call_worker, &of);
    pthread_join(thread, NULL);
}

static int failures;
static void compare(const char *name, size_t bytes, size_t kib) {
    const char *isa = params.isa != NULL ? params.isa : "";
    printf("%-36s %-10s %6lu bytes of stack, at most %3lu KiB\n", name, isa, (unsigned long)bytes, (unsigned long)kib);
    if (bytes > kib * 1024) ++failures;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*function)(void);
        size_t kib; /* the bound */
    } calls[] = {
        {"beitle_open", open_model, 5},
        {"beitle_verify", verify, 2},
        {"beitle_model_info", model_info, 2},
        {"beitle_class_name", class_name, 2},
        {"beitle_class_colour", class_colour, 2},
        {"beitle_areas", areas, 2},
        {"beitle_regions", regions, 2},
        {"beitle_contour", contour, 2},
        {"beitle_rle, beitle_rle_text", rle, 2},
    };
    static const char *const isas[] = {"sse4.1", "avx2", "avxvnni", "avx512", "neon", "dotprod", "i8mm", "portable"};
    static const beitle_point points[2] = {{1, 2}, {90, 60}};
    static beitle_ranked ranked[6];
    static uint8_t nv12[PIXELS * 3 / 2];
    beitle_thread_pool pool = {2, run_on_thread, NULL};
    beitle_run_params whole, windows;
    size_t i, base, views_arena_bytes, measured = 0;
    FILE *f = argc == 2 ? fopen(argv[1], "rb") : NULL;
    require(f != NULL, "usage: stack MODEL.beitle");
    fseek(f, 0, SEEK_END);
    file_bytes = (size_t)ftell(f);
    rewind(f);
    file = allocate(file_bytes);
    require(fread((void *)file, 1, file_bytes, f) == file_bytes, "the model cannot be read");
    fclose(f);
    for (i = 0; i < sizeof nv12; ++i) nv12[i] = (uint8_t)(i / 70);
    stack = allocate(STACK_BYTES);
    worker_stack = allocate(STACK_BYTES);
    base = depth(nothing);

    for (i = 0; i < sizeof calls / sizeof *calls; ++i) compare(calls[i].name, depth(calls[i].function) - base, calls[i].kib);

    /* Everything that a run can write, from a camera's frame that is converted and turned. A run on the calling thread alone needs
     * the most; emulators are slow, so that there are few runs. */
    compare("beitle_plan", depth(plan) - base, 10);
    compare("beitle_plan_views", depth(plan_views) - base, 23);
    views_arena_bytes = params.arena_bytes;
    plan();
    params.size = sizeof params;
    params.arena = allocate(params.arena_bytes);
    params.image.data = nv12;
    params.image.bytes = sizeof nv12;
    params.image.width = WIDTH;
    params.image.height = HEIGHT;
    params.image.format = BEITLE_NV12;
    params.frame.rotation = 2;
    params.map.data = map;
    params.map.bytes = sizeof map;
    params.map.pixel_bytes = 1;
    params.confidence = confidence;
    params.confidence_count = sizeof confidence;
    params.min_confidence = 10;
    params.points = points;
    params.points_count = 1;
    params.ranked = ranked;
    params.ranked_count = 3;
    params.logits_count = info.classes * info.logits_width * info.logits_height;
    params.logits = allocate(params.logits_count * sizeof(float));
    whole = params;
    whole.thread_pool = &pool;
    windows = params;
    windows.arena_bytes = views_arena_bytes;
    windows.arena = allocate(views_arena_bytes);
    windows.logits = NULL;
    windows.logits_count = 0;
    for (i = 0; i < sizeof isas / sizeof *isas; ++i) {
        plan();
        params = whole;
        params.isa = isas[i];
        if (!isa_available()) continue;
        /* It takes the least stack, and under emulation minutes. */
        if (measured > 0 && strcmp(isas[i], "portable") == 0) continue;
        ++measured;
        memset(worker_stack, PATTERN, STACK_BYTES);
        compare("beitle_run, an error", depth(failing_run) - base, RUN_KIB);
        compare("beitle_run, whole, with threads", depth(run) - base, RUN_KIB);
        compare("  a thread of the pool", used(worker_stack) - base, 31);
        plan_views();
        params = windows;
        params.isa = isas[i];
        compare("beitle_run, windows, no threads", depth(run) - base, RUN_KIB);
    }
    require(measured > 0, "no instruction set was measured");
    require(failures == 0, "a call uses more stack than beitle.h states");
    return 0;
}

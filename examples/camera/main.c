/* Segments the frames of a camera, or of a file, and shows them with the colours of their classes. The README in this
 * folder says how to build and to run the program.
 *
 * Frames go to the model as the camera stores them. All memory is allocated before the first frame. */
#define _POSIX_C_SOURCE 200809L

#include "beitle.h"
#include "capture.h"
#include "options.h"
#include "overlay.h"
#include "../pool.h"
#include "report.h"
#include "screen.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The model and its memory. */
struct model {
    const char *path;
    void *file;
    size_t file_bytes;
    beitle_engine engine;
    beitle_info info;
    beitle_run_params params;
    uint8_t *map; /* a class for every pixel of the logits, which is all that the model knows */
};

/* Frames and classes since the last line of statistics. */
struct statistics {
    struct timespec start;
    unsigned long frames;
    unsigned long long pixels[256];
};

static volatile sig_atomic_t stop_requested;

static void request_stop(int signal_number) {
    (void)signal_number;
    stop_requested = 1;
}

/* beitle_run_params.progress: a signal ends the run within milliseconds, not only after the frame. */
static int is_cancelled(void *context) {
    (void)context;
    return stop_requested;
}

/* A first SIGINT or SIGTERM stops the program in order, a second one of the same kind at once. */
static void handle_signals(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = request_stop;
    action.sa_flags = (int)SA_RESETHAND; /* without SA_RESTART: waiting for a frame is interrupted */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /* An output that is closed is an error of `write`. */
    action.sa_handler = SIG_IGN;
    action.sa_flags = 0;
    sigaction(SIGPIPE, &action, NULL);
}

/* Maps the weight file into memory. Pages are aligned to more than the 64 bytes that beitle_open expects. */
static int map_file(struct model *model) {
    struct stat status;
    int fd = open(model->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0) {
        report(model->path, "expected a .beitle file, but it cannot be opened: %s", strerror(errno));
        if (fd >= 0) close(fd);
        return -1;
    }
    if (!S_ISREG(status.st_mode) || status.st_size == 0) {
        close(fd);
        return report(model->path, "expected a .beitle file, but it is empty or not a file");
    }
    model->file_bytes = (size_t)status.st_size;
    model->file = mmap(NULL, model->file_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (model->file == MAP_FAILED) {
        model->file = NULL;
        return report(model->path, "%zu bytes cannot be mapped: %s", model->file_bytes, strerror(errno));
    }
    return 0;
}

static int open_model(struct model *model, const char *path) {
    char message[200];
    beitle_info *info = &model->info;
    model->path = path;
    if (map_file(model) < 0) return -1;
    info->size = sizeof *info;
    if (beitle_open(&model->engine, model->file, model->file_bytes, message, sizeof message) != BEITLE_OK ||
        beitle_model_info(&model->engine, info, message, sizeof message) != BEITLE_OK) {
        return report(path, "%s", message);
    }
    if (info->task != BEITLE_SEGMENTATION || info->image_channels != 3 || info->classes > 256) {
        return report(path, "expected a model that segments colour images into at most 256 classes");
    }
    if (info->logits_width > CAPTURE_MAX_SIDE || info->logits_height > CAPTURE_MAX_SIDE) {
        return report(path, "expected at most %dx%d logits", CAPTURE_MAX_SIDE, CAPTURE_MAX_SIDE);
    }
    return 0;
}

/* Allocates memory aligned to 64 bytes, or returns NULL. */
static void *allocate(size_t bytes) {
    void *memory = NULL;
    return posix_memalign(&memory, 64, bytes > 0 ? bytes : 64) == 0 ? memory : NULL;
}

/* Plans and allocates the memory for frames like that of `capture`. */
static int prepare_model(struct model *model, const struct capture *capture, size_t threads) {
    const beitle_image *image = &capture->image;
    beitle_run_params *params = &model->params;
    int is_on_its_side = capture->frame.rotation % 2 != 0;
    size_t width = is_on_its_side ? image->height : image->width;
    size_t height = is_on_its_side ? image->width : image->height;
    char message[200];
    params->size = sizeof *params;
    if (beitle_plan(&model->engine, threads, width, height, &params->arena_bytes, message, sizeof message) !=
        BEITLE_OK) {
        return report(model->path, "%s", message);
    }
    params->map.width = model->info.logits_width;
    params->map.height = model->info.logits_height;
    params->map.bytes = params->map.width * params->map.height;
    params->map.pixel_bytes = 1;
    params->arena = allocate(params->arena_bytes);
    params->map.data = model->map = allocate(params->map.bytes);
    if (params->arena == NULL || model->map == NULL) {
        return report(model->path, "expected %zu bytes of memory, which cannot be allocated", params->arena_bytes);
    }
    params->progress = is_cancelled;
    return 0;
}

static void close_model(struct model *model) {
    free(model->params.arena);
    free(model->map);
    if (model->file != NULL) munmap(model->file, model->file_bytes);
}

static double seconds_since(const struct timespec *start) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void count(struct statistics *statistics, const uint8_t *map, size_t pixels) {
    size_t i;
    for (i = 0; i < pixels; ++i) ++statistics->pixels[map[i]];
    ++statistics->frames;
}

static void restart(struct statistics *statistics) {
    memset(statistics, 0, sizeof *statistics);
    clock_gettime(CLOCK_MONOTONIC, &statistics->start);
}

/* Prints the rate and the shares of the three most frequent classes, and starts again. */
static void print_statistics(struct statistics *statistics, const struct model *model) {
    double total = (double)statistics->frames * (double)model->params.map.bytes;
    int place;
    fprintf(stderr, "%.1f frames/s", (double)statistics->frames / seconds_since(&statistics->start));
    for (place = 0; place < 3; ++place) {
        size_t i, best = 0;
        char name[64];
        for (i = 1; i < 256; ++i) {
            if (statistics->pixels[i] > statistics->pixels[best]) best = i;
        }
        if (statistics->pixels[best] == 0) break;
        beitle_class_name(&model->engine, best, name, sizeof name, NULL, 0);
        if (name[0] == '\0') snprintf(name, sizeof name, "class %zu", best);
        fprintf(stderr, "%s %s %.0f %%", place == 0 ? ":" : ",", name, 100 * (double)statistics->pixels[best] / total);
        statistics->pixels[best] = 0;
    }
    fputc('\n', stderr);
    restart(statistics);
}

/* Runs the model on frames until they end, `most` have been run (0: no limit), or a signal arrives. `screen` may be
 * NULL. Returns 0, or -1 after a message. */
static int run_frames(struct model *model, struct capture *capture, size_t most, const struct overlay *overlay,
                      struct screen *screen) {
    struct statistics statistics;
    enum capture_status status = CAPTURE_FRAME;
    size_t frames = 0;
    int result = 0;
    model->params.frame = capture->frame;
    restart(&statistics);
    while (result == 0 && (most == 0 || frames < most) && (status = capture_next(capture)) == CAPTURE_FRAME) {
        beitle_status run;
        char message[200];
        model->params.image = capture->image;
        run = beitle_run(&model->engine, &model->params, message, sizeof message);
        if (run == BEITLE_CANCELLED) break;
        if (run != BEITLE_OK) return report(capture->path, "frame %zu: %s", frames, message);
        ++frames;
        count(&statistics, model->map, model->params.map.bytes);
        if (screen != NULL) {
            overlay_draw(overlay, &capture->image, model->map, model->params.map.width, screen);
            result = screen_show(screen);
        }
        if (seconds_since(&statistics.start) >= 1) print_statistics(&statistics, model);
    }
    if (statistics.frames > 0) print_statistics(&statistics, model);
    fprintf(stderr, "%zu frame%s", frames, frames == 1 ? "" : "s");
    if (capture->damaged > 0) fprintf(stderr, ", %lu damaged and skipped", capture->damaged);
    fputc('\n', stderr);
    return status == CAPTURE_FAILED ? -1 : result;
}

/* Whether both paths lead to the same file, which writing to one of them would destroy. */
static int is_same_file(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && S_ISREG(x.st_mode) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Opens the output, of the size of the rotated frames unless the options say otherwise. */
static int open_output(struct screen *screen, const struct options *options, const struct capture *capture) {
    int is_on_its_side = options->rotation % 2 != 0;
    size_t width = is_on_its_side ? capture->image.height : capture->image.width;
    size_t height = is_on_its_side ? capture->image.width : capture->image.height;
    if (is_same_file(options->output, options->input) || is_same_file(options->output, options->model)) {
        return report(options->output, "expected an output that is not an input as well");
    }
    screen->path = options->output;
    screen->width = options->output_width > 0 ? options->output_width : width;
    screen->height = options->output_height > 0 ? options->output_height : height;
    screen->format = options->output_format;
    return screen_open(screen);
}

/* Runs the frames with the threads of a pool. */
static int run_with_pool(const struct options *options, struct model *model, struct capture *capture,
                         struct screen *screen) {
    static struct overlay overlay;
    static struct pool pool;
    int result;
    if (screen != NULL) {
        overlay_init(&overlay, &model->engine, &capture->image, &capture->frame, model->params.map.width,
                     model->params.map.height, screen);
    }
    result = pool_open(&pool, options->threads);
    if (result != 0) {
        report("threads", "expected %zu, but one could not be created: %s", options->threads, strerror(result));
        return -1;
    }
    model->params.thread_pool = &pool.interface;
    result = run_frames(model, capture, options->frames, &overlay, screen);
    pool_close(&pool);
    return result;
}

int main(int argc, char **argv) {
    static struct model model;
    static struct capture capture;
    static struct screen screen;
    struct options options;
    int result;

    if (options_parse(&options, argc, argv) < 0) return 2;
    if (beitle_version() < BEITLE_VERSION) {
        report("libbeitle", "is older than version 0x%06x, that of the header", BEITLE_VERSION);
        return 1;
    }
    handle_signals();
    capture.path = options.input;
    capture.is_camera = options.is_camera;
    capture.stop = &stop_requested;
    capture.frame.rotation = options.rotation;
    screen.fd = -1;

    result = open_model(&model, options.model);
    if (result == 0) {
        result = capture_open(&capture, options.format, options.width, options.height);
        if (result == 0) result = prepare_model(&model, &capture, options.threads);
        if (result == 0 && options.output != NULL) result = open_output(&screen, &options, &capture);
        if (result == 0) result = run_with_pool(&options, &model, &capture, options.output ? &screen : NULL);
        capture_close(&capture);
    }
    if (screen_close(&screen) < 0) result = -1;
    close_model(&model);
    return result == 0 ? 0 : 1;
}

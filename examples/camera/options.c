#define _POSIX_C_SOURCE 200809L

#include "options.h"
#include "capture.h"
#include "../pool.h"
#include "report.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char USAGE[] =
    "usage: camera -m MODEL.beitle (-d DEVICE | -f FILE) --size WxH [options]\n"
    "  -m, --model FILE     a segmentation model\n"
    "  -d, --device DEVICE  frames of a camera, such as /dev/video0\n"
    "  -f, --file FILE      frames of a file: raw, one after the other\n"
    "  --size WxH           their width and height, even numbers; a camera may choose another size\n"
    "  --format FORMAT      nv12 or yuyv [default for a camera: what it offers]\n"
    "  --rotate DEGREES     turn frames clockwise by 0, 90, 180 or 270 degrees [0]\n"
    "  --frames N           end after N frames\n"
    "  --threads N          threads for the model [one for each CPU]\n"
    "  -o, --output FILE    show frames with the colours of their classes: a framebuffer, such as /dev/fb0, or a new\n"
    "                       file that gets all pictures, one after the other\n"
    "  --output-size WxH    size of the pictures in a file [that of the frames, rotated]\n"
    "  --output-format F    pixels of a file: rgb565 or xrgb8888 [xrgb8888]\n";

/* A decimal number from `least` to `most`, up to the character `end`. Returns what follows it, or NULL. */
static const char *parse_number(const char *text, char end, size_t least, size_t most, size_t *number) {
    size_t n = 0;
    if (*text < '0' || *text > '9') return NULL;
    for (; *text >= '0' && *text <= '9'; ++text) {
        n = 10 * n + (size_t)(*text - '0');
        if (n > most) return NULL;
    }
    if (n < least || *text != end) return NULL;
    *number = n;
    return text + 1;
}

static int parse_size(const char *name, const char *text, size_t *width, size_t *height) {
    const char *rest = parse_number(text, 'x', 1, CAPTURE_MAX_SIDE, width);
    if (rest != NULL && parse_number(rest, '\0', 1, CAPTURE_MAX_SIDE, height) != NULL) return 0;
    return report(name, "expected a size such as 1280x720, with sides up to %d, not \"%s\"", CAPTURE_MAX_SIDE, text);
}

static int parse_count(const char *name, const char *text, size_t most, size_t *count) {
    if (parse_number(text, '\0', 1, most, count) != NULL) return 0;
    return report(name, "expected a number from 1 to %zu, not \"%s\"", most, text);
}

/* One of two words. */
static int parse_choice(const char *name, const char *text, const char *const words[2], int *choice) {
    for (*choice = 0; *choice < 2; ++*choice) {
        if (strcmp(text, words[*choice]) == 0) return 0;
    }
    return report(name, "expected %s or %s, not \"%s\"", words[0], words[1], text);
}

static int parse_rotation(const char *text, uint32_t *rotation) {
    size_t degrees;
    if (parse_number(text, '\0', 0, 270, &degrees) == NULL || degrees % 90 != 0) {
        return report("--rotate", "expected 0, 90, 180 or 270, not \"%s\"", text);
    }
    *rotation = (uint32_t)(degrees / 90);
    return 0;
}

static int set_input(struct options *options, const char *path, int is_camera) {
    if (options->input != NULL) return report(path, "expected one input, but there is also %s", options->input);
    options->input = path;
    options->is_camera = is_camera;
    return 0;
}

enum { SIZE = 256, FORMAT, ROTATE, FRAMES, THREADS, OUTPUT_SIZE, OUTPUT_FORMAT };

static const struct option LONG_OPTIONS[] = {
    {"model", required_argument, NULL, 'm'},
    {"device", required_argument, NULL, 'd'},
    {"file", required_argument, NULL, 'f'},
    {"size", required_argument, NULL, SIZE},
    {"format", required_argument, NULL, FORMAT},
    {"rotate", required_argument, NULL, ROTATE},
    {"frames", required_argument, NULL, FRAMES},
    {"threads", required_argument, NULL, THREADS},
    {"output", required_argument, NULL, 'o'},
    {"output-size", required_argument, NULL, OUTPUT_SIZE},
    {"output-format", required_argument, NULL, OUTPUT_FORMAT},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int parse_option(struct options *options, int option, const char *text) {
    static const char *const FORMATS[2] = {"nv12", "yuyv"}, *const OUTPUT_FORMATS[2] = {"rgb565", "xrgb8888"};
    int choice = 0;
    switch (option) {
    case 'm': options->model = text; return 0;
    case 'd': return set_input(options, text, 1);
    case 'f': return set_input(options, text, 0);
    case 'o': options->output = text; return 0;
    case SIZE: return parse_size("--size", text, &options->width, &options->height);
    case ROTATE: return parse_rotation(text, &options->rotation);
    case FRAMES: return parse_count("--frames", text, 1000000000, &options->frames);
    case THREADS: return parse_count("--threads", text, POOL_MAX_THREADS, &options->threads);
    case OUTPUT_SIZE: return parse_size("--output-size", text, &options->output_width, &options->output_height);
    case FORMAT:
        if (parse_choice("--format", text, FORMATS, &choice) < 0) return -1;
        options->format = choice == 0 ? BEITLE_NV12 : BEITLE_YUYV;
        return 0;
    case OUTPUT_FORMAT:
        if (parse_choice("--output-format", text, OUTPUT_FORMATS, &choice) < 0) return -1;
        options->output_format = choice == 0 ? SCREEN_RGB565 : SCREEN_XRGB8888;
        return 0;
    case 'h': fputs(USAGE, stdout); exit(0);
    /* getopt_long has printed what is wrong. */
    default: fputs(USAGE, stderr); return -1;
    }
}

/* Whether the options that were given are complete. */
static int check(const struct options *options) {
    if (options->model == NULL) return report("-m", "expected a model");
    if (options->input == NULL) return report("-d, -f", "expected a camera or a file of frames");
    if (options->width == 0) return report("--size", "expected the size of the frames");
    if (options->width % 2 != 0 || options->height % 2 != 0) {
        return report("--size", "expected an even width and height, not %zux%zu", options->width, options->height);
    }
    if (!options->is_camera && options->format == CAPTURE_ANY_FORMAT) {
        return report("--format", "expected the format of %s: nv12 or yuyv", options->input);
    }
    return 0;
}

int options_parse(struct options *options, int argc, char **argv) {
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int option;
    memset(options, 0, sizeof *options);
    options->format = CAPTURE_ANY_FORMAT;
    options->output_format = SCREEN_XRGB8888;
    options->threads = cpus < 1 ? 1 : cpus > POOL_MAX_THREADS ? POOL_MAX_THREADS : (size_t)cpus;
    if (argc < 2) {
        fputs(USAGE, stderr);
        return -1;
    }
    while ((option = getopt_long(argc, argv, "m:d:f:o:h", LONG_OPTIONS, NULL)) != -1) {
        if (parse_option(options, option, optarg) < 0) return -1;
    }
    if (optind < argc) return report(argv[optind], "is not an option; `camera --help` prints all options");
    return check(options);
}

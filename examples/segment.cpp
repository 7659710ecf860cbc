// Segments an image: segment MODEL IMAGE.ppm MAP.pgm [THREADS]
//
// The program of segment.c in C++17. The image is a binary PPM (P6), the output a binary PGM (P5) of class
// indices. It also prints the largest regions.

#include "beitle.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

namespace {

[[noreturn]] void fail(const char *subject, const char *message) {
    std::fprintf(stderr, "segment: %s: %s\n", subject, message);
    std::exit(1);
}

void check(const beitle::Error &error, const char *subject) {
    if (error) fail(subject, error.message());
}

beitle::Buffer read(const char *path) {
    auto file = beitle::Buffer::read(path);
    if (!file) fail(path, "cannot be read");
    return file;
}

// The next number of a PPM header, after white space and comments.
std::size_t parse_number(const std::uint8_t *data, std::size_t bytes, std::size_t &at) {
    std::size_t number = 0;
    while (at < bytes && (std::strchr(" \t\r\n", data[at]) != nullptr || data[at] == '#')) {
        const bool comment = data[at++] == '#';
        while (comment && at < bytes && data[at] != '\n') ++at;
    }
    while (at < bytes && data[at] >= '0' && data[at] <= '9' && number < 100000) number = 10 * number + (data[at++] - '0');
    return number;
}

// The pixels of a PPM file. They stay in `file`.
beitle_image parse_ppm(const beitle::Buffer &file, const char *path) {
    const auto bytes = file.bytes();
    const auto *data = reinterpret_cast<const std::uint8_t *>(bytes.data());
    if (bytes.size() < 2 || std::memcmp(data, "P6", 2) != 0) fail(path, "is not a binary PPM file");
    std::size_t at = 2;
    const std::size_t width = parse_number(data, bytes.size(), at);
    const std::size_t height = parse_number(data, bytes.size(), at);
    if (parse_number(data, bytes.size(), at) != 255 || at >= bytes.size()) {
        fail(path, "is not a PPM file with 8 bits per channel");
    }
    return beitle::image({data + at + 1, bytes.size() - at - 1}, width, height, beitle::PixelFormat::rgb8);
}

void write_pgm(const char *path, const std::vector<std::uint8_t> &map, std::size_t width, std::size_t height) {
    std::FILE *file = std::fopen(path, "wb");
    if (file == nullptr) fail(path, "cannot be written");
    std::fprintf(file, "P5\n%zu %zu\n255\n", width, height);
    if (std::fwrite(map.data(), 1, map.size(), file) != map.size() || std::fclose(file) != 0) fail(path, "cannot be written");
}

void print_regions(const beitle::Engine &engine, const beitle_class_map &map) {
    std::vector<std::uint64_t> scratch(beitle::regions_scratch(map.width));
    beitle_region largest[8];
    std::size_t found = 0;
    check(beitle::regions(map, beitle::Connectivity::four, 1, BEITLE_NO_CLASS, scratch, largest, found), "regions");
    for (std::size_t i = 0; i < found && i < 8; ++i) {
        char name[64];
        check(engine.class_name(largest[i].class_index, name), "class name");
        std::printf("%-24s %llu pixels\n", name, static_cast<unsigned long long>(largest[i].area.pixels));
    }
}

} // namespace

int main(int argc, char **argv) {
    const int workers = argc == 5 ? std::atoi(argv[4]) : 1;
    if (argc < 4 || argc > 5 || workers < 1 || workers > 64) {
        fail("usage", "segment MODEL IMAGE.ppm MAP.pgm [THREADS, 1 to 64]");
    }
    const auto file = read(argv[1]);
    beitle::Engine engine;
    beitle_info info;
    check(engine.open(file.bytes()), argv[1]);
    check(engine.info(info), argv[1]);
    if (info.task != BEITLE_SEGMENTATION || info.classes > 256) fail(argv[1], "does not segment images into up to 256 classes");

    const auto picture = read(argv[2]);
    beitle::RunParams params;
    params.image = parse_ppm(picture, argv[2]);
    const auto [width, height] = std::pair(params.image.width, params.image.height);
    check(engine.plan(static_cast<std::size_t>(workers), width, height), argv[2]);
    auto arena = beitle::Buffer::allocate(engine.arena_bytes());
    if (!arena) fail("memory", "allocation failed");
    params.use_arena(arena.bytes());
    std::vector<std::uint8_t> map(width * height);
    params.write_map(map);

    // Creating threads for every step keeps this example short; a real program lets its threads wait for the next step instead.
    auto run = [workers](void (*worker)(void *), void *argument) {
        std::vector<std::thread> threads;
        for (int i = 1; i < workers; ++i) threads.emplace_back(worker, argument);
        worker(argument);
        for (auto &thread : threads) thread.join();
    };
    const auto pool = beitle::thread_pool(static_cast<std::size_t>(workers), run);
    if (workers > 1) params.use_threads(pool);
    check(engine.run(params), argv[2]);

    write_pgm(argv[3], map, width, height);
    print_regions(engine, beitle::class_map(map, width, height));
    return 0;
}

// Every function of beitle.hpp, on the demonstration model: wrapper MODEL. Its results are those of a plain run.
#include "beitle.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#define REQUIRE(condition) \
    ((condition) ? void() : (std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition), std::exit(1)))

using beitle::Status;

static void errors(beitle::Engine &engine) {
    alignas(64) const std::byte text[64] = {};
    auto error = engine.open(text);
    REQUIRE(error && error.status() == Status::not_a_model && std::strlen(error.message()) > 0);
    REQUIRE(engine.verify().status() == Status::invalid_argument);
    REQUIRE(!beitle::Buffer::read("no such file"));
    REQUIRE(!beitle::Error());
}

static void maps(const std::vector<std::uint8_t> &map, std::size_t width, std::size_t height) {
    const auto view = beitle::class_map(map, width, height);
    const std::vector<std::uint16_t> wide(map.begin(), map.end());
    std::array<beitle_area, 12> areas, of_wide;
    std::uint64_t outside = 1;
    REQUIRE(!beitle::areas(view, areas, &outside) && outside == 0);
    REQUIRE(!beitle::areas(beitle::class_map(wide, width, height), of_wide));
    REQUIRE(std::memcmp(areas.data(), of_wide.data(), sizeof areas) == 0);

    std::vector<std::uint64_t> scratch(beitle::regions_scratch(width));
    std::array<beitle_region, 100> regions;
    std::size_t found = 0;
    REQUIRE(!beitle::regions(view, beitle::Connectivity::eight, 1, BEITLE_NO_CLASS, scratch, regions, found));
    REQUIRE(found > 0 && found < regions.size() && regions[0].first_x == 0 && regions[0].first_y == 0);

    // The first pixel of the map is the first one of a region.
    std::vector<beitle::Corner> corners(10000);
    REQUIRE(!beitle::contour(view, beitle::Connectivity::eight, 0, 0, corners, found) && found >= 4);
    REQUIRE(found < corners.size() && (corners[0].x == 0 || corners[0].y == 0));

    std::vector<std::uint32_t> counts(10000);
    REQUIRE(!beitle::rle(view, map[0], counts, found) && found < counts.size() && counts[0] == 0);
    std::uint64_t pixels = 0;
    for (std::size_t i = 0; i < found; ++i) pixels += counts[i];
    REQUIRE(pixels == map.size());
    counts.resize(found);
    std::vector<char> text(60000);
    REQUIRE(!beitle::rle_text(counts, text, found) && found == std::strlen(text.data()) && found > 0);
}

int main(int argc, char **argv) {
    REQUIRE(argc == 2);
    beitle::Engine closed;
    errors(closed);

    auto file = beitle::Buffer::read(argv[1]);
    REQUIRE(file);
    beitle::Engine engine;
    REQUIRE(!engine.open(file.bytes()) && !engine.verify());
    beitle_info info;
    REQUIRE(!engine.info(info) && info.task == static_cast<std::uint32_t>(beitle::Task::segmentation) && info.classes == 12);
    char name[32];
    std::uint8_t rgb[3];
    REQUIRE(!engine.class_name(0, name) && std::strlen(name) > 0 && !engine.class_colour(0, rgb));
    const auto out_of_range = engine.class_name(12, name);
    REQUIRE(out_of_range.status() == Status::invalid_argument && std::strstr(out_of_range.message(), "class_index"));
    REQUIRE(!engine.name(name) && std::strlen(name) > 0 && std::strlen(beitle::isa_name()) > 0);
    REQUIRE(std::strcmp(beitle::text(Status::ok), "success") == 0);

    const std::size_t width = 96, height = 64;
    std::vector<std::uint8_t> pixels(3 * width * height);
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i / 300);
    REQUIRE(!engine.plan(2, width, height) && engine.arena_bytes() > 0);
    auto arena = beitle::Buffer::allocate(engine.arena_bytes());
    REQUIRE(arena);
    std::vector<std::uint8_t> map(width * height), confidence(map.size()), labelled(map.size());
    std::vector<std::uint16_t> wide(map.size()), labels(info.classes);
    std::vector<float> logits(info.classes * info.logits_width * info.logits_height);
    const beitle_point points[] = {{5, 6}, {90, 60}};
    beitle_ranked ranked[4];

    beitle::RunParams params;
    params.image = beitle::image(pixels, width, height, beitle::PixelFormat::rgb8);
    params.use_arena(arena.bytes());
    params.write_map(map);
    params.write_confidence(confidence);
    params.write_logits(logits);
    params.write_ranked(points, ranked);
    int steps = 0;
    auto count = [&steps] { return ++steps > 0; };
    params.on_progress(count);
    const beitle::Engine copy = engine;
    REQUIRE(!copy.run(params) && steps > 10);
    REQUIRE(ranked[0].class_index == map[6 * width + 5] && ranked[0].probability >= ranked[1].probability);
    maps(map, width, height);

    // The same from threads, in 16 bits, and as labels.
    int calls = 0;
    auto run = [&calls](void (*worker)(void *), void *argument) { ++calls, worker(argument); };
    const auto pool = beitle::thread_pool(2, run);
    beitle::RunParams others;
    others.image = params.image;
    others.use_arena(arena.bytes());
    others.use_threads(pool);
    others.write_map(wide);
    REQUIRE(!engine.run(others) && calls > 10);
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::uint16_t>(100 + i);
    others.use_labels(labels);
    others.write_map(labelled, width, height);
    REQUIRE(!engine.run(others));
    for (std::size_t i = 0; i < map.size(); ++i) REQUIRE(wide[i] == map[i] && labelled[i] == map[i] + 100);

    auto cancel = [] { return false; };
    others.on_progress(cancel);
    REQUIRE(engine.run(others).status() == Status::cancelled);
    std::vector<float> features(10);
    beitle::RunParams features_of_segmentation;
    features_of_segmentation.image = params.image;
    features_of_segmentation.use_arena(arena.bytes());
    features_of_segmentation.write_features(features);
    features_of_segmentation.write_tokens(features);
    REQUIRE(engine.run(features_of_segmentation).status() == Status::invalid_argument);

    // Mirrored views have scores.
    beitle::PlanParams views;
    views.workers = 1;
    views.width = width;
    views.height = height;
    views.flip = 1;
    const double scales[] = {1.0};
    views.set_mode(beitle::Mode::slide);
    views.set_scales(scales);
    REQUIRE(!engine.plan(views) && engine.scores_count() == info.classes * map.size());
    auto larger = beitle::Buffer::allocate(engine.arena_bytes());
    arena = std::move(larger);
    std::vector<std::uint16_t> scores(engine.scores_count());
    beitle::RunParams mirrored;
    mirrored.image = params.image;
    mirrored.use_arena(arena.bytes());
    mirrored.write_map(map);
    mirrored.write_scores(scores);
    REQUIRE(!engine.run(mirrored) && scores[map[0]] > 65535 / 12);
    std::puts("every function of beitle.hpp");
    return 0;
}

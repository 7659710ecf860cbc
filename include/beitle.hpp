/* beitle: the C interface for C++17 and later, header-only. beitle.h documents every call.
 *
 *     beitle::Buffer file = beitle::Buffer::read("model.beitle");
 *     beitle::Engine engine;
 *     if (auto error = engine.open(file.bytes())) return fail(error.message());
 *     if (auto error = engine.plan(1, 640, 480)) return fail(error.message());
 *     auto arena = beitle::Buffer::allocate(engine.arena_bytes());
 *
 *     beitle::RunParams params;
 *     params.use_arena(arena.bytes());
 *     params.image = beitle::image(rgb, 640, 480, beitle::PixelFormat::rgb8);
 *     params.write_map(map);
 *     if (auto error = engine.run(params)) return fail(error.message());
 *
 * See examples/segment.cpp. No function throws, and nothing is allocated except by Buffer: the header may be used without
 * exceptions and without run-time type information. The structures of beitle.h are used as they are, so that whatever has no
 * method here is set in its field.
 *
 * Span is std::span where the standard library has it (C++20), else a minimal class of the same meaning. */
#ifndef BEITLE_HPP
#define BEITLE_HPP

#include "beitle.h"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <new>
#include <utility>
#if __has_include(<version>)
#include <version>
#endif
#ifdef __cpp_lib_span
#include <span>
#endif

namespace beitle {

/* Objects that are compiled for C++17 and for C++20 may be in one program: the types below are different ones then. */
#ifdef __cpp_lib_span
inline namespace std_span {
template <class T> using Span = std::span<T>;
#else
inline namespace own_span {
/* Contiguous elements in memory of somebody else. */
template <class T> class Span {
  public:
    constexpr Span() noexcept = default;
    constexpr Span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <std::size_t N> constexpr Span(T (&array)[N]) noexcept : Span(array, N) {}
    /* From anything with data() and size(), such as std::vector, std::array and Span<U> for Span<const U>. */
    template <class C, class = decltype(static_cast<T *>(std::declval<C &>().data()))>
    constexpr Span(C &&container) noexcept : Span(container.data(), container.size()) {}
    constexpr T *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr T &operator[](std::size_t i) const noexcept { return data_[i]; }
    constexpr T *begin() const noexcept { return data_; }
    constexpr T *end() const noexcept { return data_ + size_; }

  private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};
#endif

enum class Status : beitle_status {
    ok = BEITLE_OK,
    invalid_argument = BEITLE_INVALID_ARGUMENT,
    not_a_model = BEITLE_NOT_A_MODEL,
    unsupported_version = BEITLE_UNSUPPORTED_VERSION,
    corrupt_file = BEITLE_CORRUPT_FILE,
    misaligned = BEITLE_MISALIGNED,
    buffer_too_small = BEITLE_BUFFER_TOO_SMALL,
    invalid_image = BEITLE_INVALID_IMAGE,
    too_large = BEITLE_TOO_LARGE,
    cancelled = BEITLE_CANCELLED,
    internal_error = BEITLE_INTERNAL_ERROR
};

/* What a status means, as a short text in English. */
inline const char *text(Status status) noexcept { return beitle_status_string(static_cast<beitle_status>(status)); }

/* The instruction set whose kernels runs use by default. */
inline const char *isa_name() noexcept { return beitle_isa_name(); }

enum class Precision : std::uint32_t { f32 = BEITLE_F32, f16 = BEITLE_F16, int8 = BEITLE_INT8, int4 = BEITLE_INT4 };

enum class Task : std::uint32_t {
    segmentation = BEITLE_SEGMENTATION,
    classification = BEITLE_CLASSIFICATION,
    features = BEITLE_FEATURES
};

enum class Mode : std::uint32_t {
    by_file = BEITLE_MODE_DEFAULT,
    whole = BEITLE_MODE_WHOLE,
    slide = BEITLE_MODE_SLIDE,
    native = BEITLE_MODE_NATIVE
};

enum class PixelFormat : std::uint32_t {
    rgb8 = BEITLE_RGB8,
    bgr8 = BEITLE_BGR8,
    rgba8 = BEITLE_RGBA8,
    bgra8 = BEITLE_BGRA8,
    gray8 = BEITLE_GRAY8,
    dual8 = BEITLE_DUAL8,
    rgb565 = BEITLE_RGB565,
    gray16 = BEITLE_GRAY16,
    yuyv = BEITLE_YUYV,
    uyvy = BEITLE_UYVY,
    nv12 = BEITLE_NV12,
    nv21 = BEITLE_NV21,
    i420 = BEITLE_I420
};

/* The result of a call. As with std::error_code, `if (error)` is taken after a failure. */
class [[nodiscard]] Error {
  public:
    /* The result of `call(message, message_bytes)`. */
    template <class Call> static Error of(Call &&call) noexcept {
        Error error;
        error.status_ = call(error.message_, sizeof error.message_);
        return error;
    }
    explicit operator bool() const noexcept { return status_ != BEITLE_OK; }
    Status status() const noexcept { return static_cast<Status>(status_); }
    /* What failed, as UTF-8 text with a terminating zero; empty after success. */
    const char *message() const noexcept { return message_; }

  private:
    beitle_status status_ = BEITLE_OK;
    char message_[200] = {};
};

/* Owned memory aligned to 64 bytes, as weight files and arenas must be. Empty if it could not be allocated. */
class Buffer {
  public:
    static constexpr std::size_t alignment = 64;

    Buffer() noexcept = default;
    static Buffer allocate(std::size_t bytes) noexcept {
        Buffer buffer;
        buffer.data_ = static_cast<std::byte *>(::operator new(bytes, std::align_val_t(alignment), std::nothrow));
        buffer.size_ = buffer.data_ != nullptr ? bytes : 0;
        return buffer;
    }
    /* A whole file. Empty if it cannot be read. Mapping a weight file instead needs less memory. */
    static Buffer read(const char *path) noexcept {
        std::FILE *file = std::fopen(path, "rb");
        if (file == nullptr) return {};
        Buffer buffer;
        if (std::fseek(file, 0, SEEK_END) == 0) {
            const long bytes = std::ftell(file);
            std::rewind(file);
            if (bytes > 0) buffer = allocate(static_cast<std::size_t>(bytes));
        }
        if (std::fread(buffer.data_, 1, buffer.size_, file) != buffer.size_) buffer = {};
        std::fclose(file);
        return buffer;
    }
    Buffer(Buffer &&other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    Buffer &operator=(Buffer &&other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~Buffer() { ::operator delete(data_, std::align_val_t(alignment)); }

    explicit operator bool() const noexcept { return data_ != nullptr; }
    Span<std::byte> bytes() noexcept { return {data_, size_}; }
    Span<const std::byte> bytes() const noexcept { return {data_, size_}; }

  private:
    std::byte *data_ = nullptr;
    std::size_t size_ = 0;
};

/* An image of one plane, or of contiguous ones. `stride` is in bytes; 0: rows are contiguous. */
inline beitle_image image(Span<const std::uint8_t> pixels, std::size_t width, std::size_t height, PixelFormat format,
                          std::size_t stride = 0) noexcept {
    return {pixels.data(), pixels.size(), width, height, stride, static_cast<std::uint32_t>(format)};
}

/* A class map for the functions at the end, which only read it. */
inline beitle_class_map class_map(Span<const std::uint8_t> pixels, std::size_t width, std::size_t height) noexcept {
    return {const_cast<std::uint8_t *>(pixels.data()), pixels.size(), width, height, 1};
}
inline beitle_class_map class_map(Span<const std::uint16_t> pixels, std::size_t width, std::size_t height) noexcept {
    return {const_cast<std::uint16_t *>(pixels.data()), 2 * pixels.size(), width, height, 2};
}

/* Threads of the caller: `run(worker, argument)`, of any callable type, does what beitle_thread_pool.run must do. It must outlive
 * the runs that use it. */
template <class Run> beitle_thread_pool thread_pool(std::size_t workers, Run &run) noexcept {
    auto call = [](void *context, void (*worker)(void *), void *argument) { (*static_cast<Run *>(context))(worker, argument); };
    return {workers, call, &run};
}

/* The arguments of Engine::plan. */
struct PlanParams : beitle_plan_params {
    PlanParams() noexcept : beitle_plan_params{} { size = sizeof(beitle_plan_params); }
    void set_mode(Mode value) noexcept { mode = static_cast<std::uint32_t>(value); }
    void set_scales(Span<const double> ratios) noexcept {
        scales = ratios.data();
        scale_count = ratios.size();
    }
};

/* The arguments of Engine::run. What they refer to must live until the run ends. */
struct RunParams : beitle_run_params {
    RunParams() noexcept : beitle_run_params{} { size = sizeof(beitle_run_params); }
    void use_arena(Span<std::byte> memory) noexcept {
        arena = memory.data();
        arena_bytes = memory.size();
    }
    void use_threads(const beitle_thread_pool &pool) noexcept { thread_pool = &pool; }
    void use_threads(beitle_thread_pool &&) = delete; /* it would not live until the run */
    void use_labels(Span<const std::uint16_t> of_classes) noexcept {
        labels = of_classes.data();
        labels_count = of_classes.size();
    }
    /* Calls `callback()`, a callable object, during the run; `false` cancels it. */
    template <class Callback> void on_progress(Callback &callback) noexcept {
        progress = [](void *context) { return (*static_cast<Callback *>(context))() ? 0 : 1; };
        progress_context = &callback;
    }
    /* The outputs. Width and height of the map: 0 for those of the image. */
    void write_map(Span<std::uint8_t> to, std::size_t width = 0, std::size_t height = 0) noexcept {
        map = {to.data(), to.size(), width, height, 1};
    }
    void write_map(Span<std::uint16_t> to, std::size_t width = 0, std::size_t height = 0) noexcept {
        map = {to.data(), 2 * to.size(), width, height, 2};
    }
    void write_confidence(Span<std::uint8_t> to) noexcept {
        confidence = to.data();
        confidence_count = to.size();
    }
    void write_logits(Span<float> to) noexcept {
        logits = to.data();
        logits_count = to.size();
    }
    void write_features(Span<float> to) noexcept {
        features = to.data();
        features_count = to.size();
    }
    void write_tokens(Span<float> to) noexcept {
        tokens = to.data();
        tokens_count = to.size();
    }
    void write_scores(Span<std::uint16_t> to) noexcept {
        scores = to.data();
        scores_count = to.size();
    }
    /* The most likely classes at each of `at`: to.size() / at.size() of them. */
    void write_ranked(Span<const beitle_point> at, Span<beitle_ranked> to) noexcept {
        points = at.data();
        points_count = at.size();
        ranked = to.data();
        ranked_count = to.size();
    }
};

/* An open model and its plan: 2 KiB, without a resource to release. A copy may be used independently. The weight file that was
 * opened must stay in place. */
class Engine {
  public:
    Error open(Span<const std::byte> file) noexcept {
        return Error::of([&](char *text, std::size_t n) { return beitle_open(&engine_, file.data(), file.size(), text, n); });
    }
    Error verify() const noexcept {
        return Error::of([&](char *text, std::size_t n) { return beitle_verify(&engine_, text, n); });
    }
    Error info(beitle_info &info) const noexcept {
        info = {};
        info.size = sizeof info;
        return Error::of([&](char *text, std::size_t n) { return beitle_model_info(&engine_, &info, text, n); });
    }
    /* Writes the name of the checkpoint, with a terminating zero. */
    Error name(Span<char> to) const noexcept {
        return Error::of([&](char *text, std::size_t n) {
            return beitle_model_name(&engine_, to.data(), to.size(), text, n);
        });
    }
    /* Writes the name, with a terminating zero. */
    Error class_name(std::size_t index, Span<char> name) const noexcept {
        return Error::of([&](char *text, std::size_t n) {
            return beitle_class_name(&engine_, index, name.data(), name.size(), text, n);
        });
    }
    Error class_colour(std::size_t index, std::uint8_t (&rgb)[3]) const noexcept {
        return Error::of([&](char *text, std::size_t n) { return beitle_class_colour(&engine_, index, rgb, text, n); });
    }
    /* Plans for images of up to this size that are run as a whole. */
    Error plan(std::size_t workers, std::size_t width, std::size_t height) noexcept {
        const auto error = Error::of([&](char *text, std::size_t n) {
            return beitle_plan(&engine_, workers, width, height, &arena_bytes_, text, n);
        });
        if (!error) scores_count_ = 0;
        return error;
    }
    Error plan(const PlanParams &params) noexcept {
        return Error::of([&](char *text, std::size_t n) {
            return beitle_plan_views(&engine_, &params, &arena_bytes_, &scores_count_, text, n);
        });
    }
    /* The memory that a run needs, after a plan. */
    std::size_t arena_bytes() const noexcept { return arena_bytes_; }
    std::size_t scores_count() const noexcept { return scores_count_; }
    Error run(const RunParams &params) const noexcept {
        return Error::of([&](char *text, std::size_t n) { return beitle_run(&engine_, &params, text, n); });
    }
    /* For functions that have no method here. */
    beitle_engine *get() noexcept { return &engine_; }
    const beitle_engine *get() const noexcept { return &engine_; }

  private:
    beitle_engine engine_ = {};
    std::size_t arena_bytes_ = 0;
    std::size_t scores_count_ = 0;
};

enum class Connectivity : std::uint32_t { four = 4, eight = 8 };

/* A corner of a contour: a column and a row in the grid of the pixels' corners. */
struct Corner {
    std::uint32_t x;
    std::uint32_t y;
};
static_assert(sizeof(Corner) == sizeof(std::uint32_t[2]), "the type of the C interface");

inline Error areas(const beitle_class_map &map, Span<beitle_area> areas, std::uint64_t *outside = nullptr) noexcept {
    return Error::of([&](char *text, std::size_t n) {
        return beitle_areas(&map, areas.data(), areas.size(), outside, text, n);
    });
}

/* Elements of scratch memory for `regions`. */
inline std::size_t regions_scratch(std::size_t width) noexcept { return beitle_regions_scratch(width); }

inline Error regions(const beitle_class_map &map, Connectivity connectivity, std::uint64_t min_pixels,
                     std::uint32_t background, Span<std::uint64_t> scratch, Span<beitle_region> regions,
                     std::size_t &found) noexcept {
    return Error::of([&](char *text, std::size_t n) {
        return beitle_regions(&map, static_cast<std::uint32_t>(connectivity), min_pixels, background, scratch.data(),
                              scratch.size(), regions.data(), regions.size(), &found, text, n);
    });
}

inline Error contour(const beitle_class_map &map, Connectivity connectivity, std::uint32_t x, std::uint32_t y,
                     Span<Corner> corners, std::size_t &found) noexcept {
    return Error::of([&](char *text, std::size_t n) {
        return beitle_contour(&map, static_cast<std::uint32_t>(connectivity), x, y,
                              reinterpret_cast<std::uint32_t(*)[2]>(corners.data()), corners.size(), &found, text, n);
    });
}

inline Error rle(const beitle_class_map &map, std::uint32_t class_index, Span<std::uint32_t> counts,
                 std::size_t &found) noexcept {
    return Error::of([&](char *text, std::size_t n) {
        return beitle_rle(&map, class_index, counts.data(), counts.size(), &found, text, n);
    });
}

inline Error rle_text(Span<const std::uint32_t> counts, Span<char> text, std::size_t &length) noexcept {
    return Error::of([&](char *message, std::size_t n) {
        return beitle_rle_text(counts.data(), counts.size(), text.data(), text.size(), &length, message, n);
    });
}

} // namespace std_span or own_span
} // namespace beitle

#endif

//! Times every kernel, at sizes of the base model, on every instruction set of this processor:
//!
//!     cargo bench -p beitle-benches -- [FILTER]
//!
//! Rates are multiply-accumulates per second (products, convolutions, attention) or numbers per second (all others). The peak
//! rate of multiplications on registers is printed first.

use beitle::Isa;
use beitle::kernel_list::{KERNELS, Size, Source};
use beitle::parallel::Serial;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::time::Duration;

/// The sizes to run a kernel at, each with a description.
type Sizes = &'static [(&'static str, Size)];

/// Kernels by name, with their sizes in the base model at 640x640.
const SIZES: &[(&[&str], Sizes)] = &[
    (
        &["gemm, int8", "gemm, f16", "gemm, f32"],
        &[
            ("qkv of a head", Size { rows: 1601, n: 192, k: 768 }),
            ("proj", Size { rows: 1601, n: 768, k: 768 }),
            ("fc1", Size { rows: 256, n: 3072, k: 768 }),
            ("fc2", Size { rows: 256, n: 768, k: 3072 }),
            ("classifier", Size { rows: 640, n: 150, k: 768 }),
        ],
    ),
    (&["gemm, int8, GELU"], &[("fc1", Size { rows: 256, n: 3072, k: 768 })]),
    (
        &["conv3x3, int8", "winograd_conv, 2x2", "winograd_conv, 4x4"],
        &[("four rows of 160 pixels", Size { rows: 160, n: 768, k: 768 })],
    ),
    (&["attention, int8", "attention, f32"], &[("a head of 40x40 patches", Size { rows: 40, n: 64, k: 40 })]),
    (&["softmax"], &[("1601 keys", Size { rows: 1, n: 1601, k: 1 })]),
    (&["argmax_lerp"], &[("150 classes", Size { rows: 1, n: 150, k: 1 })]),
    (
        &["sum_lerps", "sum_lerps_bf16", "add_horizontal_lerps"],
        &[("64 channels", Size { rows: 160, n: 64, k: 1 })],
    ),
    (
        &[
            "store_tile",
            "store_tile, GELU",
            "store_tile, ReLU",
            "dequantise_tile",
            "dequantise_tile, partial sums",
            "dequantise_tile, bfloat16",
            "dequantise_tile, ReLU",
            "winograd_output, 2x2",
            "winograd_output, 4x4",
        ],
        &[("8 x 48", Size { rows: 8, n: 48, k: 1 })],
    ),
    (&["softmax_blocks", "accumulate_blocks"], &[("6 x 64", Size { rows: 6, n: 64, k: 1 })]),
    (&["block_factors"], &[("26 blocks", Size { rows: 6, n: 26, k: 1 })]),
    (
        &["column_sums", "column_min_max", "quantise_tokens", "quantise_values"],
        &[("64 channels", Size { rows: 64, n: 64, k: 1 })],
    ),
    (
        &["yuv_row, I420", "yuv_row, NV12", "yuv_row, NV21", "yuv_row, YUYV", "yuv_row, UYVY"],
        &[("1920 pixels", Size { rows: 1, n: 1920, k: 1 })],
    ),
    (
        &[
            "resize, bicubic, RGB",
            "resize, bicubic, NV12",
            "resize, OpenCV, RGB",
            "resize, OpenCV, NV12",
            "resize, OpenCV, YUYV",
        ],
        &[("1920x1080 to 640x640", Size { n: 1920, rows: 1080, k: 640 })],
    ),
];

/// The size of kernels that are not in [`SIZES`]: a row of channels.
const ROW: Sizes = &[("768 channels", Size { rows: 1, n: 768, k: 1 })];

/// The sizes of a kernel.
fn sizes(name: &str) -> Sizes {
    SIZES.iter().find(|(names, _)| names.contains(&name)).map_or(ROW, |(_, sizes)| sizes)
}

/// Prints the peak rates of every instruction set that has a loop to measure them.
fn print_peaks(isas: &[Isa]) {
    for isa in isas {
        if let [Some(int8), Some(f32)] = [true, false].map(|int8| isa.peak(int8, &Serial)) {
            println!(
                "{}: peak on registers: int8 {:.1}, f32 {:.1} GMAC/s",
                isa.name(),
                int8 / 1e9,
                f32 / 1e9
            );
        }
    }
}

fn kernels(c: &mut Criterion) {
    for name in SIZES.iter().flat_map(|(names, _)| *names) {
        assert!(KERNELS.iter().any(|kernel| kernel.name == *name), "no kernel is called {name}");
    }
    let isas: Vec<Isa> = Isa::available().collect();
    print_peaks(&isas);
    for kernel in KERNELS {
        for (size_name, size) in sizes(kernel.name) {
            let mut group = c.benchmark_group(format!("{}, {size_name}", kernel.name));
            group.throughput(Throughput::Elements((kernel.work)(*size) as u64));
            for isa in &isas {
                let mut run = (kernel.prepare)(*size, Source(1));
                group.bench_function(isa.name(), |b| b.iter(|| run.run(*isa)));
            }
            group.finish();
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    targets = kernels
}
criterion_main!(benches);

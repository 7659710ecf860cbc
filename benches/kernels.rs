//! Every kernel at the sizes it has in the base model at 640x640, on every instruction set of this processor:
//!
//!     cargo bench --features bench -- [FILTER]
//!
//! Rates are multiply-accumulates per second for matrix products, convolutions and attention, values per second for the
//! others. For comparison, the peak rate of the multipliers on registers alone is printed first.

use beitle::Isa;
use beitle::kernel_list::{KERNELS, Size, Source};
use beitle::parallel::Serial;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::time::Duration;

/// The sizes of a kernel in the base model at 640x640, each with its name.
fn sizes(name: &str) -> &'static [(&'static str, Size)] {
    match name {
        "product, int8" | "product, f16" | "product, f32" => &[
            ("qkv of one head", Size { rows: 1601, n: 192, k: 768 }),
            ("proj", Size { rows: 1601, n: 768, k: 768 }),
            ("fc1", Size { rows: 256, n: 3072, k: 768 }),
            ("fc2", Size { rows: 256, n: 768, k: 3072 }),
            ("classifier", Size { rows: 640, n: 150, k: 768 }),
        ],
        "product, int8, GELU" => &[("fc1", Size { rows: 256, n: 3072, k: 768 })],
        "3x3, int8" | "3x3 by Winograd 2x2, int8" | "3x3 by Winograd 4x4, int8" => {
            &[("four rows of 160", Size { rows: 160, n: 768, k: 768 })]
        }
        "attention, int8" | "attention, f32" => &[("one head of 40x40", Size { rows: 40, n: 64, k: 40 })],
        "softmax" => &[("1601 keys", Size { rows: 1, n: 1601, k: 1 })],
        "argmax_lerp" => &[("150 classes", Size { rows: 1, n: 150, k: 1 })],
        "add_columns" | "add_columns_bf16" | "add_along" => {
            &[("64 channels", Size { rows: 160, n: 64, k: 1 })]
        }
        "finish"
        | "finish, GELU"
        | "finish, ReLU"
        | "finish_i8"
        | "finish_i8, ReLU"
        | "finish_i8, another tap"
        | "gather, 2x2"
        | "gather, 4x4" => &[("8 x 48", Size { rows: 8, n: 48, k: 1 })],
        "block_weights" | "blend" => &[("6 x 64", Size { rows: 6, n: 64, k: 1 })],
        "block_factors" => &[("26 blocks", Size { rows: 6, n: 26, k: 1 })],
        "sum_rows" | "spread" | "quantise_tokens" | "quantise_values" => {
            &[("64 channels", Size { rows: 64, n: 64, k: 1 })]
        }
        _ => &[("768 channels", Size { rows: 1, n: 768, k: 1 })],
    }
}

fn print_peaks(isas: &[Isa]) {
    for isa in isas {
        if let [Some(int8), Some(f32)] = [true, false].map(|int8| isa.peak(int8, &Serial)) {
            let (name, int8, f32) = (isa.name(), int8 / 1e9, f32 / 1e9);
            println!("{name}: peak on registers int8 {int8:.1}, f32 {f32:.1} GMAC/s");
        }
    }
}

fn kernels(c: &mut Criterion) {
    let isas: Vec<Isa> = Isa::available().collect();
    print_peaks(&isas);
    for kernel in KERNELS {
        for (size_name, size) in sizes(kernel.name) {
            let mut group = c.benchmark_group(format!("{}, {size_name}", kernel.name));
            group.throughput(Throughput::Elements((kernel.work)(*size) as u64));
            for isa in &isas {
                let mut job = (kernel.prepare)(*size, Source(1));
                group.bench_function(isa.name(), |b| b.iter(|| job.run(*isa)));
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

//! The same file and picture give the same bits on every instruction set, for every number of threads and on every machine.
//! `tests/data/same_bytes.txt` records the checksums. With the feature `bench`, the AVX-VNNI kernels are tested on CPUs that
//! have their instruction only in the AVX-512 encoding.

mod common;

use beitle::Isa;
use beitle::file::crc::crc32;
use beitle::file::format::Precision;
use beitle_quantize::Conv;
use common::{Case, converted, run};
use sha2::{Digest, Sha256};
use std::ops::RangeInclusive;

const CASES: &[&str] = &["relative", "odd7", "head24", "absolute"];
const DEMONSTRATION: &str = "acdc851ecfa2849ec06cea5957b92f8a737d6751003e2032729b758680b27fd3";
const RECORDED: &str = include_str!("data/same_bytes.txt");

#[test]
fn every_instruction_set_and_thread_count_gives_the_recorded_bits() {
    let mut found = String::new();
    for name in CASES {
        let case = Case::open(name);
        let picture = case.picture();
        let kinds = [
            ("f32", Precision::F32, Conv::Direct),
            ("f16", Precision::F16, Conv::Direct),
            ("int8 direct", Precision::Int8, Conv::Direct),
            ("int8 winograd 2x2", Precision::Int8, Conv::Winograd2),
            ("int8 winograd 4x4", Precision::Int8, Conv::Winograd4),
            ("int4", Precision::Int4, Conv::Direct),
            ("int4 winograd 4x4", Precision::Int4, Conv::Winograd4),
        ];
        for (kind, precision, conv) in kinds {
            let file = converted(&case, kind, precision, conv);
            let mut sums = Vec::new();
            for isa in Isa::available() {
                for threads in THREADS {
                    let outcome = run(&file, &picture, isa, threads, &mut ());
                    let logits = crc32(bytemuck::cast_slice(&outcome.logits));
                    let map = crc32(bytemuck::cast_slice(&outcome.map));
                    sums.push((logits, map, isa.name(), threads));
                }
            }
            let (logits, map, ..) = sums[0];
            for (l, m, isa, threads) in &sums {
                assert_eq!(
                    (*l, *m),
                    (logits, map),
                    "{name} {kind}: {isa} with {threads} threads differs from portable with one thread"
                );
            }
            found += &format!("{name} {kind} logits {logits:08x} map {map:08x}\n");
        }
    }
    if std::env::var_os("BEITLE_RECORD").is_some() {
        std::fs::write(common::root().join("tests/data/same_bytes.txt"), &found).unwrap();
    } else {
        assert_eq!(
            found, RECORDED,
            "the results have changed (if this is intended, BEITLE_RECORD=1 records the new ones)"
        );
    }
}

/// Numbers of threads to try. That they do not matter is tested where it is fast: other architectures run under emulation.
const THREADS: RangeInclusive<usize> = if cfg!(target_arch = "x86_64") { 1..=3 } else { 2..=2 };

/// The demonstration model and the sample picture of the README: one SHA-256 of the logits for all CPUs. Other architectures
/// run under emulation, which is slow: only the fastest kernels, once.
#[test]
fn the_demonstration_model_gives_the_recorded_bits() {
    let root = common::root();
    let picture = common::Picture::open(&root.join("models/sample.png"));
    let (isas, threads): (Vec<_>, &[usize]) = match cfg!(target_arch = "x86_64") {
        true => (Isa::available().collect(), &[1, 2, 3, 8][..]),
        false => (vec![Isa::detect()], &[1][..]),
    };
    for isa in isas {
        for &threads in threads {
            let outcome = run(&root.join("models/demo.beitle"), &picture, isa, threads, &mut ());
            let sum = Sha256::digest(bytemuck::cast_slice::<f32, u8>(&outcome.logits));
            let sum: String = sum.iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(sum, DEMONSTRATION, "{} with {threads} threads", isa.name());
        }
    }
}

/// Winograd convolutions equal the direct ones up to int8 rounding. Their bits do not depend on the CPU, so a run under
/// emulation would test nothing new.
#[test]
#[cfg_attr(target_arch = "aarch64", ignore = "slow under emulation, and the bits are those of x86-64")]
fn winograd_stays_close_to_direct() {
    for name in common::CASES {
        let case = Case::open(name);
        let picture = case.picture();
        let logits = |conv| {
            let file = case.convert_with(Precision::Int8, |options| options.conv = conv);
            run(&file, &picture, Isa::detect(), 2, &mut ()).logits
        };
        let exact = run(&case.convert(Precision::F32), &picture, Isa::detect(), 2, &mut ()).logits;
        let noise = |x: &[f32]| x.iter().zip(&exact).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>();
        let mean = exact.iter().map(|x| f64::from(*x)).sum::<f64>() / exact.len() as f64;
        let signal = exact.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>();
        let direct = noise(&logits(Conv::Direct)) / signal;
        for (conv, most) in [(Conv::Winograd2, 1.25), (Conv::Winograd4, 2.0)] {
            let winograd = noise(&logits(conv)) / signal;
            println!("{name}: noise-to-signal ratio {direct:.2e} direct, {winograd:.2e} {conv:?}");
            assert!(
                winograd < most * direct,
                "{name}, {conv:?}: noise-to-signal ratio {winograd:.2e}, direct {direct:.2e}"
            );
        }
    }
}

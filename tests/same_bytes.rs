//! The same file and picture give the same bits on every instruction set and for every number of threads, and on every
//! machine: the checksums are recorded in `tests/data/same_bytes.txt`.

mod common;

use beitle::Isa;
use beitle::crc::crc32;
use beitle::format::Precision;
use common::{Case, run};

const CASES: &[&str] = &["relative", "odd7", "head24", "absolute"];
const RECORDED: &str = include_str!("data/same_bytes.txt");

#[test]
fn every_instruction_set_and_thread_count_gives_the_recorded_bits() {
    let mut found = String::new();
    for name in CASES {
        let case = Case::open(name);
        let picture = case.picture();
        for precision in [Precision::F32, Precision::F16, Precision::Int8] {
            let file = case.convert(precision);
            let mut sums = Vec::new();
            for isa in Isa::available() {
                for threads in 1..=3 {
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
                    "{name} {}: {isa} with {threads} threads differs from portable with one",
                    precision.name()
                );
            }
            found += &format!("{name} {} logits {logits:08x} map {map:08x}\n", precision.name());
        }
    }
    if std::env::var_os("BEITLE_RECORD").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/same_bytes.txt"), &found).unwrap();
    } else {
        assert_eq!(
            found, RECORDED,
            "the bits have changed (BEITLE_RECORD=1 records them anew, if that was meant)"
        );
    }
}

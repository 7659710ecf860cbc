//! Random small models with mixed precisions and odd shapes: verification accepts them, and every instruction set and number of
//! threads gives the same bits.

#[path = "common/random_model.rs"]
mod random_model;

use beitle::engine::{Engine, Output};
use beitle::file::crc::crc32;
use beitle::file::format::{ALIGN, Header, TensorEntry, TensorKind};
use beitle::image::{ImageView, PixelFormat};
use beitle::output::ClassMapMut;
use beitle::parallel::{Parallel, Serial};
use beitle::plan::Plan;
use beitle::{Error, Isa, Model};
use random_model::{Random, random_model};
use std::mem::offset_of;

/// Memory at an aligned address.
struct Aligned(Vec<u8>);

impl Aligned {
    fn new(bytes: usize) -> Self {
        Aligned(vec![0xA5; bytes + ALIGN])
    }
    fn of(bytes: &[u8]) -> Self {
        let mut memory = Aligned::new(bytes.len());
        memory.bytes(bytes.len()).copy_from_slice(bytes);
        memory
    }
    fn bytes(&mut self, len: usize) -> &mut [u8] {
        let start = self.0.as_ptr().align_offset(ALIGN);
        &mut self.0[start..start + len]
    }
}

/// Threads that are started for every step.
struct Threads(usize);

impl Parallel for Threads {
    fn workers(&self) -> usize {
        self.0
    }
    fn run(&self, calls: usize, work: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|s| {
            for thread in 0..calls {
                s.spawn(move || work(thread));
            }
        });
    }
}

/// Class map and bits of the logits.
fn run(
    model: &Model,
    isa: Isa,
    threads: &dyn Parallel,
    rgb: &[u8],
    size: (usize, usize),
) -> (Vec<u16>, Vec<u32>) {
    let facts = model.facts();
    let (width, height) = facts.level(0);
    let plan = Plan::new(model, threads.workers(), size).unwrap();
    let mut arena = Aligned::new(plan.bytes());
    let mut engine = Engine::new(model, &plan, isa, arena.bytes(plan.bytes())).unwrap();
    let picture = ImageView::packed(rgb, size.0, size.1, PixelFormat::Rgb8).unwrap();
    let mut map = vec![u16::MAX; size.0 * size.1];
    let mut logits = vec![0f32; facts.classes * width * height];
    let mut output = Output { logits: Some(&mut logits), ..Output::map(size, ClassMapMut::U16(&mut map)) };
    engine.run(threads, &picture, &mut output, &mut ()).unwrap();
    (map, logits.iter().map(|x| x.to_bits()).collect())
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    for seed in 0..60 {
        let mut r = Random::new(seed);
        let mut file = Aligned::of(&random_model(&mut r, 2));
        let len = file.0.len() - ALIGN;
        let model = Model::new(file.bytes(len)).unwrap();
        model.verify().unwrap_or_else(|e| panic!("model {seed}: {e}"));
        let picture = (r.range(1, 40), r.range(1, 40));
        let rgb: Vec<u8> = (0..3 * picture.0 * picture.1).map(|_| r.range(0, 255) as u8).collect();
        let portable = Isa::by_name("portable").unwrap();
        let want = run(&model, portable, &Serial, &rgb, picture);
        assert!(want.0.iter().all(|&class| usize::from(class) < model.facts().classes), "model {seed}");
        for isa in Isa::available() {
            for threads in [&Serial as &dyn Parallel, &Threads(2), &Threads(3)] {
                let got = run(&model, isa, threads, &rgb, picture);
                assert!(got == want, "model {seed} on {}, {} threads", isa.name(), threads.workers());
            }
        }
    }
}

/// Changes bytes of the first tensor of a kind that has padding, corrects all checksums, and returns the error of `verify`.
/// `None` if there is no such tensor, or `verify` finds nothing.
fn verify_changed(file: &[u8], kind: TensorKind, change: impl Fn(&TensorEntry, &mut [u8])) -> Option<Error> {
    let mut file = file.to_vec();
    let count =
        u32::from_le_bytes(file[offset_of!(Header, tensor_count)..][..4].try_into().unwrap()) as usize;
    let entry_at = |i: usize| size_of::<Header>() + i * size_of::<TensorEntry>();
    let entry =
        |file: &[u8], i: usize| *bytemuck::from_bytes::<TensorEntry>(&file[entry_at(i)..entry_at(i + 1)]);
    let mut memory = Aligned::of(&file);
    let len = file.len();
    let found = (0..count).find(|&i| {
        let e = entry(memory.bytes(len), i);
        // Outputs and inputs that are not whole panels and groups have padding.
        e.kind == kind as u8 && e.n % 16 != 0 && e.k % 4 != 0
    })?;
    let e = entry(memory.bytes(len), found);
    let range = e.offset as usize..(e.offset + e.bytes) as usize;
    change(&e, &mut file[range.clone()]);
    let crc = crc32(&file[range]);
    file[entry_at(found) + offset_of!(TensorEntry, crc)..][..4].copy_from_slice(&crc.to_le_bytes());
    // The checksum of header and table.
    let at = offset_of!(Header, head_crc);
    file[at..at + 4].fill(0);
    let head = crc32(&file[..entry_at(count)]);
    file[at..at + 4].copy_from_slice(&head.to_le_bytes());
    let mut memory = Aligned::of(&file);
    // A multiplier of zero over a changed weight hides the change.
    Model::new(memory.bytes(len)).unwrap().verify().err()
}

#[test]
fn verification_finds_wrong_sums_and_padding() {
    let mut found = [0; 5];
    for seed in 0..200 {
        let file = random_model(&mut Random::new(seed), 2);
        let flip = |at: usize| move |_: &TensorEntry, bytes: &mut [u8]| bytes[at] ^= 0x11;
        // The last weight: an output and an input beyond the last.
        let last_weight = |e: &TensorEntry, bytes: &mut [u8]| {
            let [weights, ..] = e.linear_parts().unwrap();
            bytes[weights - 1] ^= 0x11;
        };
        let last_scale = |e: &TensorEntry, bytes: &mut [u8]| {
            let [weights, scales, _] = e.linear_parts().unwrap();
            if scales > 0 {
                // The scale of an output beyond n.
                let all = usize::from(e.matrices) * (e.n as usize).next_multiple_of(16) * 4;
                bytes[weights + all - 1] ^= 0x3F;
            } else {
                bytes[weights - 1] ^= 0x3F;
            }
        };
        type Change<'a> = &'a dyn Fn(&TensorEntry, &mut [u8]);
        let cases: [(TensorKind, Change, &str); 5] = [
            (TensorKind::Int8, &flip(0), "sum"),
            (TensorKind::Int8, &last_weight, "padding"),
            (TensorKind::Int8, &last_scale, "padding"),
            (TensorKind::Int4, &last_weight, "padding"),
            (TensorKind::F32, &last_scale, "padding"),
        ];
        for (i, (kind, change, word)) in cases.into_iter().enumerate() {
            let Some(error) = verify_changed(&file, kind, change) else { continue };
            let text = error.to_string();
            // A change can be found by another check first, such as that of a weight of −128.
            if text.contains(word) {
                found[i] += 1;
            } else {
                assert!(matches!(error, Error::Tensor { .. }), "{text}");
            }
        }
    }
    assert!(found.iter().all(|&n| n > 10), "{found:?}");
}

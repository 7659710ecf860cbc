//! Weight files: any bytes, or a valid file with some changes and corrected checksums. A file that opens can be run. One that
//! also passes verification gives the same results on every instruction set.

use crate::input::Input;
use crate::memory::Aligned;
use crate::outputs::{self, Results};
use crate::random_model::{Random, picture_of, random_model, random_model_of_any_task};
use beitle::engine::Engine;
use beitle::file::crc::{Crc32, crc32};
use beitle::file::format::{Header, TensorEntry};
use beitle::observe::{Observer, Stage};
use beitle::parallel::Serial;
use beitle::plan::Plan;
use beitle::{Error, Isa, Model};
use std::mem::offset_of;
use std::sync::OnceLock;

const HEADER: usize = size_of::<Header>();
const ENTRY: usize = size_of::<TensorEntry>();

/// A valid file; there are 16.
fn valid(seed: u8) -> &'static [u8] {
    static FILES: [OnceLock<Vec<u8>>; 16] = [const { OnceLock::new() }; 16];
    let seed = usize::from(seed % 16);
    let make = if seed < 8 { random_model } else { random_model_of_any_task };
    FILES[seed].get_or_init(|| make(&mut Random::new(seed as u64), usize::from(seed % 4 == 2)))
}

/// The end of the tensor table, if the file is that long.
fn table_end(file: &[u8]) -> Option<usize> {
    let count = file.get(offset_of!(Header, tensor_count)..)?.first_chunk()?;
    let end = (u32::from_le_bytes(*count) as usize).checked_mul(ENTRY)?.checked_add(HEADER)?;
    (end <= file.len()).then_some(end)
}

/// Applies the changes that the input describes: a place, and a value of 1 to 8 bytes or another length of the file.
fn change(file: &mut Vec<u8>, input: &mut Input) {
    for _ in 0..32 {
        if input.is_empty() || file.len() < HEADER {
            return;
        }
        let (kind, end) = (input.u8(), table_end(file).unwrap_or(file.len()));
        let at = match kind % 8 {
            0 => return file.resize(input.below(2 * file.len()), kind),
            1..4 => input.below(HEADER),
            4..6 => input.below(end),
            _ => input.below(file.len()),
        };
        let value = if kind & 8 == 0 { input.u64() } else { input.wild() as u64 };
        let bytes = [1, 2, 4, 8][usize::from(kind >> 6)].min(file.len() - at);
        file[at..at + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
    }
}

/// Corrects the checksum of header and table and, if `tensors` is set, those of the tensors.
fn correct_checksums(file: &mut [u8], tensors: bool) {
    let Some(end) = table_end(file) else { return };
    for at in (HEADER..end).step_by(ENTRY).filter(|_| tensors) {
        let entry: TensorEntry = bytemuck::pod_read_unaligned(&file[at..at + ENTRY]);
        let range = entry.offset as usize..entry.offset.saturating_add(entry.bytes) as usize;
        let Some(bytes) = file.get(range) else { continue };
        let crc = crc32(bytes);
        file[at + offset_of!(TensorEntry, crc)..][..4].copy_from_slice(&crc.to_le_bytes());
    }
    let at = offset_of!(Header, head_crc);
    file[at..at + 4].fill(0);
    let mut crc = Crc32::new();
    crc.update(&file[..end]);
    file[at..at + 4].copy_from_slice(&crc.value().to_le_bytes());
}

/// Stops a run after some work.
struct Budget(u64);

impl Observer for Budget {
    fn done(&mut self, _: Stage, macs: u64) -> bool {
        self.0 = self.0.saturating_sub(macs);
        self.0 > 0
    }
}

/// All results, or `None` for a run that was stopped.
fn results(model: &Model, plan: &Plan, isa: Isa, map_size: (usize, usize)) -> Option<Results> {
    let (size, facts) = (plan.picture(), model.facts());
    let mut arena = Aligned::new(plan.bytes());
    let mut engine = Engine::new(model, plan, isa, &mut arena[..plan.bytes()]).expect("an engine");
    let pixels: Vec<u8> = (0..facts.picture_channels * size.0 * size.1).map(|i| (i * 37) as u8).collect();
    let picture = picture_of(facts, &pixels, size);
    match outputs::all(model, &mut engine, &Serial, &picture, map_size, &mut Budget(1 << 24)) {
        Err(Error::Cancelled) => None,
        result => Some(result.expect("results")),
    }
}

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let options = input.u8();
    let sizes = [1 + input.u8() % 40, 1 + input.u8() % 40, 1 + input.u8() % 40].map(usize::from);
    let mut file = if options & 1 == 0 { input.0.to_vec() } else { valid(options >> 4).to_vec() };
    if options & 1 != 0 {
        change(&mut file, &mut input);
    }
    if options & 2 == 0 {
        correct_checksums(&mut file, options & 4 == 0);
    }
    let memory = Aligned::copy_of(&file);
    match Model::new(&memory[..file.len()]) {
        Ok(model) => use_model(&model, sizes),
        Err(e) => assert!(!e.to_string().is_empty()),
    }
}

fn use_model(model: &Model, [width, height, map_width]: [usize; 3]) {
    let facts = model.facts();
    let names: Vec<&str> = model.class_names().collect();
    assert!(names.len() <= facts.classes && model.class_name(0) == names.first().copied());
    let shown = names.iter().copied().chain([model.source(), model.tool()]);
    assert!(!shown.flat_map(str::chars).any(char::is_control), "a control character");
    let _ = (model.report(), model.colour(0), model.colour(facts.classes), model.class_name(usize::MAX));
    let verified = model.verify().is_ok();
    // Within these limits a run takes milliseconds.
    let pixels = 16 * facts.patches();
    if facts.tokens() > 260
        || pixels * facts.classes > 1 << 20
        || model.file().bytes().len() * pixels > 1 << 28
    {
        return;
    }
    let Ok(plan) = Plan::new(model, 1 + width % 3, (width, height)) else { return };
    if plan.bytes() > 16 << 20 {
        return;
    }
    let map_size = (map_width, height);
    let Some(detected) = results(model, &plan, Isa::detect(), map_size) else { return };
    if verified {
        let portable = results(model, &plan, Isa::by_name("portable").expect("a portable set"), map_size);
        let Some(portable) = portable else { return };
        // The bits of a NaN are not specified.
        let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
        assert!(detected.1.iter().zip(&portable.1).all(same), "different logits");
        assert!(detected.0 == portable.0, "different class maps");
    }
}

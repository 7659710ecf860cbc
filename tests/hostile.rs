//! Damaged and hostile files. For any bytes, opening returns a model or an error that names the invalid field; it never
//! panics. A model that opens can be run.

mod common;

use beitle::engine::{Engine, Output};
use beitle::file::crc::Crc32;
use beitle::file::format::{Header, Precision, TensorEntry};
use beitle::image::{ImageView, PixelFormat};
use beitle::memory::Arena;
use beitle::output::ClassMapMut;
use beitle::parallel::Serial;
use beitle::plan::Plan;
use beitle::{Error, Isa, Model};
use common::Case;
use std::mem::offset_of;

const HEADER: usize = size_of::<Header>();
const ENTRY: usize = size_of::<TensorEntry>();

/// The bytes of a valid int8 file.
fn valid() -> Vec<u8> {
    valid_of(Precision::Int8)
}

fn valid_of(precision: Precision) -> Vec<u8> {
    std::fs::read(Case::open("relative").convert(precision)).unwrap()
}

/// Opens bytes at an aligned address, as if the file were mapped.
fn with_model<T>(bytes: &[u8], body: impl FnOnce(Result<Model, Error>) -> T) -> T {
    let mut memory = Arena::new(bytes.len().max(1)).unwrap();
    let memory = &mut memory.bytes_mut()[..bytes.len()];
    memory.copy_from_slice(bytes);
    body(Model::new(memory))
}

/// The message with which a file is rejected, or `None` if it opens.
fn rejection(bytes: &[u8]) -> Option<String> {
    with_model(bytes, |m| m.err().map(|e| e.to_string()))
}

/// Corrects the checksum of header and tensor table.
fn fix_checksum(bytes: &mut [u8]) {
    let crc_at = offset_of!(Header, head_crc);
    let count = offset_of!(Header, tensor_count);
    let count = u32::from_le_bytes(bytes[count..count + 4].try_into().unwrap()) as usize;
    let Some(end) =
        count.checked_mul(ENTRY).and_then(|n| n.checked_add(HEADER)).filter(|&n| n <= bytes.len())
    else {
        return;
    };
    bytes[crc_at..crc_at + 4].fill(0);
    let mut crc = Crc32::new();
    crc.update(&bytes[..end]);
    bytes[crc_at..crc_at + 4].copy_from_slice(&crc.value().to_le_bytes());
}

/// A copy with other bytes at one offset and a correct checksum.
fn changed(valid: &[u8], at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = valid.to_vec();
    bytes[at..at + with.len()].copy_from_slice(with);
    fix_checksum(&mut bytes);
    bytes
}

fn entry(i: usize) -> usize {
    HEADER + i * ENTRY
}

#[test]
fn truncated_files_are_rejected() {
    let valid = valid();
    assert_eq!(rejection(&valid), None);
    let tensors = u32::from_le_bytes(valid[24..28].try_into().unwrap()) as usize;
    let header_fields = (0..HEADER).step_by(4);
    let entries = (0..=tensors).map(entry);
    let later = [valid.len() / 2, valid.len() - 65, valid.len() - 1];
    for end in header_fields.chain(entries).chain(later) {
        let message = rejection(&valid[..end])
            .unwrap_or_else(|| panic!("the first {end} of {} bytes were accepted", valid.len()));
        assert!(message.contains("cut short"), "{end} bytes: {message}");
    }
    let mut long = valid.clone();
    long.push(0);
    assert!(rejection(&long).unwrap().contains("file_bytes"));
}

#[test]
fn files_of_another_type_or_version_are_rejected() {
    let valid = valid();
    for (bytes, word) in [
        (b"\x7fELF and so on, long enough to have a header".repeat(20), "not a .beitle file"),
        (changed(&valid, 0, b"BEITLE\n\n"), "not a .beitle file"),
        (changed(&valid, 8, &2u32.to_le_bytes()), "version 2"),
        (changed(&valid, 8, &0u32.to_le_bytes()), "version 0"),
    ] {
        let message = rejection(&bytes).unwrap();
        assert!(message.contains(word), "{message}");
    }
    let mut memory = Arena::new(valid.len() + 64).unwrap();
    memory.bytes_mut()[1..=valid.len()].copy_from_slice(&valid);
    assert_eq!(Model::new(&memory.bytes()[1..=valid.len()]).err(), Some(Error::Misaligned));
}

#[test]
fn bit_flips_in_header_and_tensor_table_are_detected() {
    let valid = valid();
    let tensors = u32::from_le_bytes(valid[24..28].try_into().unwrap()) as usize;
    for at in (16..entry(tensors)).step_by(7) {
        let mut bytes = valid.clone();
        bytes[at] ^= 0x10;
        assert!(rejection(&bytes).is_some(), "a flipped bit in byte {at} was accepted");
    }
}

#[test]
fn every_header_field_is_checked() {
    let valid = valid();
    let fields = [
        ("header_bytes", offset_of!(Header, header_bytes)),
        ("width", offset_of!(Header, width)),
        ("height", offset_of!(Header, height)),
        ("patch", offset_of!(Header, patch)),
        ("channels", offset_of!(Header, channels)),
        ("heads", offset_of!(Header, heads)),
        ("hidden", offset_of!(Header, hidden)),
        ("blocks", offset_of!(Header, blocks)),
        ("feature_blocks", offset_of!(Header, feature_blocks) + 12),
        ("classes", offset_of!(Header, classes)),
        ("pool_count", offset_of!(Header, pool_count)),
        ("pool_scales", offset_of!(Header, pool_scales)),
        ("recipe", offset_of!(Header, recipe)),
        ("resample", offset_of!(Header, resample)),
        ("resize", offset_of!(Header, resize)),
        ("position", offset_of!(Header, position)),
        ("reduce_labels", offset_of!(Header, reduce_labels)),
        ("precision", offset_of!(Header, precision)),
        ("winograd", offset_of!(Header, winograd)),
        ("activation", offset_of!(Header, task)),
        ("picture_channels", offset_of!(Header, picture_channels)),
        ("head_channels", offset_of!(Header, head_channels)),
        ("stretch_width", offset_of!(Header, stretch_width)),
        ("stretch_height", offset_of!(Header, stretch_height)),
    ];
    for (field, at) in fields {
        let message = rejection(&changed(&valid, at, &u32::MAX.to_le_bytes())).unwrap();
        assert!(message.contains(field) || message.contains("heads"), "{field}: {message}");
        for value in [0u32, 1, 7, 255, 65_535, 65_536, 1 << 31] {
            must_not_panic(&changed(&valid, at, &value.to_le_bytes()));
        }
    }
    for (field, at) in [("eps", offset_of!(Header, eps)), ("mean, std, rescale", offset_of!(Header, rescale))]
    {
        for value in [f32::NAN, f32::INFINITY] {
            let message = rejection(&changed(&valid, at, &value.to_le_bytes())).unwrap();
            assert!(message.contains(field), "{field}: {message}");
        }
    }
    assert!(rejection(&changed(&valid, 400, &[1])).unwrap().contains("reserved"));
    // What only models without neck may have.
    for (field, at, value) in [
        ("task", offset_of!(Header, task), 3),
        ("pooling", offset_of!(Header, pooling), 1),
        ("token_norm", offset_of!(Header, token_norm), 1),
        ("activation", offset_of!(Header, activation), 3),
        ("picture_channels", offset_of!(Header, picture_channels), 3),
        ("resize", offset_of!(Header, resize), 2),
        ("classes", offset_of!(Header, task), 2),
        ("pool_count", offset_of!(Header, task), 1),
    ] {
        let message = rejection(&changed(&valid, at, &[value])).unwrap();
        assert!(message.contains(field), "{field}: {message}");
    }
    let classifier = std::fs::read(Case::open("members/classifier").convert(Precision::Int8)).unwrap();
    assert_eq!(rejection(&classifier), None);
    for (field, at, value) in [
        ("head_channels", offset_of!(Header, head_channels), 16),
        ("pool_count", offset_of!(Header, pool_count), 1),
        ("winograd", offset_of!(Header, winograd), 2),
        ("resize", offset_of!(Header, resize), 1),
        ("short_side", offset_of!(Header, resize), 2),
        ("stretch_width", offset_of!(Header, stretch_width), 63),
        ("token_norm", offset_of!(Header, token_norm), 1),
        ("pool_norm", offset_of!(Header, pooling), 1),
    ] {
        let message = rejection(&changed(&classifier, at, &[value])).unwrap();
        // A tensor that the header does not call for is named by its number.
        assert!(message.contains(field) || message.contains("role 81"), "{field}: {message}");
    }
    // With 7 x 7 patches, level 1 does not divide into tiles of 4x4, nor level 2 into tiles of 2x2.
    let odd = std::fs::read(Case::open("odd7").convert(Precision::Int8)).unwrap();
    assert_eq!(rejection(&odd), None);
    for (conv, tile) in [(1, 4), (0, 3), (2, 2)] {
        let message = rejection(&changed(&odd, offset_of!(Header, winograd) + conv, &[tile])).unwrap();
        assert!(message.contains("winograd") && message.contains("whole tiles"), "{message}");
    }
}

#[test]
fn every_field_of_the_tensor_table_is_checked() {
    for precision in [Precision::Int8, Precision::Int4] {
        check_table(&valid_of(precision));
    }
}

fn check_table(valid: &[u8]) {
    let fields = [
        ("kind", offset_of!(TensorEntry, kind), 1),
        ("bias_rows", offset_of!(TensorEntry, bias_rows), 1),
        ("matrices", offset_of!(TensorEntry, matrices), 2),
        ("n", offset_of!(TensorEntry, n), 4),
        ("k", offset_of!(TensorEntry, k), 4),
        ("offset", offset_of!(TensorEntry, offset), 8),
        ("bytes", offset_of!(TensorEntry, bytes), 8),
        ("reserved", offset_of!(TensorEntry, reserved), 8),
    ];
    let tensors = u32::from_le_bytes(valid[24..28].try_into().unwrap()) as usize;
    for i in 0..tensors {
        for (field, at, bytes) in fields {
            for value in [0u64, 1, 5, 64, 1 << 20, u64::MAX / 2, u64::MAX] {
                let at = entry(i) + at;
                let value = &value.to_le_bytes()[..bytes];
                if valid[at..at + bytes] == *value {
                    continue;
                }
                let message = rejection(&changed(valid, at, value));
                let message =
                    message.unwrap_or_else(|| panic!("entry {i}: `{field}` = {value:?} was accepted"));
                // A wrong shape may be reported as a wrong length or as a misplaced neighbour.
                let named = message.contains("tensor `") || message.contains("file_bytes");
                assert!(named, "entry {i}, `{field}`: {message}");
            }
        }
        // Another role makes a tensor missing, unexpected or out of order.
        for role in [0u16, 3, 33, 200, u16::MAX] {
            let bytes = changed(valid, entry(i), &role.to_le_bytes());
            let message = rejection(&bytes).or_else(|| (bytes == *valid).then(String::new));
            assert!(message.is_some(), "entry {i} with role {role} was accepted");
        }
        let twice = valid[entry(i)..entry(i) + 4].to_vec();
        if i + 1 < tensors {
            assert!(
                rejection(&changed(valid, entry(i + 1), &twice)).is_some(),
                "entry {i} was accepted twice"
            );
        }
    }
}

#[test]
fn verify_names_a_damaged_tensor() {
    let valid = valid();
    with_model(&valid, |m| m.unwrap().verify().unwrap());
    let at = u64::from_le_bytes(valid[entry(10) + 16..entry(10) + 24].try_into().unwrap()) as usize;
    let mut bytes = valid.clone();
    bytes[at + 3] ^= 1;
    with_model(&bytes, |m| {
        let error = m.unwrap().verify().unwrap_err();
        assert!(matches!(error, Error::Checksum { .. }) && error.to_string().contains('`'), "{error}");
    });
}

#[test]
fn random_damage_never_panics() {
    for precision in [Precision::Int8, Precision::Int4] {
        damage_randomly(&valid_of(precision));
    }
}

fn damage_randomly(valid: &[u8]) {
    let tensors = u32::from_le_bytes(valid[24..28].try_into().unwrap()) as usize;
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut random = move |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    for round in 0..2000 {
        let mut bytes = valid.to_vec();
        for _ in 0..=random(3) {
            // Mostly header and tensor table; in every fourth round also the weights, which may then have extreme values.
            let at = if round % 4 == 0 { random(bytes.len()) } else { random(entry(tensors)) };
            bytes[at] = random(256) as u8;
        }
        fix_checksum(&mut bytes);
        must_not_panic(&bytes);
    }
}

/// Opens, plans and runs a file as far as it is valid.
fn must_not_panic(bytes: &[u8]) {
    with_model(bytes, |model| {
        let Ok(model) = model else { return };
        let size = (33, 21);
        let Ok(plan) = Plan::new(&model, 1, size) else { return };
        if plan.bytes() > 64 << 20 {
            return;
        }
        let mut arena = Arena::new(plan.bytes()).unwrap();
        let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut()).unwrap();
        let rgb: Vec<u8> = (0..3 * size.0 * size.1).map(|i| (i * 37 % 256) as u8).collect();
        let picture = ImageView::packed(&rgb, size.0, size.1, PixelFormat::Rgb8).unwrap();
        let mut map = vec![u16::MAX; size.0 * size.1];
        let mut output = Output::map(size, ClassMapMut::U16(&mut map));
        engine.run(&Serial, &picture, &mut output, &mut ()).unwrap();
        let classes = model.facts().classes;
        assert!(map.iter().all(|&c| usize::from(c) < classes), "a class index out of range");
    });
}

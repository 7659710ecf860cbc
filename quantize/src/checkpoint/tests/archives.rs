//! Archives as `torch.save` writes them, and hand-made damaged ones. [`super::limits`] has those that exceed limits.

use std::io::{Cursor, Read, Write};

use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::{Folder, QUERY, assert_fails, floats, golden, safetensors_of};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::torch::legacy::MAGIC;
use crate::checkpoint::torch::state_dict;

/// An archive with these entries.
pub(super) fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in entries {
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

pub(super) fn text(value: &str) -> Vec<u8> {
    [&b"X"[..], &(value.len() as u32).to_le_bytes(), value.as_bytes()].concat()
}

fn ints(values: &[u32]) -> Vec<u8> {
    let numbers: Vec<u8> =
        values.iter().flat_map(|value| [&b"J"[..], &value.to_le_bytes()].concat()).collect();
    [&b"("[..], &numbers, b"t"].concat()
}

/// The pickle of one tensor in storage "0".
pub(super) fn tensor(class: &str, offset: u8, shape: &[u32], strides: &[u32]) -> Vec<u8> {
    tensor_in(class, "0", offset, shape, strides)
}

pub(super) fn tensor_in(class: &str, key: &str, offset: u8, shape: &[u32], strides: &[u32]) -> Vec<u8> {
    [
        &b"ctorch._utils\n_rebuild_tensor_v2\n(("[..],
        &text("storage"),
        format!("ctorch\n{class}\n").as_bytes(),
        &text(key),
        &text("cpu"),
        b"K\x06tQK",
        &[offset],
        &ints(shape),
        &ints(strides),
        b"\x89ccollections\nOrderedDict\n)RtR",
    ]
    .concat()
}

/// The pickle of a dict with one entry.
pub(super) fn dict(name: &str, value: &[u8]) -> Vec<u8> {
    [&b"}"[..], &text(name), value, b"s"].concat()
}

pub(super) fn pickle(value: &[u8]) -> Vec<u8> {
    [&b"\x80\x02"[..], value, b"."].concat()
}

pub(super) fn saved(pickle: &[u8]) -> Vec<u8> {
    archive(&[
        ("m/data.pkl", pickle),
        ("m/byteorder", b"little"),
        ("m/data/0", &floats(&[0., 1., 2., 3., 4., 5.])),
    ])
}

#[test]
fn strides_offsets_and_wrappers_are_respected() {
    let folder = Folder::new();
    let read = |value: &[u8], shape: &[usize]| {
        let path = folder.file("model.pth", &saved(&pickle(value)));
        Checkpoint::open(&path).unwrap().read("blocks.0.q.weight", shape).unwrap()
    };
    let plain = tensor("FloatStorage", 0, &[2, 3], &[3, 1]);
    assert_eq!(read(&dict(QUERY, &plain), &[2, 3]), [0., 1., 2., 3., 4., 5.]);
    let transposed = tensor("FloatStorage", 0, &[3, 2], &[1, 3]);
    assert_eq!(read(&dict(QUERY, &transposed), &[3, 2]), [0., 3., 1., 4., 2., 5.]);
    let part = tensor("FloatStorage", 2, &[2, 2], &[2, 1]);
    assert_eq!(read(&dict(QUERY, &part), &[2, 2]), [2., 3., 4., 5.]);
    let repeated = tensor("FloatStorage", 5, &[1, 3], &[9, 0]);
    assert_eq!(read(&dict(QUERY, &repeated), &[1, 3]), [5., 5., 5.]);
    for wrapper in ["state_dict", "model", "module", "state_dict_ema", "ema", "params", "weights"] {
        assert_eq!(read(&dict(wrapper, &dict(QUERY, &part)), &[2, 2]), [2., 3., 4., 5.]);
    }
    let parameter = [b"ctorch._utils\n_rebuild_parameter\n(", part.as_slice(), b"\x88NtR"].concat();
    assert_eq!(read(&dict(&format!("module.{QUERY}"), &parameter), &[2, 2]), [2., 3., 4., 5.]);
}

/// A file in the format of PyTorch before 1.6: the state dict, then storages by name.
pub(super) fn legacy_saved(value: &[u8], little_endian: bool, storages: &[(&str, &[f32])]) -> Vec<u8> {
    let facts = dict("little_endian", if little_endian { b"\x88" } else { b"\x89" });
    let names: Vec<u8> = storages.iter().flat_map(|(name, _)| text(name)).collect();
    let mut file = [MAGIC, &pickle(b"M\xe9\x03"), &pickle(&facts), &pickle(value)].concat();
    file.extend(pickle(&[b"](", names.as_slice(), b"e"].concat()));
    for (_, values) in storages {
        file.extend((values.len() as u64).to_le_bytes());
        file.extend(floats(values));
    }
    file
}

#[test]
fn files_of_pytorch_before_1_6_are_read() {
    let folder = Folder::new();
    let first = tensor_in("FloatStorage", "9", 1, &[2], &[1]);
    let second = tensor_in("FloatStorage", "4", 0, &[3], &[1]);
    let state =
        [&b"}("[..], &text(QUERY), &second, &text("beit.embeddings.cls_token"), &first, b"u"].concat();
    let wrapped = dict("state_dict", &state);
    let storages: [(&str, &[f32]); 2] = [("9", &[1., 2., 3.]), ("4", &[4., 5., 6.])];
    let good = legacy_saved(&wrapped, true, &storages);
    let checkpoint = Checkpoint::open(&folder.file("model.pth", &good)).unwrap();
    assert_eq!(checkpoint.read("cls_token", &[2]).unwrap(), [2., 3.]);
    assert_eq!(checkpoint.read("blocks.0.q.weight", &[3]).unwrap(), [4., 5., 6.]);

    let fails = |bytes: &[u8], part: &str| assert_fails(&folder.file("model.pth", bytes), &[part]);
    fails(&legacy_saved(&wrapped, false, &storages), "big-endian");
    fails(&legacy_saved(&wrapped, true, &storages[..1]), "its storage 4 is missing");
    fails(&legacy_saved(&wrapped, true, &[storages[0], ("5", &[])]), "nothing refers to its storage 5");
    fails(&good[..good.len() - 1], "storage 4 extends beyond the end of the file");
    fails(&good[..good.len() - 13], "length of its storage 4 cannot be read");
    // More elements than the address space has.
    let mut long = good.clone();
    let at = long.len() - 12 - 8;
    long[at..at + 8].fill(0xFF);
    fails(&long, "storage 4 extends beyond the end of the file");
    fails(MAGIC, "the protocol version: ");
    // No prefix and no changed byte makes the reader panic.
    for at in 0..good.len() {
        let _ = Checkpoint::open(&folder.file("model.pth", &good[..at]));
        for bit in [1, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= bit;
            let _ = Checkpoint::open(&folder.file("model.pth", &bad));
        }
    }
}

#[test]
fn a_key_chooses_the_state_dict() {
    let folder = Folder::new();
    let first = dict(QUERY, &tensor("FloatStorage", 0, &[2], &[1]));
    let second = dict(QUERY, &tensor("FloatStorage", 2, &[2], &[1]));
    let both = [&b"}("[..], &text("state_dict"), &first, &text("teacher"), &second, b"u"].concat();
    let path = folder.file("model.pth", &saved(&pickle(&both)));
    let read = |key| Checkpoint::open_with(&path, key).unwrap().read("blocks.0.q.weight", &[2]).unwrap();
    assert_eq!((read(None), read(Some("teacher"))), (vec![0., 1.], vec![2., 3.]));
    let message = Checkpoint::open_with(&path, Some("student")).unwrap_err().to_string();
    assert!(message.contains("under the key student, found the keys state_dict, teacher"), "{message}");
    let other = folder.file("model.safetensors", &safetensors_of(&[(QUERY, "F32", &[1], &[0; 4])]));
    assert!(Checkpoint::open_with(&other, Some("x")).unwrap_err().to_string().contains("--key"));
}

#[test]
fn fused_qkv_is_split_into_three_tensors() {
    let checkpoint = Checkpoint::open(&golden("unilm")).unwrap();
    let width = checkpoint.shape("cls_token").unwrap()[2];
    for name in ["q", "k", "v"] {
        assert_eq!(checkpoint.shape(&format!("blocks.3.{name}.weight")).unwrap(), [width, width]);
    }
    let folder = Folder::new();
    let fused = "backbone.blocks.0.attn.qkv.weight";
    for (shape, strides, expected) in
        [([3, 1], [1, 1], [[0.], [1.], [2.]]), ([3, 1], [2, 1], [[0.], [2.], [4.]])]
    {
        let bytes = saved(&pickle(&dict(fused, &tensor("FloatStorage", 0, &shape, &strides))));
        let checkpoint = Checkpoint::open(&folder.file("model.pth", &bytes)).unwrap();
        for (name, values) in ["q", "k", "v"].iter().zip(expected) {
            assert_eq!(checkpoint.read(&format!("blocks.0.{name}.weight"), &[1, 1]).unwrap(), values);
        }
    }
}

#[test]
fn unknown_objects_are_opaque() {
    // os.system("x") is never called: its result is an opaque value.
    let call = [&b"cos\nsystem\n("[..], &text("x"), b"tR}b"].concat();
    let both = [
        &b"}("[..],
        &text("meta"),
        &call,
        &text("state_dict"),
        &dict(QUERY, &tensor("FloatStorage", 0, &[1], &[1])),
        b"u",
    ]
    .concat();
    assert_eq!(state_dict(&pickle(&both)).unwrap().len(), 1);
    assert!(state_dict(&pickle(&call)).unwrap_err().contains("holds an object, not a state dict"));
    assert!(state_dict(&pickle(b"}")).unwrap_err().contains("no tensors"));
    let keys = [&b"}("[..], &text("epoch"), b"K\x03", &text("optimizer"), b"}u"].concat();
    assert!(state_dict(&pickle(&keys)).unwrap_err().contains("found the keys epoch, optimizer"));
    // An object with items is a subclass of a dictionary.
    let subclass =
        [&b"cmy.code\nStateDict\n)\x81"[..], &text(QUERY), &tensor("FloatStorage", 0, &[1], &[1]), b"s"]
            .concat();
    assert_eq!(state_dict(&pickle(&subclass)).unwrap().len(), 1);
}

#[test]
fn damaged_pickles_are_errors() {
    for (bytes, part) in [
        (&b""[..], "truncated"),
        (b"garbage", "its pickle at byte 0"),
        (b"\x80\x09", "protocol 9"),
        (b"\x80\x02h\x01", "memo 1"),
        (b"\x80\x02t", "mark is missing"),
        (b"\x80\x02.", "value is missing"),
        (b"\x80\x02(0", "value is missing"),
        (b"\x80\x02X\xff\xff\xff\xff", "truncated"),
        (b"\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "truncated"),
        (b"\x80\x02NQ", "not a tensor storage"),
        (b"\x80\x02cabc", "truncated"),
    ] {
        let message = state_dict(bytes).unwrap_err();
        assert!(message.contains(part), "{message} lacks {part}");
    }
    // Deep and circular structures need no recursion.
    let deep = pickle(&[b"]".repeat(100_000), b"a".repeat(99_999)].concat());
    assert!(state_dict(&deep).is_err());
    assert!(state_dict(b"\x80\x02}q\x00X\x05\x00\x00\x00modelh\x00s.").is_err());
}

#[test]
fn tensors_outside_their_storage_are_errors() {
    let folder = Folder::new();
    let assert_fails_with = |value: &[u8], parts: &[&str]| {
        assert_fails(&folder.file("model.pth", &saved(&pickle(&dict(QUERY, value)))), parts);
    };
    assert_fails_with(
        &tensor("FloatStorage", 0, &[7], &[1]),
        &[QUERY, "goes beyond its storage of 24 bytes"],
    );
    assert_fails_with(&tensor("FloatStorage", 7, &[0], &[1]), &[QUERY, "goes beyond"]);
    assert_fails_with(&tensor("FloatStorage", 0, &[2, 2], &[5, 1]), &[QUERY, "goes beyond"]);
    assert_fails_with(&tensor("FloatStorage", 0, &[2], &[1, 1]), &["as many strides"]);
    assert_fails_with(&tensor("FloatStorage", 0, &[255; 8], &[0; 8]), &["too large"]);
    assert_fails_with(&tensor("FloatStorage", 0, &[1; 17], &[1; 17]), &["tuple of at most 16 sizes"]);
    assert_fails_with(&tensor("LongStorage", 0, &[1], &[1]), &[QUERY, "LongStorage", "expected F32"]);
}

#[test]
fn damaged_archives_are_errors() {
    let folder = Folder::new();
    let good = pickle(&dict(QUERY, &tensor("FloatStorage", 0, &[6], &[1])));
    let bytes = saved(&good);
    assert!(Checkpoint::open(&folder.file("model.pth", &bytes)).is_ok());
    for length in (0..bytes.len()).step_by(3) {
        assert_fails(&folder.file("model.pth", &bytes[..length]), &[]);
    }
    assert_fails(&folder.file("model.pth", &archive(&[("a.txt", b"x")])), &["without data.pkl"]);
    let two = archive(&[("m/data.pkl", &good), ("n/data.pkl", &good)]);
    assert_fails(&folder.file("model.pth", &two), &["several data.pkl"]);
    assert_fails(&folder.file("model.pth", &archive(&[("m/data.pkl", &good)])), &["m/data/0 in the archive"]);
    let big = archive(&[("m/data.pkl", &good), ("m/byteorder", b"big")]);
    assert_fails(&folder.file("model.pth", &big), &["big-endian"]);
    assert_fails(&folder.file("model.pth", b"hello, world"), &["is not a checkpoint"]);
}

#[test]
fn corrupted_bytes_never_panic() {
    let file = std::fs::File::open(golden("mmseg")).unwrap();
    let mut zip = ZipArchive::new(file).unwrap();
    let mut good = Vec::new();
    zip.by_name("model/data.pkl").unwrap().read_to_end(&mut good).unwrap();
    assert!(state_dict(&good).is_ok());
    for at in (0..good.len()).step_by(61) {
        for value in [0x00, 0x28, 0x52, 0xff, good[at] ^ 1] {
            let mut bad = good.clone();
            bad[at] = value;
            let _ = state_dict(&bad);
        }
        let _ = state_dict(&good[..at]);
    }
    let folder = Folder::new();
    let bytes = saved(&pickle(&dict(QUERY, &tensor("FloatStorage", 0, &[2, 3], &[1, 2]))));
    for at in 0..bytes.len() {
        for value in [0x00, 0x7f, 0xff, bytes[at] ^ 1] {
            let mut bad = bytes.clone();
            bad[at] = value;
            if let Ok(checkpoint) = Checkpoint::open(&folder.file("model.pth", &bad)) {
                for name in checkpoint.names() {
                    let _ = checkpoint.read(name, checkpoint.shape(name).unwrap_or(&[]));
                }
            }
        }
    }
}

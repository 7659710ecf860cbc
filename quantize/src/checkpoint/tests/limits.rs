//! Files at the limits and just beyond them.

use std::time::Instant;

use serde_json::{Map, Value, json};
use zip::write::{FullFileOptions, ZipWriter};

use super::archives::{archive, dict, legacy_saved, pickle, saved, tensor, tensor_in, text};
use super::{Folder, QUERY, assert_fails, floats, safetensors_of};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::limits::*;
use crate::checkpoint::torch::state_dict;

/// Asserts that parsing a pickle ends with this message.
fn assert_message(pickle: &[u8], part: &str) {
    let message = state_dict(pickle).err().unwrap_or_default();
    assert!(message.contains(part), "{message} lacks {part}");
}

const NO_DICT: &str = "holds an object, not a state dict";
const TOO_MANY: &str = "more than 1000000 values and references to values";

#[test]
fn everything_a_pickle_stores_is_counted() {
    let most = MAX_PICKLE_ITEMS;
    let assert_limit = |before: &[u8], repeated: &[u8], count: usize, after: &[u8]| {
        let with = |count| [before, &repeated.repeat(count), after, b"."].concat();
        assert_message(&with(count), NO_DICT);
        assert_message(&with(count + 1), TOO_MANY);
    };
    // Values, entries of the stack, marks, entries of the memo under new keys and old ones.
    assert_limit(b"", b"N", most, b"");
    assert_limit(b"N", b"2", most - 1, b"");
    assert_limit(b"", b"(", most - 1, b"N");
    assert_limit(b"N", b"\x94", most - 1, b"");
    assert_limit(b"N", b"q\x00", most - 1, b"");
    // Values that are removed again; tuples of one; members of a list, one by one and together.
    assert_limit(b"N", b"N0", most - 1, b"");
    assert_limit(b"N", b"\x85", (most - 1) / 2, b"N");
    assert_limit(b"]", b"Na", (most - 1) / 2, b"N");
    assert_limit(b"](", b"N", (most - 2) / 3, b"e0N");
}

/// Copies of a large dictionary and of a list that is no list of pairs: without a limit their time is quadratic.
#[test]
fn copies_are_counted() {
    let ordered_dict = b"ccollections\nOrderedDict\nq\x01";
    for large in [
        [&b"}("[..], &b"NN".repeat(60_000), b"u"].concat(),
        [&b"]("[..], &b"N".repeat(120_000), b"e"].concat(),
    ] {
        let bytes = [&large[..], b"\x85q\x00", ordered_dict, &b"h\x01h\x00R0".repeat(100_000), b"."].concat();
        let started = Instant::now();
        assert_message(&bytes, TOO_MANY);
        assert!(started.elapsed().as_secs() < 10);
    }
}

#[test]
fn text_that_is_not_utf8_is_no_name() {
    let broken = |name: &[u8], value: &[u8]| {
        [&b"}X"[..], &(name.len() as u32).to_le_bytes(), name, value, b"s."].concat()
    };
    let value = tensor("FloatStorage", 0, &[1], &[1]);
    assert_eq!(state_dict(&broken(b"name", &value)).unwrap().len(), 1);
    assert_message(&broken(b"n\xffme", &value), "holds no tensors");
}

/// A dictionary with as many names of one tensor.
fn many_names(count: usize) -> Vec<u8> {
    let names = (0..count).flat_map(|number| [text(&format!("{number:x}")), b"h\x00".to_vec()].concat());
    [tensor("FloatStorage", 0, &[1], &[1]), b"q\x000}(".to_vec(), names.collect(), b"u.".to_vec()].concat()
}

#[test]
fn number_and_names_of_tensors_in_pickles() {
    assert_eq!(state_dict(&many_names(MAX_TENSORS)).unwrap().len(), MAX_TENSORS);
    assert_message(&many_names(MAX_TENSORS + 1), "holds 65537 tensors; expected at most 65536");
    let named = |length| pickle(&dict(&"n".repeat(length), &tensor("FloatStorage", 0, &[1], &[1])));
    assert!(state_dict(&named(512)).is_ok());
    assert_message(&named(513), "a tensor's name has 513 bytes; expected at most 512");
    let stored = |class, key| pickle(&dict(QUERY, &tensor_in(class, key, 0, &[1], &[1])));
    let (most, more) = ("n".repeat(64), "n".repeat(65));
    assert!(state_dict(&stored(&most, &most)).is_ok());
    for (class, key) in [(&more, &most), (&most, &more)] {
        assert_message(&stored(class, key), "the name of its storage has 65 bytes; expected at most 64");
    }
}

/// A long name that a pickle uses for many tensors is not compared as often.
#[test]
fn long_names_do_not_take_quadratic_time() {
    let name = "n".repeat(8 << 20);
    let entries = b"h\x01h\x00".repeat(150_000);
    let bytes =
        [&tensor("FloatStorage", 0, &[1], &[1]), &b"q\x000"[..], &text(&name), b"q\x010}(", &entries, b"u."];
    let started = Instant::now();
    assert_message(&bytes.concat(), "a tensor's name has 8388608 bytes; expected at most 512");
    assert!(started.elapsed().as_secs() < 10);
}

#[test]
fn number_and_names_of_storages_in_files_of_pytorch_before_1_6() {
    let folder = Folder::new();
    let with = |name: &str, count: usize| {
        let state = dict(QUERY, &tensor_in("FloatStorage", name, 0, &[0], &[1]));
        folder.file("model.pth", &legacy_saved(&state, true, &vec![(name, &[][..]); count]))
    };
    assert!(Checkpoint::open(&with(&"n".repeat(MAX_STORAGE_NAME), MAX_STORAGES)).is_ok());
    assert_fails(&with("n", MAX_STORAGES + 1), &["lists 131073 storages; expected at most 131072"]);
    let state = dict(QUERY, &tensor("FloatStorage", 0, &[1], &[1]));
    let long = folder.file("model.pth", &legacy_saved(&state, true, &[(&"n".repeat(65), &[])]));
    assert_fails(&long, &["the name of a storage has 65 bytes; expected at most 64"]);
}

#[test]
fn sizes_of_pickle_and_directory() {
    let folder = Folder::new();
    // Bytes that the pickle removes again.
    let padded = |length: u64| {
        let rest = dict(QUERY, &tensor("FloatStorage", 0, &[1], &[1]));
        let padding = length as usize - 9 - rest.len();
        let bytes = vec![0; padding];
        let padded = [&b"\x80\x02B"[..], &(padding as u32).to_le_bytes(), &bytes, b"0", &rest, b"."].concat();
        folder.file("model.pth", &saved(&padded))
    };
    assert!(Checkpoint::open(&padded(MAX_PICKLE)).is_ok());
    let parts = ["m/data.pkl in the archive has 16777217 bytes; expected at most 16777216"];
    assert_fails(&padded(MAX_PICKLE + 1), &parts);

    let with_directory = |length: u64| {
        let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let mut left = length as usize;
        while left > 0 {
            // No entry takes up more than 64 KiB, and the last one must have room for its header.
            let bytes = if left < 65_000 { left } else { 64_000 };
            let name = format!("{left:010}");
            let comment = "c".repeat(bytes - 46 - name.len());
            let options = FullFileOptions::default().compression_method(zip::CompressionMethod::Stored);
            writer.start_file(name, options.with_file_comment(comment)).unwrap();
            left -= bytes;
        }
        let bytes = writer.finish().unwrap().into_inner();
        assert_eq!(bytes[bytes.len() - 10..][..4], (length as u32).to_le_bytes());
        folder.file("model.pth", &bytes)
    };
    assert_fails(&with_directory(MAX_DIRECTORY), &["without data.pkl"]);
    let parts = ["its zip directory has 8388609 bytes; expected at most 8388608"];
    assert_fails(&with_directory(MAX_DIRECTORY + 1), &parts);

    let with_entries = |count: usize| {
        let names: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &[][..])).collect();
        folder.file("model.pth", &archive(&entries))
    };
    assert_fails(&with_entries(MAX_ENTRIES), &["without data.pkl"]);
    assert_fails(&with_entries(MAX_ENTRIES + 1), &["its zip archive has more than 131072 entries"]);
}

#[test]
fn tensors_that_share_or_spread_over_a_storage() {
    let folder = Folder::new();
    let open = |shape: u32, stride: u32, floats_stored: usize| {
        let value = pickle(&dict(QUERY, &tensor("FloatStorage", 0, &[shape], &[stride])));
        let bytes = archive(&[("m/data.pkl", &value), ("m/data/0", &floats(&vec![1.0; floats_stored]))]);
        (folder.file("model.pth", &bytes), bytes.len())
    };
    // One element that the tensor repeats: four times the file's length, and one more.
    let (_, length) = open(1, 0, 1);
    assert!(Checkpoint::open(&open(length as u32, 0, 1).0).is_ok());
    let found =
        format!("together they have {} bytes; expected at most 4 times the {length} bytes", 4 * length + 4);
    assert_fails(&open(length as u32 + 1, 0, 1).0, &["its tensors overlap", &found]);
    // The first and the last of 32 elements, 16 times as many; and of 33.
    let read = Checkpoint::open(&open(2, 31, 33).0).unwrap().read("blocks.0.q.weight", &[2]);
    assert_eq!(read.unwrap(), [1.0, 1.0]);
    assert_fails(&open(2, 32, 33).0, &[QUERY, "more than 16 times as many elements"]);
}

/// Strides of empty tensors may be any number.
#[test]
fn empty_tensors_with_large_strides() {
    let folder = Folder::new();
    let shape = [3 << 20, 0];
    let bytes = saved(&pickle(&dict(
        "blocks.0.attn.qkv.weight",
        &tensor("FloatStorage", 0, &shape, &[i32::MAX as u32; 2]),
    )));
    let checkpoint = Checkpoint::open(&folder.file("model.pth", &bytes)).unwrap();
    let _ = checkpoint.read("blocks.0.v.weight", &[1 << 20, 0]);
}

/// The text, and spaces up to this length.
fn filled(text: &str, length: u64) -> String {
    text.to_owned() + &" ".repeat(length as usize - text.len())
}

/// A safetensors file with this header and a single value.
fn with_header(header: &str) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 4]].concat()
}

const ONE: &str = r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;

#[test]
fn headers_of_safetensors_files() {
    let folder = Folder::new();
    let fails = |bytes: &[u8], part: &str| assert_fails(&folder.file("model.safetensors", bytes), &[part]);
    let opens = |bytes: &[u8]| assert!(Checkpoint::open(&folder.file("model.safetensors", bytes)).is_ok());
    let padded = |length: u64| with_header(&filled(&format!(r#"{{"{QUERY}":{ONE}}}"#), length));
    opens(&padded(MAX_HEADER));
    fails(&padded(MAX_HEADER + 1), "its safetensors header has 8388609 bytes; expected at most 8388608");

    // Tensors that are not part of the model, empty but for the first.
    let many = |count: usize| {
        let empty = r#"{"dtype":"F32","shape":[0],"data_offsets":[4,4]}"#;
        let ignored: String = (1..count).map(|number| format!(r#","loss.{number}":{empty}"#)).collect();
        with_header(&format!(r#"{{"__metadata__":{{"format":"pt"}},"{QUERY}":{ONE}{ignored}}}"#))
    };
    opens(&many(MAX_TENSORS));
    fails(&many(MAX_TENSORS + 1), "describes 65537 tensors; expected at most 65536");

    let named = |length: usize| {
        let name = format!("loss.{}", "n".repeat(length - 5));
        safetensors_of(&[(QUERY, "F32", &[1], &[0; 4]), (&name, "F32", &[1], &[0; 4])])
    };
    opens(&named(MAX_NAME));
    fails(&named(MAX_NAME + 1), "a name of 513 bytes; expected at most 512");
    let deep = |dimensions| safetensors_of(&[(QUERY, "F32", &vec![1; dimensions], &[0; 4])]);
    opens(&deep(MAX_DIMENSIONS));
    fails(&deep(MAX_DIMENSIONS + 1), "17 dimensions; expected at most 16");
    fails(&with_header(&format!(r#"{{"{QUERY}":{ONE},"{QUERY}":{ONE}}}"#)), "twice");
    fails(&with_header(&format!(r#"{{"{QUERY}":{ONE},"x":{ONE}}}"#)), "header is malformed");
}

#[test]
fn indices_of_sharded_checkpoints() {
    let folder = Folder::new();
    let index = |map: Map<String, Value>| {
        let text = json!({ "weight_map": map }).to_string();
        folder.file("model.safetensors.index.json", text.as_bytes())
    };
    let map = |count: usize, entry: &dyn Fn(usize) -> (String, String)| {
        (0..count).map(entry).map(|(name, file)| (name, Value::String(file))).collect::<Map<_, _>>()
    };
    let missing = "which is missing";
    let tensors = |number: usize| (number.to_string(), "a".to_string());
    assert_fails(&index(map(MAX_TENSORS, &tensors)), &[missing]);
    assert_fails(&index(map(MAX_TENSORS + 1, &tensors)), &["65537 tensors; expected at most 65536"]);
    let files = |number: usize| (number.to_string(), number.to_string());
    assert_fails(&index(map(MAX_SHARDS, &files)), &[missing]);
    assert_fails(&index(map(MAX_SHARDS + 1, &files)), &["257 files; expected at most 256"]);
    let named = |length: usize| map(1, &|_| ("n".repeat(length), "a".to_string()));
    assert_fails(&index(named(MAX_NAME)), &[missing]);
    assert_fails(&index(named(MAX_NAME + 1)), &["expected a name of at most 512 bytes, found 513 bytes"]);
    let file = |length: usize| map(1, &|_| ("n".to_string(), "f".repeat(length)));
    assert_fails(&index(file(MAX_FILE_NAME)), &[missing]);
    assert_fails(&index(file(MAX_FILE_NAME + 1)), &["expected a file in the same folder"]);
    let padded = |length: u64| {
        let text = filled(r#"{"weight_map":{"a":"b"}}"#, length);
        folder.file("model.safetensors.index.json", text.as_bytes())
    };
    assert_fails(&padded(MAX_INDEX), &[missing]);
    assert_fails(&padded(MAX_INDEX + 1), &["has 8388609 bytes; expected at most 8388608"]);
}

#[test]
fn lengths_of_weight_files() {
    let folder = Folder::new();
    // The file has holes: it takes up no space.
    let path = folder.file("model.pth", b"");
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(MAX_FILE).unwrap();
    assert_fails(&path, &["is not a checkpoint"]);
    file.set_len(MAX_FILE + 1).unwrap();
    assert_fails(&path, &["has 68719476737 bytes; expected at most 68719476736"]);
}

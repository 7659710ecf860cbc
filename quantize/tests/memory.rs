//! The peak of the memory that the converter allocates for hostile files: the largest that each of its readers accepts, made
//! of whatever takes the most memory for its length. `docs/LIMITS.md` states the peaks, which this test prints:
//!
//!     cargo test --release -p beitle-quantize --test memory -- --nocapture

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

use beitle::file::format::{Precision, Recipe};
use beitle_quantize::{Options, convert};

/// Counts the bytes that are allocated, and their peak. Memory that moves counts twice while it is copied.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

impl Counting {
    fn add(bytes: usize) {
        PEAK.fetch_max(NOW.fetch_add(bytes, SeqCst) + bytes, SeqCst);
    }
}

// SAFETY: every call is passed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counting::add(layout.size());
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), SeqCst);
        // SAFETY: the caller keeps to the contract of `dealloc`, and `alloc` passes on the system's pointers.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Counting::add(size);
        NOW.fetch_sub(layout.size(), SeqCst);
        // SAFETY: the caller keeps to the contract of `realloc`, and `alloc` passes on the system's pointers.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MIB: usize = 1 << 20;
/// A tensor that identifies a naming scheme: with it, a checkpoint opens.
const QUERY: &str = "beit.layer.0.attention.attention.query.weight";
const ONE: &str = r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;

/// Converts the checkpoint, whose error must contain `part`. Asserts that at most `limit` MiB are allocated.
fn assert_peak(what: &str, checkpoint: &Path, part: &str, limit: usize) {
    let output = checkpoint.with_extension("beitle");
    let (before, started) = (NOW.load(SeqCst), Instant::now());
    PEAK.store(before, SeqCst);
    let mut options = Options::new(checkpoint, output, Precision::F32);
    // What a configuration would say, so that tensors are looked at.
    (options.recipe, options.feature_blocks) = (Some(Recipe::Hf), Some([0, 0, 0, 0]));
    let result = convert(&options, &mut |_| {});
    let peak = PEAK.load(SeqCst) - before;
    let message = result.err().expect("an error").to_string();
    println!(
        "{what:40} {:6.1} MiB {:6.2} s  {message:.100}",
        peak as f64 / MIB as f64,
        started.elapsed().as_secs_f64()
    );
    assert!(message.contains(part), "{what}: {message} lacks {part}");
    assert!(message.len() < 2000, "{what}: a message of {} bytes", message.len());
    assert!(peak <= limit * MIB, "{what}: a peak of {peak} bytes");
}

struct Folder(PathBuf);

impl Folder {
    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in entries {
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn text(text: &str) -> Vec<u8> {
    [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

/// A pickle of 16 MiB: first bytes that it removes again, then this.
fn padded_pickle(content: &[u8]) -> Vec<u8> {
    let padding = 16 * MIB - content.len() - 7;
    [&b"B"[..], &(padding as u32).to_le_bytes(), &vec![0; padding], b"0", content, b"."].concat()
}

/// This many tensors in one storage, with the longest possible shapes, names of classes and names of storages.
fn many_tensors(count: usize) -> Vec<u8> {
    let sizes = [&b"("[..], &b"K\x01".repeat(16), b"t"].concat();
    let key = "k".repeat(64);
    let tensor = [
        &b"ctorch._utils\n_rebuild_tensor_v2\n(("[..],
        &text("storage"),
        &text(&"c".repeat(64)),
        &text(&key),
        b"tQK\0",
        &sizes,
        // Not in row-major order.
        &sizes[..sizes.len() - 2],
        b"\0ttRq\x000",
    ]
    .concat();
    let names =
        (1..count).flat_map(|number| [text(&format!("loss.{number:0>226}")), b"h\x00".to_vec()].concat());
    [&tensor[..], b"}(", &text(QUERY), b"h\x00", &names.collect::<Vec<u8>>(), b"u"].concat()
}

/// A file of PyTorch before 1.6 with this object and these names of storages, and no storage.
fn legacy(object: &[u8], names: &[u8]) -> Vec<u8> {
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    [&magic[..], b"M\xe9\x03.", b"N.", object, b".", names, b"."].concat()
}

fn legacy_files(folder: &Folder) {
    let check = |what: &str, object: &[u8], names: &[u8], part: &str| {
        assert_peak(what, &folder.file("model.pth", &legacy(object, names)), part, 96);
    };
    let tensor = many_tensors(1);
    // One long name, 100,000 times.
    let name = [&text(&"n".repeat(MIB))[..], b"q\x000](", &b"h\x00".repeat(100_000), b"e"].concat();
    check("legacy: a long name", &tensor, &name, "has 1048576 bytes");
    let names = [&text("n")[..], b"q\x000](", &b"h\x00".repeat(300_000), b"e"].concat();
    check("legacy: many names", &tensor, &names, "lists 300000 storages");
    // As much as both pickles may store, one after the other.
    let memo = (0..800_000u32).flat_map(|key| [&b"r"[..], &key.to_le_bytes()].concat()).collect::<Vec<_>>();
    check(
        "legacy: two memos",
        &memo_before(&memo, &many_tensors(20_000)),
        &memo_before(&memo, b"]"),
        "missing",
    );
    let values = memo_before(&b"N0".repeat(900_000), b"]");
    check("legacy: tensors and values", &many_tensors(60_000), &values, "missing");
}

/// A pickle that makes entries of the memo, or values, before its content.
fn memo_before(memo: &[u8], content: &[u8]) -> Vec<u8> {
    [&b"N"[..], memo, b"0", content].concat()
}

fn pickles(folder: &Folder) {
    let pickle = |bytes: &[u8]| {
        let key = format!("m/data/{}", "k".repeat(64));
        folder.file("model.pth", &archive(&[("m/data.pkl", bytes), (&key, &[0; 4])]))
    };
    let memo = (0..999_000u32).flat_map(|key| [&b"r"[..], &key.to_le_bytes()].concat()).collect::<Vec<_>>();
    let no_dict = "holds an object, not a state dict";
    for (what, content) in [
        ("pickle: values", b"N".repeat(999_999)),
        ("pickle: memo", [&b"N"[..], &memo].concat()),
        ("pickle: marks", [b"(".repeat(999_998).as_slice(), b"N"].concat()),
        ("pickle: tuples of one", [&b"N"[..], &b"\x85".repeat(499_999)].concat()),
        ("pickle: lists of one", b"]Na".repeat(333_333)),
        ("pickle: dictionaries of one", [b"}NNs".repeat(199_998).as_slice(), b"0N"].concat()),
        ("pickle: one list", [&b"]("[..], &b"N".repeat(333_332), b"e0N"].concat()),
    ] {
        assert_peak(what, &pickle(&padded_pickle(&content)), no_dict, 96);
    }
    let broken = [&b"X"[..], &(16 * MIB as u32 - 6).to_le_bytes(), &vec![0xff; 16 * MIB - 6], b"."].concat();
    assert_peak("pickle: text that is not UTF-8", &pickle(&broken), no_dict, 96);
    assert_peak("pickle: too many values", &pickle(&vec![b'N'; 16 * MIB]), "more than 1000000", 96);
    let memo = [&b"N"[..], &vec![0x94; 16 * MIB - 1]].concat();
    assert_peak("pickle: too many memo entries", &pickle(&memo), "more than 1000000", 96);
    // Twelve keys of 15 MB, for the message that lists them.
    let key = [&text(&"k".repeat(15 * MIB))[..], b"q\x000}(", &b"h\x00N".repeat(12), b"u"].concat();
    assert_peak("pickle: long keys", &pickle(&padded_pickle(&key)), "found the keys kkk", 96);
    assert_peak("pickle: tensors", &pickle(&padded_pickle(&many_tensors(65_536))), "type Other", 96);
}

fn zip_directory(folder: &Folder) {
    let mut directory = Vec::new();
    for number in 0..131_072 {
        let name = format!("{number:018}");
        directory.extend([&b"PK\x01\x02"[..], &[0; 24], &[18, 0], &[0; 16], name.as_bytes()].concat());
    }
    assert_eq!(directory.len(), 8 * MIB);
    let length = (directory.len() as u32).to_le_bytes();
    let end = [&b"PK\x05\x06"[..], &[0; 8], &length, &[0; 6]].concat();
    let path = folder.file("model.pth", &[directory, end].concat());
    assert_peak("zip directory", &path, "without data.pkl", 64);
}

fn headers(folder: &Folder) {
    let header = |text: &str| {
        let filled = text.to_owned() + &" ".repeat(8 * MIB - text.len());
        let bytes = [&(filled.len() as u64).to_le_bytes(), filled.as_bytes(), &[0; 4]].concat();
        folder.file("model.safetensors", &bytes)
    };
    let mut tensors = format!(r#"{{"{QUERY}":{ONE}"#);
    for number in 1..65_536 {
        let name = format!("loss.{number:0>15}");
        let shape = "0,".repeat(15) + "0";
        write!(tensors, r#","{name}":{{"dtype":"F32","shape":[{shape}],"data_offsets":[4,4]}}"#).unwrap();
    }
    assert_peak("safetensors: tensors", &header(&(tensors + "}")), "cls_token is missing", 96);
    let names = (0..90)
        .fold("{".to_string(), |text, number| text + &format!(r#""{}{number}":{ONE},"#, "n".repeat(90_000)));
    assert_peak(
        "safetensors: names",
        &header(&(names + &format!(r#""":{ONE}}}"#))),
        "expected at most 512",
        96,
    );
    let shape = "0,".repeat(4 * MIB - 100) + "0";
    let shape = format!(r#"{{"x":{{"dtype":"F32","shape":[{shape}],"data_offsets":[0,4]}}}}"#);
    assert_peak("safetensors: a shape", &header(&shape), "expected at most 16", 96);
    let metadata = (0..750_000).fold(String::new(), |text, number| text + &format!(r#""{number:x}":"","#));
    let metadata = format!(r#"{{"__metadata__":{{{metadata}"":""}},"x":{ONE}}}"#);
    assert_peak("safetensors: metadata", &header(&metadata), "no transformer blocks", 96);
}

/// JSON objects of about this length under the key: entries, a list, objects, one string.
fn objects(key: &str, length: usize) -> [(&'static str, String); 4] {
    let entries = (length / 33).min(261_000);
    let entries = (0..entries).fold(String::new(), |text, n| text + &format!(r#""{n:020}":"a.bcd","#));
    let name = "x".repeat(length - 64);
    [
        ("entries", format!(r#"{{"{key}":{{{entries}"":""}}}}"#)),
        ("a list", format!(r#"{{"{key}":[{}0]}}"#, "0,".repeat(262_141))),
        ("objects", format!(r#"{{"{key}":[{}0]}}"#, r#"{"":0},"#.repeat(4_094))),
        ("a string", format!(r#"{{"{key}":"{name}"}}"#)),
    ]
}

fn json_files(folder: &Folder) {
    for (what, text) in objects("weight_map", 8 * MIB) {
        let path = folder.file("model.safetensors.index.json", text.as_bytes());
        assert_peak(&format!("index: {what}"), &path, "weight_map", 96);
    }
    let names = (0..65_536).fold(String::new(), |text, n| text + &format!(r#""{n:0>110}":"a","#));
    let text = format!(r#"{{"weight_map":{{{}}}}}"#, names.trim_end_matches(','));
    let path = folder.file("model.safetensors.index.json", text.as_bytes());
    assert_peak("index: names", &path, "which is missing", 96);
    let header = format!(r#"{{"{QUERY}":{ONE}}}"#);
    let model = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 4]].concat();
    let path = folder.file("model.safetensors", &model);
    for (what, text) in objects("id2label", 4 * MIB) {
        folder.file("config.json", text.as_bytes());
        assert_peak(&format!("config.json: {what}"), &path, "id2label", 64);
    }
    let names = (0..65_535).fold(String::new(), |text, n| text + &format!(r#""{n}":"{n:0>50}","#));
    folder.file("config.json", format!(r#"{{"id2label":{{{}}}}}"#, names.trim_end_matches(',')).as_bytes());
    for (what, text) in objects("size", 4 * MIB) {
        folder.file("preprocessor_config.json", text.as_bytes());
        assert_peak(&format!("preprocessor_config.json: {what}"), &path, "size", 64);
    }
}

/// One test, because the tests of a file run at the same time.
#[test]
fn peaks_of_hostile_files() {
    let folder = Folder(std::env::temp_dir().join(format!("beitle-memory-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).unwrap();
    pickles(&folder);
    legacy_files(&folder);
    zip_directory(&folder);
    headers(&folder);
    json_files(&folder);
}

//! The converter's readers of checkpoints: safetensors, `torch.save` archives and their pickles, indices and configurations.
//! They return errors without control characters, and neither panic nor take much memory or time.

use crate::input::Input;
use beitle::file::crc::crc32;
use beitle_quantize::fuzzing::read_checkpoint;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A tensor that identifies the naming scheme; without one, no checkpoint opens.
pub const QUERY: &str = "beit.encoder.layer.0.attention.attention.query.weight";

/// Which files a checkpoint has, and what the rest of the input is. Each layout has a folder, whose files every run replaces.
#[derive(Clone, Copy)]
pub enum Layout {
    Safetensors,
    /// The JSON of a header. The length before it and the number of values after it are right.
    Header,
    Archive,
    /// A pickle, in an archive with correct checksums.
    Pickle,
    /// The JSON of an index of two shards.
    Index,
    Config,
    Preprocessor,
    /// What follows the magic number of a file of PyTorch before 1.6.
    Legacy,
}

/// The magic number of such a file.
pub const LEGACY_MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

pub const LAYOUTS: [Layout; 8] = [
    Layout::Safetensors,
    Layout::Header,
    Layout::Archive,
    Layout::Pickle,
    Layout::Index,
    Layout::Config,
    Layout::Preprocessor,
    Layout::Legacy,
];

/// A folder of this process. The operating system removes it some time after the process has ended.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("beitle-fuzz-{}", std::process::id()));
        for number in 0..LAYOUTS.len() {
            std::fs::create_dir_all(folder.join(number.to_string())).expect("a folder");
        }
        folder
    })
}

/// A safetensors file with this header and as many values as it describes, up to a limit.
fn safetensors(header: &[u8]) -> Vec<u8> {
    let described = serde_json::from_slice::<serde_json::Value>(header).ok().and_then(|header| {
        let ends = header.as_object()?.values().filter_map(|tensor| tensor["data_offsets"][1].as_u64());
        ends.max()
    });
    let values = (0..described.unwrap_or(0).min(4096)).map(|i| (i % 60) as u8);
    (header.len() as u64).to_le_bytes().into_iter().chain(header.iter().copied()).chain(values).collect()
}

/// A good safetensors file with one tensor of block `block`.
fn good_safetensors(block: usize) -> Vec<u8> {
    let name = QUERY.replace(".0.", &format!(".{block}."));
    safetensors(
        json!({name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}).to_string().as_bytes(),
    )
}

/// An uncompressed zip archive.
pub fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in entries {
        let (start, len) = (file.len() as u32, bytes.len() as u32);
        // Checksum, both sizes, length of the name, no extra field: the same in header and directory.
        let facts = [crc32(bytes), len, len, name.len() as u32].map(u32::to_le_bytes).concat();
        file.extend([b"PK\x03\x04".as_slice(), &[0; 10], &facts, name.as_bytes(), bytes].concat());
        directory.extend([b"PK\x01\x02".as_slice(), &[0; 12], &facts, &[0; 10]].concat());
        directory.extend([start.to_le_bytes().as_slice(), name.as_bytes()].concat());
    }
    let (count, start) = (entries.len() as u16, file.len() as u32);
    file.extend_from_slice(&directory);
    file.extend([b"PK\x05\x06".as_slice(), &[0; 4], &count.to_le_bytes(), &count.to_le_bytes()].concat());
    file.extend([(directory.len() as u32).to_le_bytes(), start.to_le_bytes()].concat());
    file.extend([0; 2]);
    file
}

/// The folder or file to open, after writing the files of the layout.
fn write(layout: Layout, bytes: &[u8]) -> PathBuf {
    let folder = folder().join((layout as usize).to_string());
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).expect("a file");
        path
    };
    match layout {
        Layout::Safetensors => file("model.safetensors", bytes),
        Layout::Header => file("model.safetensors", &safetensors(bytes)),
        Layout::Archive => file("model.pth", bytes),
        Layout::Legacy => file("model.pth", &[LEGACY_MAGIC, bytes].concat()),
        Layout::Pickle => {
            let values: Vec<u8> = (0..512).map(|i| (i % 60) as u8).collect();
            let entries = [("m/data.pkl", bytes), ("m/data/0", &values), ("m/data/1", &values[..24])];
            file("model.pth", &archive(&entries))
        }
        Layout::Index => {
            for block in 0..2 {
                file(&format!("{block}.safetensors"), &good_safetensors(block));
            }
            file("model.safetensors.index.json", bytes)
        }
        Layout::Config | Layout::Preprocessor => {
            let (config, preprocessor): (&[u8], &[u8]) =
                if matches!(layout, Layout::Config) { (bytes, b"{}") } else { (b"{}", bytes) };
            file("config.json", config);
            file("preprocessor_config.json", preprocessor);
            file("model.safetensors", &good_safetensors(0));
            folder
        }
    }
}

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let path = write(LAYOUTS[usize::from(input.u8()) % LAYOUTS.len()], input.0);
    let (tensors, errors) = read_checkpoint(&path, 1 << 16);
    // The scheme and the dimensions of a model come from its tensors, of which these checkpoints have too few.
    assert!(tensors > 0 || !errors.is_empty());
    for error in &errors {
        let message = error.to_string();
        assert!(!message.chars().any(char::is_control), "a control character: {message:?}");
        assert!(message.len() < 4096, "a message of {} bytes", message.len());
    }
}

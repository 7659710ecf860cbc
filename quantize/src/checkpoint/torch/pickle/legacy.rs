//! The pickles at the start of a file in the format of PyTorch before 1.6.

use std::collections::HashMap;

use super::interpret;
use super::machine::Value;
use super::state_dict::{DescribedTensor, storage_names, tensors};

/// The protocol version that all of these files have.
const VERSION: i64 = 1001;

/// What the pickles say.
#[derive(Debug)]
pub(in crate::checkpoint) struct LegacyPickles {
    /// The tensors of the state dict, sorted by name.
    pub tensors: Vec<DescribedTensor>,
    /// The class of each storage, such as `FloatStorage`.
    pub classes: HashMap<String, String>,
    /// The names of the storages, in the order in which their elements follow.
    pub storages: Vec<String>,
    /// Bytes from the start of the file to the end of the pickles.
    pub end: usize,
}

/// Reads the pickles. `bytes` are the start of the file; `key` is that of [`state_dict`](super::state_dict()).
pub(in crate::checkpoint) fn legacy(
    bytes: &[u8],
    magic: &[u8],
    key: Option<&str>,
) -> Result<LegacyPickles, String> {
    let mut end = magic.len();
    let mut next = |what| {
        let rest = bytes.get(end..).unwrap_or(&[]);
        let (machine, root) = interpret::run(rest).map_err(|e| format!("{what}: {e}"))?;
        end += machine.cursor.position();
        Ok::<_, String>((rest, machine, root))
    };
    let (_, machine, root) = next("the protocol version")?;
    if !matches!(machine.value(root), Some(Value::Int(VERSION))) {
        return Err(format!("its protocol version is not {VERSION}"));
    }
    let (text, ..) = next("the facts of the system")?;
    if is_big_endian(text) {
        return Err("was saved on a big-endian machine, which is not supported".into());
    }
    let (_, machine, root) = next("the object")?;
    let found = tensors(&machine, root, key)?;
    let mut classes = HashMap::new();
    for value in machine.values() {
        let Value::Storage { class, key } = value else { continue };
        // `tensors` has refused the tensors whose storages have no valid names.
        if let Ok((class, key)) = storage_names(&machine, *class, *key) {
            classes.insert(key.to_owned(), class.to_owned());
        }
    }
    let (_, machine, root) = next("the names of its storages")?;
    let names = machine.items(root).ok_or("the names of its storages are not a list")?;
    let storages =
        names.iter().map(|name| machine.text(*name).map(str::to_owned)).collect::<Option<Vec<_>>>();
    let storages = storages.ok_or("the name of a storage is not text")?;
    Ok(LegacyPickles { tensors: found, classes, storages, end })
}

/// Whether the pickle of the facts begins with `little_endian: False`: within a few bytes after the word there is a Boolean.
fn is_big_endian(pickle: &[u8]) -> bool {
    const WORD: &[u8] = b"little_endian";
    let after = pickle.windows(WORD.len()).position(|part| part == WORD).map(|at| &pickle[at + WORD.len()..]);
    let boolean = after.and_then(|after| after.iter().take(8).find(|byte| matches!(byte, 0x88 | 0x89)));
    boolean == Some(&0x89)
}

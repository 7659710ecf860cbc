//! The pickles at the start of a file in the format of PyTorch before 1.6.

use std::collections::HashMap;

use super::interpret;
use super::machine::{Machine, Value, ValueId};
use super::state_dict::{DescribedTensor, storage_names, tensors};
use crate::checkpoint::limits::{MAX_STORAGE_NAME, MAX_STORAGES};

/// The protocol version that all of these files have.
const VERSION: i64 = 1001;

/// What the pickles say. Names are borrowed from them: a pickle may use a long one many times.
#[derive(Debug)]
pub(in crate::checkpoint) struct LegacyPickles<'a> {
    /// The tensors of the state dict, sorted by name.
    pub tensors: Vec<DescribedTensor>,
    /// The class of each storage, such as `FloatStorage`.
    pub classes: HashMap<&'a str, &'a str>,
    /// The names of the storages, in the order in which their elements follow.
    pub storages: Vec<&'a str>,
    /// Bytes from the start of the file to the end of the pickles.
    pub end: usize,
}

/// Reads the pickles. `bytes` are the start of the file; `key` is that of [`state_dict`](super::state_dict()).
pub(in crate::checkpoint) fn legacy<'a>(
    bytes: &'a [u8],
    magic: &[u8],
    key: Option<&str>,
) -> Result<LegacyPickles<'a>, String> {
    let mut end = magic.len();
    let mut next = |what| {
        let rest = bytes.get(end..).unwrap_or_default();
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
    // It is run once to find its end, and again after the names of the storages, so that only one of the two machines exists at
    // a time.
    let (object, machine, _) = next("the object")?;
    drop(machine);
    let (_, machine, root) = next("the names of its storages")?;
    let storages = storages(&machine, root)?;
    drop(machine);
    let (machine, root) = interpret::run(object).map_err(|e| format!("the object: {e}"))?;
    let found = tensors(&machine, root, key)?;
    let mut classes = HashMap::new();
    for value in machine.values() {
        let Value::Storage { class, key } = value else { continue };
        // `tensors` has refused the tensors whose storages have no valid names.
        if let Ok((class, key)) = storage_names(&machine, *class, *key) {
            classes.insert(key, class);
        }
    }
    Ok(LegacyPickles { tensors: found, classes, storages, end })
}

/// The list of the storages' names.
fn storages<'a>(machine: &Machine<'a>, root: ValueId) -> Result<Vec<&'a str>, String> {
    let names = machine.items(root).ok_or("the names of its storages are not a list")?;
    if names.len() > MAX_STORAGES {
        return Err(format!("lists {} storages; expected at most {MAX_STORAGES}", names.len()));
    }
    let name = |id: &ValueId| match machine.text(*id) {
        Some(name) if name.len() <= MAX_STORAGE_NAME => Ok(name),
        Some(name) => Err(format!(
            "the name of a storage has {} bytes; expected at most {MAX_STORAGE_NAME}",
            name.len()
        )),
        None => Err("the name of a storage is not text".into()),
    };
    names.iter().map(name).collect()
}

/// Whether the pickle of the facts begins with `little_endian: False`: within a few bytes after the word there is a Boolean.
fn is_big_endian(pickle: &[u8]) -> bool {
    const WORD: &[u8] = b"little_endian";
    let after = pickle.windows(WORD.len()).position(|part| part == WORD).map(|at| &pickle[at + WORD.len()..]);
    let boolean = after.and_then(|after| after.iter().take(8).find(|byte| matches!(byte, 0x88 | 0x89)));
    boolean == Some(&0x89)
}

//! Finds the state dict among a pickle's values and describes its tensors.

use std::collections::BTreeMap;

use super::interpret;
use super::machine::{Machine, Value, ValueId};
use crate::checkpoint::limits::{MAX_DIMENSIONS, MAX_NAME, MAX_STORAGE_NAME, MAX_TENSORS};
use crate::text::excerpt;

/// Keys under which training frameworks nest the state dict, in order of preference.
const WRAPPERS: [&str; 11] = [
    "state_dict",
    "model",
    "module",
    "model_state_dict",
    "model_state",
    "net",
    "params",
    "weights",
    "state_dict_ema",
    "model_ema",
    "ema",
];
/// Upper bound on nested wrappers.
const MAX_WRAPPERS: usize = 4;

/// A tensor as the pickle describes it.
#[derive(Debug, PartialEq)]
pub(in crate::checkpoint) struct DescribedTensor {
    /// Its name in the state dict.
    pub name: String,
    /// Name of its storage in the archive.
    pub key: String,
    /// Class of its storage, such as `FloatStorage`.
    pub class: String,
    /// Index of its first element in the storage.
    pub offset: u64,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Distance in elements between neighbours along each dimension; as many as dimensions.
    pub strides: Vec<usize>,
}

/// The tensors of a pickled state dict, sorted by name: that under `key`, or under one of the usual keys. The error says what is
/// wrong with the pickle.
pub(in crate::checkpoint) fn state_dict(
    bytes: &[u8],
    key: Option<&str>,
) -> Result<Vec<DescribedTensor>, String> {
    let (machine, root) = interpret::run(bytes)?;
    tensors(&machine, root, key)
}

/// The tensors of the state dict in a value of the machine.
pub(super) fn tensors(
    machine: &Machine<'_>,
    root: ValueId,
    key: Option<&str>,
) -> Result<Vec<DescribedTensor>, String> {
    let dict = match key {
        Some(key) => entry(machine, root, key).ok_or_else(|| {
            format!("has no dictionary under the key {}{}", excerpt(key), keys(machine, root))
        })?,
        None => unwrap(machine, root),
    };
    if !matches!(machine.value(dict), Some(Value::Dict(_))) {
        return Err("holds an object, not a state dict; save the model's state_dict() instead".into());
    }
    // Of entries with the same key, the last counts.
    let mut tensors = BTreeMap::new();
    for (key, value) in entries(machine, dict) {
        if let (Some(name), Some(Value::Tensor { .. })) = (machine.text(*key), machine.value(*value)) {
            // Long names are refused before they are compared, which a pickle may ask for many times.
            if name.len() > MAX_NAME {
                return Err(format!("a tensor's name has {} bytes; expected at most {MAX_NAME}", name.len()));
            }
            tensors.insert(name, *value);
        }
    }
    match tensors.len() {
        0 => return Err(format!("holds no tensors; expected a state dict{}", keys(machine, dict))),
        1..=MAX_TENSORS => {}
        found => return Err(format!("holds {found} tensors; expected at most {MAX_TENSORS}")),
    }
    tensors.into_iter().map(|(name, id)| describe(machine, name, id)).collect()
}

/// Follows wrapper dictionaries down to the innermost.
fn unwrap(machine: &Machine<'_>, root: ValueId) -> ValueId {
    let mut dict = root;
    for _ in 0..MAX_WRAPPERS {
        let inner = WRAPPERS.iter().find_map(|name| entry(machine, dict, name));
        match inner {
            Some(inner) => dict = inner,
            None => break,
        }
    }
    dict
}

/// The dictionary under a key of another one; the last, if there are several.
fn entry(machine: &Machine<'_>, dict: ValueId, name: &str) -> Option<ValueId> {
    let mut found = entries(machine, dict).iter().rev().filter(|(key, _)| machine.text(*key) == Some(name));
    let (_, value) = found.next()?;
    Some(*value).filter(|value| matches!(machine.value(*value), Some(Value::Dict(_))))
}

/// The first keys of a dictionary, for a message.
fn keys(machine: &Machine<'_>, dict: ValueId) -> String {
    const SHOWN: usize = 12;
    // Each is cut by itself: together they may be long.
    let names: Vec<_> = entries(machine, dict)
        .iter()
        .filter_map(|(key, _)| machine.text(*key).map(excerpt))
        .take(SHOWN)
        .collect();
    if names.is_empty() { String::new() } else { excerpt(&format!(", found the keys {}", names.join(", "))) }
}

fn entries<'m>(machine: &'m Machine<'_>, dict: ValueId) -> &'m [(ValueId, ValueId)] {
    match machine.value(dict) {
        Some(Value::Dict(entries)) => entries,
        _ => &[],
    }
}

fn describe(machine: &Machine<'_>, name: &str, id: ValueId) -> Result<DescribedTensor, String> {
    let fault = |what: &str| format!("tensor {name}: {what}");
    let Some(Value::Tensor { storage, offset, shape, strides }) = machine.value(id) else {
        return Err(fault("it is not a tensor"));
    };
    let Some(Value::Storage { class, key }) = machine.value(*storage) else {
        return Err(fault("it has no storage"));
    };
    let (class, key) = storage_names(machine, *class, *key).map_err(|e| fault(&e))?;
    let shape = sizes(machine, *shape)
        .ok_or_else(|| fault(&format!("its shape is not a tuple of at most {MAX_DIMENSIONS} sizes")))?;
    let strides = sizes(machine, *strides)
        .ok_or_else(|| fault(&format!("its strides are not a tuple of at most {MAX_DIMENSIONS} sizes")))?;
    if shape.len() != strides.len() {
        return Err(fault("it does not have as many strides as dimensions"));
    }
    let Some(&Value::Int(offset)) = machine.value(*offset) else {
        return Err(fault("its storage offset is not a number"));
    };
    let offset = u64::try_from(offset).map_err(|_| fault("its storage offset is negative"))?;
    let (name, key, class) = (name.to_string(), key.to_string(), class.to_string());
    Ok(DescribedTensor { name, key, class, offset, shape, strides })
}

/// The class, such as `FloatStorage`, and the name of a storage.
pub(super) fn storage_names<'a>(
    machine: &Machine<'a>,
    class: ValueId,
    key: ValueId,
) -> Result<(&'a str, &'a str), String> {
    let class = machine.global(class).map(|(_, name)| name).or_else(|| machine.text(class));
    let (Some(class), Some(key)) = (class, machine.text(key)) else {
        return Err("its storage has no type or no name".into());
    };
    if let Some(long) = [class, key].iter().find(|name| name.len() > MAX_STORAGE_NAME) {
        let found = long.len();
        return Err(format!(
            "the name of its storage has {found} bytes; expected at most {MAX_STORAGE_NAME}"
        ));
    }
    Ok((class.rsplit('.').next().unwrap_or(class), key))
}

/// A tuple of sizes.
fn sizes(machine: &Machine<'_>, id: ValueId) -> Option<Vec<usize>> {
    let items = machine.items(id)?;
    if items.len() > MAX_DIMENSIONS {
        return None;
    }
    items
        .iter()
        .map(|item| match machine.value(*item) {
            Some(Value::Int(value)) => usize::try_from(*value).ok(),
            _ => None,
        })
        .collect()
}

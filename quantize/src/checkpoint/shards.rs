//! The index of a sharded checkpoint: which file holds which tensor.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde_json::{Map, Value};

use super::limits::{MAX_FILE_NAME, MAX_INDEX, MAX_NAME, MAX_SHARDS, MAX_TENSORS};
use crate::error::Error;
use crate::json;
use crate::text::excerpt;

/// Reads an index: file name to the names of the tensors in that file. File names have no folder part.
pub(crate) fn read_index(path: &Path) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let mut index = json::read(path, MAX_INDEX)?;
    let shards = match index.get_mut("weight_map").map(Value::take) {
        Some(Value::Object(map)) => group(map),
        _ => Err("field weight_map: expected a map from tensor names to file names".into()),
    };
    shards.map_err(|what| Error::new(path, what))
}

/// The tensors of each file.
fn group(map: Map<String, Value>) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut shards: BTreeMap<String, Vec<String>> = BTreeMap::new();
    if map.len() > MAX_TENSORS {
        return Err(format!("field weight_map: {} tensors; expected at most {MAX_TENSORS}", map.len()));
    }
    for (tensor, file) in map {
        let fault = |expected: &str, found: &str| {
            let (tensor, found) = (excerpt(&tensor), excerpt(found));
            Err(format!("field weight_map, tensor {tensor}: expected {expected}, found {found}"))
        };
        if tensor.len() > MAX_NAME {
            return fault(&format!("a name of at most {MAX_NAME} bytes"), &format!("{} bytes", tensor.len()));
        }
        let Value::String(file) = file else {
            return fault("the name of a file", &file.to_string());
        };
        let mut parts = Path::new(&file).components();
        if file.len() > MAX_FILE_NAME
            || !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
        {
            return fault("a file in the same folder", &format!("{file:?}"));
        }
        shards.entry(file).or_default().push(tensor);
    }
    if shards.len() > MAX_SHARDS {
        return Err(format!("field weight_map: {} files; expected at most {MAX_SHARDS}", shards.len()));
    }
    if shards.is_empty() {
        return Err("field weight_map is empty; expected a map from tensor names to file names".into());
    }
    Ok(shards)
}

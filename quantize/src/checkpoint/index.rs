//! The index of a checkpoint in several files: which file holds which tensor.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde_json::Value;

use crate::error::Error;

/// Indices are small; anything longer is something else.
const LONGEST: u64 = 64 << 20;

/// File name to the names of the tensors in it.
pub(super) fn shards(path: &Path) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let wrong = |what: String| Error::new(path, what);
    let bytes = std::fs::metadata(path).map_err(|e| Error::io(path, "cannot read", e))?.len();
    if bytes > LONGEST {
        return Err(wrong(format!("is no index: {bytes} bytes, expected at most {LONGEST}")));
    }
    let text = std::fs::read(path).map_err(|e| Error::io(path, "cannot read", e))?;
    let json: Value = serde_json::from_slice(&text).map_err(|e| wrong(format!("is not JSON: {e}")))?;
    let Some(map) = json.get("weight_map").and_then(Value::as_object) else {
        return Err(wrong("field weight_map: expected tensor names with file names".into()));
    };
    let mut shards: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (tensor, file) in map {
        let Some(file) = file.as_str() else {
            return Err(wrong(format!(
                "field weight_map, tensor {tensor}: expected the name of a file, found {file}"
            )));
        };
        let mut parts = Path::new(file).components();
        if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
            return Err(wrong(format!(
                "field weight_map, tensor {tensor}: expected a file in the same folder, found {file:?}"
            )));
        }
        shards.entry(file.to_string()).or_default().push(tensor.clone());
    }
    if shards.is_empty() {
        return Err(wrong("field weight_map is empty; expected tensor names with file names".into()));
    }
    Ok(shards)
}

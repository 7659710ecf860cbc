//! The index of a sharded checkpoint: which file holds which tensor.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde_json::Value;

use crate::error::Error;

/// Upper bound on an index's length in bytes, far above any real one.
const MAX_BYTES: u64 = 64 << 20;

/// Reads an index: file name to the names of the tensors in that file. File names have no folder part.
pub(super) fn read_index(path: &Path) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let wrong = |what: String| Error::new(path, what);
    let bytes = std::fs::metadata(path).map_err(|e| Error::io(path, "cannot read", e))?.len();
    if bytes > MAX_BYTES {
        return Err(wrong(format!("is not an index: {bytes} bytes, expected at most {MAX_BYTES}")));
    }
    let text = std::fs::read(path).map_err(|e| Error::io(path, "cannot read", e))?;
    let json: Value = serde_json::from_slice(&text).map_err(|e| wrong(format!("is not JSON: {e}")))?;
    let Some(map) = json.get("weight_map").and_then(Value::as_object) else {
        return Err(wrong("field weight_map: expected a map from tensor names to file names".into()));
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
        return Err(wrong(
            "field weight_map is empty; expected a map from tensor names to file names".into(),
        ));
    }
    Ok(shards)
}

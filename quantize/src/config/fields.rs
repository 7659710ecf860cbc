//! Fields of a JSON file, with errors that name file, field and what was expected. Null counts as absent.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::Error;

/// Configurations are small; anything longer is something else.
const LONGEST: u64 = 16 << 20;
/// The longest side of a picture, in pixels.
const SIDE: usize = 65_536;

/// A JSON file's outermost object.
pub(super) struct Fields {
    path: PathBuf,
    map: Map<String, Value>,
}

impl Fields {
    /// Reads a file; `None` if there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Fields>, Error> {
        match std::fs::metadata(path) {
            Ok(about) if about.len() > LONGEST => {
                return Err(Error::new(
                    path,
                    format!("has {} bytes; expected at most {LONGEST}", about.len()),
                ));
            }
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(path, "cannot read", e)),
        }
        let text = std::fs::read(path).map_err(|e| Error::io(path, "cannot read", e))?;
        match serde_json::from_slice(&text) {
            Ok(Value::Object(map)) => Ok(Some(Fields { path: path.to_path_buf(), map })),
            Ok(_) => Err(Error::new(path, "is no JSON object; expected fields with values")),
            Err(e) => Err(Error::new(path, format!("is not JSON: {e}"))),
        }
    }

    /// The field is not what it must be.
    pub(super) fn wrong(&self, name: &str, expected: &str, found: impl Display) -> Error {
        Error::new(&self.path, format!("field {name}: expected {expected}, found {found}"))
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// The field as `convert` sees it.
    fn typed<'a, T>(
        &'a self,
        name: &str,
        expected: &str,
        convert: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => convert(value).map(Some).ok_or_else(|| self.wrong(name, expected, value)),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Error> {
        self.typed(name, "a string", Value::as_str)
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Error> {
        self.typed(name, "true or false", Value::as_bool)
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, Error> {
        self.typed(name, "a number", |value| value.as_f64().filter(|value| value.is_finite()))
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<&Map<String, Value>>, Error> {
        self.typed(name, "an object", Value::as_object)
    }

    pub(super) fn count(&self, name: &str, range: RangeInclusive<usize>) -> Result<Option<usize>, Error> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.typed(name, &expected, |value| count(value, &range))
    }

    pub(super) fn counts(
        &self,
        name: &str,
        range: RangeInclusive<usize>,
    ) -> Result<Option<Vec<usize>>, Error> {
        let expected = format!("a list of whole numbers from {} to {}", range.start(), range.end());
        self.typed(name, &expected, |value| {
            value.as_array().filter(|list| !list.is_empty())?.iter().map(|item| count(item, &range)).collect()
        })
    }

    pub(super) fn triple(&self, name: &str) -> Result<Option<[f64; 3]>, Error> {
        self.typed(name, "three numbers", |value| {
            let list: Option<Vec<f64>> = value.as_array()?.iter().map(Value::as_f64).collect();
            list?.try_into().ok()
        })
    }

    /// The side of a square: a number, or two equal ones.
    pub(super) fn side(&self, name: &str) -> Result<Option<usize>, Error> {
        self.typed(name, "a whole number, or two equal ones", |value| match value.as_array() {
            None => count(value, &(1..=SIDE)),
            Some(list) => match list.as_slice() {
                [a, b] if a == b => count(a, &(1..=SIDE)),
                _ => None,
            },
        })
    }

    /// Width and height: a number, `{height, width}`, or `{shortest_edge}`, which is taken as both.
    pub(super) fn size(&self, name: &str) -> Result<Option<(usize, usize)>, Error> {
        self.typed(name, "a whole number, {height, width} or {shortest_edge}", |value| {
            let part = |part: &str| count(value.get(part)?, &(1..=SIDE));
            let square = count(value, &(1..=SIDE)).or_else(|| part("shortest_edge")).map(|side| (side, side));
            square.or_else(|| Some((part("width")?, part("height")?)))
        })
    }
}

/// A whole number in the range; Python sometimes writes one as `2.0`.
fn count(value: &Value, range: &RangeInclusive<usize>) -> Option<usize> {
    let whole = value.as_u64().or_else(|| {
        value.as_f64().filter(|v| v.fract() == 0.0 && (0.0..=u32::MAX.into()).contains(v)).map(|v| v as u64)
    });
    usize::try_from(whole?).ok().filter(|value| range.contains(value))
}

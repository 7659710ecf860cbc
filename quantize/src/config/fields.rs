//! Typed access to the fields of a JSON file. Errors name the file, the field and the expected type; null counts as
//! absent.

use std::fmt::Display;
use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::Error;
use crate::json;
use crate::text::excerpt;

/// Upper bound on a configuration's length in bytes: room for the names of 65,535 classes in both of its tables.
const MAX_BYTES: u64 = 4 << 20;
/// Upper bound on the side of a picture, in pixels: that of weight files.
const MAX_SIDE: usize = beitle::file::tensors::MAX_DIMENSION as usize;

/// The top-level object of a JSON file.
pub(super) struct Fields {
    path: PathBuf,
    /// The path of a nested object, with a point at its end.
    prefix: String,
    map: Map<String, Value>,
}

impl Fields {
    /// Reads a file; `None` if it does not exist.
    pub(super) fn read(path: &Path) -> Result<Option<Fields>, Error> {
        match json::read(path, MAX_BYTES) {
            Ok(Value::Object(map)) => {
                Ok(Some(Fields { path: path.to_path_buf(), prefix: String::new(), map }))
            }
            Ok(_) => Err(Error::new(path, "is not a JSON object")),
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The object in a field; the names of its fields begin with that field's.
    pub(super) fn nested(&self, name: &str) -> Result<Option<Fields>, Error> {
        let map = self.object(name)?.cloned();
        Ok(map.map(|map| Fields { path: self.path.clone(), prefix: format!("{}{name}.", self.prefix), map }))
    }

    /// The error for a field with an unexpected value.
    pub(super) fn wrong(&self, name: &str, expected: &str, found: impl Display) -> Error {
        let found = excerpt(&found.to_string());
        Error::new(&self.path, format!("field {}{name}: expected {expected}, found {found}", self.prefix))
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// The field, converted; an error if `convert` rejects its value, `None` if it is absent.
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

    /// A number in the range of `f32`, as which weight files store it.
    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, Error> {
        self.typed(name, "a number in the range of f32", number)
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<&Map<String, Value>>, Error> {
        self.typed(name, "an object", Value::as_object)
    }

    /// A whole number in a range.
    pub(super) fn count(&self, name: &str, range: RangeInclusive<usize>) -> Result<Option<usize>, Error> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.typed(name, &expected, |value| count(value, &range))
    }

    /// A list of 1 to `length` whole numbers in a range.
    pub(super) fn counts(
        &self,
        name: &str,
        length: usize,
        range: RangeInclusive<usize>,
    ) -> Result<Option<Vec<usize>>, Error> {
        let expected =
            format!("a list of 1 to {length} whole numbers from {} to {}", range.start(), range.end());
        self.typed(name, &expected, |value| {
            let list = value.as_array().filter(|list| (1..=length).contains(&list.len()))?;
            list.iter().map(|item| count(item, &range)).collect()
        })
    }

    /// A list of strings.
    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<&str>>, Error> {
        self.typed(name, "a list of strings", |value| value.as_array()?.iter().map(Value::as_str).collect())
    }

    /// A list of 1 to `length` whole numbers from −`most` to `most`.
    pub(super) fn indices(&self, name: &str, length: usize, most: usize) -> Result<Option<Vec<i64>>, Error> {
        let expected = format!("a list of 1 to {length} whole numbers from -{most} to {most}");
        self.typed(name, &expected, |value| {
            let list = value.as_array().filter(|list| (1..=length).contains(&list.len()))?;
            list.iter().map(|item| item.as_i64().filter(|i| i.unsigned_abs() <= most as u64)).collect()
        })
    }

    /// Whether a size keeps the ratio of the sides: `{shortest_edge}`.
    pub(super) fn keeps_ratio(&self, name: &str) -> bool {
        self.has_part(name, "shortest_edge")
    }

    /// Whether a size has a part of this name that is not null.
    pub(super) fn has_part(&self, name: &str, part: &str) -> bool {
        self.get(name).and_then(|size| size.get(part)).is_some_and(|value| !value.is_null())
    }

    /// A number for each channel of a picture, one for all, or a list of equal numbers, which stand for any number of channels.
    pub(super) fn per_channel(&self, name: &str, channels: usize) -> Result<Option<Vec<f64>>, Error> {
        let expected = format!("{channels} numbers in the range of f32, one for each channel");
        self.typed(name, &expected, |value| {
            if let Some(one) = number(value) {
                return Some(vec![one; channels]);
            }
            let list: Vec<f64> = value.as_array()?.iter().map(number).collect::<Option<_>>()?;
            let first = *list.first()?;
            match list.len() {
                n if n == channels => Some(list),
                1 | 3 if list.iter().all(|x| *x == first) => Some(vec![first; channels]),
                _ => None,
            }
        })
    }

    /// The side of a square: a number, or two equal ones.
    pub(super) fn side(&self, name: &str) -> Result<Option<usize>, Error> {
        self.typed(name, "a whole number, or two equal ones", |value| match value.as_array() {
            None => count(value, &(1..=MAX_SIDE)),
            Some(list) => match list.as_slice() {
                [a, b] if a == b => count(a, &(1..=MAX_SIDE)),
                _ => None,
            },
        })
    }

    /// Width and height of a model's input: a number for both, or the list of height and width.
    pub(super) fn input_size(&self, name: &str) -> Result<Option<(usize, usize)>, Error> {
        self.typed(name, "a whole number, or height and width", |value| {
            let side = |value| count(value, &(1..=MAX_SIDE));
            match value.as_array().map(Vec::as_slice) {
                None => side(value).map(|side| (side, side)),
                Some([height, width]) => Some((side(width)?, side(height)?)),
                Some(_) => None,
            }
        })
    }

    /// Width and height: a number for both, `{height, width}`, or `{shortest_edge}` for both.
    pub(super) fn size(&self, name: &str) -> Result<Option<(usize, usize)>, Error> {
        self.typed(name, "a whole number, {height, width} or {shortest_edge}", |value| {
            let part = |part: &str| count(value.get(part)?, &(1..=MAX_SIDE));
            let square =
                count(value, &(1..=MAX_SIDE)).or_else(|| part("shortest_edge")).map(|side| (side, side));
            square.or_else(|| Some((part("width")?, part("height")?)))
        })
    }
}

/// A number that is finite as `f32`.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().filter(|value| (*value as f32).is_finite())
}

/// A whole number in a range, also in the form `2.0`, which Python sometimes writes.
fn count(value: &Value, range: &RangeInclusive<usize>) -> Option<usize> {
    let whole = value.as_u64().or_else(|| {
        value.as_f64().filter(|v| v.fract() == 0.0 && (0.0..=u32::MAX.into()).contains(v)).map(|v| v as u64)
    });
    usize::try_from(whole?).ok().filter(|value| range.contains(value))
}

//! The arguments of a segmentation: checked, and turned into views, labels and the arrays that the engine writes.

use crate::arrays::{Access, Registered, private_view};
use crate::errors::{self, value, wrong_type};
use crate::image::Image;
use beitle::Facts;
use beitle::Model;
use beitle::image::check_size;
use beitle::output::{ClassMap, ClassMapMut};
use beitle::views::{MAX_SCALES, Mode, Views};
use numpy::{Element, PyArray2, PyArrayDescrMethods, PyArrayMethods, PyReadwriteArray2, PyUntypedArray};
use numpy::{PyUntypedArrayMethods, dtype};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyMapping, PyString};

/// The views that `mode`, `flip` and `scales` describe.
pub fn views(facts: &Facts, mode: &str, flip: bool, scales: Option<&Bound<'_, PyAny>>) -> PyResult<Views> {
    let mode = match mode {
        "default" => Views::of(facts).mode(),
        "whole" => Mode::Whole,
        "slide" => Mode::Slide,
        "native" => Mode::Native,
        _ => {
            let what = format!("expected \"default\", \"whole\", \"slide\" or \"native\", got {mode:?}");
            return Err(value("mode", what));
        }
    };
    let views = Views::new(mode).with_flip(flip);
    let Some(scales) = scales else { return Ok(views) };
    let ratios = if scales.is_instance_of::<PyString>() {
        match scales.extract::<String>()?.as_str() {
            "published" => Views::PUBLISHED_SCALES.to_vec(),
            _ => return Err(value("scales", "expected numbers, or \"published\"")),
        }
    } else {
        let numbers = scales.extract::<Vec<f64>>();
        numbers.map_err(|_| wrong_type("scales", "a sequence of numbers, or \"published\"", scales))?
    };
    if ratios.is_empty() || ratios.len() > MAX_SCALES {
        return Err(value(
            "scales",
            format_args!("expected 1 to {MAX_SCALES} numbers, got {}", ratios.len()),
        ));
    }
    views.with_scales(&ratios).map_err(|e| value("scales", e))
}

/// The (width, height) that the argument `size`, (height, width), describes.
pub fn size(argument: &Bound<'_, PyAny>) -> PyResult<(usize, usize)> {
    let sides = argument.try_iter().and_then(|sides| sides.take(3).map(|side| side?.extract()).collect());
    let [height, width] = sides.unwrap_or_else(|_| Vec::<i64>::new())[..] else {
        return Err(wrong_type("size", "a pair (height, width) of integers", argument));
    };
    let number = |side: i64| usize::try_from(side).unwrap_or(0);
    let size = (number(width), number(height));
    check_size(size.0, size.1).map_err(|e| value("size", format_args!("({height}, {width}): {e}")))?;
    Ok(size)
}

/// A probability in units of 1/255, rounded up: pixels with a lower confidence are unknown.
pub fn min_confidence(probability: Option<f64>) -> PyResult<u8> {
    match probability {
        None => Ok(0),
        Some(p) if (0.0..=1.0).contains(&p) => Ok((255.0 * p).ceil() as u8),
        Some(p) => Err(value("min_confidence", format_args!("expected a number from 0 to 1, got {p}"))),
    }
}

/// What the map holds for each class: a number for every class, or a mapping from names or numbers of classes to numbers, 0 for
/// all others.
pub fn labels(model: &Model<'_>, argument: &Bound<'_, PyAny>) -> PyResult<Vec<u16>> {
    let classes = model.facts().classes;
    let number = |label: &Bound<'_, PyAny>| {
        let expected = format!("an integer from 0 to {} for each class", u16::MAX);
        label.extract::<u16>().map_err(|_| value("labels", format_args!("expected {expected}, got {label}")))
    };
    if let Ok(mapping) = argument.cast::<PyMapping>() {
        let mut labels = vec![0; classes];
        for entry in mapping.items()?.iter() {
            let (class, label) = entry.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
            let index = if class.is_instance_of::<PyString>() {
                let name = class.extract::<String>()?;
                model.class_names().position(|n| n.eq_ignore_ascii_case(&name))
            } else {
                class.extract::<usize>().ok().filter(|index| *index < classes)
            };
            let unknown = || value("labels", format_args!("{} is not a class of the model", repr(&class)));
            labels[index.ok_or_else(unknown)?] = number(&label)?;
        }
        return Ok(labels);
    }
    if argument.is_instance_of::<PyString>() || argument.try_iter().is_err() {
        return Err(wrong_type(
            "labels",
            "a mapping of classes to integers, or a sequence of integers",
            argument,
        ));
    }
    let labels =
        argument.try_iter()?.take(classes + 1).map(|label| number(&label?)).collect::<PyResult<Vec<_>>>()?;
    if labels.len() != classes {
        let found = if labels.len() < classes { labels.len().to_string() } else { "more".into() };
        return Err(value(
            "labels",
            format_args!("expected {classes} numbers, one for each class, got {found}"),
        ));
    }
    Ok(labels)
}

fn repr(object: &Bound<'_, PyAny>) -> String {
    object.repr().map_or_else(|_| "this key".into(), |text| text.to_string())
}

/// Whether a map needs 16 bits for a pixel. 255 stands for unknown pixels in a map of bytes.
pub fn needs_u16(classes: usize, labels: &[u16], min_confidence: u8) -> bool {
    let known = labels.iter().filter(|label| **label != ClassMap::UNKNOWN);
    let values =
        if labels.is_empty() { classes } else { known.max().map_or(0, |most| usize::from(*most) + 1) };
    let may_be_unknown = min_confidence > 0 || labels.contains(&ClassMap::UNKNOWN);
    values > if may_be_unknown { 255 } else { 256 }
}

/// An array `[height, width]` that the engine writes.
pub enum Map<'py> {
    /// `uint8`.
    U8(PyReadwriteArray2<'py, u8>),
    /// `uint16`.
    U16(PyReadwriteArray2<'py, u16>),
}

impl<'py> Map<'py> {
    /// A new array of zeros. Nobody else knows it yet.
    pub fn new(py: Python<'py>, size: (usize, usize), wide: bool) -> PyResult<(Self, Bound<'py, PyAny>)> {
        let shape = (size.1, size.0);
        let array = if wide { zeros::<u16>(py, shape)? } else { zeros::<u8>(py, shape)? };
        let map = match wide {
            true => Map::U16(array.cast::<PyArray2<u16>>()?.try_readwrite()?),
            false => Map::U8(array.cast::<PyArray2<u8>>()?.try_readwrite()?),
        };
        Ok((map, array))
    }

    /// The array `out` of the caller, for the map of `image`, and the entry of its memory.
    pub fn of_caller(
        out: &Bound<'py, PyAny>,
        size: (usize, usize),
        image: &Image<'_>,
    ) -> PyResult<(Self, Registered)> {
        let py = out.py();
        let array = out.cast::<PyUntypedArray>().map_err(|_| wrong_type("out", "a NumPy array", out))?;
        let array = &private_view(array)?;
        let found = array.dtype();
        if found.is_equiv_to(&dtype::<u8>(py)) {
            borrow(array, size, image).map(|(array, registered)| (Map::U8(array), registered))
        } else if found.is_equiv_to(&dtype::<u16>(py)) {
            borrow(array, size, image).map(|(array, registered)| (Map::U16(array), registered))
        } else {
            let what = format!("out: expected an array of dtype uint8 or uint16, got {found}");
            Err(PyTypeError::new_err(what))
        }
    }

    /// The map for the engine.
    pub fn view(&mut self) -> PyResult<ClassMapMut<'_>> {
        Ok(match self {
            Map::U8(array) => ClassMapMut::U8(array.as_slice_mut()?),
            Map::U16(array) => ClassMapMut::U16(array.as_slice_mut()?),
        })
    }
}

/// Borrows the argument `out` for writing.
fn borrow<'py, T: Element>(
    array: &Bound<'py, PyUntypedArray>,
    (width, height): (usize, usize),
    image: &Image<'_>,
) -> PyResult<(PyReadwriteArray2<'py, T>, Registered)> {
    if array.shape() != [height, width] {
        let shape = array.as_any().getattr("shape")?;
        let what = format_args!("expected an array of shape ({height}, {width}), got {shape}");
        return Err(value("out", what));
    }
    let flags = array.as_any().getattr("flags")?;
    for (flag, expected) in
        [("writeable", "writeable"), ("c_contiguous", "C-contiguous"), ("aligned", "aligned")]
    {
        if !flags.getattr(flag)?.is_truthy()? {
            return Err(value("out", format_args!("expected a {expected} array")));
        }
    }
    let array = array.cast::<PyArray2<T>>()?;
    let start = array.data().addr();
    let memory = start..start + width * height * size_of::<T>();
    if image.overlaps(&memory) {
        return Err(value("out", "the array overlaps the argument image"));
    }
    let in_use = || value("out", "the array is in use by another call");
    let registered = Registered::new(memory, Access::Write).ok_or_else(in_use)?;
    Ok((array.try_readwrite().map_err(|_| in_use())?, registered))
}

/// A new array of zeros. NumPy's own function, because it raises `MemoryError` where there is not enough memory.
pub fn zeros<'py, T: Element>(py: Python<'py>, shape: impl IntoPyObject<'py>) -> PyResult<Bound<'py, PyAny>> {
    py.import("numpy")?.call_method1("zeros", (shape, dtype::<T>(py)))
}

/// Memory for `len` values.
pub fn memory<T: Clone + Default>(len: usize) -> PyResult<Vec<T>> {
    beitle_pictures::zeroed(len).map_err(|_| errors::memory(len.saturating_mul(size_of::<T>())))
}

//! What Python calls an image: a NumPy array, an object that NumPy can read, such as one of Pillow, or the path of a file. Out:
//! pixels for the engine. The pixels of an array are read where they are, unless those of a row are not contiguous.

use crate::arrays::{Access, Registered, private_view};
use crate::errors::{self, wrong_type};
use beitle::image::{ImageView, PixelFormat, check_size};
use beitle_pictures::Limits;
use numpy::{PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, dtype};
use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Pixels, and how they are arranged.
pub struct Image<'py> {
    pixels: Pixels<'py>,
    width: usize,
    height: usize,
    /// Bytes from one row to the next.
    stride: usize,
    format: PixelFormat,
}

enum Pixels<'py> {
    /// Borrowed from Python: no other run writes to its memory meanwhile.
    Array(PyReadonlyArrayDyn<'py, u8>, Registered),
    /// Decoded from a file.
    Decoded(Vec<u8>),
}

impl<'py> Image<'py> {
    /// The image `image` for a model whose pictures have `channels` channels. `bgr`: the array has blue first.
    pub fn new(image: &Bound<'py, PyAny>, channels: usize, bgr: bool) -> PyResult<Self> {
        if let Some(path) = path_of(image)? {
            return Image::load(image.py(), &path, channels);
        }
        let array = match image.cast::<PyUntypedArray>() {
            Ok(array) => array.clone(),
            Err(_) => as_array(image, channels)?,
        };
        Image::of_array(&array, channels, bgr)
    }

    fn load(py: Python<'py>, path: &Path, channels: usize) -> PyResult<Self> {
        let load = || {
            let picture = beitle_pictures::load(path, &Limits::default())?;
            let pixels = match channels {
                3 => None,
                _ => Some(picture.with_channels(channels)?.into_owned()),
            };
            Ok((picture.width, picture.height, pixels.unwrap_or(picture.rgb)))
        };
        let (width, height, pixels) = py.detach(load).map_err(|e| errors::picture(path, &e))?;
        let format = PixelFormat::of_channels(channels);
        Ok(Image { pixels: Pixels::Decoded(pixels), width, height, stride: width * format.bytes(), format })
    }

    fn of_array(array: &Bound<'py, PyUntypedArray>, channels: usize, bgr: bool) -> PyResult<Self> {
        let py = array.py();
        let array = &private_view(array)?;
        if !array.dtype().is_equiv_to(&dtype::<u8>(py)) {
            let found = array.dtype();
            let what = format!("image: expected an array of dtype uint8 (values from 0 to 255), got {found}");
            return Err(PyTypeError::new_err(what));
        }
        let shape = array.shape();
        let (height, width, depth) = match *shape {
            [height, width] => (height, width, 1),
            [height, width, depth] => (height, width, depth),
            _ => return Err(wrong_shape(shape, channels)),
        };
        let format = format(channels, depth, bgr).ok_or_else(|| wrong_shape(shape, channels))?;
        check_size(width, height).map_err(|e| errors::value("image", e))?;
        let mut array = array.cast::<PyArrayDyn<u8>>()?.clone();
        if row_stride(&array, [height, width, depth]).is_none() {
            array = py.import("numpy")?.call_method1("ascontiguousarray", (array,))?.cast_into()?;
        }
        let stride = row_stride(&array, [height, width, depth]).unwrap_or(width * depth);
        let in_use = || {
            errors::value(
                "image",
                "another call writes to this array; an image must not change while it is read",
            )
        };
        let start = array.data().addr();
        let memory = start..start + bytes(width, height, stride, format);
        let registered = Registered::new(memory, Access::Read).ok_or_else(in_use)?;
        let borrowed = array.try_readonly().map_err(|_| in_use())?;
        Ok(Image { pixels: Pixels::Array(borrowed, registered), width, height, stride, format })
    }

    /// Whether some of its pixels, or bytes between its rows, are in `memory`, a range of addresses.
    pub fn overlaps(&self, memory: &Range<usize>) -> bool {
        match &self.pixels {
            Pixels::Array(_, registered) => registered.overlaps(memory),
            Pixels::Decoded(_) => false,
        }
    }

    /// Width and height.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// The image for the engine.
    pub fn view(&self) -> PyResult<ImageView<'_>> {
        let bytes = match &self.pixels {
            Pixels::Decoded(bytes) => bytes,
            Pixels::Array(array, _) => {
                let len = bytes(self.width, self.height, self.stride, self.format);
                // SAFETY: `row_stride` has found that the array has `height` rows of `width` pixels, whose bytes are contiguous,
                // `stride` bytes apart in ascending order. They lie in the memory of the array, as do the bytes between two rows,
                // and NumPy keeps that memory as long as there is a reference to the array, such as `array`, which is borrowed as
                // long as the slice. `array` is a private view, so that its shape is still what `row_stride` has seen. The bytes
                // are registered, hence no other run writes to them meanwhile. Python code must not write to them either, as the
                // documentation of `Model` says; the same holds for NumPy's own functions that release Python's lock. The bytes
                // are read only while pixels are resized, and any value is valid.
                unsafe { std::slice::from_raw_parts(array.data().cast_const(), len) }
            }
        };
        ImageView::new(bytes, self.width, self.height, self.stride, self.format)
            .map_err(|e| errors::value("image", e))
    }
}

/// The length of an image in memory, from its first pixel to its last.
fn bytes(width: usize, height: usize, stride: usize, format: PixelFormat) -> usize {
    (height - 1) * stride + width * format.bytes()
}

/// The path that an argument names, if it is a string or a path.
pub fn path_of(argument: &Bound<'_, PyAny>) -> PyResult<Option<PathBuf>> {
    let is_path = argument.is_instance_of::<PyString>() || argument.hasattr("__fspath__")?;
    if is_path { argument.extract().map(Some) } else { Ok(None) }
}

/// An array of an object that NumPy can read.
fn as_array<'py>(image: &Bound<'py, PyAny>, channels: usize) -> PyResult<Bound<'py, PyUntypedArray>> {
    let py = image.py();
    let mut image = image.clone();
    if image.hasattr("mode")? && image.hasattr("convert")? {
        image = with_channels(image, channels)?;
    }
    if !image.hasattr("__array_interface__")? && !image.hasattr("__array__")? {
        return Err(wrong_type("image", "a NumPy array, a Pillow image or a path", &image));
    }
    Ok(py.import("numpy")?.call_method1("asarray", (image,))?.cast_into()?)
}

/// An image of Pillow in the mode that the model reads. The last of two or four channels cannot be made up.
fn with_channels(image: Bound<'_, PyAny>, channels: usize) -> PyResult<Bound<'_, PyAny>> {
    let mode: String = image.getattr("mode")?.extract()?;
    let wanted = ["L", "LA", "RGB", "RGBA"][channels - 1];
    match channels {
        _ if mode == wanted => Ok(image),
        1 | 3 => image.call_method1("convert", (wanted,)),
        _ => {
            let what = format!("this model takes pictures of {channels} channels: mode {wanted}, not {mode}");
            Err(errors::value("image", what))
        }
    }
}

/// The pixel format of an array of `depth` values per pixel, for a model of `channels` channels.
fn format(channels: usize, depth: usize, bgr: bool) -> Option<PixelFormat> {
    match (channels, depth) {
        (1 | 3, 1) => Some(PixelFormat::Gray8),
        (2, 2) => Some(PixelFormat::Dual8),
        (3, 3) if bgr => Some(PixelFormat::Bgr8),
        (3, 3) => Some(PixelFormat::Rgb8),
        (3 | 4, 4) if bgr => Some(PixelFormat::Bgra8),
        (3 | 4, 4) => Some(PixelFormat::Rgba8),
        _ => None,
    }
}

fn wrong_shape(shape: &[usize], channels: usize) -> PyErr {
    let expected = match channels {
        1 => "(height, width) or (height, width, 1)",
        2 => "(height, width, 2)",
        4 => "(height, width, 4)",
        _ => "(height, width, 3), (height, width, 4) or (height, width)",
    };
    let hint = match shape {
        [1..=4, _, _] => "; `image.transpose(1, 2, 0)` puts the channels last",
        [_, _, _, _] => "; pass one image at a time",
        _ => "",
    };
    let shape = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    errors::value("image", format_args!("expected an array of shape {expected}, got ({shape}){hint}"))
}

/// Bytes from one row of an array to the next; `None` if the bytes of its rows are not contiguous, or not in ascending order.
fn row_stride(array: &Bound<'_, PyArrayDyn<u8>>, [height, width, depth]: [usize; 3]) -> Option<usize> {
    let (strides, row) = (array.strides(), width * depth);
    // The stride of an axis with a single index does not matter.
    let pixels_touch = width == 1 || usize::try_from(strides[1]) == Ok(depth);
    let values_touch = depth == 1 || strides[2] == 1;
    if !pixels_touch || !values_touch {
        return None;
    }
    match usize::try_from(strides[0]) {
        _ if height == 1 => Some(row),
        Ok(stride) => Some(stride).filter(|stride| *stride >= row),
        Err(_) => None,
    }
}

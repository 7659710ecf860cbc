//! The image of a run: `beitle_image` and `beitle_frame` as a view.

use crate::pointers::{ByteRange, slice};
use crate::status::CallError;
use crate::types::{CFrame, CImage, CPlane};
use beitle::image::{ImageView, PixelFormat, Plane, YuvMatrix, YuvRange, check_size};

// Names of parameters in messages.
const IMAGE: &str = "params.image.data";
const PLANES: [&str; 2] = ["params.frame.planes[0].data", "params.frame.planes[1].data"];

/// The memory of an image, whatever it is.
pub(crate) fn ranges(image: &CImage, frame: &CFrame) -> [ByteRange; 3] {
    let [a, b] = [0, 1].map(|i| ByteRange::of(frame.planes[i].data, frame.planes[i].bytes, PLANES[i]));
    [ByteRange::of(image.data, image.bytes, IMAGE), a, b]
}

/// The image as it is seen.
///
/// # Safety
/// Pointers that are not null point to as many bytes as stated, which are not written to during `'a`.
pub(crate) unsafe fn view<'a>(image: &CImage, frame: &CFrame) -> Result<ImageView<'a>, CallError> {
    // SAFETY: the requirement is the same.
    let mut view = unsafe { stored(image, frame)? };
    view = match (frame.matrix, frame.range) {
        (matrix @ 0..=1, range @ 0..=1) => view.with_colours(
            [YuvMatrix::Bt601, YuvMatrix::Bt709][matrix as usize],
            [YuvRange::Limited, YuvRange::Full][range as usize],
        ),
        _ => return Err(CallError::Argument("params.frame.matrix, params.frame.range", "must be 0 or 1")),
    };
    if frame.gray16 != [0, 0] {
        view = view.with_range16(frame.gray16[0], frame.gray16[1])?;
    }
    if frame.crop != [0; 4] {
        let [x, y, width, height] = frame.crop;
        view = view.crop(x, y, width, height)?;
    }
    view = match frame.rotation {
        0..=3 => view.rotated(frame.rotation),
        _ => return Err(CallError::Argument("params.frame.rotation", "must be 0 to 3")),
    };
    match frame.mirror {
        0 => Ok(view),
        1 => Ok(view.mirrored()),
        _ => Err(CallError::Argument("params.frame.mirror", "must be 0 or 1")),
    }
}

/// The image as it is stored.
///
/// # Safety
/// As [`view`].
unsafe fn stored<'a>(image: &CImage, frame: &CFrame) -> Result<ImageView<'a>, CallError> {
    let format = format(image.format)?;
    let (width, height) = (image.width, image.height);
    check_size(width, height)?;
    let further = &frame.planes[..format.planes() - 1];
    // SAFETY: the requirement is the same.
    let data = unsafe { slice(image.data, image.bytes, IMAGE)? };
    if further.iter().all(|plane| plane.data.is_null()) {
        return Ok(match image.stride {
            0 => ImageView::packed(data, width, height, format)?,
            stride => ImageView::new(data, width, height, stride, format)?,
        });
    }
    let stride = |plane: usize, stride: usize| match stride {
        0 => format.plane_size(plane, width, height).0,
        stride => stride,
    };
    let mut planes = [Plane { data, stride: stride(0, image.stride) }; 3];
    for (i, &CPlane { data, bytes, stride: own }) in further.iter().enumerate() {
        if data.is_null() {
            return Err(CallError::Argument(PLANES[i], "is NULL, but another plane is not"));
        }
        // SAFETY: the requirement is the same.
        let data = unsafe { slice(data, bytes, PLANES[i])? };
        planes[1 + i] = Plane { data, stride: stride(1 + i, own) };
    }
    Ok(ImageView::planar(&planes[..format.planes()], width, height, format)?)
}

/// The pixel format of this number.
fn format(number: u32) -> Result<PixelFormat, CallError> {
    Ok(match number {
        0 => PixelFormat::Rgb8,
        1 => PixelFormat::Bgr8,
        2 => PixelFormat::Rgba8,
        3 => PixelFormat::Bgra8,
        4 => PixelFormat::Gray8,
        5 => PixelFormat::Dual8,
        6 => PixelFormat::Rgb565,
        7 => PixelFormat::Gray16,
        8 => PixelFormat::Yuyv,
        9 => PixelFormat::Uyvy,
        10 => PixelFormat::Nv12,
        11 => PixelFormat::Nv21,
        12 => PixelFormat::I420,
        _ => return Err(CallError::Argument("params.image.format", "is not a pixel format")),
    })
}

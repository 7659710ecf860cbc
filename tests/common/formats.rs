//! Pixel formats.

use beitle::image::PixelFormat;

/// All formats with colours or grey; that of two channels is for models that take it.
pub const FORMATS: [PixelFormat; 12] = [
    PixelFormat::Rgb8,
    PixelFormat::Bgr8,
    PixelFormat::Rgba8,
    PixelFormat::Bgra8,
    PixelFormat::Gray8,
    PixelFormat::Rgb565,
    PixelFormat::Gray16,
    PixelFormat::Yuyv,
    PixelFormat::Uyvy,
    PixelFormat::Nv12,
    PixelFormat::Nv21,
    PixelFormat::I420,
];

//! The resize filters: their codes, their names and their kernels as functions of a distance in pixels.
//!
//! Source: Pillow, `src/libImaging/Resample.c` (`bicubic_filter`, `lanczos_filter` and the others with their
//! supports). The kernels follow its C operation by operation, so that the weights round alike.

/// How a picture is resized.
///
/// The discriminants are the codes in a weight file: Pillow's `resample` constants, and 16 for OpenCV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Filter {
    /// The nearest pixel.
    Nearest = 0,
    /// A truncated sinc over 6 pixels, widened when shrinking (antialiased).
    Lanczos = 1,
    /// A triangle over 2 pixels, widened when shrinking.
    Bilinear = 2,
    /// A cubic (a = -0.5) over 4 pixels, widened when shrinking.
    Bicubic = 3,
    /// The mean of the pixels covered.
    Box = 4,
    /// A Hamming-windowed sinc over 2 pixels, widened when shrinking.
    Hamming = 5,
    /// OpenCV's `INTER_LINEAR` on bytes: 2x2 pixels at every scale, not antialiased.
    LinearCv = 16,
}

impl Filter {
    /// The filter with this code, or `None` if there is none.
    #[must_use]
    pub const fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            0 => Filter::Nearest,
            1 => Filter::Lanczos,
            2 => Filter::Bilinear,
            3 => Filter::Bicubic,
            4 => Filter::Box,
            5 => Filter::Hamming,
            16 => Filter::LinearCv,
            _ => return None,
        })
    }

    /// The filter's name, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Filter::Nearest => "nearest",
            Filter::Lanczos => "lanczos",
            Filter::Bilinear => "bilinear",
            Filter::Bicubic => "bicubic",
            Filter::Box => "box",
            Filter::Hamming => "hamming",
            Filter::LinearCv => "opencv-linear",
        }
    }

    /// The kernel's support: half its width in pixels, before any widening.
    pub(super) fn support(self) -> f64 {
        match self {
            Filter::Nearest | Filter::Box => 0.5,
            Filter::Bilinear | Filter::Hamming | Filter::LinearCv => 1.0,
            Filter::Bicubic => 2.0,
            Filter::Lanczos => 3.0,
        }
    }

    /// The kernel's value at distance `x`.
    pub(super) fn kernel(self, x: f64) -> f64 {
        match self {
            Filter::Nearest | Filter::Box => f64::from(u8::from(x > -0.5 && x <= 0.5)),
            Filter::Bilinear | Filter::LinearCv => triangle(x.abs()),
            Filter::Hamming => hamming(x.abs()),
            Filter::Bicubic => cubic(x.abs()),
            Filter::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Filter::Lanczos => 0.0,
        }
    }
}

fn triangle(x: f64) -> f64 {
    if x < 1.0 { 1.0 - x } else { 0.0 }
}

fn hamming(x: f64) -> f64 {
    if x == 0.0 {
        1.0
    } else if x >= 1.0 {
        0.0
    } else {
        let p = x * core::f64::consts::PI;
        // Pillow's two constants are single precision.
        libm::sin(p) / p * (f64::from(0.54f32) + f64::from(0.46f32) * libm::cos(p))
    }
}

fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let p = x * core::f64::consts::PI;
    libm::sin(p) / p
}

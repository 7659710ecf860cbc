//! The kernels of Pillow's `Image.resize`, their supports and their fixed-point weights.
//!
//! Source: Pillow, `src/libImaging/Resample.c` (`precompute_coeffs`, `normalize_coeffs_8bpc`).

/// How a picture is resized; the numbers are Pillow's `resample`, and 16 for OpenCV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Filter {
    /// The nearest pixel.
    Nearest = 0,
    /// A truncated sinc over 6 pixels.
    Lanczos = 1,
    /// A triangle over 2 pixels, widened when shrinking (antialiased).
    Bilinear = 2,
    /// A cubic (a = -0.5) over 4 pixels, widened when shrinking.
    Bicubic = 3,
    /// The mean of the pixels covered.
    Box = 4,
    /// A Hamming-windowed sinc over 2 pixels, widened when shrinking.
    Hamming = 5,
    /// OpenCV's `INTER_LINEAR` on bytes: two by two pixels whatever the scale, not antialiased.
    LinearCv = 16,
}

impl Filter {
    /// The filter with this number, if there is one.
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

    /// Half the kernel's width, in pixels, when not shrinking.
    fn support(self) -> f64 {
        match self {
            Filter::Nearest | Filter::Box => 0.5,
            Filter::Bilinear | Filter::Hamming | Filter::LinearCv => 1.0,
            Filter::Bicubic => 2.0,
            Filter::Lanczos => 3.0,
        }
    }

    /// The kernel at `x`.
    fn at(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let a = x.abs();
        match self {
            Filter::Nearest | Filter::Box => f64::from(u8::from(x > -0.5 && x <= 0.5)),
            Filter::Bilinear | Filter::LinearCv => {
                if a < 1.0 {
                    1.0 - a
                } else {
                    0.0
                }
            }
            Filter::Hamming => {
                if a == 0.0 {
                    1.0
                } else if a >= 1.0 {
                    0.0
                } else {
                    let p = a * core::f64::consts::PI;
                    libm::sin(p) / p * (f64::from(0.54f32) + f64::from(0.46f32) * libm::cos(p))
                }
            }
            Filter::Bicubic => {
                if a < 1.0 {
                    ((A + 2.0) * a - (A + 3.0)) * a * a + 1.0
                } else if a < 2.0 {
                    (((a - 5.0) * a + 8.0) * a - 4.0) * A
                } else {
                    0.0
                }
            }
            Filter::Lanczos => {
                if (-3.0..3.0).contains(&x) {
                    sinc(x) * sinc(x / 3.0)
                } else {
                    0.0
                }
            }
        }
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let p = x * core::f64::consts::PI;
    libm::sin(p) / p
}

/// Fraction bits of a weight: eight for the result, two to spare for overshoot.
pub(super) const PRECISION: u32 = 32 - 8 - 2;

/// The samples of one axis that each sample of the result is a weighted sum of.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    filter: Filter,
    src: usize,
    scale: f64,
    /// The kernel is this much wider than when enlarging.
    widen: f64,
    support: f64,
}

impl Axis {
    /// From `src` samples to `dst`.
    pub(super) fn new(filter: Filter, src: usize, dst: usize) -> Self {
        let scale = src as f64 / dst as f64;
        let widen = if scale < 1.0 { 1.0 } else { scale };
        Axis { filter, src, scale, widen, support: filter.support() * widen }
    }

    /// The most weights any sample has; never more than there are samples.
    pub(super) fn taps(&self) -> usize {
        (libm::ceil(self.support) as usize * 2 + 1).min(self.src)
    }

    /// First sample and number of samples under the kernel of result `i`.
    pub(super) fn bounds(&self, i: usize) -> (usize, usize) {
        let center = (i as f64 + 0.5) * self.scale;
        // `as` rounds toward zero and clamps, as C's cast and the comparisons with 0 do together.
        let first = (center - self.support + 0.5) as usize;
        let end = ((center + self.support + 0.5) as usize).min(self.src);
        (first, end.saturating_sub(first))
    }

    /// Writes the weights of result `i`, in units of `2^-PRECISION`, and returns its [`Axis::bounds`].
    pub(super) fn weights(&self, i: usize, out: &mut [i32]) -> (usize, usize) {
        let (first, n) = self.bounds(i);
        let center = (i as f64 + 0.5) * self.scale;
        let step = 1.0 / self.widen;
        let at = |x: usize| self.filter.at(((x + first) as f64 - center + 0.5) * step);
        let sum = (0..n).fold(0.0, |sum, x| sum + at(x));
        for (x, out) in out.iter_mut().enumerate().take(n) {
            let w = if sum == 0.0 { at(x) } else { at(x) / sum };
            let fixed = w * f64::from(1 << PRECISION);
            *out = (if fixed < 0.0 { fixed - 0.5 } else { fixed + 0.5 }) as i32;
        }
        (first, n)
    }
}

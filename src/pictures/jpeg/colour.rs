//! From the planes of the components to RGB: libjpeg's `jdcolor.c`, and Pillow's conversion from CMYK.

use super::frame::{Component, Frame, Plane, Planes};
use super::upsample::Upsampling;
use crate::error::Error;
use crate::memory::zeroed;

/// The colours that the components stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Colours {
    Grey,
    Rgb,
    YCbCr,
    /// Inverted, as Adobe's programs store it and Pillow assumes.
    Cmyk,
    /// CMYK whose first three components are converted as YCbCr.
    Ycck,
}

impl Colours {
    /// Guesses as libjpeg does: from the segments of Adobe and JFIF, else from the components' identifiers.
    fn of(frame: &Frame, adobe: Option<u8>, jfif: bool) -> Self {
        let ids: Vec<u8> = frame.components.iter().map(|c| c.id).collect();
        match (ids.len(), adobe) {
            (1, _) => Colours::Grey,
            (3, _) if jfif => Colours::YCbCr,
            (3, Some(0)) => Colours::Rgb,
            (3, None) if ids == *b"RGB" => Colours::Rgb,
            (3, _) => Colours::YCbCr,
            (_, Some(0) | None) => Colours::Cmyk,
            _ => Colours::Ycck,
        }
    }
}

/// Interpolates and converts all rows.
pub fn to_rgb(frame: &Frame, planes: &Planes, adobe: Option<u8>, jfif: bool) -> Result<Vec<u8>, Error> {
    let colours = Colours::of(frame, adobe, jfif);
    let mut rgb = zeroed(frame.width * frame.height * 3)?;
    let methods = frame.components.iter().map(|c| Upsampling::of(c, frame)).collect::<Result<Vec<_>, _>>()?;
    let mut rows = [const { Vec::new() }; 4];
    for (row, component) in rows.iter_mut().zip(&frame.components) {
        *row = zeroed(component.width * (frame.h_max / component.h))?;
    }
    let mut scratch: Vec<u16> = zeroed(frame.components.iter().map(|c| c.width).max().unwrap_or(0))?;
    for (y, output) in rgb.chunks_exact_mut(frame.width * 3).enumerate() {
        for (i, component) in frame.components.iter().enumerate() {
            let samples = |y| row_of(component, &planes.0[i], y);
            methods[i].row(samples, component.height, y, &mut scratch[..component.width], &mut rows[i]);
        }
        convert(colours, &rows, output);
    }
    Ok(rgb)
}

/// Row `y` of a component's samples.
fn row_of<'a>(component: &Component, plane: &'a Plane, y: usize) -> &'a [u8] {
    &plane.samples[y * component.stride()..][..component.width]
}

fn convert(colours: Colours, rows: &[Vec<u8>; 4], output: &mut [u8]) {
    let pixels = output.as_chunks_mut::<3>().0;
    let [a, b, c, d] = rows;
    match colours {
        Colours::Grey => pixels.iter_mut().zip(a).for_each(|(pixel, grey)| *pixel = [*grey; 3]),
        Colours::Rgb => {
            pixels.iter_mut().zip(a).zip(b).zip(c).for_each(|(((pixel, r), g), b)| *pixel = [*r, *g, *b]);
        }
        Colours::YCbCr => {
            pixels
                .iter_mut()
                .zip(a)
                .zip(b)
                .zip(c)
                .for_each(|(((pixel, y), b), r)| *pixel = from_ycc(*y, *b, *r));
        }
        // Stored are 255 minus the amounts of ink, in both.
        Colours::Cmyk | Colours::Ycck => {
            for ((((pixel, a), b), c), k) in pixels.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                let paper = match colours {
                    Colours::Ycck => from_ycc(*a, *b, *c).map(|v| 255 - v),
                    _ => [*a, *b, *c],
                };
                *pixel = paper.map(|v| from_ink(255 - v, *k));
            }
        }
    }
}

/// YCbCr to RGB with 16 fractional bits.
#[inline]
fn from_ycc(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let half = 1 << 15;
    let red = y + ((91_881 * cr + half) >> 16);
    let green = y + ((-22_554 * cb - 46_802 * cr + half) >> 16);
    let blue = y + ((116_130 * cb + half) >> 16);
    [red, green, blue].map(|v| v.clamp(0, 255) as u8)
}

/// A channel of RGB from the amount of its ink and 255 minus that of black: Pillow's `cmyk2rgb`.
fn from_ink(ink: u8, not_black: u8) -> u8 {
    let product = i32::from(ink) * i32::from(not_black) + 128;
    (i32::from(not_black) - (((product >> 8) + product) >> 8)).clamp(0, 255) as u8
}

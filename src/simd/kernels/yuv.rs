//! Rows of YUV to RGB. The arithmetic, and why it is 16-bit integers, is in [`image::yuv`](crate::image::yuv).

use crate::image::yuv::{YuvRow, convert};
use crate::simd::dispatch::dispatch;
use crate::simd::lanes::Lanes;

dispatch! {
    fn yuv_row(row: &YuvRow<'_>, out: &mut [u8]);
}

/// Converts pixels to red, green, blue and 0, as many as `out` has room for.
#[inline(always)]
fn yuv_row<L: Lanes>(l: L, row: &YuvRow<'_>, out: &mut [u8]) {
    convert(row, out, |k, block, out| l.yuv_to_rgb(k, block, out));
}

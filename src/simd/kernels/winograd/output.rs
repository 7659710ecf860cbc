//! The output transform Aᵀ m A of int8 sums: dequantisation, the rows of the tile, then its columns, bias and activation.

use super::transform::{F2x3, F4x3, Transform};
use crate::simd::dispatch::dispatch;
use crate::simd::kernels::epilogue::Activation;
use crate::simd::lanes::{LANES, Lanes};
use core::mem::MaybeUninit;

dispatch! {
    unsafe fn winograd_output(t: &OutputTransform);
}

/// The operands of [`winograd_output`] for `rows` tiles of M x M outputs, T = M + 2: each point is dequantised as
/// v = scale_j · (s_i · sum_ij + m_i · Σ w_j), and the outputs are activation(Aᵀ v A + bias_j).
///
/// Preconditions: the pointers are valid for the shapes below; 16 · `panels` numbers can be written for each output pixel.
pub(crate) struct OutputTransform {
    /// M: outputs of a tile along a side, 2 or 4.
    pub tile: usize,
    /// int8 sums of each Winograd point, `[T²][rows][panels][16]`.
    pub sums: *const i32,
    /// Elements from the sums of one point to those of the next.
    pub plane_pitch: usize,
    /// Tiles of this call, adjacent in a row of the map.
    pub rows: usize,
    /// Panels of 16 outputs.
    pub panels: usize,
    /// (scale s, offset m) of each point of each tile, `[rows][T²]`.
    pub params: *const [f32; 2],
    /// Scale of the weights, `[T²][panels][16]`.
    pub scale: *const f32,
    /// Σ w, `[T²][panels][16]`.
    pub weight_sum: *const i32,
    /// Elements from one point to the next in `scale` and `weight_sum`.
    pub point_pitch: usize,
    /// Bias of each output, `[panels][16]`, or null.
    pub bias: *const f32,
    /// ReLU or none.
    pub activation: Activation,
    /// The first output pixel of the first tile. Pixel (y, x) of tile r is at y · `row_pitch` + (r · M + x) · `pixel_pitch`.
    pub out: *mut f32,
    /// Elements from one output pixel to the next in a row.
    pub pixel_pitch: usize,
    /// Elements from one row of output pixels to the next.
    pub row_pitch: usize,
}

/// Transforms and stores some tiles.
///
/// # Safety
/// The preconditions of [`OutputTransform`].
#[inline(always)]
unsafe fn winograd_output<L: Lanes>(l: L, t: &OutputTransform) {
    // SAFETY: the preconditions are this function's.
    unsafe {
        match t.tile {
            2 => output::<L, F2x3, 4, 2>(l, t),
            4 => output::<L, F4x3, 6, 4>(l, t),
            _ => unreachable!("a Winograd tile has two or four outputs along a side"),
        }
    }
}

/// [`winograd_output`] for one transform.
///
/// # Safety
/// The preconditions of [`OutputTransform`], with `t.tile` = M.
#[inline(always)]
unsafe fn output<L: Lanes, F: Transform<T, M>, const T: usize, const M: usize>(l: L, t: &OutputTransform) {
    for p in 0..t.panels {
        // SAFETY: panel p, row r and every point and output pixel are inside the shapes of `OutputTransform`; `weight_sums` and
        // `half` are written before they are read.
        unsafe {
            let bias = if t.bias.is_null() { l.splat(0.0) } else { l.load_at(t.bias.add(p * LANES)) };
            let mut weight_sums = [[MaybeUninit::uninit(); T]; T];
            for (point, sum) in weight_sums.as_flattened_mut().iter_mut().enumerate() {
                let at = point * t.point_pitch + p * LANES;
                sum.write(l.to_f32(l.load_i32_at(t.weight_sum.add(at))));
            }
            for r in 0..t.rows {
                // Prefetch the output pixels of the next tile.
                for x in 0..M {
                    for y in 0..M {
                        let at = ((r + 1) * M + x) * t.pixel_pitch + y * t.row_pitch + p * LANES;
                        l.prefetch(t.out.wrapping_add(at));
                    }
                }
                // Transform the T rows of points, dequantised: v A.
                let mut half = [[MaybeUninit::uninit(); M]; T];
                for (y, row) in half.iter_mut().enumerate() {
                    let mut v = [l.splat(0.0); T];
                    for (x, v) in v.iter_mut().enumerate() {
                        let point = T * y + x;
                        let [s, m] = *t.params.add(r * T * T + point);
                        let at = point * t.point_pitch + p * LANES;
                        let weight_sum = weight_sums[y][x].assume_init();
                        let sum = t.sums.add(point * t.plane_pitch + (r * t.panels + p) * LANES);
                        let sum =
                            l.fma(l.to_f32(l.load_i32_at(sum)), l.splat(s), l.mul(weight_sum, l.splat(m)));
                        *v = l.mul(sum, l.load_at(t.scale.add(at)));
                    }
                    for (to, v) in row.iter_mut().zip(F::output_transform(l, v)) {
                        to.write(v);
                    }
                }
                // Transform the M columns: Aᵀ (v A).
                for x in 0..M {
                    let mut column = [l.splat(0.0); T];
                    for (v, row) in column.iter_mut().zip(&half) {
                        *v = row[x].assume_init();
                    }
                    for (y, v) in F::output_transform(l, column).into_iter().enumerate() {
                        let mut v = l.add(v, bias);
                        if t.activation == Activation::Relu {
                            v = l.max(v, l.splat(0.0));
                        }
                        let at = (r * M + x) * t.pixel_pitch + y * t.row_pitch + p * LANES;
                        l.store_at(v, t.out.add(at));
                    }
                }
            }
        }
    }
}

impl OutputTransform {
    /// The transform of `rows` tiles of `tile` x `tile` outputs and `panels` panels, over slices that start at the first sum,
    /// row and output.
    #[inline(always)]
    pub fn new(
        (tile, rows, panels): (usize, usize, usize),
        (sums, plane_pitch): (&[i32], usize),
        params: &[[f32; 2]],
        (scale, weight_sum, point_pitch): (&[f32], &[i32], usize),
        bias: Option<&[f32]>,
        activation: Activation,
        (out, pixel_pitch, row_pitch): (*mut f32, usize, usize),
    ) -> OutputTransform {
        let (points, columns) = ((tile + 2) * (tile + 2), panels * LANES);
        debug_assert!(sums.len() >= (points - 1) * plane_pitch + rows * columns, "the sums must exist");
        debug_assert!(
            params.len() >= rows * points,
            "every transformed pixel must have a scale and an offset"
        );
        let factors = (points - 1) * point_pitch + columns;
        debug_assert!(scale.len() >= factors, "every output must have a scale at every point");
        debug_assert!(weight_sum.len() >= factors, "every output must have a sum of weights at every point");
        debug_assert!(bias.is_none_or(|b| b.len() >= columns), "every output must have a bias");
        OutputTransform {
            tile,
            sums: sums.as_ptr(),
            plane_pitch,
            rows,
            panels,
            params: params.as_ptr(),
            scale: scale.as_ptr(),
            weight_sum: weight_sum.as_ptr(),
            point_pitch,
            bias: bias.map_or(core::ptr::null(), <[f32]>::as_ptr),
            activation,
            out,
            pixel_pitch,
            row_pitch,
        }
    }
}

//! Linear tensors: the bytes of a tensor in, typed slices of its weights, scales and biases out. The slices are borrowed from
//! the file.

use super::format::{LANES, Role, TensorEntry, TensorKind, padded, winograd_points};
use super::weight_file::WeightFile;
use half::f16;

/// Weights in panels of 16 outputs; [`format`](mod@super::format) defines the layouts.
#[derive(Clone, Copy)]
pub(crate) enum Panels<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    Int8 { weights: &'a [i8], scale: &'a [f32], sum: &'a [i32] },
    Int4 { weights: &'a [u8], scale: &'a [f32], sum: &'a [i32], multipliers: &'a [i8] },
}

/// Matrices of `n` outputs by `k` inputs, with their biases.
#[derive(Clone, Copy)]
pub(crate) struct Linear<'a> {
    pub role: Role,
    pub layer: u16,
    pub n: usize,
    pub k: usize,
    pub matrices: usize,
    pub panels: Panels<'a>,
    bias: &'a [f32],
    bias_rows: usize,
}

/// The shape of a linear tensor, from which the sizes of buffers follow.
#[derive(Clone, Copy)]
pub(crate) struct LinearShape {
    /// Outputs of each matrix.
    pub n: usize,
    /// Inputs of each matrix.
    pub k: usize,
    pub matrices: usize,
    /// Whether activations are quantised to 8 bits (int8 and int4 weights).
    pub int8: bool,
}

impl LinearShape {
    /// The shape of an entry, whose kind must be linear.
    pub(crate) fn of(e: &TensorEntry) -> Self {
        let int8 = e.kind == TensorKind::Int8 as u8 || e.kind == TensorKind::Int4 as u8;
        LinearShape { n: e.n as usize, k: e.k as usize, matrices: e.matrices.into(), int8 }
    }

    /// Bytes of one panel in the layout of int8.
    pub fn panel_bytes(self) -> usize {
        self.k.div_ceil(4) * 4 * LANES
    }

    /// The side m of a tile if the tensor is a 3x3 convolution stored for Winograd's F(m x m, 3x3), m = 2 or 4. Call it on
    /// 3x3 convolutions only: it looks at the number of matrices.
    pub fn winograd_tile(self) -> Option<usize> {
        [2, 4].into_iter().find(|&tile| self.matrices == winograd_points(tile))
    }
}

impl<'a> Linear<'a> {
    /// The shape of the tensor.
    pub fn shape(&self) -> LinearShape {
        LinearShape { n: self.n, k: self.k, matrices: self.matrices, int8: self.is_int8() }
    }

    /// The view of an entry of `file`; `None` if the entry is not linear or its bytes do not have the size or alignment of its
    /// shape.
    pub(crate) fn new(file: &WeightFile<'a>, e: &TensorEntry) -> Option<Self> {
        // Shape and slices come from one copy of the entry, so that they agree whatever happens to the file.
        let e = &{ *e };
        let [weights, scales, _] = e.linear_parts()?;
        let bytes = file.bytes_of(e);
        let (weights, rest) = bytes.split_at_checked(weights)?;
        let (scales, bias) = rest.split_at_checked(scales)?;
        let panels = match TensorKind::from_code(e.kind)? {
            TensorKind::F32 => Panels::F32(bytemuck::try_cast_slice(weights).ok()?),
            TensorKind::F16 => Panels::F16(bytemuck::try_cast_slice(weights).ok()?),
            TensorKind::Int4 => {
                // Bytes of the scales, and of the sums: four for each output of all matrices.
                let size = 4 * usize::from(e.matrices) * padded(e.n as usize);
                let (scale, rest) = scales.split_at_checked(size)?;
                let (sum, multipliers) = rest.split_at_checked(size)?;
                Panels::Int4 {
                    weights,
                    scale: bytemuck::try_cast_slice(scale).ok()?,
                    sum: bytemuck::try_cast_slice(sum).ok()?,
                    multipliers: bytemuck::try_cast_slice(multipliers).ok()?,
                }
            }
            _ => {
                let (scale, sum) = scales.split_at(scales.len() / 2);
                Panels::Int8 {
                    weights: bytemuck::try_cast_slice(weights).ok()?,
                    scale: bytemuck::try_cast_slice(scale).ok()?,
                    sum: bytemuck::try_cast_slice(sum).ok()?,
                }
            }
        };
        Some(Linear {
            role: Role::from_code(e.role)?,
            layer: e.layer,
            n: e.n as usize,
            k: e.k as usize,
            matrices: e.matrices.into(),
            panels,
            bias: bytemuck::try_cast_slice(bias).ok()?,
            bias_rows: e.bias_rows.into(),
        })
    }

    /// Matrices without biases that are not from a file, of shape (outputs, inputs, matrices), for tests and benchmarks.
    #[cfg(any(test, feature = "bench"))]
    pub fn from_panels(role: Role, (n, k, matrices): (usize, usize, usize), panels: Panels<'a>) -> Self {
        Linear { role, layer: 0, n, k, matrices, panels, bias: &[], bias_rows: 0 }
    }

    /// The multiply-accumulates of `rows` products with a matrix. In u64, because those of a large model exceed the `usize` of 32-bit
    /// processors.
    pub fn macs(&self, rows: usize) -> u64 {
        rows as u64 * self.n as u64 * self.k as u64
    }

    /// The bias of a matrix, padded to whole panels; `None` if it has none.
    pub fn bias(&self, matrix: usize) -> Option<&'a [f32]> {
        let n = padded(self.n);
        let row = if self.bias_rows == 1 { 0 } else { matrix };
        self.bias.get(row * n..(row + 1) * n)
    }

    /// All rows of biases.
    pub fn biases(&self) -> &'a [f32] {
        self.bias
    }

    /// Panels of 16 outputs in each matrix.
    pub fn panel_count(&self) -> usize {
        self.n.div_ceil(LANES)
    }

    /// Whether the layer multiplies activations quantised to 8 bits (int8 and int4 weights).
    pub fn is_int8(&self) -> bool {
        matches!(self.panels, Panels::Int8 { .. } | Panels::Int4 { .. })
    }

    /// See [`LinearShape::winograd_tile`].
    pub fn winograd_tile(&self) -> Option<usize> {
        self.shape().winograd_tile()
    }
}

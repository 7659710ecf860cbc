//! What a matrix product computes: its operands, its outputs, and the checks that its unsafe parts rest on.

use crate::file::Linear;
use crate::file::format::padded;
use crate::ops::rows::Rows;
use crate::simd::kernels::epilogue::Activation;
use crate::simd::lanes::LANES;
use core::ops::Range;

/// A run of output rows, and where their input rows are.
#[derive(Clone, Copy)]
pub(crate) struct Segment {
    /// First input row for each matrix that is summed; `None` where the matrix contributes nothing (kernel positions outside
    /// the map).
    pub from: [Option<u32>; 9],
    /// First output row.
    pub to: usize,
}

impl Segment {
    /// A segment of a product with a single matrix: input rows from `from`, output rows from `to`.
    pub fn rows(from: usize, to: usize) -> Self {
        let mut s = Segment { from: [None; 9], to };
        s.from[0] = Some(from as u32);
        s
    }
}

/// The type of outputs: f32 or bfloat16.
pub(crate) trait OutputElement: Send {
    /// Whether it is bfloat16.
    const BF16: bool;
}
impl OutputElement for f32 {
    const BF16: bool = false;
}
impl OutputElement for half::bf16 {
    const BF16: bool = true;
}

/// A matrix product: out[to + i · row_step] (+)= activation(Σ_m W_m · x[from_m + i] + bias) for row i of a segment.
#[derive(Clone)]
pub(crate) struct Gemm<'a> {
    pub weights: &'a Linear<'a>,
    /// Which of the layer's matrices are summed, at most nine.
    pub matrices: Range<usize>,
    pub x: Rows<'a>,
    /// Whether the bias of the first of the matrices is added.
    pub bias: bool,
    pub activation: Activation,
    /// Output rows from one row of a segment to the next.
    pub row_step: usize,
    /// Numbers from one output row to the next.
    pub row_pitch: usize,
    /// Numbers from one panel of 16 outputs to the next.
    pub panel_pitch: usize,
    /// Add to the output (residual connections) instead of overwriting it.
    pub accumulate: bool,
}

impl<'a> Gemm<'a> {
    /// W · x + bias with the layer's first matrix; padded output rows follow one another.
    pub fn new(weights: &'a Linear<'a>, x: Rows<'a>) -> Self {
        Gemm {
            weights,
            matrices: 0..1,
            x,
            bias: true,
            activation: Activation::None,
            row_step: 1,
            row_pitch: padded(weights.n),
            panel_pitch: LANES,
            accumulate: false,
        }
    }

    /// With one of several matrices: of a head, or of a position of a 2x2 deconvolution.
    pub fn matrix(self, matrix: usize) -> Self {
        Gemm { matrices: matrix..matrix + 1, ..self }
    }

    /// With the nine matrices of a 3x3 convolution.
    pub fn conv3x3(self) -> Self {
        Gemm { matrices: 0..9, ..self }
    }

    pub fn activation(self, activation: Activation) -> Self {
        Gemm { activation, ..self }
    }

    /// Adds to the output.
    pub fn accumulate(self) -> Self {
        Gemm { accumulate: true, ..self }
    }

    /// Writes every second output row: one corner of each 2x2 of a stride-2 deconvolution.
    pub fn every_second_row(self) -> Self {
        Gemm { row_step: 2, ..self }
    }

    /// Without the bias, which a later step adds.
    pub fn without_bias(self) -> Self {
        Gemm { bias: false, ..self }
    }

    /// The padded bias, if one is added.
    pub(super) fn bias_row(&self) -> Option<&'a [f32]> {
        if self.bias { self.weights.bias(self.matrices.start) } else { None }
    }

    /// Checks that operands suit each other, that all rows exist and that segments do not overlap in the output of `out`
    /// elements. The SAFETY comments of this module rest on it.
    pub(super) fn check(&self, segments: &[Segment], len: usize, out: usize) {
        let w = self.weights;
        let (rows, width, needed) = match self.x {
            Rows::F32 { data, pitch } => (data.len() / pitch, pitch, w.k),
            Rows::Bytes { data, pitch, params } => {
                ((data.len() / pitch).min(params.len()), pitch, w.k.next_multiple_of(4))
            }
        };
        assert!(
            width >= needed && matches!(self.x, Rows::Bytes { .. }) == w.is_int8(),
            "rows must suit the weights"
        );
        let count = self.matrices.len();
        assert!(self.matrices.end <= w.matrices && (1..=9).contains(&count), "the matrices must exist");
        let padded = w.panel_count() * LANES;
        assert!(
            self.bias_row().is_none_or(|b| b.len() == padded),
            "a bias must have the padded number of outputs"
        );
        // Either whole rows of panels, or whole panels of rows.
        let row = self.row_step * self.row_pitch;
        let rows_end = (len - 1) * row + LANES;
        assert!(
            match self.panel_pitch {
                LANES => self.row_pitch >= padded,
                panel => row >= LANES && panel >= rows_end,
            },
            "output rows must hold the padded number of outputs"
        );
        let mut free = 0;
        for s in segments {
            for from in s.from[..count].iter().flatten() {
                assert!(*from as usize + len <= rows, "input rows must exist");
            }
            assert!(s.to * self.row_pitch >= free, "the outputs of segments must not overlap");
            free = s.to * self.row_pitch + rows_end + (w.panel_count() - 1) * self.panel_pitch;
            assert!(free <= out, "output rows must exist");
        }
    }
}

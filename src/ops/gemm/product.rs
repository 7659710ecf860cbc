//! The description of a matrix product: operands, layout of the output, and the checks that the unsafe code of this module
//! rests on.

use crate::file::Linear;
use crate::file::format::padded;
use crate::ops::rows::Rows;
use crate::simd::kernels::epilogue::Activation;
use crate::simd::lanes::LANES;
use core::ops::Range;

/// A run of consecutive output rows, and the input rows that they are computed from.
#[derive(Clone, Copy)]
pub(crate) struct Segment {
    /// The first input row of each summed matrix; `None` for a matrix that contributes nothing, because its kernel
    /// position falls on a row outside the map.
    pub from: [Option<u32>; 9],
    /// The first output row.
    pub to: usize,
}

impl Segment {
    /// A segment for one matrix: input rows from `from`, output rows from `to`.
    pub fn rows(from: usize, to: usize) -> Self {
        let mut s = Segment { from: [None; 9], to };
        s.from[0] = Some(from as u32);
        s
    }
}

/// The most segments of a product.
pub(crate) const MAX_SEGMENTS: usize = 8;

/// At most [`MAX_SEGMENTS`] segments.
#[derive(Clone, Copy)]
pub(crate) struct Segments {
    list: [Segment; MAX_SEGMENTS],
    count: usize,
}

impl Segments {
    /// # Panics
    /// If there are more than [`MAX_SEGMENTS`].
    pub fn new(segments: impl IntoIterator<Item = Segment>) -> Self {
        let mut all = Segments { list: [Segment { from: [None; 9], to: 0 }; MAX_SEGMENTS], count: 0 };
        for segment in segments {
            all.list[all.count] = segment;
            all.count += 1;
        }
        all
    }

    /// One segment: input rows from `from`, output rows from `to`.
    pub fn rows(from: usize, to: usize) -> Self {
        Segments::new([Segment::rows(from, to)])
    }
}

impl core::ops::Deref for Segments {
    type Target = [Segment];
    fn deref(&self) -> &[Segment] {
        &self.list[..self.count]
    }
}

/// The element type of an output: f32 or bfloat16.
pub(crate) trait OutputElement: Send {
    /// Whether the type is bfloat16.
    const BF16: bool;
}
impl OutputElement for f32 {
    const BF16: bool = false;
}
impl OutputElement for half::bf16 {
    const BF16: bool = true;
}

/// A matrix product. For row i of a segment: out[to + i · row_step] = activation(Σ_m W_m · x[from_m + i] + bias), or += with
/// `accumulate`. Outputs of panel p of a row start `p · panel_pitch` numbers after the row.
#[derive(Clone)]
pub(crate) struct Gemm<'a> {
    pub weights: &'a Linear<'a>,
    /// The range of the layer's matrices that are summed, at most nine.
    pub matrices: Range<usize>,
    pub x: Rows<'a>,
    /// Whether to add the bias of the first summed matrix.
    pub bias: bool,
    pub activation: Activation,
    /// The distance between the output rows of neighbouring rows of a segment, in output rows.
    pub row_step: usize,
    /// The distance between output rows, in numbers.
    pub row_pitch: usize,
    /// The distance between panels of 16 outputs, in numbers.
    pub panel_pitch: usize,
    /// Whether to add to the output (residual connections) instead of overwriting it.
    pub accumulate: bool,
    /// If set, every position of a kernel is a product of its own, with its own matrix and output.
    pub kernel: Option<KernelPositions>,
}

/// The output of a product with every position (ky, kx) of a kernel: that of a position starts `ky · row + kx` output rows after the
/// segment's, and `row_step` is at least `side`, so that the outputs of the positions of a row interleave.
#[derive(Clone, Copy)]
pub(crate) struct KernelPositions {
    /// Positions along a side of the kernel.
    pub side: usize,
    /// Output rows from one ky to the next.
    pub row: usize,
}

impl<'a> Gemm<'a> {
    /// W · x + bias with the layer's first matrix. Output rows are contiguous and padded.
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
            kernel: None,
        }
    }

    /// With one of several matrices: that of one attention head.
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

    /// Adds to the output instead of overwriting it.
    pub fn accumulate(self) -> Self {
        Gemm { accumulate: true, ..self }
    }

    /// With the four matrices of a 2x2 deconvolution with stride 2 of rows of `width` pixels: each computes one pixel of every 2x2.
    pub fn deconvolution(self, width: usize) -> Self {
        Gemm { row_step: 2, kernel: Some(KernelPositions { side: 2, row: 2 * width }), ..self }
    }

    /// With each of the nine matrices of a 3x3 kernel, for rows of `width` pixels, to `[panel][ky][width][kx][16]`.
    pub fn kernel_products(self, width: usize) -> Self {
        let kernel = Some(KernelPositions { side: 3, row: 3 * width });
        Gemm { row_step: 3, row_pitch: LANES, panel_pitch: 9 * width * LANES, kernel, ..self }
    }

    /// The products of the positions of the kernel: each one's matrix, and where its output starts.
    pub(super) fn position(&self, position: usize) -> (Gemm<'a>, usize) {
        match self.kernel {
            None => (self.clone(), 0),
            Some(k) => {
                let (ky, kx) = (position / k.side, position % k.side);
                (Gemm { kernel: None, ..self.clone() }.matrix(position), (ky * k.row + kx) * self.row_pitch)
            }
        }
    }

    /// Multiply-accumulates for each row of a segment.
    pub fn macs_per_row(&self) -> u64 {
        self.weights.macs(self.positions() * self.matrices.len())
    }

    /// The number of products.
    pub(super) fn positions(&self) -> usize {
        self.kernel.map_or(1, |k| k.side * k.side)
    }

    /// Without the bias, which a later step adds.
    pub fn without_bias(self) -> Self {
        Gemm { bias: false, ..self }
    }

    /// The padded bias, if the product adds one.
    pub(super) fn bias_row(&self) -> Option<&'a [f32]> {
        if self.bias { self.weights.bias(self.matrices.start) } else { None }
    }

    /// Checks that rows and weights have matching types and widths, that all input and output rows exist, and that the outputs
    /// of segments do not overlap. `len` is the number of rows of a segment, `out` the number of elements of the output. The
    /// SAFETY comments of this module rest on these checks.
    ///
    /// # Panics
    /// If a check fails.
    pub fn check(&self, segments: &[Segment], len: usize, out: usize) {
        let w = self.weights;
        let rows = self.check_rows();
        let count = self.matrices.len();
        let matrices = self.matrices.end.max(self.positions());
        assert!(matrices <= w.matrices && (1..=9).contains(&count), "the matrices must exist");
        let padded = w.panel_count() * LANES;
        assert!(
            self.bias_row().is_none_or(|b| b.len() == padded),
            "a bias must have the padded number of outputs"
        );
        // A row contains its panels, or a panel contains its rows.
        let row = self.row_step * self.row_pitch;
        let mut rows_end = (len - 1) * row + LANES;
        if let Some(k) = self.kernel {
            assert!(
                k.side <= self.row_step && len * self.row_step <= k.row,
                "the outputs of kernel positions must not overlap"
            );
            rows_end += (k.side - 1) * (k.row + 1) * self.row_pitch;
        }
        assert!(
            match self.panel_pitch {
                LANES => self.row_pitch >= padded,
                panel => row >= LANES && panel >= rows_end,
            },
            "output rows must hold the padded number of outputs"
        );
        // Segments come in the order of their outputs; `end` is the end of the outputs so far.
        let mut end = 0;
        for s in segments {
            for from in s.from[..count].iter().flatten() {
                assert!(*from as usize + len <= rows, "input rows must exist");
            }
            assert!(s.to * self.row_pitch >= end, "the outputs of segments must not overlap");
            end = s.to * self.row_pitch + rows_end + (w.panel_count() - 1) * self.panel_pitch;
            assert!(end <= out, "output rows must exist");
        }
    }

    /// Checks that input rows have the type and at least the width of the weights, and returns the number of rows.
    fn check_rows(&self) -> usize {
        let w = self.weights;
        let (rows, width, needed) = match self.x {
            Rows::F32 { data, pitch } => (data.len() / pitch, pitch, w.k),
            Rows::Bytes { data, pitch, params } => {
                ((data.len() / pitch).min(params.len()), pitch, w.k.next_multiple_of(4))
            }
        };
        assert!(
            width >= needed && matches!(self.x, Rows::Bytes { .. }) == w.is_int8(),
            "rows and weights must match in type and width"
        );
        rows
    }
}

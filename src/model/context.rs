//! The model, step by step, in the order of the data: embedding, blocks, pyramid, head.
//!
//! Each step reads and writes buffers of the arena and calls kernels; none of them allocates.

pub(crate) mod attention;
pub(crate) mod bands;
pub(crate) mod conv;
pub(crate) mod embed;
pub(crate) mod map;
pub(crate) mod mlp;
pub(crate) mod products;
pub(crate) mod top;

use crate::activations::RowsMut;
use crate::error::Error;
use crate::format::{LANES, Role, padded};
use crate::kernels::Isa;
use crate::kernels::epilogue::Activation;
use crate::kernels::gemm::{Number, Product, Rows, Segment};
use crate::kernels::interpolate::Upsample;
use crate::observe::{Observer, Stage, TensorName};
use crate::parallel::Parallel;
use crate::plan::{Buf, Plan};
use crate::weights::{Facts, Linear, Model};
use core::ops::Range;

/// What every step needs: the model, the machine, where buffers lie, who watches.
pub(crate) struct Context<'a> {
    pub model: &'a Model<'a>,
    pub facts: Facts,
    pub isa: Isa,
    pub par: &'a dyn Parallel,
    pub plan: &'a Plan,
    pub observer: &'a mut dyn Observer,
    /// Where products unpack weights of four bits.
    unpacked: &'a mut [i8],
    /// Multiply-accumulates since the observer last heard.
    macs: u64,
}

impl<'a> Context<'a> {
    pub fn new(
        model: &'a Model<'a>,
        isa: Isa,
        par: &'a dyn Parallel,
        plan: &'a Plan,
        observer: &'a mut dyn Observer,
        unpacked: &'a mut [u8],
    ) -> Self {
        let unpacked = bytemuck::cast_slice_mut(unpacked);
        Context { model, facts: *model.facts(), isa, par, plan, observer, unpacked, macs: 0 }
    }

    /// Width of a row of channels in memory.
    pub fn pitch(&self) -> usize {
        padded(self.facts.channels)
    }

    /// Several buffers of the arena at once.
    pub fn buffers<'b, const N: usize>(
        &self,
        arena: &'b mut [u8],
        bufs: [Buf; N],
    ) -> Result<[&'b mut [u8]; N], Error> {
        let found = arena.len();
        let needed = self.plan.bytes();
        arena.get_disjoint_mut(bufs.map(|b| self.plan.range(b))).map_err(|_| Error::Buffer {
            what: "arena bytes",
            needed,
            found,
        })
    }

    /// Tells the observer that a step has ended.
    pub fn done(&mut self, stage: Stage) -> Result<(), Error> {
        let macs = core::mem::take(&mut self.macs);
        if self.observer.done(stage, macs) { Ok(()) } else { Err(Error::Cancelled) }
    }

    /// Shows a result to the observer, if it looks at such.
    pub fn show(&mut self, name: TensorName, data: &[f32]) {
        if self.observer.wants_tensors() {
            self.observer.tensor(name, data, self.facts.channels, self.pitch());
        }
    }

    /// out[to + i·step] = activation(W_taps · x + bias), see [`Product`].
    pub fn product<T: Number>(&mut self, call: Call, segments: &[Segment], len: usize, out: &mut [T]) {
        let Call { weights, taps, x, activation, step, pitch, panel, add, bias } = call;
        let bias = bias.then(|| weights.bias(taps.start)).flatten();
        self.macs += (segments.len() * len * taps.len() * weights.n * weights.k) as u64;
        self.show_inputs(weights, &taps, x, segments, len);
        Product { isa: self.isa, weights, taps, bias, x, activation, step, pitch, panel, add }.run(
            (self.par, self.unpacked),
            segments,
            len,
            out,
        );
    }

    /// Shows the rows that a product reads to the observer, if it looks at such.
    fn show_inputs(
        &mut self,
        weights: &Linear,
        taps: &Range<usize>,
        x: Rows,
        segments: &[Segment],
        len: usize,
    ) {
        let Rows::F32 { data, pitch } = x else { return };
        if taps.start > 0 || !self.observer.wants_inputs() {
            return;
        }
        for from in segments.iter().filter_map(|s| s.from[taps.len() / 2]) {
            let rows = &data[from as usize * pitch..][..len * pitch];
            self.observer.input(weights.role, weights.layer, rows, weights.k, pitch);
        }
    }

    /// Rows from f32 rows, in the form `weights` reads.
    pub fn store(&self, rows: &mut RowsMut, first: usize, x: &[f32]) {
        rows.store(self.par, self.isa, first, x, self.facts.channels);
    }

    /// Up-sampling into a map of this size.
    pub fn upsample(&self, (width, height): (usize, usize)) -> Upsample<'a> {
        Upsample { isa: self.isa, par: self.par, width, height, channels: self.pitch() }
    }

    pub fn linear(&self, role: Role, layer: usize) -> Result<Linear<'a>, Error> {
        self.model.linear(role, layer)
    }
}

/// How a product is to be made: the plain case is one tap, bias, output rows that follow each other.
pub(crate) struct Call<'a> {
    pub weights: &'a Linear<'a>,
    pub taps: Range<usize>,
    pub x: Rows<'a>,
    pub activation: Activation,
    pub step: usize,
    pub pitch: usize,
    pub panel: usize,
    pub add: bool,
    pub bias: bool,
}

impl<'a> Call<'a> {
    /// W · x + bias.
    pub fn new(weights: &'a Linear<'a>, x: Rows<'a>) -> Self {
        let (activation, pitch) = (Activation::None, padded(weights.n));
        Call { weights, taps: 0..1, x, activation, step: 1, pitch, panel: LANES, add: false, bias: true }
    }
    /// With one of several matrices.
    pub fn tap(self, tap: usize) -> Self {
        Call { taps: tap..tap + 1, ..self }
    }
    /// With all nine matrices of a 3x3 convolution.
    pub fn conv(self) -> Self {
        Call { taps: 0..9, ..self }
    }
    pub fn activation(self, activation: Activation) -> Self {
        Call { activation, ..self }
    }
    /// Added to what is there.
    pub fn add(self) -> Self {
        Call { add: true, ..self }
    }
    /// Output rows two apart: one corner of each 2x2 of a deconvolution.
    pub fn every_second(self) -> Self {
        Call { step: 2, ..self }
    }
    /// Without bias: it comes later.
    pub fn bare(self) -> Self {
        Call { bias: false, ..self }
    }
}

/// Where a line of a map with blank borders starts among rows: `slot` lines of `width` pixels and two blanks before it.
pub(crate) fn bordered(slot: usize, width: usize) -> usize {
    slot * (width + 2) + 1
}

/// The segment of a 3x3 convolution for line `y` of a map with blank borders kept in a ring of lines.
pub(crate) fn conv_segment(y: usize, (width, height): (usize, usize), ring: usize, to: usize) -> Segment {
    let mut from = [None; 9];
    for (tap, from) in from.iter_mut().enumerate() {
        if let Some(line) = (y + tap / 3).checked_sub(1).filter(|&line| line < height) {
            *from = Some((bordered(line % ring, width) + tap % 3 - 1) as u32);
        }
    }
    Segment { from, to }
}

//! What all steps share: a [`Planner`] while the arena is planned, and a [`Context`] (model, instruction set, threads, layout,
//! observer) while a frame runs.

use crate::arena::{Buf, Layout, phase};
use crate::error::Error;
use crate::file::format::{Role, TensorKind, padded};
use crate::file::{Facts, Linear, LinearShape, Model};
use crate::observe::{Observer, Stage, TensorName};
use crate::ops::gemm::{Gemm, Segment, Segments, unpacked_bytes};
use crate::ops::map_step::{Product, WorkerScratch};
use crate::ops::rows::{Rows, RowsMut};
use crate::ops::upsample::Upsample;
use crate::parallel::chunks::Shared;
use crate::parallel::{Loop, Workers};
use crate::simd::isa::Isa;
use core::sync::atomic::{AtomicBool, Ordering};

/// Collects the buffers that the steps need.
pub(crate) struct Planner<'a> {
    pub model: &'a Model<'a>,
    pub facts: Facts,
    pub workers: usize,
    /// Bytes of scratch for resizing pictures.
    pub resize_scratch: usize,
    pub layout: &'a mut Layout,
}

impl<'a> Planner<'a> {
    /// C, the number of channels padded to whole panels: the distance between tokens or pixels in f32 buffers, in values.
    pub fn pitch(&self) -> usize {
        padded(self.facts.channels)
    }

    /// As [`pitch`](Planner::pitch), in the maps of the head.
    pub fn head_pitch(&self) -> usize {
        padded(self.facts.head_channels)
    }

    pub fn linear_shape(&self, role: Role, layer: usize) -> Result<LinearShape, Error> {
        self.model.linear_shape(role, layer)
    }

    /// Requires `len` f32 for each worker.
    pub fn need_f32_per_worker(&mut self, buf: Buf, len: usize, phases: u8) {
        self.layout.need_f32(buf, self.workers * len, phases);
    }

    /// Gives every buffer its place in the arena. All buffers must have been collected.
    pub fn place(&mut self) -> Result<(), Error> {
        self.layout.place();
        let unpacked = self.unpacked_bytes()?;
        self.layout.append(Buf::UnpackedWeights, unpacked, phase::BACKBONE | phase::HEAD);
        Ok(())
    }

    /// Bytes that all workers together need to unpack the int4 weights of any layer.
    fn unpacked_bytes(&self) -> Result<usize, Error> {
        let mut most = 0;
        for entry in self.model.file().table() {
            if entry.kind == TensorKind::Int4 as u8
                && let Some(role) = Role::from_code(entry.role)
            {
                most = most.max(unpacked_bytes(role, entry.layer, LinearShape::of(entry)));
            }
        }
        self.workers.checked_mul(most).ok_or(Error::TooLarge)
    }
}

/// A loop of a step, the stage that it belongs to, and its multiply-accumulates.
pub(crate) type StageLoop<'a> = (Stage, u64, Loop<'a>);

/// The state of a frame that every step needs.
pub(crate) struct Context<'a> {
    pub model: &'a Model<'a>,
    pub facts: Facts,
    pub isa: Isa,
    pub workers: Workers<'a>,
    layout: &'a Layout,
    observer: &'a mut dyn Observer,
    /// Scratch where matrix products unpack int4 weights ([`Buf::UnpackedWeights`]).
    unpacked: Shared<'a, i8>,
    /// Multiply-accumulates since the last call of [`done`](Context::done).
    pub macs: u64,
}

impl<'a> Context<'a> {
    /// A context, and the arena without the unpacked weights, which the context keeps.
    pub fn new(
        model: &'a Model<'a>,
        isa: Isa,
        workers: Workers<'a>,
        layout: &'a Layout,
        observer: &'a mut dyn Observer,
        arena: &'a mut [u8],
    ) -> (Self, &'a mut [u8]) {
        let (arena, unpacked) = arena.split_at_mut(layout.range(Buf::UnpackedWeights).start);
        let unpacked = Shared::new(bytemuck::cast_slice_mut(unpacked));
        let facts = *model.facts();
        (Context { model, facts, isa, workers, layout, observer, unpacked, macs: 0 }, arena)
    }

    /// C, the number of channels padded to whole panels: the distance between tokens or pixels in f32 buffers, in values.
    pub fn pitch(&self) -> usize {
        padded(self.facts.channels)
    }

    /// As [`pitch`](Context::pitch), in the maps of the head.
    pub fn head_pitch(&self) -> usize {
        padded(self.facts.head_channels)
    }

    pub fn linear(&self, role: Role, layer: usize) -> Result<Linear<'a>, Error> {
        self.model.linear(role, layer)
    }

    /// Several buffers of the arena at once. Any two of them must share a phase, so that they do not overlap.
    pub fn buffers<'b, const N: usize>(
        &self,
        arena: &'b mut [u8],
        bufs: [Buf; N],
    ) -> Result<[&'b mut [u8]; N], Error> {
        let (needed, found) = (self.layout.bytes(), arena.len());
        arena.get_disjoint_mut(bufs.map(|b| self.layout.range(b))).map_err(|_| Error::Buffer {
            what: "arena bytes",
            needed,
            found,
        })
    }

    /// The size in bytes of a buffer of the arena.
    pub fn buffer_len(&self, buf: Buf) -> usize {
        self.layout.range(buf).len()
    }

    /// Whether each layer must be a step of its own, because the observer wants to know about each.
    pub fn runs_layer_by_layer(&self) -> bool {
        let observer = &*self.observer;
        observer.wants_layers() || observer.wants_tensors() || observer.wants_inputs()
    }

    /// Calls `each(a worker's context, t, the worker's id)` for every task `t`, in parallel. The operators of a task run on its
    /// thread alone, and nobody observes them.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if one of the calls fails.
    pub fn run_serial_tasks(
        &mut self,
        tasks: usize,
        each: &(dyn Fn(&mut Context, usize, usize) -> Result<(), Error> + Sync),
    ) -> Result<(), Error> {
        let (model, facts, isa, layout) = (self.model, self.facts, self.isa, self.layout);
        let (unpacked, count) = (self.unpacked, self.workers.count());
        let failed = AtomicBool::new(false);
        self.workers.run(tasks, &|t, worker| {
            let unpacked = unpacked.worker_part(worker, count);
            let (workers, observer) = (Workers::alone(), &mut ());
            let mut cx = Context { model, facts, isa, workers, layout, observer, unpacked, macs: 0 };
            if each(&mut cx, t, worker).is_err() {
                failed.store(true, Ordering::Relaxed);
            }
        });
        if failed.into_inner() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Tells the observer that `done` of `total` windows have run.
    pub fn window_done(&mut self, done: usize, total: usize) {
        self.observer.window(done, total);
    }

    /// Tells the observer that a step of `stage` has ended.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if the observer asks to stop.
    // This and the functions below are called from many places but rarely: a single copy of each keeps the program small.
    #[inline(never)]
    pub fn done(&mut self, stage: Stage) -> Result<(), Error> {
        let macs = core::mem::take(&mut self.macs);
        if self.observer.done(stage, macs) { Ok(()) } else { Err(Error::Cancelled) }
    }

    /// Shows rows of channels, `[rows][C]`, to the observer if it wants tensors.
    pub fn show(&mut self, name: TensorName, data: &[f32]) {
        self.show_rows(name, data, self.facts.channels);
    }

    /// As [`show`](Context::show), for rows of the head.
    pub fn show_head(&mut self, name: TensorName, data: &[f32]) {
        self.show_rows(name, data, self.facts.head_channels);
    }

    #[inline(never)]
    fn show_rows(&mut self, name: TensorName, data: &[f32], n: usize) {
        if self.observer.wants_tensors() {
            self.observer.tensor(name, data, n, padded(n));
        }
    }

    /// Scratch of all workers where matrix products unpack int4 weights.
    pub fn unpacked(&self) -> Shared<'a, i8> {
        self.unpacked
    }

    /// Scratch of the workers for [`MapStep`](crate::ops::map_step::MapStep): buffers for Winograd convolutions and for
    /// interpolation.
    pub fn worker_scratch<'s>(&self, winograd: &'s mut [f32], upsample: &'s mut [f32]) -> WorkerScratch<'s>
    where
        'a: 's,
    {
        WorkerScratch {
            workers: self.workers.count(),
            unpacked: self.unpacked,
            winograd: Shared::new(winograd),
            upsample: Shared::new(upsample),
        }
    }

    /// Runs a loop as a step of its own.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if the observer asks to stop.
    #[inline(never)]
    pub fn run_loop(&mut self, (stage, macs, tasks): StageLoop) -> Result<(), Error> {
        self.workers.run_all(&[tasks]);
        self.macs += macs;
        self.done(stage)
    }

    /// Runs loops that do not depend on each other as one step, or one after another if the observer wants that.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if the observer asks to stop.
    #[inline(never)]
    pub fn run_together<const N: usize>(&mut self, loops: [Option<StageLoop>; N]) -> Result<(), Error> {
        if self.runs_layer_by_layer() {
            return loops.into_iter().flatten().try_for_each(|l| self.run_loop(l));
        }
        let tasks = loops.map(|l| {
            self.macs += l.as_ref().map_or(0, |l| l.1);
            l.map_or(Loop::NONE, |l| l.2)
        });
        self.workers.run_all(&tasks);
        self.done(Stage::Bands)
    }

    /// Runs a matrix product over segments of `len` rows each.
    #[inline(never)]
    pub fn gemm(&mut self, gemm: Gemm, segments: Segments, len: usize, out: &mut [f32]) {
        self.macs += self.show_gemm(&gemm, &segments, len);
        gemm.run(self.isa, (self.workers, self.unpacked), segments, len, out);
    }

    /// As [`show_gemm`](Context::show_gemm), for the convolution of a step.
    pub fn show_product(&mut self, product: &Product) -> u64 {
        match product {
            Product::Given => 0,
            Product::Winograd(conv) => conv.macs(),
            Product::Gemm(p) => self.show_gemm(&p.gemm, &p.segments, p.len),
        }
    }

    /// Shows the input rows of a matrix product to the observer if it wants inputs, and returns the product's multiply-accumulates.
    pub fn show_gemm(&mut self, gemm: &Gemm, segments: &[Segment], len: usize) -> u64 {
        self.show_inputs(gemm, segments, len);
        segments.len() as u64 * len as u64 * gemm.macs_per_row()
    }

    /// Shows the rows that a matrix product reads to the observer if it wants inputs: once per tensor, for the centre of a 3x3
    /// kernel.
    pub fn show_inputs(&mut self, gemm: &Gemm, segments: &[Segment], len: usize) {
        let Rows::F32 { data, pitch } = gemm.x else { return };
        if gemm.matrices.start > 0 || !self.observer.wants_inputs() {
            return;
        }
        let (w, middle) = (gemm.weights, gemm.matrices.len() / 2);
        for from in segments.iter().filter_map(|s| s.from[middle]) {
            let rows = &data[from as usize * pitch..][..len * pitch];
            self.observer.input(w.role, w.layer, rows, w.k, pitch);
        }
    }

    /// Stores f32 rows of channels, `[rows][C]`, from row `first` of `rows` on, quantising them if `rows` are bytes.
    #[inline(never)]
    pub fn store(&self, rows: &mut RowsMut, first: usize, x: &[f32]) {
        rows.store(self.workers, self.isa, first, x, self.facts.channels);
    }

    /// Stores the first `tokens` tokens of the stream `x` after LayerNorm. `scratch` holds a token for each worker.
    pub fn store_normed(&self, rows: &mut RowsMut, x: &[f32], tokens: usize, scratch: &mut [f32]) {
        let (isa, c, n, eps) = (self.isa, self.pitch(), self.facts.channels, self.facts.eps);
        rows.store_from(self.workers, isa, (tokens, n), scratch, |i, out| {
            isa.layer_norm(&x[i * c..][..c], n, eps, out);
        });
    }

    /// As [`store`](Context::store), for rows of the head.
    #[inline(never)]
    pub fn store_head(&self, rows: &mut RowsMut, first: usize, x: &[f32]) {
        rows.store(self.workers, self.isa, first, x, self.facts.head_channels);
    }

    /// Up-sampling of maps of the head to (width, height) pixels.
    pub fn upsample(&self, (width, height): (usize, usize)) -> Upsample {
        Upsample { isa: self.isa, width, height, channels: self.head_pitch() }
    }
}

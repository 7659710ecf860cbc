//! Observing a run: an [`Observer`] is told of each finished step, can see intermediate tensors, and can stop the run. Profiles,
//! progress bars, calibration and accuracy reports are built on it.

use crate::file::format::Role;

// Defines `Stage`. Each line is `Variant = "text name";` in the order of the data flow; a new stage is one new line.
macro_rules! stages {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// The kinds of steps of a run. Most of them occur many times in one run: once per block or band of rows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Stage { $($(#[$doc])* $name,)* }
        impl Stage {
            /// Every stage, in the order of the data flow.
            pub const ALL: &'static [Stage] = &[$(Stage::$name,)*];
            /// The name that profiles and reports use.
            pub const fn name(self) -> &'static str {
                match self { $(Stage::$name => $text,)* }
            }
        }
    };
}

stages! {
    /// Resizing the picture to the input size of the network.
    Resize = "resize";
    /// Patch embedding.
    Embed = "embed";
    /// LayerNorm, and quantisation of its output.
    Norm = "norm";
    /// Queries, keys and values.
    Qkv = "qkv";
    /// Attention: softmax(q · kᵀ + bias) · v.
    Attend = "attention";
    /// All layers between the attention of one block and that of the next: output projection, MLP, LayerNorms, features, and the
    /// queries, keys and values of the next block. A run of separate layers ([`Observer::wants_layers`]) has no such step.
    Tokens = "token layers";
    /// Output projection of attention.
    Proj = "proj";
    /// First layer of the MLP, with its activation function.
    Fc1 = "fc1";
    /// Second layer of the MLP.
    Fc2 = "fc2";
    /// Storing a feature for the neck, or computing the features of the picture.
    Features = "features";
    /// The pyramid pooling module (PSP) on level 3.
    Psp = "pooling";
    /// A step of the fine half of the head: several of the stages from the laterals to the class map, for neighbouring bands of
    /// rows. A run of separate layers ([`Observer::wants_layers`]) has no such step.
    Bands = "head";
    /// Deconvolutions of features 0 and 1, and lateral convolutions, with the up-sampled coarser level.
    Lateral = "laterals";
    /// 3x3 convolution of pyramid level 0.
    Fpn0 = "fpn 0";
    /// 3x3 convolution of pyramid level 1.
    Fpn1 = "fpn 1";
    /// 3x3 convolution of pyramid level 2.
    Fpn2 = "fpn 2";
    /// The FPN bottleneck on levels 1 to 3, multiplied at their own resolution.
    Products = "bottleneck low";
    /// The FPN bottleneck on level 0, at full resolution, and the interpolated products of the other levels.
    Bottleneck = "bottleneck full";
    /// The classifier, to logits.
    Classify = "classifier";
    /// Up-sampling of the logits to the size of the class map, and argmax.
    Map = "map";
}

/// Receives the events of a run. `()` is the observer that ignores them.
pub trait Observer: Send {
    /// A step of `stage` has ended. It began when the step before it ended, and took `macs` multiply-accumulates. Returning
    /// `false` stops the run with [`Error::Cancelled`](crate::Error::Cancelled).
    fn done(&mut self, stage: Stage, macs: u64) -> bool;

    /// Whether each layer runs as a step of its own. The default is `false`, which is faster and gives the same results: layers that
    /// treat every token by itself run as one step ([`Stage::Tokens`]), and so do layers of the head that work on different rows
    /// ([`Stage::Bands`]).
    fn wants_layers(&self) -> bool {
        false
    }

    /// `done` of `total` windows of the picture have run, the views of one picture together. Called after each window, also if there
    /// is only one. The default does nothing.
    fn window(&mut self, done: usize, total: usize) {
        let _ = (done, total);
    }

    /// An intermediate tensor has been computed: rows of `width` values, `pitch` values apart. Called only if
    /// [`wants_tensors`](Observer::wants_tensors) returns `true`.
    fn tensor(&mut self, name: TensorName, data: &[f32], width: usize, pitch: usize) {
        let _ = (name, data, width, pitch);
    }

    /// Whether the run calls [`tensor`](Observer::tensor). The default is `false`.
    fn wants_tensors(&self) -> bool {
        false
    }

    /// A linear tensor is about to be multiplied with these rows of `width` values, `pitch` values apart. Called only if
    /// [`wants_inputs`](Observer::wants_inputs) returns `true`, only for f32 and f16 tensors (the rows of int8 layers are
    /// bytes), and once for all matrices of a tensor. For a 3x3 convolution the rows are the pixels under the centre of the
    /// kernel.
    fn input(&mut self, role: Role, layer: u16, rows: &[f32], width: usize, pitch: usize) {
        let _ = (role, layer, rows, width, pitch);
    }

    /// Whether the run calls [`input`](Observer::input). The default is `false`.
    fn wants_inputs(&self) -> bool {
        false
    }
}

/// The observer that ignores everything.
impl Observer for () {
    fn done(&mut self, _: Stage, _: u64) -> bool {
        true
    }
}

/// The intermediate tensors that an [`Observer`] can see. A map is shown as one row of channels per pixel, pixels in
/// row-major order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorName {
    /// The residual stream after this many blocks (0: the embedding): a row per token, patches first, the class token last.
    Stream(usize),
    /// Level 3: feature 3 after max pooling.
    Level3,
    /// The output of the pyramid pooling module.
    Psp,
    /// Lateral 2 with the up-sampled output of the pooling module added.
    Lateral2,
    /// Some rows of lateral 1 with the up-sampled lateral 2 added; the number is the first row's.
    Lateral1(usize),
    /// Some rows of lateral 0 with the up-sampled lateral 1 added; the number is the first row's.
    Lateral0(usize),
    /// Some rows of a level after its 3x3 convolution: the level and the number of the first row.
    Fpn(usize, usize),
}

//! Watching a run: what has been done, stage by stage, and a way to stop it.

use crate::file::format::Role;

macro_rules! stages {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// A step of the model.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Stage { $($(#[$doc])* $name,)* }
        impl Stage {
            /// Every stage, in the order of the data.
            pub const ALL: &'static [Stage] = &[$(Stage::$name,)*];
            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Stage::$name => $text,)* }
            }
        }
    };
}

stages! {
    /// The picture to the network's input size.
    Resize = "resize";
    /// Patches to tokens.
    Embed = "embed";
    /// LayerNorm and quantisation.
    Norm = "norm";
    /// QueryTile, keys and values.
    Qkv = "qkv";
    /// Attention of each head.
    Attend = "attention";
    /// Attention's output projection.
    Proj = "proj";
    /// First layer of the MLP, with GELU.
    Fc1 = "fc1";
    /// Second layer of the MLP.
    Fc2 = "fc2";
    /// Storing the features for the neck.
    Features = "features";
    /// The pooling module on the coarsest level.
    Psp = "pooling";
    /// Deconvolutions and laterals.
    Lateral = "laterals";
    /// 3x3 convolution of level 0.
    Fpn0 = "fpn 0";
    /// 3x3 convolution of level 1.
    Fpn1 = "fpn 1";
    /// 3x3 convolution of level 2.
    Fpn2 = "fpn 2";
    /// The bottleneck's products at low resolution.
    Products = "bottleneck low";
    /// The bottleneck at full resolution.
    Bottleneck = "bottleneck full";
    /// Interpolation of maps and products.
    Upsample = "interpolation";
    /// The classifier.
    Classify = "classifier";
    /// Logits to the picture's size and argmax.
    Map = "map";
}

/// Is told of each finished step of a run.
pub trait Observer: Send {
    /// Work on `stage` since the last call has ended, with so many multiply-accumulates. Returning `false` stops the run
    /// with [`Error::Cancelled`](crate::Error::Cancelled).
    fn done(&mut self, stage: Stage, macs: u64) -> bool;

    /// A tensor of a step has been computed: `[rows][pitch]`, of which `width` numbers count. Called only where
    /// [`wants_tensors`](Observer::wants_tensors) says so; for tests and accuracy reports.
    fn tensor(&mut self, name: TensorName, data: &[f32], width: usize, pitch: usize) {
        let _ = (name, data, width, pitch);
    }

    /// Whether [`tensor`](Observer::tensor) is to be called.
    fn wants_tensors(&self) -> bool {
        false
    }

    /// Rows that a linear tensor is about to be multiplied with, `[rows][pitch]`, of which `width` numbers count. Called
    /// only where [`wants_inputs`](Observer::wants_inputs) says so and rows are f32 (not in int8 layers), once for all
    /// matrices of the tensor; a 3x3 convolution shows the pixels under its middle.
    fn input(&mut self, role: Role, layer: u16, rows: &[f32], width: usize, pitch: usize) {
        let _ = (role, layer, rows, width, pitch);
    }

    /// Whether [`input`](Observer::input) is to be called.
    fn wants_inputs(&self) -> bool {
        false
    }
}

/// Nobody watches.
impl Observer for () {
    fn done(&mut self, _: Stage, _: u64) -> bool {
        true
    }
}

/// Intermediate results that an [`Observer`] can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorName {
    /// The residual stream after so many blocks (0: the embedding), patches first, the class token last.
    Stream(usize),
    /// The coarsest level after max-pooling.
    Level3,
    /// The pooling module's output.
    Psp,
    /// Lateral 2 with the top added.
    Lateral2,
    /// Lines of lateral 1 with lateral 2 added, from a line.
    Lateral1(usize),
    /// Lines of lateral 0 with lateral 1 added, from a line.
    Lateral0(usize),
    /// Lines of a level after its 3x3 convolution: level, first line.
    Fpn(usize, usize),
}

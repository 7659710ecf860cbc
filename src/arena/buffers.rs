//! The buffers of a run, and the phases in which they are alive. Each buffer's size stands with the step of the model that
//! uses it.

/// The phases of a run, one bit each.
pub(crate) mod phase {
    pub const RESIZE: u8 = 1;
    pub const EMBED: u8 = 2;
    pub const ATTENTION: u8 = 4;
    pub const MLP: u8 = 8;
    /// The coarse half of the head: level 3, the pooling module, lateral 2.
    pub const COARSE: u8 = 16;
    /// The 3x3 convolution of level 2.
    pub const LEVEL2: u8 = 32;
    /// The fine half of the head.
    pub const BANDS: u8 = 64;
    pub const BACKBONE: u8 = EMBED | ATTENTION | MLP;
    pub const HEAD: u8 = COARSE | LEVEL2 | BANDS;
}

macro_rules! buffers {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// A buffer of the arena.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Buf { $($(#[$doc])* $name,)* }

        impl Buf {
            /// The names of the buffers, in the order of the enumeration.
            pub(super) const NAMES: &[&str] = &[$($text,)*];
        }
    };
}

buffers! {
    /// The resized picture, RGB bytes.
    Pixels = "resized picture";
    /// Scratch of the resize.
    ResizeScratch = "resize scratch";
    /// The picture as rows of patches.
    Patches = "patch rows";
    /// The residual stream, f32.
    Stream = "residual stream";
    /// Normalised tokens, later the output of attention, as rows for the next layer.
    Normed = "normalised tokens";
    /// q, k, v of one head, f32.
    Qkv = "q, k, v of a head";
    /// q, k, v of one head, packed for multiplication.
    PackedQkv = "packed q, k, v";
    /// Biases, logits and probabilities of a tile of queries, for each worker.
    AttentionScratch = "attention scratch";
    /// The output of attention, f32.
    AttentionOutput = "attention output";
    /// A normalised token, for each worker.
    NormScratch = "norm scratch";
    /// Normalised tokens that go through the MLP together.
    MlpInput = "MLP input";
    /// The hidden layer of these tokens, f32.
    Hidden = "MLP hidden";
    /// The hidden layer as rows.
    HiddenRows = "MLP hidden rows";
    /// Feature 0 as rows.
    Feature0 = "feature 0";
    /// Feature 1 as rows.
    Feature1 = "feature 1";
    /// Feature 2 as rows.
    Feature2 = "feature 2";
    /// Level 3, f32.
    Level3 = "level 3 map";
    /// Level 3 as rows with blank borders.
    Level3Rows = "level 3 rows";
    /// The cells of one pooling scale, f32.
    Pooled = "pooled cells";
    /// The same as rows, before and after the branch's 1x1 convolution.
    PooledRows = "pooled rows";
    /// The output of the branch's 1x1 convolution, f32.
    PspBranch = "pooling branch";
    /// A branch multiplied by the nine kernel positions of the bottleneck.
    PspProducts = "pooling products";
    /// The output of the pooling module, f32.
    Psp = "pooling module output";
    /// The output of the pooling module as rows.
    PspRows = "pooling module rows";
    /// Lateral 2 with the up-sampled pooling module added, f32.
    Lateral2 = "lateral 2";
    /// Lateral 2 as rows with blank borders.
    Lateral2Rows = "lateral 2 rows";
    /// Level 2 after its 3x3 convolution, f32.
    Fpn2 = "level 2 map";
    /// Level 2 as rows.
    Fpn2Rows = "level 2 rows";
    /// Vertically interpolated columns, for each worker.
    UpsampleScratch = "up-sampling scratch";
    /// Ring of rows of lateral 1, f32.
    Lateral1 = "lateral 1 ring";
    /// The same ring as rows for the 3x3 convolution.
    Lateral1Rows = "lateral 1 rows";
    /// Ring of rows of level 1 after its convolution, as rows.
    Fpn1Rows = "level 1 rows";
    /// Ring of rows of level 1's products with nine kernel positions.
    Products1 = "level 1 products";
    /// The same of level 2.
    Products2 = "level 2 products";
    /// The same of level 3.
    Products3 = "level 3 products";
    /// Rows that the next matrix product reads and nothing after it: feature 0 after its first deconvolution, transformed
    /// Winograd tiles, the output of the FPN bottleneck.
    TransientRows = "transient rows";
    /// Rows at full resolution, f32: the output of the step that is running.
    FineRows = "full-resolution rows";
    /// Ring of rows of lateral 0, for the 3x3 convolution.
    Lateral0Rows = "lateral 0 rows";
    /// Ring of rows of level 0 after its convolution, for the bottleneck.
    Fpn0Rows = "level 0 rows";
    /// Transformed pixels of one Winograd tile, f32, or integer sums of products, for each worker.
    WinogradScratch = "Winograd scratch";
    /// Ring of rows of logits.
    Logits = "logits ring";
    /// A row of logits, for each worker.
    MapScratch = "map scratch";
    /// int4 weights unpacked to int8, for each worker. It lies behind all others: any product may use it.
    UnpackedWeights = "unpacked weights";
}

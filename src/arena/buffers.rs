//! The buffers of a run, and the phases in which they are alive. The steps of the model that use a buffer state its size.

/// The phases of a run, one bit each. A buffer keeps its memory through all phases in which it is alive.
pub(crate) mod phase {
    pub const RESIZE: u8 = 1;
    pub const EMBED: u8 = 2;
    pub const ATTENTION: u8 = 4;
    /// The layers between the attention of one block and that of the next.
    pub const TOKENS: u8 = 8;
    /// The coarse half of the head: level 3, the pooling module, lateral 2.
    pub const COARSE: u8 = 16;
    /// The 3x3 convolution of level 2.
    pub const LEVEL2: u8 = 32;
    /// The fine half of the head, in bands of rows.
    pub const BANDS: u8 = 64;
    pub const BACKBONE: u8 = EMBED | ATTENTION | TOKENS;
    pub const HEAD: u8 = COARSE | LEVEL2 | BANDS;
    /// For what is kept from one window of a picture to the next.
    pub const ALL: u8 = RESIZE | BACKBONE | HEAD;
}

// Defines `Buf`. Each line is `Variant = "name in plans";`; a new buffer is one new line.
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
    // "As rows" means in the form that the next layer reads: f32, or bytes with a scale and an offset per row (`ops::rows`);
    // for a Winograd convolution, bfloat16. C is the number of channels, padded to whole panels of 16.
    /// The resized picture, bytes `[height][width][channels of the picture]`.
    Pixels = "resized picture";
    /// Scratch of the resize.
    ResizeScratch = "resize scratch";
    /// The patches of the picture as rows.
    Patches = "patch rows";
    /// The residual stream, f32 `[tokens][C]`.
    Stream = "residual stream";
    /// q, k and v of all heads, f32 `[head][tokens][q, k, v]`. Attention writes its output over q.
    Qkv = "q, k, v";
    /// q, k and v of all heads, packed for the attention kernels.
    PackedQkv = "packed q, k, v";
    /// Biases, logits and probabilities of a tile of queries, for each worker.
    AttentionScratch = "attention scratch";
    /// The input of a layer as rows, for the tokens of a task; for each worker.
    TokenRows = "token rows";
    /// The hidden layer of these tokens, f32, for each worker.
    Hidden = "MLP hidden";
    /// The hidden layer of these tokens as rows, for each worker.
    HiddenRows = "MLP hidden rows";
    /// One token, f32, for each worker.
    Token = "token scratch";
    /// Feature 0 as rows, one per patch.
    Feature0 = "feature 0";
    /// Feature 1 as rows.
    Feature1 = "feature 1";
    /// Feature 2 as rows.
    Feature2 = "feature 2";
    /// Level 3, f32 `[y][x][C]`.
    Level3 = "level 3 map";
    /// Level 3 as rows, with a blank pixel at both ends of each map row.
    Level3Rows = "level 3 rows";
    /// The cells of one pooling branch, f32 `[cells][C]`.
    Pooled = "pooled cells";
    /// The cells as rows, for the 1x1 convolution of the branch; later its output as rows, for the PSP bottleneck.
    PooledRows = "pooled rows";
    /// The output of the 1x1 convolution of a branch, f32 `[cells][C]`.
    PspBranch = "pooling branch";
    /// The products of a branch with the nine kernel positions of the PSP bottleneck.
    PspProducts = "pooling products";
    /// The output of the pooling module, f32 `[y][x][C]`.
    Psp = "pooling module output";
    /// The output of the pooling module as rows, for the FPN bottleneck.
    PspRows = "pooling module rows";
    /// Lateral 2 with the up-sampled output of the pooling module added, f32 `[y][x][C]`.
    Lateral2 = "lateral 2";
    /// Lateral 2 as rows, with a blank pixel at both ends of each map row.
    Lateral2Rows = "lateral 2 rows";
    /// Transformed Winograd tiles of lateral 2.
    Level2Tiles = "level 2 tiles";
    /// Level 2 after its 3x3 convolution, f32 `[y][x][C]`.
    Fpn2 = "level 2 map";
    /// Level 2 after its convolution, as rows for the FPN bottleneck.
    Fpn2Rows = "level 2 rows";
    /// Source pixels of the horizontal interpolation and vertically interpolated columns, for each worker.
    UpsampleScratch = "up-sampling scratch";
    /// Ring of map rows of lateral 1, f32.
    Lateral1 = "lateral 1 ring";
    /// The same ring as rows for the 3x3 convolution of level 1.
    Lateral1Rows = "lateral 1 rows";
    /// Ring of map rows of level 1 after its convolution, as rows for the FPN bottleneck.
    Fpn1Rows = "level 1 rows";
    /// Ring of map rows of the products of level 1 with the nine kernel positions of the FPN bottleneck.
    Products1 = "level 1 products";
    /// The same of level 2.
    Products2 = "level 2 products";
    /// The same of level 3.
    Products3 = "level 3 products";
    /// Ring of map rows of feature 0 after its first deconvolution, as rows.
    Deconvolved = "deconvolved rows";
    /// Transformed Winograd tiles of lateral 0.
    Tiles0 = "level 0 tiles";
    /// Transformed Winograd tiles of lateral 1.
    Tiles1 = "level 1 tiles";
    /// Transformed Winograd tiles of level 0, for the FPN bottleneck; later its output as rows for the classifier.
    BottleneckRows = "bottleneck rows";
    /// Map rows of lateral 0 or level 0, f32: the output of one step.
    Map0 = "level 0 map rows";
    /// Map rows of level 1, f32: the output of one step.
    Map1 = "level 1 map rows";
    /// Map rows of the output of the FPN bottleneck, f32.
    BottleneckMap = "bottleneck map rows";
    /// Ring of map rows of lateral 0, as rows for the 3x3 convolution of level 0.
    Lateral0Rows = "lateral 0 rows";
    /// Ring of map rows of level 0 after its convolution, as rows for the FPN bottleneck.
    Fpn0Rows = "level 0 rows";
    /// Input pixels of one Winograd tile after the input transform, f32, or sums of products, i32, or deconvolved pixels, f32; for
    /// each worker.
    WinogradScratch = "Winograd scratch";
    /// Ring of map rows of logits, f32.
    Logits = "logits ring";
    /// One interpolated row of logits, f32, for each worker; or what a block of pixels reads of overlapping windows.
    MapScratch = "map scratch";
    /// Logits that later windows need too: tiles of pixels in 16-bit fixed point.
    KeptTiles = "kept logits";
    /// Which tile holds which logits, and until when: u32.
    KeptIndex = "index of kept logits";
    /// The features of the picture, f32.
    PictureFeatures = "picture features";
    /// One token, or the mean of the patches, before its LayerNorm, f32.
    PooledToken = "pooled token";
    /// The features of the picture as a row, for the classifier.
    PictureFeaturesRow = "picture features row";
    /// The logits of the picture, f32 `[padded classes]`.
    PictureLogits = "picture logits";
    /// int4 weights expanded to int8, for each worker. Every matrix product may use it, so it lies after all other buffers.
    UnpackedWeights = "unpacked weights";
}

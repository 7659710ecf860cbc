#![doc = include_str!("FORMAT.md")]

use bytemuck::{Pod, Zeroable};

#[cfg(target_endian = "big")]
compile_error!("weight files are little-endian and used in place: big-endian targets are not supported");

/// The first eight bytes of every file. A transfer in text mode would change their line ending and so be detected.
pub const MAGIC: [u8; 8] = *b"BEITLE\r\n";
/// The format version that this crate reads and writes.
pub const VERSION: u32 = 1;
/// Alignment of tensors, and of the file in memory, in bytes.
pub const ALIGN: usize = 64;
/// Outputs in a panel of a linear tensor, which are the lanes of one vector.
pub const LANES: usize = 16;
/// Inputs of an int4 tensor that share a multiplier.
pub const GROUP: usize = 32;

/// Bit of [`Header::position`]: absolute position embeddings.
pub const ABSOLUTE: u32 = 1;
/// Bit of [`Header::position`]: a relative-position table per block.
pub const RELATIVE: u32 = 2;
/// Bit of [`Header::position`]: one relative-position table for all blocks.
pub const SHARED: u32 = 4;

/// The file's header; see the table above for each field.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[allow(missing_docs)] // FORMAT.md documents each field
pub struct Header {
    pub magic: [u8; 8],
    pub version: u32,
    pub header_bytes: u32,
    pub file_bytes: u64,
    pub tensor_count: u32,
    pub head_crc: u32,
    pub width: u32,
    pub height: u32,
    pub patch: u32,
    pub channels: u32,
    pub heads: u32,
    pub hidden: u32,
    pub blocks: u32,
    pub source_blocks: u32,
    pub feature_blocks: [u32; 4],
    pub classes: u32,
    pub pool_count: u32,
    pub pool_scales: [u32; 8],
    pub eps: f32,
    pub recipe: u32,
    pub mean: [f32; 3],
    pub std: [f32; 3],
    pub rescale: f32,
    pub resample: u32,
    pub resize: u32,
    pub short_side: u32,
    pub stride: u32,
    pub position: u32,
    pub reduce_labels: u32,
    pub precision: u32,
    pub source_sha256: [u8; 32],
    pub winograd: [u8; 4],
    pub task: u8,
    pub pooling: u8,
    pub token_norm: u8,
    pub activation: u8,
    pub picture_channels: u32,
    pub head_channels: u32,
    pub stretch_width: u32,
    pub stretch_height: u32,
    pub mean4: f32,
    pub std4: f32,
    pub reserved: [u8; 264],
}

/// An entry of the tensor table; see the table above for each field.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[allow(missing_docs)] // FORMAT.md documents each field
pub struct TensorEntry {
    pub role: u16,
    pub layer: u16,
    pub kind: u8,
    pub bias_rows: u8,
    pub matrices: u16,
    pub n: u32,
    pub k: u32,
    pub offset: u64,
    pub bytes: u64,
    pub crc: u32,
    pub sqnr: f32,
    pub source_bytes: u64,
    pub reserved: [u64; 2],
}

const _: () = assert!(size_of::<Header>() == 512 && size_of::<TensorEntry>() == 64);

/// The number of points of Winograd's F(tile x tile, 3x3), and of the matrices of a 3x3 convolution stored for it: 16 for
/// `tile` 2, 36 for `tile` 4.
pub const fn winograd_points(tile: usize) -> usize {
    (tile + 2) * (tile + 2)
}

/// Whether a tensor of this role with this many matrices holds the transformed weights of a Winograd convolution. Only the
/// two roles that may be stored so are considered: `qkv`, for example, can have 16 matrices too, one per head.
pub const fn is_winograd(role: Role, matrices: u16) -> bool {
    matches!(role, Role::FpnConv | Role::FpnBottleneck) && matrices > 9
}

// Defines an enumeration whose values are numbers in the file. Each line is `Variant = number, "text name";`. The macro makes
// the enumeration with those discriminants, and from the same list `ALL`, `from_code` (number to variant) and `name` (the text
// name). A new value is one new line here and one in FORMAT.md.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident: $int:ty { $($(#[$vdoc:meta])* $variant:ident = $value:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant = $value,)* }
        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];
            /// The value with this number.
            pub const fn from_code(code: $int) -> Option<Self> {
                match code { $($value => Some($name::$variant),)* _ => None }
            }
            /// The name that FORMAT.md and the command line use.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }
    };
}

numbered! {
    /// What a tensor is. FORMAT.md gives the shape and contents of each role.
    Role: u16 {
        /// The class names, one per line.
        ClassNames = 1, "class_names";
        /// R, G, B of each class.
        Palette = 2, "palette";
        /// The checkpoint's name.
        Source = 3, "source";
        /// The converter and its version.
        Tool = 4, "tool";
        /// Patch embedding.
        Embed = 16, "embed";
        /// The class token.
        ClassToken = 17, "class_token";
        /// Absolute position embeddings of the patches.
        Positions = 18, "positions";
        /// Queries, keys and values, one matrix per head.
        Qkv = 32, "qkv";
        /// Attention's output projection.
        Proj = 33, "proj";
        /// First layer of the MLP.
        Fc1 = 34, "fc1";
        /// Second layer of the MLP.
        Fc2 = 35, "fc2";
        /// Relative-position bias.
        RelativeBias = 36, "relative_bias";
        /// First deconvolution of feature 0.
        Deconv0 = 48, "deconv0";
        /// Second deconvolution of feature 0 and lateral 0, in one matrix per kernel position.
        DeconvLateral0 = 49, "deconv_lateral0";
        /// Deconvolution of feature 1 and lateral 1, in one matrix per kernel position.
        DeconvLateral1 = 50, "deconv_lateral1";
        /// 1x1 convolution of lateral 2.
        Lateral2 = 51, "lateral2";
        /// 1x1 convolution of a pooling branch.
        PspBranch = 64, "psp_branch";
        /// The part of the PSP bottleneck that reads the map itself.
        PspBottleneck = 65, "psp_bottleneck";
        /// The part of the PSP bottleneck that reads a pooling branch.
        PspBottleneckBranch = 66, "psp_bottleneck_branch";
        /// 3x3 convolution of a pyramid level.
        FpnConv = 67, "fpn_conv";
        /// The part of the FPN bottleneck that reads a pyramid level.
        FpnBottleneck = 68, "fpn_bottleneck";
        /// The classifier.
        Classifier = 69, "classifier";
        /// LayerNorm of the last block's tokens.
        TokenNorm = 80, "token_norm";
        /// LayerNorm of the mean of the patches.
        PoolNorm = 81, "pool_norm";
        /// The converter's report, in JSON.
        Report = 96, "report";
    }
}

numbered! {
    /// What a model computes.
    Task: u8 {
        /// A class for every pixel.
        Segmentation = 0, "segmentation";
        /// A class for the picture; also its features.
        Classification = 1, "classification";
        /// Features of the picture.
        Features = 2, "features";
    }
}

numbered! {
    /// How a picture's features are made of the tokens after the last block.
    Pooling: u8 {
        /// The mean of the patches, then LayerNorm.
        Mean = 0, "mean";
        /// The class token.
        ClassToken = 1, "class token";
    }
}

numbered! {
    /// The activation function of the MLPs, under the names of transformers.
    MlpActivation: u8 {
        /// x · Φ(x) with the normal distribution Φ.
        Gelu = 0, "gelu";
        /// The approximation of GELU by tanh.
        GeluTanh = 1, "gelu_pytorch_tanh";
        /// max(x, 0).
        Relu = 2, "relu";
    }
}

numbered! {
    /// How a tensor is stored.
    TensorKind: u8 {
        /// Text or raw bytes.
        Bytes = 0, "bytes";
        /// Plain rows of f32.
        Plain = 1, "plain";
        /// Panels of f32.
        F32 = 2, "f32";
        /// Panels of f16.
        F16 = 3, "f16";
        /// Panels of int8 with scales and sums.
        Int8 = 4, "int8";
        /// Panels of four-bit integers with scales, sums and a multiplier per group of inputs.
        Int4 = 5, "int4";
    }
}

numbered! {
    /// How the model is meant to be run.
    Recipe: u32 {
        /// As Hugging Face transformers runs it.
        Hf = 0, "hf";
        /// As unilm and mmsegmentation trained and evaluated it.
        Paper = 1, "paper";
    }
}

numbered! {
    /// The precision that was asked of the converter.
    Precision: u32 {
        /// f32 weights and activations: the reference.
        F32 = 0, "f32";
        /// f16 weights, f32 activations.
        F16 = 1, "f16";
        /// 8-bit integer weights and activations.
        Int8 = 2, "int8";
        /// 4-bit integer weights, 8-bit integer activations.
        Int4 = 3, "int4";
    }
}

/// `n` rounded up to a multiple of [`LANES`].
pub const fn padded(n: usize) -> usize {
    n.div_ceil(LANES) * LANES
}

impl TensorEntry {
    /// The size in bytes of each part of a linear tensor: weights; scales, sums and multipliers together; biases. `None` on
    /// overflow or if the tensor is not linear.
    pub fn linear_parts(&self) -> Option<[usize; 3]> {
        let (matrices, n, k) = (usize::from(self.matrices), self.n as usize, self.k as usize);
        let outputs = matrices.checked_mul(n.checked_next_multiple_of(LANES)?)?;
        let weights = match TensorKind::from_code(self.kind)? {
            TensorKind::F32 => outputs.checked_mul(k)?.checked_mul(4)?,
            TensorKind::F16 => outputs.checked_mul(k)?.checked_mul(2)?,
            TensorKind::Int8 => outputs.checked_mul(k.checked_next_multiple_of(4)?)?,
            TensorKind::Int4 => outputs.checked_mul(k.checked_next_multiple_of(8)? / 2)?,
            TensorKind::Bytes | TensorKind::Plain => return None,
        };
        // Of each output: an f32 scale, an i32 sum, and for int4 a byte per group of inputs.
        let scales = match TensorKind::from_code(self.kind)? {
            TensorKind::Int8 => outputs.checked_mul(8)?,
            TensorKind::Int4 => outputs.checked_mul(k.div_ceil(GROUP).checked_add(8)?)?,
            _ => 0,
        };
        let biases = usize::from(self.bias_rows).checked_mul(padded(n))?.checked_mul(4)?;
        Some([weights, scales, biases])
    }

    /// The size in bytes that follows from the kind and the shape. `None` on overflow or for an unknown kind.
    pub fn expected_bytes(&self) -> Option<u64> {
        let (n, k) = (u64::from(self.n), u64::from(self.k));
        match TensorKind::from_code(self.kind)? {
            TensorKind::Bytes => n.checked_mul(k),
            TensorKind::Plain => n.checked_mul(k)?.checked_mul(4),
            _ => {
                let [weights, scales, biases] = self.linear_parts()?;
                (weights as u64).checked_add(scales as u64)?.checked_add(biases as u64)
            }
        }
    }
}

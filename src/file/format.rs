#![doc = include_str!("FORMAT.md")]

use crate::crc::Crc32;
use crate::error::Error;
use bytemuck::{Pod, Zeroable};

#[cfg(target_endian = "big")]
compile_error!("weight files are little-endian and used in place: big-endian targets are not supported");

/// The first eight bytes of every file. The line ending shows a file that went through a text-mode copy.
pub const MAGIC: [u8; 8] = *b"BEITLE\r\n";
/// The format version this build reads and writes.
pub const VERSION: u32 = 1;
/// Every tensor starts at a multiple of this.
pub const ALIGN: usize = 64;
/// Outputs in a panel of a linear tensor, lanes of a vector.
pub const LANES: usize = 16;

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
    pub taps: [u32; 4],
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
    pub reserved: [u8; 292],
}

/// One line of the tensor table.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[allow(missing_docs)] // FORMAT.md documents each field
pub struct Entry {
    pub role: u16,
    pub layer: u16,
    pub kind: u8,
    pub bias_rows: u8,
    pub taps: u16,
    pub n: u32,
    pub k: u32,
    pub offset: u64,
    pub bytes: u64,
    pub crc: u32,
    pub sqnr: f32,
    pub source_bytes: u64,
    pub reserved: [u64; 2],
}

const _: () = assert!(size_of::<Header>() == 512 && size_of::<Entry>() == 64);

/// Inputs of an int4 tensor that share a multiplier.
pub const GROUP: usize = 32;
/// Matrices of a 3x3 convolution by Winograd's F(tile x tile, 3x3).
pub const fn winograd_taps(tile: usize) -> usize {
    (tile + 2) * (tile + 2)
}

/// Whether the matrices of a 3x3 convolution are those of a Winograd transform, int8 always. (Other tensors may have as many
/// matrices: `qkv` has one for each head.)
pub const fn is_winograd(role: Role, taps: u16) -> bool {
    matches!(role, Role::Fpn | Role::Fuse) && taps > 9
}
/// `Header::position`: absolute embeddings.
pub const ABSOLUTE: u32 = 1;
/// `Header::position`: a relative table per block.
pub const RELATIVE: u32 = 2;
/// `Header::position`: one relative table for all blocks.
pub const SHARED: u32 = 4;

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
            /// Its name, as FORMAT.md and the command line write it.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }
    };
}

numbered! {
    /// What a tensor is.
    Role: u16 {
        /// One class name a line.
        ClassNames = 1, "class_names";
        /// RGB of each class.
        Palette = 2, "palette";
        /// The checkpoint's name.
        Source = 3, "source";
        /// Converter and version.
        Tool = 4, "tool";
        /// Patch embedding.
        Embed = 16, "embed";
        /// The class token.
        ClassToken = 17, "class_token";
        /// Absolute position embeddings of the patches.
        Positions = 18, "positions";
        /// Queries, keys and values, head by head.
        Qkv = 32, "qkv";
        /// Attention's output projection.
        Proj = 33, "proj";
        /// First layer of the MLP.
        Fc1 = 34, "fc1";
        /// Second layer of the MLP.
        Fc2 = 35, "fc2";
        /// Relative-position bias.
        Bias = 36, "bias";
        /// First deconvolution of tap 0.
        Up0a = 48, "up0a";
        /// Second deconvolution of tap 0 and lateral 0.
        Up0b = 49, "up0b";
        /// Deconvolution of tap 1 and lateral 1.
        Up1 = 50, "up1";
        /// Lateral 2.
        Lateral2 = 51, "lateral2";
        /// A pooling branch.
        Pool = 64, "pool";
        /// The pooling bottleneck's view of the map.
        Top = 65, "top";
        /// The pooling bottleneck's view of a branch.
        TopPool = 66, "top_pool";
        /// 3x3 convolution of a pyramid level.
        Fpn = 67, "fpn";
        /// The 3x3 bottleneck's view of a level.
        Fuse = 68, "fuse";
        /// The classifier.
        Classify = 69, "classify";
        /// The converter's report, JSON.
        Report = 96, "report";
    }
}

numbered! {
    /// How a tensor is stored.
    Kind: u8 {
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
        /// Panels of four-bit integers with scales, sums and a multiplier for each group.
        Int4 = 5, "int4";
    }
}

numbered! {
    /// How the model is meant to be run.
    Recipe: u32 {
        /// As transformers runs it.
        Hf = 0, "hf";
        /// As unilm and mmsegmentation trained it.
        Paper = 1, "paper";
    }
}

numbered! {
    /// What was asked of the converter.
    Precision: u32 {
        /// Reference.
        F32 = 0, "f32";
        /// Half-precision weights.
        F16 = 1, "f16";
        /// Integer weights and activations.
        Int8 = 2, "int8";
        /// The same with weights of four bits.
        Int4 = 3, "int4";
    }
}

/// `n` rounded up to whole panels.
pub const fn padded(n: usize) -> usize {
    n.div_ceil(LANES) * LANES
}

impl Entry {
    /// Bytes of each part of a linear tensor: weights, then scales, sums and multipliers together, then biases. `None` on overflow
    /// or when the kind is not linear.
    pub fn linear_parts(&self) -> Option<[usize; 3]> {
        let (taps, n, k) = (usize::from(self.taps), self.n as usize, self.k as usize);
        let columns = taps.checked_mul(n.checked_next_multiple_of(LANES)?)?;
        let weights = match Kind::from_code(self.kind)? {
            Kind::F32 => columns.checked_mul(k)?.checked_mul(4)?,
            Kind::F16 => columns.checked_mul(k)?.checked_mul(2)?,
            Kind::Int8 => columns.checked_mul(k.checked_next_multiple_of(4)?)?,
            Kind::Int4 => columns.checked_mul(k.checked_next_multiple_of(8)? / 2)?,
            Kind::Bytes | Kind::Plain => return None,
        };
        let scales = match Kind::from_code(self.kind)? {
            Kind::Int8 => columns.checked_mul(8)?,
            Kind::Int4 => columns.checked_mul(k.div_ceil(GROUP).checked_add(8)?)?,
            _ => 0,
        };
        Some([weights, scales, usize::from(self.bias_rows).checked_mul(padded(n))?.checked_mul(4)?])
    }

    /// The length its kind and shape ask for. `None` on overflow or an unknown kind.
    pub fn expected_bytes(&self) -> Option<u64> {
        let (n, k) = (u64::from(self.n), u64::from(self.k));
        match Kind::from_code(self.kind)? {
            Kind::Bytes => n.checked_mul(k),
            Kind::Plain => n.checked_mul(k)?.checked_mul(4),
            _ => {
                let [w, s, b] = self.linear_parts()?;
                (w as u64).checked_add(s as u64)?.checked_add(b as u64)
            }
        }
    }
}

/// A file whose structure has been checked: header, table, every size, offset and shape.
#[derive(Clone, Copy)]
pub struct File<'a> {
    bytes: &'a [u8],
    header: &'a Header,
    table: &'a [Entry],
}

impl<'a> File<'a> {
    /// Checks everything but the tensors' contents; takes microseconds whatever the file's size.
    ///
    /// # Errors
    /// The first thing that is wrong, by field.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.len() >= MAGIC.len() && bytes[..MAGIC.len()] != MAGIC {
            return Err(Error::Magic);
        }
        let cut = |what, needed| Error::Truncated { what, needed, found: bytes.len() as u64 };
        let head = bytes.get(..size_of::<Header>()).ok_or(cut("the header", size_of::<Header>() as u64))?;
        if !bytes.as_ptr().addr().is_multiple_of(ALIGN) {
            return Err(Error::Misaligned);
        }
        let header: &Header = bytemuck::from_bytes(head);
        if header.version != VERSION {
            return Err(Error::Version { found: header.version });
        }
        let table_end =
            size_of::<Header>() as u64 + u64::from(header.tensor_count) * size_of::<Entry>() as u64;
        let table = usize::try_from(table_end)
            .ok()
            .and_then(|end| bytes.get(size_of::<Header>()..end))
            .ok_or(cut("the tensor table", table_end))?;
        if header.file_bytes > bytes.len() as u64 {
            return Err(cut("the whole file", header.file_bytes));
        }
        if header.file_bytes < bytes.len() as u64 {
            let expected = "the length of the file (there are bytes behind its end)";
            return Err(Error::Header { field: "file_bytes", found: header.file_bytes, expected });
        }
        let mut crc = Crc32::new();
        crc.update(bytemuck::bytes_of(&Header { head_crc: 0, ..*header }));
        crc.update(table);
        if crc.value() != header.head_crc {
            return Err(Error::Checksum { what: "header and tensor table", layer: 0 });
        }
        let file = File { bytes, header, table: bytemuck::cast_slice(table) };
        file.check_places(table_end)?;
        crate::shapes::check(header, file.table)?;
        Ok(file)
    }

    /// Offsets and lengths: in order, aligned, gapless but for alignment, inside the file.
    fn check_places(&self, table_end: u64) -> Result<(), Error> {
        let mut end = table_end;
        for e in self.table {
            let role = Role::from_code(e.role).map_or("unknown", Role::name);
            let wrong =
                |field, found, expected| Error::Tensor { role, layer: e.layer, field, found, expected };
            let start = end.checked_next_multiple_of(ALIGN as u64).ok_or(Error::TooLarge)?;
            if e.offset != start {
                return Err(wrong("offset", e.offset, start));
            }
            if Kind::from_code(e.kind).is_none() {
                return Err(wrong("kind", e.kind.into(), Kind::Int8 as u64));
            }
            let bytes = e.expected_bytes().ok_or(wrong("bytes", e.bytes, u64::MAX))?;
            if e.bytes != bytes {
                return Err(wrong("bytes", e.bytes, bytes));
            }
            end = start.checked_add(bytes).ok_or(wrong("bytes", bytes, self.header.file_bytes))?;
            if end > self.header.file_bytes {
                return Err(wrong("offset + bytes", end, self.header.file_bytes));
            }
        }
        if end != self.header.file_bytes {
            let expected = "the end of the last tensor";
            return Err(Error::Header { field: "file_bytes", found: self.header.file_bytes, expected });
        }
        Ok(())
    }

    /// All of it.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The header.
    pub fn header(&self) -> &'a Header {
        self.header
    }

    /// The tensor table.
    pub fn table(&self) -> &'a [Entry] {
        self.table
    }

    /// The table's line for a tensor.
    pub fn find(&self, role: Role, layer: u16) -> Option<&'a Entry> {
        let i = self.table.binary_search_by_key(&(role as u16, layer), |e| (e.role, e.layer)).ok()?;
        self.table.get(i)
    }

    /// A tensor's bytes. `entry` must come from this file's table (else the result is empty or foreign bytes).
    pub fn bytes_of(&self, entry: &Entry) -> &'a [u8] {
        let start = entry.offset as usize;
        self.bytes.get(start..start.saturating_add(entry.bytes as usize)).unwrap_or(&[])
    }

    /// Reads every byte and compares the checksums, gaps included (they must be zero).
    ///
    /// # Errors
    /// [`Error::Checksum`] with the first damaged tensor.
    pub fn verify(&self) -> Result<(), Error> {
        let mut end = size_of::<Header>() + size_of_val(self.table);
        for e in self.table {
            let role = Role::from_code(e.role).map_or("unknown", Role::name);
            let damaged = Error::Checksum { what: role, layer: e.layer };
            let gap = self.bytes.get(end..e.offset as usize).ok_or(damaged)?;
            if gap.iter().any(|&b| b != 0) || crate::crc::crc32(self.bytes_of(e)) != e.crc {
                return Err(damaged);
            }
            end = (e.offset + e.bytes) as usize;
        }
        Ok(())
    }
}

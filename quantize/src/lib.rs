//! Converts BEiT segmentation checkpoints into `.beitle` weight files.
//!
//! The way of the data is the order of the modules: a checkpoint's containers ([`checkpoint`]) and names ([`names`]), its
//! configuration ([`config`]), the facts of the conversion ([`spec`]), the exact rewrites ([`fold`]), panels of the
//! wanted precision ([`quantise`]), the file ([`mod@write`]). Tensor by tensor: the whole model is never in memory.

mod auto;
pub mod calibrate;
pub mod checkpoint;
pub mod classes;
pub mod config;
pub mod error;
pub mod feedback;
pub mod fold;
pub mod names;
mod neighbourhoods;
pub mod nibbles;
pub mod quantise;
pub mod report;
pub mod resample;
pub mod spec;
pub mod winograd;
pub mod write;

pub use error::Error;

use beitle::format::{Header, Kind, Precision, Recipe, Role};
use beitle::shapes::{Form, check_header, for_each_tensor};
use calibrate::{Inputs, Pictures, Samples};
use checkpoint::Checkpoint;
use feedback::Feedback;
use fold::Fold;
use report::{Line, Report};
use sha2::{Digest, Sha256};
use spec::Spec;
use std::io::Read;
use std::path::{Path, PathBuf};
use write::{Tensor, Writer};

/// The tool's name and version, as files carry it.
pub const TOOL: &str = concat!("beitle-quantize ", env!("CARGO_PKG_VERSION"));

/// What to convert, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// A transformers folder, a file in one, or a `.pth`.
    pub checkpoint: PathBuf,
    /// The file to write.
    pub output: PathBuf,
    /// Of the weights.
    pub precision: Precision,
    /// How the model is meant to be run; by default as the kind of checkpoint suggests.
    pub recipe: Option<Recipe>,
    /// Blocks before each tap, where the checkpoint's word is not to be taken.
    pub taps: Option<[usize; 4]>,
    /// Attention heads, where the checkpoint does not say.
    pub heads: Option<usize>,
    /// Another input size (width, height).
    pub size: Option<(usize, usize)>,
    /// How the largest 3x3 convolutions run under int8 and int4; Winograd's weights are int8 always. By default directly under
    /// int4: they take three times the space of four-bit weights.
    pub conv: Conv,
    /// How int8 and int4 weights are rounded.
    pub rounding: Rounding,
    /// Under int8 and int4, layers whose weights would keep less signal to noise than so many dB stay in half precision.
    pub sqnr_floor: Option<f64>,
    /// Under int8, as many layers stay in half precision as it takes for this share of pixels to agree with it.
    pub agreement: Option<f64>,
}

/// How 3x3 convolutions run under int8: the pyramid's and the bottleneck's view of the finest level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conv {
    /// Nine products an output.
    Direct,
    /// Winograd's F(2x2, 3x3), four.
    Winograd2,
    /// Winograd's F(4x4, 3x3), two and a quarter; F(2x2, 3x3) at level 2.
    Winograd4,
}

impl Conv {
    /// Outputs along a side of a tile, where a 3x3 convolution is stored for Winograd. A line of the map must be whole tiles;
    /// `grid` is the patches in a line of the picture, to which level 2's pixels correspond.
    pub fn tile(self, role: Role, layer: u16, grid: usize) -> Option<usize> {
        let (width, most) = match (role, layer) {
            (Role::Fpn | Role::Fuse, 0) => (4 * grid, 4),
            (Role::Fpn, 1) => (2 * grid, 4),
            (Role::Fpn, 2) => (grid, 2),
            _ => return None,
        };
        let most = match self {
            Conv::Direct => 0,
            Conv::Winograd2 => 2,
            Conv::Winograd4 => most,
        };
        [4, 2].into_iter().find(|&tile| tile <= most && width.is_multiple_of(tile))
    }
}

/// How integer weights are rounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Each to the nearest.
    Nearest,
    /// The error of one made up for by the next, as seen by the layer's inputs on pictures of a folder, or on drawn ones.
    Compensated(Option<PathBuf>),
}

impl Options {
    /// Everything by default.
    pub fn new(checkpoint: impl Into<PathBuf>, output: impl Into<PathBuf>, precision: Precision) -> Options {
        Options {
            checkpoint: checkpoint.into(),
            output: output.into(),
            precision,
            recipe: None,
            taps: None,
            heads: None,
            size: None,
            conv: if precision == Precision::Int4 { Conv::Direct } else { Conv::Winograd4 },
            rounding: Rounding::Compensated(None),
            sqnr_floor: None,
            agreement: None,
        }
    }
}

/// Converts a checkpoint. `progress` hears how many of how many tensors are done.
///
/// # Errors
/// Whatever is wrong with the checkpoint, by file and tensor or field; nothing is left at the output's place then.
pub fn convert(options: &Options, progress: &mut dyn FnMut(usize, usize)) -> Result<Report, Error> {
    if let Some(goal) = options.agreement {
        return auto::convert(options, goal, progress);
    }
    let checkpoint = Checkpoint::open(&options.checkpoint)?;
    let mut spec = Spec::new(&checkpoint, options)?;
    let inputs = match &options.rounding {
        Rounding::Compensated(folder) if matches!(options.precision, Precision::Int8 | Precision::Int4) => {
            let pictures = Pictures::find(folder.as_deref())?;
            spec.rounding = format!("compensated on {} {}", pictures.count(), pictures.name());
            Some(inputs(options, &pictures, progress)?)
        }
        _ => None,
    };
    let mut header = spec.header([0; 32]);
    let complete = Header { header_bytes: size_of::<Header>() as u32, ..header };
    check_header(&complete).map_err(|e| Error::new(checkpoint.main_file(), e.to_string()))?;
    let mut total = 0;
    for_each_tensor(&header, &mut |_, _, _| {
        total += 1;
        Ok::<_, Error>(())
    })?;
    let mut writer = Writer::new(&options.output, total)?;
    let mut lines = Vec::new();
    let mut done = 0;
    progress(0, total);
    for_each_tensor(&header, &mut |role, layer, form| {
        let (tensor, bytes) = make(&checkpoint, &mut spec, inputs.as_ref(), &lines, (role, layer, form))?;
        writer.add(&tensor, &bytes)?;
        if !matches!(form, Form::Bytes(_)) {
            lines.push(Line::new(&tensor, bytes.len() as u64));
        }
        done += 1;
        progress(done, total);
        Ok::<_, Error>(())
    })?;
    header.source_sha256 = sha256(checkpoint.main_file())?;
    let file_bytes = writer.finish(header)?;
    Ok(Report { lines, file_bytes, notes: spec.notes, ignored: checkpoint.ignored().to_vec() })
}

/// What the layers read: the model in half precision, in a file of its own that is gone afterwards, looks at pictures.
fn inputs(
    options: &Options,
    pictures: &Pictures,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Inputs, Error> {
    let draft = Draft::new(&options.output, "draft");
    let with = |precision| Options { output: draft.0.clone(), precision, ..options.clone() };
    // What half precision cannot hold is converted in full.
    if convert(&with(Precision::F16), progress).is_err() {
        convert(&with(Precision::F32), progress)?;
    }
    let mut done = 0;
    Inputs::collect(&draft.0, pictures, options.conv, &mut || {
        done += 1;
        progress(done, pictures.count());
    })
}

/// A file that does not stay.
struct Draft(PathBuf);

impl Draft {
    /// Beside `output`.
    fn new(output: &Path, what: &str) -> Draft {
        let mut name = output.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{what}"));
        Draft(output.with_file_name(name))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// One tensor of the file.
fn make(
    checkpoint: &Checkpoint,
    spec: &mut Spec,
    inputs: Option<&Inputs>,
    lines: &[Line],
    (role, layer, form): (Role, u16, Form),
) -> Result<(Tensor, Vec<u8>), Error> {
    let empty = Tensor {
        role,
        layer,
        kind: Kind::Bytes,
        taps: 0,
        bias_rows: 0,
        n: 1,
        k: 0,
        sqnr: 0.0,
        source_bytes: 0,
    };
    let fold = Fold { checkpoint, spec: &*spec };
    match form {
        Form::Bytes(_) => {
            let bytes = text(checkpoint, spec, lines, role);
            Ok((Tensor { k: bytes.len() as u32, ..empty }, bytes))
        }
        Form::Plain { n, k } => {
            let (values, source_bytes) = fold.plain(role, layer.into())?;
            let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            Ok((Tensor { kind: Kind::Plain, n, k, source_bytes, ..empty }, bytes))
        }
        Form::Linear { taps, bias_rows, n, k } => {
            let mut folded = fold.linear(role, layer.into())?;
            let tile = spec.winograd_tile(role, layer);
            if let Some(tile) = tile {
                folded.weights = winograd::transform(&folded.weights, tile);
            }
            let precision = spec.precision_of(role, layer);
            let integers = matches!(precision, Precision::Int8 | Precision::Int4);
            // Few samples say too little of many inputs.
            let enough = |s: &&Samples| integers && 4 * s.rows.len() >= s.k * s.k;
            let samples = inputs.map_or(&[][..], |inputs| inputs.of(role, layer));
            let feedback: Vec<_> =
                samples.iter().map(|s| Some(s).filter(enough).and_then(Feedback::new)).collect();
            let pack = |precision| {
                quantise::pack(&folded, taps.into(), n as usize, k as usize, precision, &feedback).map_err(
                    |e| {
                        let what = format!("tensor `{}` {layer} of the new file: {e}", role.name());
                        Error::new(checkpoint.main_file(), what)
                    },
                )
            };
            let mut packed = pack(precision)?;
            // Winograd's matrices are int8 always.
            let falls = integers && tile.is_none();
            if let Some(floor) = spec.sqnr_floor.filter(|floor| falls && packed.sqnr < *floor) {
                let note = format!(
                    "`{}` {layer} stays in half precision: {} keeps {:.1} dB of it, {floor} are asked for",
                    role.name(),
                    precision.name(),
                    packed.sqnr
                );
                packed = pack(Precision::F16)?;
                spec.notes.push(note);
            }
            let sqnr = if packed.sqnr.is_finite() { packed.sqnr as f32 } else { 0.0 };
            let source_bytes = folded.source_bytes;
            Ok((
                Tensor { kind: packed.kind, taps, bias_rows, n, k, sqnr, source_bytes, ..empty },
                packed.bytes,
            ))
        }
    }
}

/// The tensors that are text or colours.
fn text(checkpoint: &Checkpoint, spec: &Spec, lines: &[Line], role: Role) -> Vec<u8> {
    let names = spec.class_names.as_deref();
    match role {
        Role::ClassNames => classes::names(spec.classes, names).into_bytes(),
        Role::Palette => classes::palette(spec.classes, names),
        Role::Source => source_name(checkpoint.main_file()).into_bytes(),
        Role::Tool => TOOL.into(),
        _ => report::json(spec, lines).into_bytes(),
    }
}

/// The last two parts of the path: a folder's and a file's name say more than the file's alone.
fn source_name(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|p| p.to_string_lossy()).collect();
    parts[parts.len().saturating_sub(2)..].join("/")
}

fn sha256(path: &Path) -> Result<[u8; 32], Error> {
    let mut file = std::fs::File::open(path).map_err(|e| Error::io(path, "cannot read", e))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(|e| Error::io(path, "cannot read", e))? {
            0 => return Ok(hash.finalize().into()),
            n => hash.update(&buffer[..n]),
        }
    }
}

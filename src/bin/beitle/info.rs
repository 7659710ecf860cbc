//! `beitle info`: what a weight file contains, how the engine runs it, and how much memory that takes.

use crate::arena_chart;
use crate::console::{Failure, Stdout, bytes, plural};
use crate::model_file::{FileArgs, ModelFile};
use beitle::file::Fit;
use beitle::file::format::{MlpActivation, Pooling, Role, Task, TensorKind};
use beitle::image::resize::Filter;
use beitle::plan::Plan;
use beitle::{Facts, Isa, Model};
use std::fmt::Write;
use std::path::PathBuf;

/// Arguments of `beitle info`.
#[derive(clap::Args)]
pub struct Args {
    /// Weight file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Read the whole file and verify the checksum and the contents of every tensor
    #[arg(long)]
    verify: bool,
    /// Draw the arena for this number of threads (2 if omitted): which buffer lies where, phase by phase
    #[arg(long, value_name = "THREADS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u16).range(1..=1024))]
    plan: Option<u16>,
    #[command(flatten)]
    open: FileArgs,
}

/// A row of the output: a label, empty where the row continues the one above, and a value.
type Row = (&'static str, String);

/// Runs the command.
///
/// # Errors
/// The file cannot be read, is not a weight file, or is damaged.
pub fn run(args: &Args) -> Result<(), Failure> {
    let file = ModelFile::open(&args.file, &args.open)?;
    let model = file.model()?;
    let mut out = Stdout::default();
    if let Some(threads) = args.plan {
        let plan = plan(&file, &model, threads.into())?;
        return out.line(format_args!("{}", arena_chart::draw(&plan)));
    }
    let mut print = |rows: Vec<Row>| {
        rows.iter().try_for_each(|(label, value)| out.line(format_args!("{label:14}{value}")))
    };
    print(source(&file, &model))?;
    print(preprocessing(model.facts()))?;
    print(architecture(&model))?;
    print(weights(&model))?;
    print(memory(&file, &model)?)?;
    print(processor())?;
    print(classes(&model))?;
    if args.verify {
        model.verify().map_err(|e| Failure::file(&args.file, e))?;
        print(vec![("verified", "checksums, padding and sums of weights".into())])?;
    }
    Ok(())
}

/// The arena's layout for pictures of the network's input size.
fn plan(file: &ModelFile<'_>, model: &Model<'_>, workers: usize) -> Result<Plan, Failure> {
    let f = model.facts();
    Plan::new(model, workers, (f.width, f.height)).map_err(|e| Failure::file(file.path, e))
}

/// The file and where it comes from.
fn source(file: &ModelFile<'_>, model: &Model<'_>) -> Vec<Row> {
    let f = model.facts();
    let sha256 = f.source_sha256.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let (version, tensors) = (model.file().header().version, model.file().table().len());
    vec![
        ("file", file.path.display().to_string()),
        ("size", format!("{}, {tensors} tensors, format version {version}", bytes(file.bytes()))),
        ("source", model.source().to_string()),
        ("sha-256", sha256),
        ("tool", model.tool().to_string()),
        ("task", f.task.name().to_string()),
        ("precision", f.precision.name().to_string()),
        ("recipe", f.recipe.name().to_string()),
    ]
}

/// From picture to network input, in the mode that the file is meant for.
fn preprocessing(f: &Facts) -> Vec<Row> {
    let filter = Filter::from_code(f.resample).map_or("?", Filter::name);
    let (width, height) = (f.width, f.height);
    let whole = match f.fit {
        Fit::ShortSide(side) => format!("short side to {side}, then the middle {width}x{height} ({filter})"),
        Fit::Stretch(w, h) if (w, h) != (width, height) => {
            format!("stretch to {w}x{h}, then the middle {width}x{height} ({filter})")
        }
        _ => format!("mode whole: stretch to {width}x{height} ({filter})"),
    };
    let mut rows = match f.sliding {
        None => vec![("resize", whole)],
        Some((side, stride)) => vec![(
            "resize",
            format!(
                "mode slide: short side to {side}, windows of {width}x{height}, stride {stride} ({filter})"
            ),
        )],
    };
    let [mean, std] = [&f.mean, &f.std].map(|values| values.get(..f.picture_channels).unwrap_or(values));
    rows.push(("normalise", format!("pixels times {}, mean {mean:?}, std {std:?}", f.rescale)));
    rows
}

/// The network.
fn architecture(model: &Model<'_>) -> Vec<Row> {
    let f = model.facts();
    let positions = [
        (f.absolute, "absolute"),
        (f.relative, "relative, a table for each block"),
        (f.shared, "relative, one table for all blocks"),
    ];
    let positions: Vec<_> = positions.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect();
    let mut rows = vec![
        ("patches", format!("{0}x{0} pixels, a grid of {1}x{2}", f.patch, f.grid_width, f.grid_height)),
        ("blocks", format!("{} of the checkpoint's {}", f.blocks, f.source_blocks)),
        ("channels", format!("{}, {} heads, MLP {}{}", f.channels, f.heads, f.hidden, activation(f))),
        ("epsilon", format!("{:e}", f.eps)),
        ("positions", if positions.is_empty() { "none".into() } else { positions.join("; ") }),
    ];
    if f.picture_channels != 3 {
        rows.insert(0, ("picture", plural(f.picture_channels, "channel")));
    }
    rows.extend(if f.task == Task::Segmentation { head(model) } else { pooled(f) });
    rows
}

/// The activation function of the MLPs, if it is not the usual one.
fn activation(f: &Facts) -> String {
    if f.activation == MlpActivation::Gelu { String::new() } else { format!(" ({})", f.activation.name()) }
}

/// The end of a model that does not segment pictures.
fn pooled(f: &Facts) -> Vec<Row> {
    let norm = if f.token_norm { ", normalised" } else { "" };
    let pooled = match f.pooling {
        Pooling::Mean => "the mean of the patches, normalised",
        Pooling::ClassToken => "the class token",
    };
    vec![
        ("features", format!("{} numbers: {}", f.channels, pooled)),
        ("tokens", format!("{} of {} numbers{norm}", f.tokens(), f.channels)),
    ]
}

/// Neck and head of a segmentation model.
fn head(model: &Model<'_>) -> Vec<Row> {
    let f = model.facts();
    let labels = if f.reduce_labels {
        "classes are numbered from 1, 0 is ignored"
    } else {
        "classes are numbered from 0"
    };
    let mut rows = vec![
        ("features", format!("after blocks {:?}", f.feature_blocks)),
        ("pooling", format!("scales {:?}", f.pool_scales.get(..f.pool_count).unwrap_or(&[]))),
        ("3x3 convs", convolutions(model.file().header().winograd)),
        ("label files", labels.into()),
    ];
    if f.head_channels != f.channels {
        rows.push(("head", plural(f.head_channels, "channel")));
    }
    rows
}

/// The algorithm of the four 3x3 convolutions that may use Winograd's: tile sizes, 0 for direct convolution.
fn convolutions(tiles: [u8; 4]) -> String {
    if tiles == [0; 4] {
        return "direct".into();
    }
    let names = ["fpn 0", "fpn 1", "fpn 2", "fpn bottleneck"];
    let describe = |(name, tile)| match tile {
        0 => format!("{name} direct"),
        _ => format!("{name} Winograd F({tile}x{tile}, 3x3)"),
    };
    names.into_iter().zip(tiles).map(describe).collect::<Vec<_>>().join(", ")
}

/// Number and bytes of the tensors of each kind, and the tensor with the most quantisation noise.
fn weights(model: &Model<'_>) -> Vec<Row> {
    let table = model.file().table();
    let mut rows: Vec<Row> = Vec::new();
    for &kind in TensorKind::ALL {
        let of_kind = || table.iter().filter(|e| TensorKind::from_code(e.kind) == Some(kind));
        let count = of_kind().count();
        if count > 0 {
            let label = if rows.is_empty() { "tensors" } else { "" };
            let total = bytes(of_kind().map(|e| e.bytes).sum());
            rows.push((label, format!("{count:3} {:6} {total:>10}", kind.name())));
        }
    }
    let quantised = table.iter().filter(|e| e.sqnr > 0.0);
    if let Some(worst) = quantised.min_by(|a, b| a.sqnr.total_cmp(&b.sqnr)) {
        let role = Role::from_code(worst.role).map_or("?", Role::name);
        let (layer, sqnr) = (worst.layer, worst.sqnr);
        rows.push((
            "lowest SQNR",
            format!("{role} of layer {layer}: {sqnr:.1} dB signal-to-quantisation-noise ratio"),
        ));
    }
    rows
}

/// Arena sizes, and what else is resident.
fn memory(file: &ModelFile<'_>, model: &Model<'_>) -> Result<Vec<Row>, Failure> {
    let mut rows: Vec<Row> = Vec::new();
    for workers in [1, 2, 4] {
        let arena = bytes(plan(file, model, workers)?.bytes() as u64);
        let label = if rows.is_empty() { "memory" } else { "" };
        rows.push((label, format!("arena {arena} for {}", plural(workers, "thread"))));
    }
    let mapped = bytes(file.bytes());
    rows.push(("", format!("plus the mapped file: up to {mapped}, shared between processes")));
    Ok(rows)
}

/// Instruction sets of this processor.
fn processor() -> Vec<Row> {
    let names: Vec<_> = Isa::available().map(Isa::name).collect();
    vec![("processor", format!("{} (default: {})", names.join(", "), Isa::detect().name()))]
}

/// Number, colour (of a segmentation model) and name of every class.
fn classes(model: &Model<'_>) -> Vec<Row> {
    let mut names = model.class_names();
    let row = |class: usize| {
        let name = names.next().unwrap_or("?");
        let label = if class == 0 { "classes" } else { "" };
        if model.facts().task != Task::Segmentation {
            return (label, format!("{class:5}  {name}"));
        }
        let [r, g, b] = model.colour(class);
        (label, format!("{class:3}  #{r:02x}{g:02x}{b:02x}  {name}"))
    };
    (0..model.facts().classes).map(row).collect()
}

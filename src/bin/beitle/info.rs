//! `beitle info`: what a weight file holds.

use crate::console::{Failure, Output, bytes};
use crate::{layout, session};
use beitle::file::format::{Role, TensorKind};
use beitle::image::resize::Filter;
use beitle::plan::Plan;
use beitle::{Isa, Model};
use std::fmt::Write;
use std::path::PathBuf;

/// Arguments of `beitle info`.
#[derive(clap::Args)]
pub struct Args {
    /// Weight file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Read the whole file and compare its checksums
    #[arg(long)]
    verify: bool,
    /// Draw the arena for so many threads: what lies where, and when
    #[arg(long, value_name = "THREADS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u16).range(1..=1024))]
    plan: Option<u16>,
}

/// Runs the command.
///
/// # Errors
/// The file cannot be read, is no weight file, or is damaged.
pub fn run(args: &Args) -> Result<(), Failure> {
    let file = session::open(&args.file)?;
    let model = session::model(&args.file, &file)?;
    let mut out = Output::default();
    if let Some(threads) = args.plan {
        let plan = plan(args, &model, threads.into())?;
        return out.line(format_args!("{}", layout::draw(&plan)));
    }
    let mut show = |name: &str, text: &dyn std::fmt::Display| out.line(format_args!("{name:14}{text}"));
    let header = model.file().header();
    let size = bytes(file.bytes().len() as u64);
    let (version, tensors) = (header.version, model.file().table().len());
    show("file", &format_args!("{}", args.file.display()))?;
    show("size", &format_args!("{size}, {tensors} tensors, format version {version}"))?;
    for (name, text) in facts(&model) {
        show(name, &text)?;
    }
    for (name, text) in weights(&model) {
        show(name, &text)?;
    }
    for workers in [1, 2, 4] {
        let plan = plan(args, &model, workers)?;
        let name = if workers == 1 { "arena" } else { "" };
        let arena = bytes(plan.bytes() as u64);
        show(name, &format_args!("{arena} for {workers} thread{}", if workers == 1 { "" } else { "s" }))?;
    }
    let names: Vec<_> = Isa::available().map(Isa::name).collect();
    show("processor", &format_args!("{} (uses {})", names.join(", "), Isa::detect().name()))?;
    for class in 0..model.facts().classes {
        let [r, g, b] = model.colour(class);
        let name = if class == 0 { "classes" } else { "" };
        let text = model.class_name(class).unwrap_or("?");
        show(name, &format_args!("{class:3}  #{r:02x}{g:02x}{b:02x}  {text}"))?;
    }
    if args.verify {
        model.verify().map_err(|e| Failure::work(format_args!("{}: {e}", args.file.display())))?;
        show("checksums", &"all right")?;
    }
    Ok(())
}

/// The layout for pictures of the network's own size.
fn plan(args: &Args, model: &Model<'_>, workers: usize) -> Result<Plan, Failure> {
    let f = model.facts();
    Plan::new(model, workers, (f.width, f.height))
        .map_err(|e| Failure::work(format_args!("{}: {e}", args.file.display())))
}

/// The header, in words.
fn facts(model: &Model<'_>) -> Vec<(&'static str, String)> {
    let f = model.facts();
    let filter = Filter::from_code(f.resample).map_or("?", Filter::name);
    let sha: String = f.source_sha256.iter().fold(String::new(), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    });
    let resize = match f.sliding {
        None => format!("stretched to {}x{} ({filter})", f.width, f.height),
        Some((side, stride)) => {
            format!("short side to {side} ({filter}), windows of {}x{}, stride {stride}", f.width, f.height)
        }
    };
    let positions = [
        (f.absolute, "absolute"),
        (f.relative, "relative, a table for each block"),
        (f.shared, "relative, one table for all blocks"),
    ];
    let positions: Vec<_> = positions.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect();
    vec![
        ("source", model.source().to_string()),
        ("sha-256", sha),
        ("tool", model.tool().to_string()),
        ("precision", f.precision.name().to_string()),
        ("recipe", f.recipe.name().to_string()),
        ("resize", resize),
        ("normalise", format!("mean {:?}, std {:?}, pixels times {}", f.mean, f.std, f.rescale)),
        ("patches", format!("{0}x{0} pixels, a grid of {1}x{2}", f.patch, f.grid_width, f.grid_height)),
        ("blocks", format!("{} of {}, read after {:?}", f.blocks, f.source_blocks, f.feature_blocks)),
        ("channels", format!("{}, {} heads, MLP {}", f.channels, f.heads, f.hidden)),
        ("eps", format!("{:e}", f.eps)),
        ("positions", if positions.is_empty() { "none".into() } else { positions.join("; ") }),
        ("3x3", convolutions(model.file().header().winograd)),
        ("pooling", format!("{:?}", f.pool_scales.get(..f.pool_count).unwrap_or(&[]))),
        ("labels", if f.reduce_labels { "count from 1, 0 is ignored" } else { "count from 0" }.into()),
    ]
}

/// How the convolutions run that may do so by Winograd.
fn convolutions(tiles: [u8; 4]) -> String {
    if tiles == [0; 4] {
        return "direct".into();
    }
    let names = ["level 0", "level 1", "level 2", "bottleneck"];
    let of = |(name, tile)| match tile {
        0 => format!("{name} direct"),
        _ => format!("{name} F({tile}x{tile}, 3x3)"),
    };
    names.into_iter().zip(tiles).map(of).collect::<Vec<_>>().join(", ")
}

/// Tensors and bytes of each kind, and where quantisation hurts most.
fn weights(model: &Model<'_>) -> Vec<(&'static str, String)> {
    let table = model.file().table();
    let mut lines = Vec::new();
    for &kind in TensorKind::ALL {
        let of_kind = || table.iter().filter(|e| TensorKind::from_code(e.kind) == Some(kind));
        if of_kind().count() > 0 {
            let total = bytes(of_kind().map(|e| e.bytes).sum());
            let name = if lines.is_empty() { "tensors" } else { "" };
            lines.push((name, format!("{} {}, {total}", of_kind().count(), kind.name())));
        }
    }
    let lossy = table.iter().filter(|e| e.sqnr > 0.0);
    if let Some(worst) = lossy.min_by(|a, b| a.sqnr.total_cmp(&b.sqnr)) {
        let role = Role::from_code(worst.role).map_or("?", Role::name);
        lines.push(("worst", format!("{role} {} at {:.1} dB", worst.layer, worst.sqnr)));
    }
    lines
}

//! The arguments of `beitle segment`.

use crate::analysis::AnalysisArgs;
use crate::labels::LabelArgs;
use crate::model_file::FileArgs;
use crate::naming::Pattern;
use crate::numbers::pair;
use crate::overlay::OverlayArgs;
use crate::picture::PictureArgs;
use crate::session::ProcessorArgs;
use crate::verified::VerifyArgs;
use crate::views::ViewArgs;
use std::path::PathBuf;

/// Arguments of `beitle segment`.
#[derive(clap::Args)]
pub struct Args {
    /// Pictures (JPEG, PNG, BMP, WebP, PNM), folders of pictures, or - for a picture from standard input
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    /// Weight file, made by beitle-quantize [default: the demonstration model, models/demo.beitle]
    #[arg(short, long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Where to write the map: a file for one picture (- for standard output), a folder for several [default: <name>.seg.png in the
    /// current folder]
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// Also segment the pictures of folders in folders; their results go to folders of the same names
    #[arg(short, long)]
    pub recursive: bool,
    /// Leave out pictures whose results exist already, to go on after an interruption
    #[arg(long)]
    pub skip_existing: bool,
    /// Names of the maps in the folder of the results; {stem} is the picture's name without its ending, {model} the weight file's. The other
    /// results lie beside the map [default: {stem}.seg.png]
    #[arg(long, value_name = "PATTERN")]
    pub name: Option<Pattern>,
    /// Print nothing but errors
    #[arg(short, long, conflicts_with_all = ["json", "verbose"])]
    pub quiet: bool,
    /// Of several pictures, print the classes of each
    #[arg(short, long)]
    pub verbose: bool,
    #[command(flatten)]
    pub views: ViewArgs,
    /// Size of the map: picture, logits (a quarter of the input's sides; faster), or WIDTHxHEIGHT
    #[arg(long, value_name = "SIZE", default_value = "picture", value_parser = map_size)]
    pub map_size: MapSize,
    #[command(flatten)]
    pub labels: LabelArgs,
    /// Also write <name>.overlay.png: the picture blended with the colours of its classes, with a legend
    #[arg(long)]
    pub overlay: bool,
    #[command(flatten)]
    pub overlay_args: OverlayArgs,
    /// Leave the legend out of the overlay, which then has the picture's size
    #[arg(long, requires = "overlay")]
    pub no_legend: bool,
    /// Also write <name>.confidence.png: the probability of each pixel's class, 255 for 1
    #[arg(long)]
    pub confidence: bool,
    /// Also write <name>.geojson: a polygon for each region, in pixels of the map
    #[arg(long)]
    pub geojson: bool,
    /// Also write the logits as a NumPy file, f32 [classes, height, width]: a file for one picture, a folder for
    /// several. Only with --mode whole
    #[arg(long, value_name = "FILE.npy")]
    pub logits: Option<PathBuf>,
    /// Print one JSON object per picture instead of a table
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub analysis: AnalysisArgs,
    /// Add the most likely classes at a point of the map to the JSON; may be given several times
    #[arg(long, value_name = "X,Y", value_parser = point, requires = "json")]
    pub point: Vec<[usize; 2]>,
    /// Classes at each point
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub top: u16,
    #[command(flatten)]
    pub verify: VerifyArgs,
    #[command(flatten)]
    pub file: FileArgs,
    #[command(flatten)]
    pub pictures: PictureArgs,
    #[command(flatten)]
    pub processor: ProcessorArgs,
}

/// The size of a map.
#[derive(Clone, Copy)]
pub enum MapSize {
    Picture,
    Logits,
    Fixed(usize, usize),
}

fn map_size(text: &str) -> Result<MapSize, String> {
    let is_side = |side| (1..=1 << 24).contains(&side);
    match (text, pair(text, &['x'])) {
        ("picture", _) => Ok(MapSize::Picture),
        ("logits", _) => Ok(MapSize::Logits),
        (_, Some((width, height))) if is_side(width) && is_side(height) => Ok(MapSize::Fixed(width, height)),
        _ => Err("expected picture, logits, or a size such as 320x240".into()),
    }
}

fn point(text: &str) -> Result<[usize; 2], String> {
    let point =
        text.split_once(',').and_then(|(x, y)| Some([x.trim().parse().ok()?, y.trim().parse().ok()?]));
    point.ok_or_else(|| "expected a column and a row, such as 320,240".into())
}

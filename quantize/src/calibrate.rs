//! What the layers read: rows of activations, sampled while the unquantised model looks at pictures.

use crate::Conv;
use crate::error::Error;
use crate::neighbourhoods::Neighbourhoods;
use beitle::engine::{Engine, Output};
use beitle::format::Role;
use beitle::image::{ImageView, PixelFormat};
use beitle::mapped::{Arena, MappedFile};
use beitle::observe::{Observer, Stage};
use beitle::parallel::{Parallel, Threads};
use beitle::plan::Plan;
use beitle::segment::MapMut;
use beitle::{Facts, Isa, Model};
use beitle_scenes::Scene;
use half::bf16;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Rows kept of each layer, over all pictures.
const ROWS: usize = 1536;
/// Scenes that are drawn where the user gives no pictures. Any will do: what counts is which channels go together.
const SCENES: [u64; 4] = [1, 2, 3, 4];

/// RGB, packed.
pub(crate) struct Picture {
    rgb: Vec<u8>,
    size: (usize, usize),
}

/// Pictures to calibrate with.
pub enum Pictures {
    /// Drawn by the tool.
    Drawn,
    /// The user's.
    Files(Vec<PathBuf>),
}

impl Pictures {
    /// Those of a folder, by name; drawn ones without.
    pub fn find(folder: Option<&Path>) -> Result<Pictures, Error> {
        let Some(folder) = folder else { return Ok(Pictures::Drawn) };
        let unreadable = |e| Error::io(folder, "cannot read", e);
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
            if matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg")) {
                files.push(path);
            }
        }
        files.sort();
        if files.is_empty() {
            return Err(Error::new(folder, "no pictures to calibrate with (png, jpg)"));
        }
        Ok(Pictures::Files(files))
    }

    /// How many.
    pub fn count(&self) -> usize {
        match self {
            Pictures::Drawn => SCENES.len(),
            Pictures::Files(files) => files.len(),
        }
    }

    /// What the report calls them.
    pub fn name(&self) -> &'static str {
        match self {
            Pictures::Drawn => "drawn scenes",
            Pictures::Files(_) => "pictures given",
        }
    }

    /// Picture `i`; drawn ones at the network's size.
    pub(crate) fn get(&self, i: usize, size: (usize, usize)) -> Result<Picture, Error> {
        match self {
            Pictures::Drawn => {
                let scene = Scene::new(SCENES[i]).render(size.0, size.1);
                Ok(Picture { rgb: scene.rgb, size })
            }
            Pictures::Files(files) => {
                let image = image::open(&files[i])
                    .map_err(|e| Error::new(&files[i], format!("cannot be read as a picture: {e}")))?
                    .to_rgb8();
                let size = (image.width() as usize, image.height() as usize);
                Ok(Picture { size, rgb: image.into_raw() })
            }
        }
    }
}

/// Rows that one layer reads, `[rows][k]`.
#[derive(Default)]
pub struct Samples {
    /// Numbers in a row.
    pub k: usize,
    /// The rows.
    pub rows: Vec<bf16>,
}

/// Samples of every linear layer; of Winograd's convolutions, of every position of their tiles.
pub struct Inputs(BTreeMap<(Role, u16), Vec<Samples>>);

impl Inputs {
    /// Of a layer; the four views of the bottleneck and the taps read what their level's layer reads.
    pub fn of(&self, role: Role, layer: u16) -> &[Samples] {
        self.0.get(&(role, layer)).map_or(&[], Vec::as_slice)
    }

    /// Runs the model in `file` over the pictures. Its convolutions will run as `conv` says. `progress` is called after each
    /// picture.
    pub fn collect(
        file: &Path,
        pictures: &Pictures,
        conv: Conv,
        progress: &mut dyn FnMut(),
    ) -> Result<Inputs, Error> {
        let runner = Runner::open(file)?;
        let mut collector = Collector {
            layers: BTreeMap::new(),
            tiles: BTreeMap::new(),
            conv,
            facts: runner.facts,
            seen: BTreeMap::new(),
            wanted: ROWS.div_ceil(pictures.count()),
        };
        for i in 0..pictures.count() {
            collector.seen.clear();
            collector.tiles.values_mut().for_each(Neighbourhoods::restart);
            runner.run(&pictures.get(i, runner.size())?, &mut collector)?;
            progress();
        }
        let layers = collector.layers.into_iter().map(|(layer, samples)| (layer, vec![samples]));
        let tiles = collector.tiles.into_iter().map(|(layer, tiles)| (layer, tiles.samples));
        Ok(Inputs(layers.chain(tiles).collect()))
    }
}

/// A converted model that looks at pictures.
pub(crate) struct Runner {
    path: PathBuf,
    file: MappedFile,
    facts: Facts,
    threads: Threads,
}

impl Runner {
    /// Maps a file.
    pub fn open(path: &Path) -> Result<Runner, Error> {
        let file = MappedFile::open(path).map_err(|e| Error::io(path, "cannot read", e))?;
        let facts = *Model::new(file.bytes()).map_err(|e| Error::new(path, e.to_string()))?.facts();
        let threads = Threads::new(0).map_err(|e| Error::io(path, "no threads for", e))?;
        Ok(Runner { path: path.to_owned(), file, facts, threads })
    }

    /// The model's facts.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The network's input size.
    pub fn size(&self) -> (usize, usize) {
        (self.facts.width, self.facts.height)
    }

    /// The logits of a picture, `[classes][pixels]`, and the seconds it took.
    pub fn run(&self, picture: &Picture, observer: &mut dyn Observer) -> Result<(Vec<f32>, f64), Error> {
        let failed = |e: beitle::Error| Error::new(&self.path, format!("calibration: {e}"));
        let model = Model::new(self.file.bytes()).map_err(failed)?;
        let plan = Plan::new(&model, self.threads.workers(), picture.size).map_err(failed)?;
        let mut arena = Arena::new(plan.bytes());
        let view = ImageView::packed(&picture.rgb, picture.size.0, picture.size.1, PixelFormat::Rgb8)
            .map_err(failed)?;
        let (width, height) = self.facts.level(0);
        let mut logits = vec![0.0; self.facts.classes * width * height];
        let mut map = vec![0u16; picture.size.0 * picture.size.1];
        let mut output =
            Output { logits: Some(&mut logits), ..Output::map(picture.size, MapMut::U16(&mut map)) };
        let start = Instant::now();
        Engine::new(&model, &plan, Isa::detect(), arena.bytes())
            .and_then(|mut engine| engine.run(&self.threads, &view, &mut output, observer))
            .map_err(failed)?;
        Ok((logits, start.elapsed().as_secs_f64()))
    }
}

/// Keeps some rows of every layer, evenly over the picture.
struct Collector {
    layers: BTreeMap<(Role, u16), Samples>,
    /// Of Winograd's convolutions.
    tiles: BTreeMap<(Role, u16), Neighbourhoods>,
    conv: Conv,
    facts: Facts,
    /// Rows seen of the picture at hand.
    seen: BTreeMap<(Role, u16), Scatter>,
    /// Rows to keep of each picture.
    wanted: usize,
}

impl Collector {
    /// About how many rows a layer reads.
    fn rows(&self, role: Role, layer: u16) -> usize {
        let level = match (role, layer) {
            (Role::Up0b, _) => 1,
            (Role::Fpn | Role::Fuse, level) => level.into(),
            (Role::Classify, _) => 0,
            _ => 2,
        };
        let (width, height) = self.facts.level(level);
        width * height
    }
}

impl Observer for Collector {
    fn done(&mut self, _: Stage, _: u64) -> bool {
        true
    }

    fn wants_inputs(&self) -> bool {
        true
    }

    fn input(&mut self, role: Role, layer: u16, rows: &[f32], width: usize, pitch: usize) {
        let one_in = (self.rows(role, layer) / self.wanted).max(1) as u32;
        if let Some(tile) = self.conv.tile(role, layer, self.facts.grid_width) {
            let tiles = self.tiles.entry((role, layer)).or_insert_with(|| Neighbourhoods::new(tile));
            return tiles.line(rows, width, pitch, one_in);
        }
        let samples = self.layers.entry((role, layer)).or_default();
        samples.k = width;
        let seen = self.seen.entry((role, layer)).or_default();
        for row in rows.chunks(pitch) {
            if seen.keeps(one_in) {
                samples.rows.extend(row[..width].iter().map(|x| bf16::from_f32(*x)));
            }
        }
    }
}

/// Counts what passes by and keeps about one in so many, scattered, so that no column of a map is preferred.
#[derive(Default)]
pub(crate) struct Scatter(u32);

impl Scatter {
    /// Whether to keep the next.
    pub fn keeps(&mut self, one_in: u32) -> bool {
        self.0 = self.0.wrapping_add(1);
        (self.0.wrapping_mul(2_654_435_769) >> 12).is_multiple_of(one_in)
    }
}

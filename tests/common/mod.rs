//! Shared by the tests: the golden cases, their conversion, and a function that runs a model.
#![allow(dead_code)] // no test uses all of it

pub mod checkpoint;

use beitle::Isa;
use beitle::Model;
use beitle::engine::{Engine, Output};
use beitle::file::format::Precision;
use beitle::image::{ImageView, PixelFormat};
use beitle::memory::{Arena, FileBytes};
use beitle::observe::Observer;
use beitle::output::ClassMapMut;
use beitle::parallel::ThreadPool;
use beitle::plan::Plan;
use beitle_quantize::{Conv, Options, Rounding, convert};
use safetensors::SafeTensors;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The cases in `tests/data`, see `tests/goldens/README.md`.
pub const CASES: &[&str] = &[
    "relative", "shared", "both", "absolute", "nopos", "noscale", "head24", "odd7", "pools", "two", "many",
    "last", "sharded", "bf16", "oldbin", "unilm", "mmseg",
];

/// The root folder of the repository, from whichever package the test belongs to.
pub fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().find(|folder| folder.join("tests/data").is_dir()).unwrap().into()
}

/// One of the [`CASES`].
pub struct Case {
    pub name: String,
    pub folder: PathBuf,
    /// `golden.json`.
    pub facts: Value,
    goldens: Vec<u8>,
}

impl Case {
    pub fn open(name: &str) -> Case {
        let folder = root().join("tests/data").join(name);
        let facts = std::fs::read_to_string(folder.join("golden.json")).unwrap();
        let goldens = std::fs::read(folder.join("goldens.safetensors")).unwrap();
        // Weight files are named after the case.
        let name = name.replace('/', " ");
        Case { name, facts: serde_json::from_str(&facts).unwrap(), goldens, folder }
    }

    pub fn number(&self, field: &str) -> usize {
        self.facts[field].as_u64().unwrap() as usize
    }

    pub fn numbers(&self, field: &str) -> Vec<usize> {
        self.facts[field].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect()
    }

    pub fn paper(&self) -> bool {
        self.facts["recipe"] == "paper"
    }

    pub fn goldens(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.goldens).unwrap()
    }

    /// The path of the checkpoint: the folder, or a `.pth` file in it.
    pub fn checkpoint(&self) -> PathBuf {
        let pth = self.folder.join("model.pth");
        if pth.exists() { pth } else { self.folder.clone() }
    }

    /// Converts the checkpoint to a new weight file, rounding to nearest because that is fast, and returns the path.
    pub fn convert(&self, precision: Precision) -> PathBuf {
        self.convert_with(precision, |options| options.rounding = Rounding::Nearest)
    }

    /// Converts with the default options, modified by `change`.
    pub fn convert_with(&self, precision: Precision, change: impl Fn(&mut Options)) -> PathBuf {
        // Tests of one process run concurrently and must not share a file.
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{}-{number}.{}.beitle", self.name, std::process::id(), precision.name());
        let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut options = Options::new(self.checkpoint(), &output, precision);
        if self.paper() {
            options.feature_blocks = Some(self.numbers("feature_blocks").try_into().unwrap());
            options.heads = Some(self.number("heads"));
        }
        change(&mut options);
        convert(&options, &mut |_| {}).unwrap_or_else(|e| panic!("{}: {e}", self.name));
        output
    }

    /// The picture of the case.
    pub fn picture(&self) -> Picture {
        Picture::open(&self.folder.join("input.png"))
    }
}

/// An RGB picture without padding between rows.
pub struct Picture {
    pub rgb: Vec<u8>,
    pub width: usize,
    pub height: usize,
}

impl Picture {
    pub fn open(path: &Path) -> Picture {
        let img = ::image::open(path).unwrap().to_rgb8();
        Picture { width: img.width() as usize, height: img.height() as usize, rgb: img.into_raw() }
    }

    pub fn view(&self) -> ImageView<'_> {
        ImageView::packed(&self.rgb, self.width, self.height, PixelFormat::Rgb8).unwrap()
    }

    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }
}

/// The result of a run.
pub struct Outcome {
    pub map: Vec<u16>,
    pub logits: Vec<f32>,
    /// Shape of the logits: `[classes, height, width]`.
    pub shape: [usize; 3],
}

/// Opens a weight file and runs it.
pub fn run(file: &Path, picture: &Picture, isa: Isa, threads: usize, observer: &mut dyn Observer) -> Outcome {
    let file = FileBytes::read(file).unwrap();
    let model = Model::new(file.bytes()).unwrap();
    model.verify().unwrap();
    let pool = ThreadPool::new(threads).unwrap();
    let plan = Plan::new(&model, threads, picture.size()).unwrap();
    let mut arena = Arena::new(plan.bytes()).unwrap();
    // The contents of the arena must not matter. As floats, these bytes are NaNs, which would spread to the logits.
    arena.bytes_mut().fill(0xFF);
    let mut engine = Engine::new(&model, &plan, isa, arena.bytes_mut()).unwrap();
    let f = model.facts();
    let (w, h) = f.level(0);
    let mut map = vec![u16::MAX; picture.width * picture.height];
    let mut logits = vec![f32::NAN; f.classes * w * h];
    let mut output =
        Output { logits: Some(&mut logits), ..Output::map(picture.size(), ClassMapMut::U16(&mut map)) };
    engine.run(&pool, &picture.view(), &mut output, observer).unwrap();
    Outcome { map, logits, shape: [f.classes, h, w] }
}

/// The weight file of a case. If `BEITLE_CONVERTED` names a folder, the file is taken from there, or converted and stored there:
/// tests of the engine on other CPUs, under emulation, need not convert again.
pub fn converted(case: &Case, kind: &str, precision: Precision, conv: Conv) -> PathBuf {
    let convert = || case.convert_with(precision, |options| options.conv = conv);
    let Some(folder) = std::env::var_os("BEITLE_CONVERTED").map(PathBuf::from) else { return convert() };
    let stored = folder.join(format!("{} {kind}.beitle", case.name));
    if !stored.exists() {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(convert(), &stored).unwrap();
    }
    stored
}

/// Values and shape of an f32 tensor.
pub fn numbers(goldens: &SafeTensors, name: &str) -> Option<(Vec<f32>, Vec<usize>)> {
    let t = goldens.tensor(name).ok()?;
    let values = t.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    Some((values, t.shape().to_vec()))
}

/// The largest absolute difference, divided by the standard deviation of `want`.
pub fn error(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let n = want.len() as f64;
    let mean = want.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let std = (want.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n).sqrt();
    // `max` would ignore a NaN, which must count as the largest error.
    let worst = got
        .iter()
        .zip(want)
        .map(|(a, b)| f64::from((a - b).abs()))
        .fold(0.0, |m, e| if e <= m { m } else { e });
    worst / std
}

/// The share of equal elements.
pub fn agreement<T: PartialEq>(a: &[T], b: &[T]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len() as f64
}

/// The class of each pixel, at the resolution of the logits.
pub fn argmax(logits: &[f32], classes: usize) -> Vec<usize> {
    let pixels = logits.len() / classes;
    let best = |p: usize| {
        (1..classes).fold(0, |b, c| if logits[c * pixels + p] > logits[b * pixels + p] { c } else { b })
    };
    (0..pixels).map(best).collect()
}

//! A checkpoint's configuration: `config.json` and `preprocessor_config.json` of a transformers folder, or what the shapes
//! of a `.pth` say.

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use serde_json::{Map, Value};
use std::fs;
use std::path::{Path, PathBuf};

/// What the architecture is.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Width of the residual stream.
    pub hidden: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads, where known.
    pub heads: Option<usize>,
    /// Width of the MLP.
    pub intermediate: usize,
    /// Side of the input in pixels.
    pub image_size: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// As the configuration counts them.
    pub out_indices: [usize; 4],
    /// LayerNorm's epsilon.
    pub eps: f64,
    /// Classes.
    pub classes: usize,
    /// Their names, where there are any.
    pub class_names: Option<Vec<String>>,
    /// Pyramid-pooling scales.
    pub pool_scales: Vec<usize>,
    /// Absolute position embeddings.
    pub absolute: bool,
    /// A relative table per block.
    pub relative: bool,
    /// One relative table for all blocks.
    pub shared: bool,
}

/// How a picture becomes the network's input.
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocessing {
    /// Width a picture is resized to.
    pub width: usize,
    /// Height a picture is resized to.
    pub height: usize,
    /// Pillow's filter number.
    pub resample: u32,
    /// Subtracted after rescaling.
    pub mean: [f64; 3],
    /// Divided by after that.
    pub std: [f64; 3],
    /// What pixels are multiplied by first.
    pub rescale: f64,
    /// Label files count from 1.
    pub reduce_labels: bool,
}

impl Default for Preprocessing {
    /// The defaults of transformers' `BeitImageProcessor`.
    fn default() -> Self {
        Preprocessing {
            width: 256,
            height: 256,
            resample: 3,
            mean: [0.5; 3],
            std: [0.5; 3],
            rescale: 1.0 / 255.0,
            reduce_labels: false,
        }
    }
}

/// A JSON object and the file it came from, for messages.
struct Fields {
    path: PathBuf,
    map: Map<String, Value>,
}

impl Fields {
    fn read(path: PathBuf) -> Result<Fields, Error> {
        let text = fs::read_to_string(&path).map_err(|e| Error::io(&path, "cannot read", e))?;
        match serde_json::from_str(&text) {
            Ok(Value::Object(map)) => Ok(Fields { path, map }),
            Ok(_) => Err(Error::new(path, "expected a JSON object")),
            Err(e) => Err(Error::new(path, format!("not valid JSON: {e}"))),
        }
    }

    fn wrong<T>(&self, field: &str, expected: &str) -> Result<T, Error> {
        let found =
            self.map.get(field).map_or("missing".to_owned(), |v| v.to_string().chars().take(80).collect());
        Err(Error::new(&self.path, format!("field `{field}` is {found}, expected {expected}")))
    }

    /// A field that is there and not null.
    fn get(&self, field: &str) -> Option<&Value> {
        self.map.get(field).filter(|v| !v.is_null())
    }

    fn number(&self, field: &str, default: usize) -> Result<usize, Error> {
        match self.get(field).map(Value::as_u64) {
            None => Ok(default),
            Some(Some(n)) if (1..1 << 20).contains(&n) => Ok(n as usize),
            Some(_) => self.wrong(field, "a whole number from 1 to 1048575"),
        }
    }

    fn real(&self, field: &str, default: f64) -> Result<f64, Error> {
        match self.get(field).map(Value::as_f64) {
            None => Ok(default),
            Some(Some(x)) if x.is_finite() => Ok(x),
            Some(_) => self.wrong(field, "a number"),
        }
    }

    fn flag(&self, field: &str, default: bool) -> Result<bool, Error> {
        match self.get(field).map(Value::as_bool) {
            None => Ok(default),
            Some(Some(b)) => Ok(b),
            Some(None) => self.wrong(field, "true or false"),
        }
    }

    fn numbers(&self, field: &str) -> Result<Option<Vec<usize>>, Error> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let list = value.as_array().and_then(|l| l.iter().map(|v| v.as_u64().map(|n| n as usize)).collect());
        list.map_or_else(|| self.wrong(field, "a list of whole numbers"), |l| Ok(Some(l)))
    }

    fn three(&self, field: &str, default: [f64; 3]) -> Result<[f64; 3], Error> {
        let Some(value) = self.get(field) else { return Ok(default) };
        let list: Option<Vec<f64>> = match value {
            Value::Number(n) => n.as_f64().map(|x| vec![x; 3]),
            _ => value.as_array().and_then(|l| l.iter().map(Value::as_f64).collect()),
        };
        let three =
            list.and_then(|l| <[f64; 3]>::try_from(l).ok()).filter(|l| l.iter().all(|x| x.is_finite()));
        three.map_or_else(|| self.wrong(field, "three numbers"), Ok)
    }
}

impl ModelConfig {
    /// Reads a folder's `config.json`. Fields that are left out have transformers' defaults (`BeitConfig`).
    ///
    /// # Errors
    /// The field that is not as expected.
    pub fn read(folder: &Path) -> Result<ModelConfig, Error> {
        let f = Fields::read(folder.join("config.json"))?;
        if let Some(kind) = f.get("model_type")
            && !matches!(kind.as_str(), Some("beit" | "data2vec-vision"))
        {
            return f.wrong("model_type", "\"beit\"");
        }
        match f.get("hidden_act").map(|v| v.as_str()) {
            None | Some(Some("gelu")) => {}
            Some(_) => return f.wrong("hidden_act", "\"gelu\""),
        }
        if let Some(c) = f.get("num_channels")
            && c.as_u64() != Some(3)
        {
            return f.wrong("num_channels", "3");
        }
        let (class_names, classes) = class_names(&f)?;
        let pool_scales = f.numbers("pool_scales")?.unwrap_or_else(|| vec![1, 2, 3, 6]);
        if pool_scales.len() > 8 || pool_scales.iter().any(|s| !(1..=64).contains(s)) {
            return f.wrong("pool_scales", "at most 8 numbers from 1 to 64");
        }
        Ok(ModelConfig {
            hidden: f.number("hidden_size", 768)?,
            layers: f.number("num_hidden_layers", 12)?,
            heads: Some(f.number("num_attention_heads", 12)?),
            intermediate: f.number("intermediate_size", 3072)?,
            image_size: f.number("image_size", 224)?,
            patch: f.number("patch_size", 16)?,
            out_indices: out_indices(&f)?,
            eps: f.real("layer_norm_eps", 1e-12)?,
            classes,
            class_names,
            pool_scales,
            absolute: f.flag("use_absolute_position_embeddings", false)?,
            relative: f.flag("use_relative_position_bias", false)?,
            shared: f.flag("use_shared_relative_position_bias", false)?,
        })
    }
}

/// `out_indices` under any of the names it has had.
fn out_indices(f: &Fields) -> Result<[usize; 4], Error> {
    for field in ["out_indices", "segmentation_indices", "semantic_out_indices"] {
        if let Some(list) = f.numbers(field)? {
            return match <[usize; 4]>::try_from(list) {
                Ok(four) if four.windows(2).all(|w| w[0] < w[1]) => Ok(four),
                _ => f.wrong(field, "four rising numbers"),
            };
        }
    }
    Ok([3, 5, 7, 11])
}

/// The names in `id2label`, and their number. Two classes are the library's default, and then the field is left out.
fn class_names(f: &Fields) -> Result<(Option<Vec<String>>, usize), Error> {
    let Some(labels) = f.get("id2label") else {
        let classes = f.number("num_labels", 2)?;
        return Ok((None, classes));
    };
    let names = labels.as_object().and_then(|map| {
        (0..map.len())
            .map(|i| map.get(&i.to_string())?.as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
    });
    match names {
        Some(names) if !names.is_empty() && names.len() < 65536 => {
            let count = names.len();
            Ok((Some(names), count))
        }
        _ => f.wrong("id2label", "an object with a name for each class, keys counting from \"0\""),
    }
}

impl Preprocessing {
    /// Reads a folder's `preprocessor_config.json`; `None` where there is none.
    ///
    /// # Errors
    /// The field that is not as expected.
    pub fn read(folder: &Path) -> Result<Option<Preprocessing>, Error> {
        let path = folder.join("preprocessor_config.json");
        if !path.exists() {
            return Ok(None);
        }
        let f = Fields::read(path)?;
        let mut p = Preprocessing::default();
        if let Some((w, h)) = size(&f, "size")? {
            (p.width, p.height) = (w, h);
        }
        if f.flag("do_center_crop", false)?
            && size(&f, "crop_size")?.is_some_and(|crop| crop != (p.width, p.height))
        {
            return f
                .wrong("do_center_crop", "false, or a crop as large as `size`: cropping is not supported");
        }
        if let Some(v) = f.get("resample") {
            p.resample = match v.as_u64() {
                Some(n) if n <= 5 => n as u32,
                _ => return f.wrong("resample", "Pillow's number of a filter, 0 to 5"),
            };
        }
        p.rescale = if f.flag("do_rescale", true)? { f.real("rescale_factor", p.rescale)? } else { 1.0 };
        if f.flag("do_normalize", true)? {
            p.mean = f.three("image_mean", p.mean)?;
            p.std = f.three("image_std", p.std)?;
        } else {
            (p.mean, p.std) = ([0.0; 3], [1.0; 3]);
        }
        if p.std.contains(&0.0) {
            return f.wrong("image_std", "three numbers other than zero");
        }
        p.reduce_labels = f.flag("do_reduce_labels", f.flag("reduce_labels", false)?)?;
        Ok(Some(p))
    }
}

/// A size in any of the forms it has had, as (width, height).
fn size(f: &Fields, field: &str) -> Result<Option<(usize, usize)>, Error> {
    let Some(value) = f.get(field) else { return Ok(None) };
    let number =
        |v: Option<&Value>| v.and_then(Value::as_u64).map(|n| n as usize).filter(|n| (1..65536).contains(n));
    let pair = match value {
        Value::Object(o) if o.contains_key("shortest_edge") => number(o.get("shortest_edge")).map(|n| (n, n)),
        Value::Object(o) => number(o.get("width")).zip(number(o.get("height"))),
        Value::Array(a) if a.len() == 2 => number(a.get(1)).zip(number(a.first())),
        _ => number(Some(value)).map(|n| (n, n)),
    };
    pair.map_or_else(
        || f.wrong(field, "a number of pixels, or an object with `height` and `width`"),
        |p| Ok(Some(p)),
    )
}

/// What a `.pth` says by its shapes.
///
/// # Errors
/// Tensors that are missing or of shapes that no BEiT has.
pub fn infer(checkpoint: &Checkpoint) -> Result<ModelConfig, Error> {
    let file = checkpoint.main_file();
    let shape = |name: &str, dims: usize| match checkpoint.shape(name) {
        Some(s) if s.len() == dims => Ok(s.to_vec()),
        Some(s) => {
            Err(Error::new(file, format!("tensor `{name}` has shape {s:?}, expected {dims} dimensions")))
        }
        None => Err(Error::new(file, format!("tensor `{name}` is missing: not a BEiT with an UPerNet head"))),
    };
    let count =
        |name: &dyn Fn(usize) -> String| (0..).take_while(|&i| checkpoint.shape(&name(i)).is_some()).count();
    let hidden = shape("cls_token", 3)?[2];
    let patch = shape("patch.weight", 4)?[2];
    let layers = count(&|i| format!("blocks.{i}.norm1.weight"));
    let pools = count(&|i| format!("pool.{i}.conv.weight"));
    let pool_scales = match pools {
        4 => vec![1, 2, 3, 6],
        n => {
            return Err(Error::new(
                file,
                format!(
                    "{n} pooling branches: only the usual four (1, 2, 3, 6) can be told from the shapes of a .pth"
                ),
            ));
        }
    };
    let table = |name: &str| checkpoint.shape(name).filter(|s| s.len() == 2).map(|s| (s[0], s[1]));
    let per_block = table("blocks.0.relative_position_bias_table");
    let shared = table("relative_position_bias_table");
    let absolute = checkpoint.shape("position_embeddings").filter(|s| s.len() == 3).map(|s| s[1]);
    let grid = match (per_block.or(shared), absolute) {
        (Some((rows, _)), _) => (2..=256).find(|n| (2 * n - 1usize).pow(2) + 3 == rows),
        (None, Some(tokens)) => (2..=256).find(|n| n * n + 1 == tokens),
        (None, None) => {
            return Err(Error::new(
                file,
                "no position tables: nothing says the input size this model was trained for",
            ));
        }
    };
    let Some(grid) = grid else {
        return Err(Error::new(file, "the position tables belong to no square grid of patches"));
    };
    Ok(ModelConfig {
        hidden,
        layers,
        heads: per_block.or(shared).map(|(_, heads)| heads),
        intermediate: shape("blocks.0.fc1.weight", 2)?[0],
        image_size: grid * patch,
        patch,
        out_indices: [3, 5, 7, 11],
        eps: 1e-6,
        classes: shape("classifier.weight", 4)?[0],
        class_names: None,
        pool_scales,
        absolute: absolute.is_some(),
        relative: per_block.is_some(),
        shared: per_block.is_none() && shared.is_some(),
    })
}

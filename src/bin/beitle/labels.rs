//! What the values of a map mean: the classes of the model, labels that replace them, or a mask of some of them.

use crate::console::Failure;
use crate::numbers::share;
use crate::palette;
use beitle::Model;
use beitle::output::ClassMap;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Arguments that decide what the values of a map mean.
#[derive(clap::Args)]
pub struct LabelArgs {
    /// Write a mask, 255 for the pixels of these classes (with --labels: of these labels) and 0 for all others: names, or numbers where
    /// no class has that name, separated by commas
    #[arg(long, value_name = "CLASS,...", value_delimiter = ',')]
    only: Vec<String>,
    /// JSON file with labels that replace the classes of the model: [{"name": "road", "classes": ["road", 52]}, {"name":
    /// "other", "others": true}]. The value of a label in the map is its index in the list. "colour": [r, g, b] is optional; without it, a label
    /// has the colour of its first class, or is grey
    #[arg(long, value_name = "FILE.json")]
    labels: Option<PathBuf>,
    /// Colours of the map and the overlay: a file with a colour in each line (#rrggbb, or red, green and blue from 0 to 255; also GIMP's
    /// .gpl), in the order of the classes or labels, or `okabe-ito`, eight colours that colour-blind people can tell apart, for up to eight
    /// classes or labels [default: those of the weight file]
    #[arg(long, value_name = "FILE|NAME")]
    palette: Option<PathBuf>,
    /// Mark pixels whose class has a lower probability than P (0 to 1, in steps of 1/255) as unknown: 255 in the map, 65535 in maps of
    /// 16 bits, 0 in masks
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    min_confidence: f64,
}

/// The meaning of the values of a map.
pub struct Labels {
    labels: Vec<Label>,
    /// What the engine writes for each class; empty: the class.
    table: Vec<u16>,
    min_confidence: u8,
    is_mask: bool,
}

struct Label {
    name: String,
    colour: [u8; 3],
}

/// The colour of unknown pixels.
const UNKNOWN_COLOUR: [u8; 3] = [0; 3];

impl LabelArgs {
    /// The files that are read, which must not be overwritten.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.labels.iter().chain(&self.palette).map(PathBuf::as_path)
    }

    /// The meaning of the values in maps of a model.
    ///
    /// # Errors
    /// The file of labels is not valid, or a class does not exist.
    pub fn labels(&self, model: &Model<'_>) -> Result<Labels, Failure> {
        // A pixel is unknown if its byte is less than 255 P.
        let min_confidence = (255.0 * self.min_confidence).ceil() as u8;
        let classes = Labels::of_classes(model, min_confidence);
        let mut labels = match &self.labels {
            Some(path) => read(path, &classes).map_err(|e| Failure::file(path, e))?,
            None => classes,
        };
        if let Some(name) = &self.palette {
            let palette = palette::load(name, labels.labels.len());
            let palette =
                palette.map_err(|e| Failure::usage(format_args!("--palette {}: {e}", name.display())))?;
            labels.labels.iter_mut().zip(palette).for_each(|(label, colour)| label.colour = colour);
        }
        if self.only.is_empty() { Ok(labels) } else { labels.only(&self.only) }
    }
}

impl Labels {
    fn of_classes(model: &Model<'_>, min_confidence: u8) -> Self {
        let label = |class| Label {
            name: model.class_name(class).unwrap_or("?").to_owned(),
            colour: model.colour(class),
        };
        let labels = (0..model.facts().classes).map(label).collect();
        Labels { labels, table: Vec::new(), min_confidence, is_mask: false }
    }

    /// A mask of the labels that `names` names. The engine writes 1 for them, 0 for the rest.
    fn only(self, names: &[String]) -> Result<Self, Failure> {
        let mut chosen = Vec::new();
        for name in names {
            let found = self.find(name.trim());
            chosen.push(
                found
                    .ok_or_else(|| Failure::usage(format_args!("--only {name}: {}", self.unknown_name())))?,
            );
        }
        chosen.sort_unstable();
        chosen.dedup();
        let value = |label: usize| u16::from(chosen.contains(&label));
        let table = match self.table.is_empty() {
            true => (0..self.labels.len()).map(value).collect(),
            false => self.table.iter().map(|label| value((*label).into())).collect(),
        };
        let names: Vec<_> = chosen.iter().map(|&label| self.labels[label].name.as_str()).collect();
        let rest = Label { name: "rest".into(), colour: [0; 3] };
        let chosen = Label { name: names.join(", "), colour: [255; 3] };
        Ok(Labels { labels: vec![rest, chosen], table, is_mask: true, ..self })
    }

    /// Why a name is not found.
    fn unknown_name(&self) -> String {
        if self.table.is_empty() {
            return "not a class of the model; `beitle info` lists them".into();
        }
        let names: Vec<_> = self.labels.iter().map(|label| label.name.as_str()).collect();
        format!("not a label; the labels are {}", names.join(", "))
    }

    /// The index of a label, given by its name, or else by its index.
    fn find(&self, text: &str) -> Option<usize> {
        let by_name = self.labels.iter().position(|label| label.name.eq_ignore_ascii_case(text));
        by_name.or_else(|| text.parse().ok()).filter(|index| *index < self.labels.len())
    }

    /// The label that has this value in a map.
    fn label(&self, value: usize) -> Option<&Label> {
        match value {
            255 if self.is_mask => self.labels.get(1),
            _ if self.is_mask && value > 0 => None,
            _ => self.labels.get(value),
        }
    }

    /// How many values the engine writes, that of unknown pixels included.
    pub fn values(&self) -> usize {
        self.labels.len() + usize::from(self.min_confidence > 0)
    }

    /// What the engine writes instead of each class; empty: the class.
    pub fn table(&self) -> &[u16] {
        &self.table
    }

    /// The confidence below which a pixel is unknown.
    pub fn min_confidence(&self) -> u8 {
        self.min_confidence
    }

    /// Whether maps are masks, of 255 and 0.
    pub fn is_mask(&self) -> bool {
        self.is_mask
    }

    /// The value whose regions say nothing: the rest of a mask, or else that of unknown pixels in a map.
    pub fn background(&self, unknown: u16) -> u16 {
        if self.is_mask { 0 } else { unknown }
    }

    /// The name of a value in a map.
    pub fn name(&self, value: usize) -> &str {
        self.label(value).map_or("unknown", |label| &label.name)
    }

    /// The colour of a value in a map.
    pub fn colour(&self, value: usize) -> [u8; 3] {
        self.label(value).map_or(UNKNOWN_COLOUR, |label| label.colour)
    }

    /// The colours of all values in a map of bytes, or of all labels if there are more.
    pub fn palette(&self) -> Vec<[u8; 3]> {
        let count = if self.min_confidence > 0 || self.is_mask { 256 } else { 0 };
        (0..count.max(self.labels.len())).map(|value| self.colour(value)).collect()
    }
}

/// Reads labels that replace `classes`.
fn read(path: &Path, classes: &Labels) -> Result<Labels, String> {
    let bytes = beitle_files::read(path, 1 << 20).map_err(|e| e.to_string())?;
    // Editors on Windows may begin a file with a byte-order mark.
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    parse(&serde_json::from_slice(text).map_err(|e| format!("is not JSON: {e}"))?, classes)
}

fn parse(file: &Value, classes: &Labels) -> Result<Labels, String> {
    let Some(entries) = file.as_array().filter(|entries| !entries.is_empty()) else {
        return Err("expected a list of labels".into());
    };
    if entries.len() > usize::from(ClassMap::UNKNOWN) {
        return Err(format!("{} labels; at most {} are possible", entries.len(), ClassMap::UNKNOWN));
    }
    let mut table = vec![None; classes.labels.len()];
    let mut labels = Vec::new();
    let mut others = None;
    for (number, entry) in entries.iter().enumerate() {
        let label = parse_label(entry, classes, number)?;
        if labels.iter().any(|other: &Label| other.name.eq_ignore_ascii_case(&label.name)) {
            return Err(format!("two labels have the name {:?}", label.name));
        }
        if entry.get("others").is_some_and(|others| *others == Value::Bool(true))
            && others.replace(number as u16).is_some()
        {
            return Err("two labels have \"others\"".into());
        }
        for class in entry.get("classes").and_then(Value::as_array).into_iter().flatten() {
            let found = match class {
                Value::String(name) => classes.find(name),
                number => number
                    .as_u64()
                    .and_then(|n| usize::try_from(n).ok())
                    .filter(|n| *n < classes.labels.len()),
            };
            let class = found
                .ok_or_else(|| format!("label {:?}: {class} is not a class of the model", label.name))?;
            if table[class].replace(number as u16).is_some_and(|before| before != number as u16) {
                return Err(format!("class {:?} has two labels", classes.name(class)));
            }
        }
        labels.push(label);
    }
    let missing = table.iter().position(Option::is_none);
    let Some(table) = table.into_iter().map(|label| label.or(others)).collect() else {
        let name = classes.name(missing.unwrap_or(0));
        return Err(format!(
            "class {name:?} has no label; mark the label of all others with \"others\": true"
        ));
    };
    Ok(Labels { labels, table, min_confidence: classes.min_confidence, is_mask: false })
}

fn parse_label(entry: &Value, classes: &Labels, number: usize) -> Result<Label, String> {
    let known = ["name", "classes", "others", "colour"];
    let unknown =
        entry.as_object().and_then(|fields| fields.keys().find(|key| !known.contains(&key.as_str())));
    if let Some(key) = unknown {
        return Err(format!("label {number}: unknown field {key:?}; expected one of {}", known.join(", ")));
    }
    let Some(name) = entry.get("name").and_then(Value::as_str).map(str::trim).filter(|name| !name.is_empty())
    else {
        return Err(format!("label {number}: expected a \"name\""));
    };
    let wrong = |field: &str, expected: &str| Err(format!("label {name:?}: \"{field}\" is not {expected}"));
    if entry.get("classes").is_some_and(|classes| !classes.is_array()) {
        return wrong("classes", "a list of names and numbers");
    }
    if entry.get("others").is_some_and(|others| !others.is_boolean()) {
        return wrong("others", "true or false");
    }
    let colour = match entry.get("colour") {
        // That of the first class.
        None => match entry.get("classes").and_then(|classes| classes.get(0)) {
            Some(Value::String(name)) => {
                classes.find(name).map_or(UNKNOWN_COLOUR, |class| classes.colour(class))
            }
            Some(class) => classes.colour(class.as_u64().unwrap_or(u64::MAX) as usize),
            None => [128; 3],
        },
        Some(colour) => {
            let bytes: Option<Vec<u8>> = colour.as_array().and_then(|values| {
                values.iter().map(|value| value.as_u64().and_then(|value| u8::try_from(value).ok())).collect()
            });
            match bytes.and_then(|bytes| <[u8; 3]>::try_from(bytes).ok()) {
                Some(colour) => colour,
                None => return wrong("colour", "three numbers from 0 to 255"),
            }
        }
    };
    Ok(Label { name: name.to_owned(), colour })
}

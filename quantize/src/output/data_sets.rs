//! Classes of well-known data sets, for checkpoints that do not name theirs: names and the official colours.
//!
//! Sources: ADE20K and the 171 classes of COCO-Stuff as in mmsegmentation; `cityscapesScripts`, `helpers/labels.py` (the 19 train ids; label ids above them do not occur
//! in models); PASCAL VOC 2012; the 11 classes of CamVid as in SegNet.

use super::classes::{ade20k_colours, ade20k_names, voc_colour};
use crate::error::Error;
use crate::regular_file;
use std::path::{Path, PathBuf};

/// Where class names come from, instead of from the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// The classes of a data set: `ade20k`, `cityscapes`, `coco-stuff`, `voc` or `camvid`.
    DataSet(String),
    /// A text file with one class per line, `name` or `red green blue name`, in the same form on all lines.
    File(PathBuf),
}

impl Names {
    /// The classes of the data set with this name, or else those in the file with this path.
    pub fn new(source: PathBuf) -> Names {
        match source.to_str().filter(|name| DATA_SETS.contains(name)) {
            Some(name) => Names::DataSet(name.into()),
            None => Names::File(source),
        }
    }
}

/// Names, and colours if there are any.
pub(crate) type Classes = (Vec<String>, Option<Vec<[u8; 3]>>);

/// The data sets that [`Names::DataSet`] knows.
pub const DATA_SETS: [&str; 5] = ["ade20k", "cityscapes", "coco-stuff", "voc", "camvid"];

/// Most bytes of a file of names: those of 65,535 names.
const MAX_BYTES: u64 = 1 << 24;

const COCO_STUFF: &str = include_str!("coco_stuff.txt");

const CITYSCAPES: &str = "128 64 128 road
244 35 232 sidewalk
70 70 70 building
102 102 156 wall
190 153 153 fence
153 153 153 pole
250 170 30 traffic light
220 220 0 traffic sign
107 142 35 vegetation
152 251 152 terrain
70 130 180 sky
220 20 60 person
255 0 0 rider
0 0 142 car
0 0 70 truck
0 60 100 bus
0 80 100 train
0 0 230 motorcycle
119 11 32 bicycle";

const CAMVID: &str = "128 128 128 sky
128 0 0 building
192 192 128 pole
128 64 128 road
60 40 222 pavement
128 128 0 tree
192 128 128 sign symbol
64 64 128 fence
64 0 128 car
64 64 0 pedestrian
0 128 192 bicyclist";

const VOC: [&str; 21] = [
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
];

impl Names {
    /// The classes of a model with `classes` classes.
    ///
    /// # Errors
    /// The file cannot be read, the data set is unknown, or there is another number of names than of classes.
    pub(crate) fn classes(&self, checkpoint: &Path, classes: usize) -> Result<Classes, Error> {
        let (what, found) = match self {
            Names::DataSet(name) => {
                let found = data_set(name);
                let unknown = || {
                    Error::new(
                        checkpoint,
                        format!("unknown data set {name}; known are {}", DATA_SETS.join(", ")),
                    )
                };
                (name.clone(), found.ok_or_else(unknown)?)
            }
            Names::File(path) => {
                let text = String::from_utf8(regular_file::read(path, MAX_BYTES)?);
                let text =
                    text.map_err(|_| Error::new(path, "is not UTF-8; expected a class name on each line"))?;
                let found = parse(&text);
                let coloured = text.lines().filter(|line| coloured(line).is_some()).count();
                if coloured > 0 && found.1.is_none() {
                    return Err(Error::new(
                        path,
                        "gives some lines a colour and others not; expected all or none",
                    ));
                }
                (path.display().to_string(), found)
            }
        };
        if found.0.len() != classes {
            let names = found.0.len();
            let what = format!("has {classes} classes; {what} has {names} names");
            return Err(Error::new(checkpoint, what));
        }
        Ok(found)
    }
}

fn data_set(name: &str) -> Option<Classes> {
    Some(match name {
        "ade20k" => (ade20k_names().map(str::to_owned).collect(), Some(ade20k_colours().collect())),
        "cityscapes" => parse(CITYSCAPES),
        "coco-stuff" => parse(COCO_STUFF),
        "camvid" => parse(CAMVID),
        "voc" => (VOC.map(str::to_owned).to_vec(), Some((0..VOC.len()).map(voc_colour).collect())),
        _ => return None,
    })
}

/// Name and colour of a line `red green blue name`.
fn coloured(line: &str) -> Option<(String, [u8; 3])> {
    let mut parts = line.splitn(4, ' ');
    let mut component = || parts.next()?.parse().ok();
    let colour = [component()?, component()?, component()?];
    Some((parts.next()?.to_owned(), colour))
}

/// The names of lines, and their colours if every line begins with one.
fn parse(text: &str) -> Classes {
    let lines = || text.trim_end().lines().map(str::trim_end);
    match lines().map(coloured).collect::<Option<Vec<_>>>() {
        Some(all) if !all.is_empty() => {
            let (names, colours) = all.into_iter().unzip();
            (names, Some(colours))
        }
        _ => (lines().map(str::to_owned).collect(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_sets_have_as_many_colours_as_names() {
        for (name, classes) in DATA_SETS.iter().zip([150, 19, 171, 21, 11]) {
            let names = Names::DataSet((*name).into());
            let (found, colours) = names.classes(Path::new("x"), classes).unwrap();
            assert_eq!((found.len(), colours.map(|c| c.len())), (classes, Some(classes)), "{name}");
            let message = names.classes(Path::new("x.pth"), classes + 1).unwrap_err().to_string();
            assert!(
                message.contains("x.pth") && message.contains(&format!("{name} has {classes} names")),
                "{message}"
            );
        }
        assert!(Names::DataSet("imagenet".into()).classes(Path::new("x"), 1).is_err());
        let (names, colours) = data_set("voc").unwrap();
        assert_eq!((names[15].as_str(), colours.unwrap()[15]), ("person", [192, 128, 128]));
    }

    #[test]
    fn files_hold_names_with_or_without_colours() {
        assert_eq!(parse("road\n2 lanes\r\n"), (vec!["road".into(), "2 lanes".into()], None));
        let (names, colours) = parse("1 2 3 a b\n4 5 6 c");
        assert_eq!((names, colours), (vec!["a b".into(), "c".into()], Some(vec![[1, 2, 3], [4, 5, 6]])));
        assert_eq!(parse("1 2 300 a").1, None);
        assert_eq!(parse("a\nb\n\n").0, ["a", "b"]);
    }
}

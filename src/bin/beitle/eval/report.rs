//! The evaluation of one model: sums over all pictures, printed as a table or as JSON.

use super::changed_pixels::{ChangedPixel, ChangedPixels};
use super::noise::{Noise, add_to_stage};
use super::scores::Scores;
use super::worst_pictures::WorstPictures;
use crate::console::{Failure, Stdout, plural};
use beitle::{Isa, Model};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Number of pictures and of changed pixels in the table.
const LISTED: (usize, usize) = (5, 3);

/// One picture's comparison with the reference.
pub struct Comparison {
    /// The picture.
    pub image: PathBuf,
    /// Scores of the model's map with the reference's map as truth.
    pub scores: Scores,
    /// Noise of each stage.
    pub stages: Vec<(String, Noise)>,
    /// Noise of the logits, if the picture was run once and as a whole.
    pub logits: Option<Noise>,
}

/// A score with five digits, or a dash if nothing was scored.
fn number(score: Option<f64>) -> String {
    score.map_or("-".into(), |score| format!("{score:.5}"))
}

/// The difference of two scores, if there are both.
fn difference(score: Option<f64>, reference: Option<f64>) -> Option<f64> {
    Some(score? - reference?)
}

/// The evaluation of one model.
pub struct Report<'m> {
    /// Path of the weight file.
    pub path: &'m Path,
    model: &'m Model<'m>,
    isa: Isa,
    /// Description of the views in which pictures are run.
    views: String,
    /// Number of pictures.
    pub pictures: usize,
    /// How long the runs of all pictures took; 0 if there is a reference, with which tensors are compared during the runs.
    pub time: Duration,
    /// Scores against the labels, if there are labels.
    pub labels: Option<Scores>,
    /// Scores of the reference against the labels, if there are both.
    pub reference_labels: Option<Scores>,
    /// Comparisons with the reference, if there is one.
    pub comparisons: Vec<Comparison>,
    /// Views of the pictures with the lowest agreement, if an HTML page is wanted.
    pub worst_pictures: WorstPictures,
    /// Changed pixels with the largest margins.
    pub changed_pixels: ChangedPixels,
}

impl<'m> Report<'m> {
    /// A report on no pictures.
    pub fn new(path: &'m Path, model: &'m Model<'m>, isa: Isa, views: String) -> Self {
        Report {
            path,
            model,
            isa,
            views,
            pictures: 0,
            time: Duration::ZERO,
            labels: None,
            reference_labels: None,
            comparisons: Vec::new(),
            worst_pictures: WorstPictures::default(),
            changed_pixels: ChangedPixels::default(),
        }
    }

    /// Width and height of the network's input, in pixels.
    pub fn input(&self) -> (usize, usize) {
        (self.model.facts().width, self.model.facts().height)
    }

    /// The mean time of a picture in seconds, if it was measured.
    pub fn seconds(&self) -> Option<f64> {
        (!self.time.is_zero()).then(|| self.time.as_secs_f64() / self.pictures.max(1) as f64)
    }

    /// The classes of the model.
    pub fn classes(&self) -> std::ops::Range<usize> {
        0..self.model.facts().classes
    }

    /// The colour of a class.
    pub fn colour(&self, class: usize) -> [u8; 3] {
        self.model.colour(class)
    }

    /// The name of a class.
    pub fn class_name(&self, class: usize) -> &'m str {
        self.model.class_name(class).unwrap_or("?")
    }

    /// Describes a changed pixel in a sentence.
    pub fn describe(&self, pixel: &ChangedPixel) -> String {
        let (reference, model) = (self.class_name(pixel.reference), self.class_name(pixel.model));
        let (image, (x, y), margin) = (pixel.image.display(), pixel.at, pixel.margin);
        format!(
            "{reference} became {model}, margin {margin:.3} in the reference: {image}, column {x}, row {y}"
        )
    }

    /// Scores and logits' noise over all comparisons.
    pub fn overall(&self) -> Option<(Scores, Option<Noise>)> {
        let (first, others) = self.comparisons.split_first()?;
        let mut all = (first.scores.clone(), first.logits);
        for comparison in others {
            all.0.join(&comparison.scores);
            if let (Some(all), Some(noise)) = (&mut all.1, comparison.logits) {
                all.join(noise);
            }
        }
        Some(all)
    }

    /// Noise of each stage over all comparisons, in the order of a run.
    pub fn stages(&self) -> Vec<(String, Noise)> {
        let mut all = Vec::new();
        for (name, noise) in self.comparisons.iter().flat_map(|c| &c.stages) {
            add_to_stage(&mut all, name, *noise);
        }
        all
    }

    /// Pictures and their agreement, the lowest first.
    fn by_agreement(&self) -> Vec<(&Path, f64)> {
        let mut all: Vec<_> = self
            .comparisons
            .iter()
            .filter_map(|c| Some((c.image.as_path(), c.scores.pixel_accuracy()?)))
            .collect();
        all.sort_by(|a, b| a.1.total_cmp(&b.1));
        all
    }

    /// Prints the report as a table.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn print(&self) -> Result<(), Failure> {
        let mut out = Stdout::default();
        let (path, precision) = (self.path.display(), self.model.facts().precision.name());
        let (pictures, isa) = (plural(self.pictures, "picture"), self.isa.name());
        let views = &self.views;
        let (width, height) = self.input();
        let time = self.seconds().map_or(String::new(), |seconds| format!(", {seconds:.3} s a picture"));
        out.line(format_args!("{path}: {precision}, {width}x{height}, {pictures}, {views}, {isa}{time}"))?;
        if let Some(scores) = &self.labels {
            self.print_labels(&mut out, scores)?;
        }
        match self.overall() {
            Some((scores, logits)) => self.print_reference(&mut out, &scores, logits),
            None => Ok(()),
        }
    }

    fn print_labels(&self, out: &mut Stdout, scores: &Scores) -> Result<(), Failure> {
        let all = |scores: &Scores| [scores.mean_iou(), scores.pixel_accuracy(), scores.mean_accuracy()];
        let [miou, aacc, macc] = all(scores).map(number);
        out.line(format_args!("  labels: mIoU {miou}  aAcc {aacc}  mAcc {macc}"))?;
        let reference = self.reference_labels.as_ref();
        if let Some(reference) = reference {
            let [miou, aacc, macc] = all(reference).map(number);
            out.line(format_args!("  the reference: mIoU {miou}  aAcc {aacc}  mAcc {macc}"))?;
            let pairs = [0, 1, 2].map(|i| difference(all(scores)[i], all(reference)[i]));
            let [miou, aacc, macc] = pairs.map(|d| d.map_or("-".into(), |d| format!("{d:+.5}")));
            out.line(format_args!("  difference: mIoU {miou}  aAcc {aacc}  mAcc {macc}"))?;
        }
        let column = if reference.is_some() { "  against reference" } else { "" };
        out.line(format_args!("    {:>3}  {:6}  {:6}  {:>7}  class{column}", "", "IoU", "acc", "share"))?;
        for class in (0..self.model.facts().classes).filter(|&c| scores.iou(c).is_some()) {
            let iou = scores.iou(class).unwrap_or(0.0);
            let acc = scores.accuracy(class).map_or("-".into(), |a| format!("{a:.4}"));
            let share = 100.0 * scores.area(class) as f64 / scores.pixels().max(1) as f64;
            let name = self.class_name(class);
            let change = difference(Some(iou), reference.and_then(|r| r.iou(class)));
            let change = change.map_or(String::new(), |d| format!("  {d:+.4}"));
            out.line(format_args!("    {class:3}  {iou:.4}  {acc:6}  {share:5.2} %  {name}{change}"))?;
        }
        Ok(())
    }

    fn print_reference(
        &self,
        out: &mut Stdout,
        scores: &Scores,
        logits: Option<Noise>,
    ) -> Result<(), Failure> {
        let [agreement, miou] = [scores.pixel_accuracy(), scores.mean_iou()].map(number);
        out.line(format_args!("  reference: pixel agreement {agreement}  mIoU against its maps {miou}"))?;
        match logits {
            Some(logits) => {
                out.line(format_args!("  signal-to-quantisation-noise ratio after each stage:"))?;
                let db = |n: Noise| n.db().map_or("exact".into(), |db| format!("{db:.1} dB"));
                for (name, noise) in self.stages().into_iter().chain([("logits".into(), logits)]) {
                    out.line(format_args!("    {name:12}{:>10}", db(noise)))?;
                }
            }
            None => out.line(format_args!("  noise after each stage: compared only with --mode whole"))?,
        }
        out.line(format_args!("  pictures with the lowest agreement:"))?;
        for (image, agreement) in self.by_agreement().into_iter().take(LISTED.0) {
            out.line(format_args!("    {agreement:.5}  {}", image.display()))?;
        }
        let changed = self.changed_pixels.worst();
        if !changed.is_empty() {
            out.line(format_args!("  changed pixels with the largest margins:"))?;
        }
        for pixel in changed.iter().take(LISTED.1) {
            out.line(format_args!("    {}", self.describe(pixel)))?;
        }
        Ok(())
    }

    /// The report as JSON.
    pub fn json(&self) -> Value {
        json!({
            "file": self.path.to_string_lossy(),
            "precision": self.model.facts().precision.name(),
            "isa": self.isa.name(),
            "views": self.views,
            "input": [self.input().0, self.input().1],
            "pictures": self.pictures,
            "seconds_per_picture": self.seconds(),
            "labels": self.labels.as_ref().map(|scores| self.labels_json(scores)),
            "reference": self.overall().map(|(scores, logits)| self.reference_json(&scores, logits)),
        })
    }

    fn labels_json(&self, scores: &Scores) -> Value {
        let reference = self.reference_labels.as_ref();
        let class = |c| {
            json!({"id": c, "name": self.class_name(c), "iou": scores.iou(c), "accuracy": scores.accuracy(c),
                   "pixels": scores.area(c), "reference_iou": reference.and_then(|r| r.iou(c))})
        };
        let classes: Vec<_> = (0..self.model.facts().classes).map(class).collect();
        let all = |scores: &Scores| json!({"miou": scores.mean_iou(), "aacc": scores.pixel_accuracy(), "macc": scores.mean_accuracy()});
        let mut json = all(scores);
        json["classes"] = classes.into();
        json["reference"] = reference.map(all).into();
        // Pixels of each true class (rows) by predicted class (columns).
        json["confusion"] = scores.confusion().map(<[u64]>::to_vec).collect::<Vec<_>>().into();
        json
    }

    fn reference_json(&self, scores: &Scores, logits: Option<Noise>) -> Value {
        let stages: Vec<_> =
            self.stages().into_iter().map(|(name, n)| json!({"name": name, "sqnr_db": n.db()})).collect();
        let picture = |c: &Comparison| {
            json!({"image": c.image.to_string_lossy(), "agreement": c.scores.pixel_accuracy(),
                   "miou": c.scores.mean_iou(), "logits_sqnr_db": c.logits.and_then(Noise::db)})
        };
        json!({
            "agreement": scores.pixel_accuracy(),
            "miou": scores.mean_iou(),
            "logits_sqnr_db": logits.and_then(Noise::db),
            "stages": stages,
            "pictures": self.comparisons.iter().map(picture).collect::<Vec<_>>(),
            "worst_pixels": self.changed_pixels.worst().iter().map(ChangedPixel::json).collect::<Vec<_>>(),
        })
    }
}

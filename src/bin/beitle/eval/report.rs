//! What `beitle eval` found out about one model: a table, and JSON.

use super::flips::{Flip, Flips};
use super::probe::Noise;
use super::scores::Scores;
use crate::console::{Failure, Output};
use beitle::{Isa, Model};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// One picture's likeness to the reference.
pub struct Likeness {
    /// The picture.
    pub image: PathBuf,
    /// The model's map against the reference's.
    pub scores: Scores,
    /// By stage.
    pub noise: Vec<(String, Noise)>,
    /// Of the logits.
    pub logits: Noise,
}

/// A picture on the page.
pub struct Shown {
    /// The picture.
    pub image: PathBuf,
    /// Share of its pixels that agree.
    pub agreement: f64,
    /// Input, reference, model, difference: PNG files.
    pub views: [Vec<u8>; 4],
}

/// Everything about one model.
pub struct Report<'m> {
    /// Its file.
    pub path: &'m Path,
    model: &'m Model<'m>,
    isa: Isa,
    /// Pictures run.
    pub pictures: usize,
    /// Against labels.
    pub truth: Option<Scores>,
    /// Against the reference, picture by picture.
    pub likeness: Vec<Likeness>,
    /// The worst of them, the worst first.
    pub shown: Vec<Shown>,
    /// The worst pixels of all.
    pub flips: Flips,
}

impl<'m> Report<'m> {
    /// Nothing found out yet.
    pub fn new(path: &'m Path, model: &'m Model<'m>, isa: Isa) -> Self {
        Report {
            path,
            model,
            isa,
            pictures: 0,
            truth: None,
            likeness: Vec::new(),
            shown: Vec::new(),
            flips: Flips::default(),
        }
    }

    fn name(&self, class: usize) -> &'m str {
        self.model.class_name(class).unwrap_or("?")
    }

    /// A pixel whose class has changed, in words.
    pub fn sentence(&self, flip: &Flip) -> String {
        let (reference, model) = (self.name(flip.reference), self.name(flip.model));
        let (image, (x, y)) = (flip.image.display(), flip.at);
        format!(
            "{reference} became {model}, preferred by {:.3} in the reference: {image}, column {x}, row {y}",
            flip.margin
        )
    }

    /// All pictures against the reference.
    pub fn overall(&self) -> Option<(Scores, Noise)> {
        let mut all = (self.likeness.first()?.scores.clone(), Noise::default());
        for (i, one) in self.likeness.iter().enumerate() {
            if i > 0 {
                all.0.join(&one.scores);
            }
            all.1.join(one.logits);
        }
        Some(all)
    }

    /// Noise of each stage over all pictures, in the order of the data.
    pub fn stages(&self) -> Vec<(String, Noise)> {
        let mut all: Vec<(String, Noise)> = Vec::new();
        for (stage, noise) in self.likeness.iter().flat_map(|l| &l.noise) {
            match all.iter_mut().find(|(s, _)| s == stage) {
                Some((_, sum)) => sum.join(*noise),
                None => all.push((stage.clone(), *noise)),
            }
        }
        all
    }

    /// Pictures by agreement, the worst first.
    fn ranked(&self) -> Vec<(&Path, f64)> {
        let mut all: Vec<_> =
            self.likeness.iter().map(|l| (l.image.as_path(), l.scores.pixel_accuracy())).collect();
        all.sort_by(|a, b| a.1.total_cmp(&b.1));
        all
    }

    /// The table.
    pub fn print(&self) -> Result<(), Failure> {
        let mut out = Output::default();
        let precision = self.model.facts().precision.name();
        let (path, isa) = (self.path.display(), self.isa.name());
        out.line(format_args!("{path}: {precision}, {} pictures, {isa}", self.pictures))?;
        if let Some(s) = &self.truth {
            let (miou, aacc, macc) = (s.mean_iou(), s.pixel_accuracy(), s.mean_accuracy());
            out.line(format_args!("  labels     mIoU {miou:.5}  aAcc {aacc:.5}  mAcc {macc:.5}"))?;
            for class in (0..self.model.facts().classes).filter(|&c| s.iou(c).is_some()) {
                let (iou, acc) = (s.iou(class).unwrap_or(0.0), s.accuracy(class));
                let acc = acc.map_or("-".into(), |a| format!("{a:.4}"));
                let share = 100.0 * s.area(class) as f64 / s.pixels().max(1) as f64;
                let name = self.name(class);
                out.line(format_args!("    {class:3}  IoU {iou:.4}  acc {acc:6}  {share:5.2} %  {name}"))?;
            }
        }
        let Some((scores, logits)) = self.overall() else { return Ok(()) };
        let (agreement, miou) = (scores.pixel_accuracy(), scores.mean_iou());
        out.line(format_args!("  reference  pixels equal {agreement:.5}  mIoU of the maps {miou:.5}"))?;
        let db = |n: Noise| n.db().map_or("exact".into(), |db| format!("{db:.1} dB"));
        out.line(format_args!("    {:12}{:>10}", "logits", db(logits)))?;
        for (stage, noise) in self.stages() {
            out.line(format_args!("    {stage:12}{:>10}", db(noise)))?;
        }
        for (image, agreement) in self.ranked().into_iter().take(5) {
            out.line(format_args!("    {agreement:.5}  {}", image.display()))?;
        }
        for flip in self.flips.worst().iter().take(3) {
            out.line(format_args!("    {}", self.sentence(flip)))?;
        }
        Ok(())
    }

    /// Everything.
    pub fn json(&self) -> Value {
        let scores = |s: &Scores| {
            let classes: Vec<_> = (0..self.model.facts().classes)
                .map(|c| json!({"id": c, "name": self.name(c), "iou": s.iou(c), "accuracy": s.accuracy(c), "pixels": s.area(c)}))
                .collect();
            json!({"miou": s.mean_iou(), "aacc": s.pixel_accuracy(), "macc": s.mean_accuracy(), "classes": classes})
        };
        let stages: Vec<_> =
            self.stages().into_iter().map(|(name, n)| json!({"name": name, "sqnr_db": n.db()})).collect();
        let pictures: Vec<_> = self
            .likeness
            .iter()
            .map(|l| {
                json!({"image": l.image.to_string_lossy(), "agreement": l.scores.pixel_accuracy(),
                       "miou": l.scores.mean_iou(), "logits_sqnr_db": l.logits.db()})
            })
            .collect();
        json!({
            "file": self.path.to_string_lossy(),
            "precision": self.model.facts().precision.name(),
            "isa": self.isa.name(),
            "pictures": self.pictures,
            "labels": self.truth.as_ref().map(scores),
            "reference": self.overall().map(|(s, logits)| json!({
                "agreement": s.pixel_accuracy(),
                "miou": s.mean_iou(),
                "logits_sqnr_db": logits.db(),
                "stages": stages,
                "pictures": pictures,
                "worst_pixels": self.flips.worst().iter().map(Flip::json).collect::<Vec<_>>(),
            })),
        })
    }
}

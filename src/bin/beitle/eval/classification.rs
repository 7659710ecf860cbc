//! `beitle eval` of models that classify pictures: the share of pictures whose class is the first, or among the first five, and the
//! agreement with a reference. The data set is a folder with [`folders`] of classes.

use super::arguments::Args;
use super::folders::{self, Sample};
use super::noise::Noise;
use crate::batch::{check_failed, for_each_picture};
use crate::console::{Failure, Stdout, plural};
use crate::session::{Session, Wanted};
use beitle::{Isa, Model};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::path::Path;

/// Pictures of a class: how many there are, and for how many the class is the first or among the first five.
#[derive(Clone, Copy, Default)]
struct Count {
    pictures: u64,
    top1: u64,
    top5: u64,
}

impl Count {
    fn add(&mut self, other: Count) {
        self.pictures += other.pictures;
        self.top1 += other.top1;
        self.top5 += other.top5;
    }

    fn share(self, of: u64) -> Option<f64> {
        (self.pictures > 0).then(|| of as f64 / self.pictures as f64)
    }

    fn json(self) -> Value {
        json!({"top1": self.share(self.top1), "top5": self.share(self.top5), "pictures": self.pictures})
    }
}

/// The evaluation of one model.
struct Report<'m> {
    path: &'m Path,
    model: &'m Model<'m>,
    class_names: Vec<&'m str>,
    session: Session<'m>,
    pictures: usize,
    /// For each class.
    counts: Vec<Count>,
    /// Pictures with the same first class as the reference, and the noise of the logits.
    same: u64,
    noise: Noise,
}

/// Evaluates models of the same classes on the pictures of a data set.
///
/// # Errors
/// There is nothing to evaluate, a file cannot be read, or the files do not match one another.
pub fn run(
    args: &Args,
    isa: Isa,
    models: &[(&Path, &Model<'_>)],
    reference: Option<&Model<'_>>,
) -> Result<(), Failure> {
    let of_maps = [
        ("--html", args.html.is_some()),
        ("--labels", args.labels.is_some()),
        ("--ignore", args.ignore.is_some()),
        ("--reduce-labels", args.reduce_labels.is_some()),
    ];
    if let Some((option, _)) = of_maps.iter().find(|(_, given)| *given) {
        return Err(Failure::usage(format_args!(
            "{option} is for models that segment pictures; for this one, expected a folder for each class in DATA"
        )));
    }
    let (_, first) = models[0];
    let samples = folders::find(&args.data, models, args.most_pictures())?;
    if reference.is_none() && samples.iter().all(|s| s.class.is_none()) {
        let missing =
            "nothing to evaluate against: give a folder for each class, or a reference (--against FILE)";
        return Err(Failure::usage(format_args!("{}: {missing}", args.data.display())));
    }
    let inputs = models.iter().map(|(path, _)| *path).chain(args.against.as_deref());
    let inputs = inputs.chain(samples.iter().map(|s| s.image.as_path()));
    beitle_files::check(args.json.as_deref(), inputs).map_err(Failure::usage)?;
    let new_session = |model| Session::new(model, args.views.views(model)?, &args.processor);
    let report = |&(path, model): &_| {
        let counts = vec![Count::default(); first.facts().classes];
        let (class_names, session) = (Model::class_names(model).collect(), new_session(model)?);
        Ok(Report {
            path,
            model,
            class_names,
            session,
            pictures: 0,
            counts,
            same: 0,
            noise: Noise::default(),
        })
    };
    let mut reports = models.iter().map(report).collect::<Result<Vec<_>, Failure>>()?;
    let mut reference = reference.map(new_session).transpose()?;
    let mut reference_counts = vec![Count::default(); first.facts().classes];
    let run = |sample: &Sample, _: &ProgressBar| {
        evaluate(args, sample, reference.as_mut(), &mut reference_counts, &mut reports)
    };
    let failed = for_each_picture(&samples, |sample| &sample.image, run, |_, _| Ok(()))?;
    if failed < samples.len() {
        let reference = reference.is_some().then_some(&reference_counts[..]);
        publish(args, isa, &reports, reference)?;
    }
    check_failed(failed, samples.len(), "were left out")
}

/// Runs a picture through the reference and all models.
fn evaluate(
    args: &Args,
    sample: &Sample,
    reference: Option<&mut Session<'_>>,
    reference_counts: &mut [Count],
    reports: &mut [Report<'_>],
) -> Result<(), Failure> {
    let picture = args.pictures.load(&sample.image)?;
    let wanted = Wanted { logits: true, ..Wanted::default() };
    let logits = |session: &mut Session<'_>| {
        let results = session.run_pooled(&picture, wanted, &mut ());
        results.map(|r| r.logits).map_err(|e| Failure::file(&sample.image, e))
    };
    let reference = reference.map(logits).transpose()?;
    let all = reports.iter_mut().map(|r| logits(&mut r.session)).collect::<Result<Vec<_>, _>>()?;
    if let (Some(reference), Some(class)) = (&reference, sample.class) {
        reference_counts[class].add(count(reference, class));
    }
    for (report, logits) in reports.iter_mut().zip(all) {
        report.pictures += 1;
        if let Some(class) = sample.class {
            report.counts[class].add(count(&logits, class));
        }
        if let Some(reference) = &reference {
            report.same += u64::from(best(reference) == best(&logits));
            report.noise.join(Noise::of(reference, &logits));
        }
    }
    Ok(())
}

/// The class with the largest logit; the lowest of several.
fn best(logits: &[f32]) -> usize {
    (1..logits.len()).fold(0, |best, class| if logits[class] > logits[best] { class } else { best })
}

/// What a picture of `class` adds to the counts.
fn count(logits: &[f32], class: usize) -> Count {
    let own = logits[class];
    // As if classes were sorted by logit, and by number where logits are equal.
    let before = logits.iter().enumerate().filter(|&(c, &x)| x > own || x == own && c < class).count();
    Count { pictures: 1, top1: u64::from(before < 1), top5: u64::from(before < 5) }
}

/// Prints the reports and writes the JSON file.
fn publish(
    args: &Args,
    isa: Isa,
    reports: &[Report<'_>],
    reference: Option<&[Count]>,
) -> Result<(), Failure> {
    let mut out = Stdout::default();
    for report in reports {
        report.print(&mut out, isa, reference)?;
    }
    let Some(path) = &args.json else { return Ok(()) };
    let all: Vec<_> = reports.iter().map(|report| report.json(isa, reference)).collect();
    let text = json!({ "models": all }).to_string();
    beitle_files::write(path, text.as_bytes()).map_err(|e| Failure::file(path, e))
}

fn total(counts: &[Count]) -> Count {
    counts.iter().fold(Count::default(), |mut sum, count| {
        sum.add(*count);
        sum
    })
}

impl Report<'_> {
    fn print(&self, out: &mut Stdout, isa: Isa, reference: Option<&[Count]>) -> Result<(), Failure> {
        let (path, precision) = (self.path.display(), self.model.facts().precision.name());
        let pictures = plural(self.pictures, "picture");
        out.line(format_args!("{path}: {precision}, {pictures}, {}", isa.name()))?;
        let all = total(&self.counts);
        let digits = |share: Option<f64>| share.map_or("-".into(), |share| format!("{share:.5}"));
        let line = |all: Count| {
            let [top1, top5] = [all.top1, all.top5].map(|of| digits(all.share(of)));
            format!("top-1 {top1}  top-5 {top5}")
        };
        if all.pictures > 0 {
            out.line(format_args!("  labels: {}", line(all)))?;
            if let Some(reference) = reference {
                out.line(format_args!("  the reference: {}", line(total(reference))))?;
            }
            out.line(format_args!("    {:>5}  {:6}  {:6}  {:>8}  class", "", "top-1", "top-5", "pictures"))?;
            for (class, count) in self.counts.iter().enumerate().filter(|(_, c)| c.pictures > 0) {
                let [top1, top5] = [count.top1, count.top5].map(|of| count.share(of).unwrap_or(0.0));
                let name = self.class_names.get(class).copied().unwrap_or("?");
                let pictures = count.pictures;
                out.line(format_args!("    {class:5}  {top1:.4}  {top5:.4}  {pictures:8}  {name}"))?;
            }
        }
        if reference.is_some() {
            let same = digits(Some(self.same as f64 / self.pictures.max(1) as f64));
            let noise = self.noise.db().map_or("exact".into(), |db| format!("{db:.1} dB"));
            out.line(format_args!(
                "  reference: the same class for {same} of the pictures, signal-to-noise ratio of the logits {noise}"
            ))?;
        }
        Ok(())
    }

    fn json(&self, isa: Isa, reference: Option<&[Count]>) -> Value {
        let class = |(class, count): (usize, &Count)| {
            let mut json = count.json();
            (json["id"], json["name"]) = (class.into(), self.class_names.get(class).copied().into());
            json
        };
        let with_pictures = self.counts.iter().enumerate().filter(|(_, c)| c.pictures > 0);
        let all = total(&self.counts);
        let labels = (all.pictures > 0).then(|| {
            let mut json = all.json();
            json["classes"] = with_pictures.map(class).collect::<Vec<_>>().into();
            json["reference"] = reference.map(|counts| total(counts).json()).into();
            json
        });
        json!({
            "file": self.path.to_string_lossy(),
            "precision": self.model.facts().precision.name(),
            "isa": isa.name(),
            "pictures": self.pictures,
            "labels": labels,
            "reference": reference.map(|_| json!({
                "agreement": self.same as f64 / self.pictures.max(1) as f64,
                "logits_sqnr_db": self.noise.db(),
            })),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_are_counted_as_if_sorted_by_number() {
        let logits = [1.0, 3.0, 3.0, 0.0, 0.0, 0.0, 0.0];
        let tops = |class| (count(&logits, class).top1, count(&logits, class).top5);
        assert_eq!([tops(1), tops(2), tops(4), tops(5)], [(1, 1), (0, 1), (0, 1), (0, 0)]);
        assert_eq!(best(&logits), 1);
    }
}

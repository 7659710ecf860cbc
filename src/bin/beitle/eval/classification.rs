//! `beitle eval` of models that classify pictures: the share of pictures whose class is the first, or among the first five, and the
//! agreement with a reference. The data set is a folder with a folder for each class.

use super::arguments::Args;
use super::noise::Noise;
use crate::console::{Failure, Stdout, plural, progress_bar, warn};
use crate::inputs;
use crate::session::{Session, Wanted};
use beitle::{Isa, Model};
use beitle_files::printable;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A picture and its class.
struct Sample {
    image: PathBuf,
    class: Option<usize>,
}

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
    if args.html.is_some() || args.labels.is_some() {
        let what = "--html and --labels are for models that segment pictures";
        return Err(Failure::usage(format_args!("{what}; expected a folder for each class in DATA")));
    }
    let (_, first) = models[0];
    let samples = find(&args.data, first, args.limit)?;
    if reference.is_none() && samples.iter().all(|s| s.class.is_none()) {
        let missing =
            "nothing to evaluate against: give a folder for each class, or a reference (--against FILE)";
        return Err(Failure::usage(format_args!("{}: {missing}", args.data.display())));
    }
    let inputs = models.iter().map(|(path, _)| *path).chain(args.against.as_deref());
    let inputs = inputs.chain(samples.iter().map(|s| s.image.as_path()));
    beitle_files::check(args.json.as_deref(), inputs).map_err(Failure::usage)?;
    let new_session = |model| Session::new(model, args.views.views(model)?, &args.processor);
    let report = |&(path, model): &(_, _)| {
        let counts = vec![Count::default(); first.facts().classes];
        let session = new_session(model)?;
        Ok(Report { path, model, session, pictures: 0, counts, same: 0, noise: Noise::default() })
    };
    let mut reports = models.iter().map(report).collect::<Result<Vec<_>, Failure>>()?;
    let mut reference = reference.map(new_session).transpose()?;
    let mut reference_counts = vec![Count::default(); first.facts().classes];
    let bar = progress_bar(samples.len());
    let mut failed = 0;
    for sample in &samples {
        bar.set_message(printable(&sample.image.display().to_string()));
        match evaluate(args, sample, reference.as_mut(), &mut reference_counts, &mut reports) {
            Err(failure) if samples.len() == 1 => return Err(failure),
            Err(failure) => {
                failed += 1;
                bar.suspend(|| warn(&failure.message));
            }
            Ok(()) => {}
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if failed < samples.len() {
        let reference = reference.is_some().then_some(&reference_counts[..]);
        publish(args, isa, &reports, reference)?;
    }
    match failed {
        0 => Ok(()),
        n => Err(Failure::work(format_args!("{n} of {} pictures were left out", samples.len()))),
    }
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

/// The pictures of a data set, or the first `limit` of them, one of each class in turn. Pictures beside the folders of classes have no
/// class.
fn find(data: &Path, model: &Model<'_>, limit: Option<usize>) -> Result<Vec<Sample>, Failure> {
    let entries =
        std::fs::read_dir(data).map_err(|e| Failure::file(data, format_args!("cannot read: {e}")))?;
    let mut folders: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect();
    folders.retain(|path| !name(path).starts_with('.'));
    folders.sort();
    if folders.is_empty() {
        let pictures = inputs::pictures_in(data)?.into_iter().take(limit.unwrap_or(usize::MAX));
        return Ok(pictures.map(|image| Sample { image, class: None }).collect());
    }
    let classes = classes_of(&folders, model)?;
    let lists = folders.iter().map(|folder| inputs::pictures_in(folder)).collect::<Result<Vec<_>, _>>()?;
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    let samples = (0..longest).flat_map(|i| {
        lists.iter().zip(&classes).filter_map(move |(list, class)| {
            Some(Sample { image: list.get(i)?.clone(), class: Some(*class) })
        })
    });
    Ok(samples.take(limit.unwrap_or(usize::MAX)).collect())
}

fn name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The class of each folder: by name, by number, or, if there is a folder for each class, in the order of the names, as in ImageNet.
fn classes_of(folders: &[PathBuf], model: &Model<'_>) -> Result<Vec<usize>, Failure> {
    let count = model.facts().classes;
    let named: Vec<Option<usize>> = folders
        .iter()
        .map(|folder| model.class_names().position(|class| is_named(class, &name(folder))))
        .collect();
    if let Some(classes) = named.iter().copied().collect() {
        return Ok(classes);
    }
    let number = |folder: &PathBuf| name(folder).parse().ok().filter(|class| *class < count);
    if let Some(classes) = folders.iter().map(number).collect() {
        return Ok(classes);
    }
    if folders.len() == count {
        return Ok((0..count).collect());
    }
    let unknown = named.iter().position(Option::is_none).map_or(&folders[0], |i| &folders[i]);
    Err(Failure::file(
        unknown,
        format_args!(
            "not a class of the model, which has {count}; expected folders with their names or numbers, or one for each class"
        ),
    ))
}

/// Whether a folder has the name of a class, or one of its synonyms, which commas separate.
fn is_named(class: &str, folder: &str) -> bool {
    let plain = |text: &str| text.trim().replace(['_', ' '], "-").to_lowercase();
    let folder = plain(folder);
    plain(class) == folder || class.split(',').any(|synonym| plain(synonym) == folder)
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
                let name = self.model.class_name(class).unwrap_or("?");
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
            (json["id"], json["name"]) = (class.into(), self.model.class_name(class).into());
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

    #[test]
    fn folders_are_named_like_classes() {
        assert!(is_named("tench, Tinca tinca", "tinca_tinca") && is_named("road", "Road"));
        assert!(!is_named("road", "roads"));
    }
}

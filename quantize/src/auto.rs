//! `--precision auto`: int8 where it costs little, half precision where int8 costs the most pixels for the time it saves.
//!
//! The checkpoint is converted twice, to int8 and to half precision. The noise that each group of layers brings is measured
//! by running the half-precision model with that group alone in int8; noise of different layers adds up. Groups then go back to
//! half precision, the most noise for a multiplication first, until the pixels agree as wanted: measured, on the pictures
//! that the weights were rounded for. Both conversions' tensors are copied as they are.

use crate::calibrate::{Pictures, Runner};
use crate::error::Error;
use crate::report::{Line, Report, group};
use crate::write::{Tensor, Writer};
use crate::{Draft, Options, Rounding};
use beitle::format::{Entry, File, Kind, Precision, Role, is_winograd};
use beitle::mapped::MappedFile;
use beitle::{Facts, Model};
use serde_json::{Value, json};
use std::path::Path;

/// Where the blocks are cut into parts that change together, of all blocks: the earlier, the more a block's noise grows on
/// the way to the logits (on a base model the first costs as much as the next two, and they more than all others).
const PARTS: [(usize, usize); 4] = [(1, 12), (1, 6), (1, 4), (1, 2)];

/// Layers that change together.
struct Group {
    name: String,
    layers: Vec<(Role, u16)>,
    /// Multiply-accumulates of a run.
    macs: f64,
    /// What int8 in these layers alone does to the logits: its energy, as a share of theirs.
    noise: f64,
}

impl Group {
    fn json(&self) -> Value {
        json!({"group": self.name, "gmac": self.macs / 1e9, "noise": self.noise})
    }
}

/// How far a model's logits are from the half-precision model's.
#[derive(Clone, Copy)]
struct Distance {
    /// Energy of the difference, over all pictures.
    noise: f64,
    /// Energy of the logits.
    signal: f64,
    /// Share of the pixels with the same class, over all pictures: a single picture's goes up and down by a thousandth where the
    /// noise only falls.
    agree: f64,
    /// Of the fastest run.
    seconds: f64,
}

/// Converts a checkpoint so that at least a share `goal` of pixels agrees with half precision.
pub(crate) fn convert(
    options: &Options,
    goal: f64,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Report, Error> {
    let [int8_file, half_file, trial] =
        ["int8", "half", "trial"].map(|name| Draft::new(&options.output, name));
    let with = |draft: &Draft, precision| Options {
        output: draft.0.clone(),
        precision,
        agreement: None,
        ..options.clone()
    };
    let Report { mut notes, ignored, .. } = crate::convert(&with(&int8_file, Precision::Int8), progress)?;
    if crate::convert(&with(&half_file, Precision::F16), progress).is_err() {
        crate::convert(&with(&half_file, Precision::F32), progress)?;
    }
    let open = |draft: &Draft| MappedFile::open(&draft.0).map_err(|e| Error::io(&draft.0, "cannot read", e));
    let (int8_bytes, half_bytes) = (open(&int8_file)?, open(&half_file)?);
    let failed = |e: beitle::Error| Error::new(&options.output, e.to_string());
    let (int8, half) =
        (Model::new(int8_bytes.bytes()).map_err(failed)?, Model::new(half_bytes.bytes()).map_err(failed)?);
    let folder = match &options.rounding {
        Rounding::Compensated(folder) => folder.as_deref(),
        Rounding::Nearest => None,
    };
    let pictures = Pictures::find(folder)?;
    let mut search = Search {
        mix: Mix { int8: *int8.file(), half: *half.file() },
        judge: Judge::new(&half_file.0, &pictures)?,
        trial: &trial.0,
        groups: groups(&int8),
        always: 0.0,
    };

    let plain = search.judge.distance(&int8_file.0, usize::MAX)?;
    let mut steps = vec![Step { half: 0, found: plain }];
    if plain.agree < goal {
        search.measure(progress)?;
        search.fewest(goal, &mut steps)?;
    }
    // The last step need not be the one that was chosen.
    let met = steps.iter().filter(|s| s.found.agree >= goal).min_by_key(|s| s.half);
    let chosen = *met.unwrap_or(&steps[steps.len() - 1]);
    let halves = &search.groups[..chosen.half];
    notes.push(format!(
        "{:.4} of the pixels agree with half precision on {} pictures (plain int8: {:.4})",
        chosen.found.agree,
        search.judge.count(),
        plain.agree,
    ));
    if met.is_none() {
        notes.push(format!("{goal} was asked for; nothing is left to go back to half precision"));
    }
    if !halves.is_empty() {
        let names: Vec<_> = halves.iter().map(|g| g.name.as_str()).collect();
        notes.push(format!("in half precision: {}", names.join(", ")));
    }
    let trade = json!({
        "goal": goal,
        "steps": steps.iter().map(|s| s.json(&search.groups)).collect::<Vec<_>>(),
        "noise_of_what_stays_int8": search.always,
        "groups": search.groups.iter().map(Group::json).collect::<Vec<_>>(),
    });
    let half = |role, layer| search.in_half(chosen.half, role, layer);
    let (lines, file_bytes) = search.mix.write(&options.output, &half, Some((&notes, trade)))?;
    // What it costs depends on the machine and the moment: not for the file.
    for step in &steps[1..] {
        notes.push(format!(
            "{} groups in half precision: {:.4} agree, {:.2} times the time of plain int8 here",
            step.half,
            step.found.agree,
            step.found.seconds / plain.seconds
        ));
    }
    Ok(Report { lines, file_bytes, notes, ignored })
}

/// A mixture that was tried.
#[derive(Clone, Copy)]
struct Step {
    /// Groups in half precision.
    half: usize,
    found: Distance,
}

impl Step {
    fn json(&self, groups: &[Group]) -> Value {
        let macs: f64 = groups[..self.half].iter().map(|g| g.macs).sum();
        json!({"half": self.half, "half_gmac": macs / 1e9, "agreement": self.found.agree, "noise": self.found.noise / self.found.signal})
    }
}

/// The way to the fewest groups in half precision.
struct Search<'a> {
    mix: Mix<'a>,
    judge: Judge<'a>,
    /// Where mixtures are written.
    trial: &'a Path,
    groups: Vec<Group>,
    /// Noise of what is int8 in every mixture.
    always: f64,
}

impl Search<'_> {
    /// Whether a layer is in one of the first `n` groups.
    fn in_half(&self, n: usize, role: Role, layer: u16) -> bool {
        self.groups[..n].iter().any(|g| g.layers.contains(&(role, layer)))
    }

    /// Measures the noise of every group alone, on one picture, and sorts: the most for a multiplication first.
    fn measure(&mut self, progress: &mut dyn FnMut(usize, usize)) -> Result<(), Error> {
        let noise = |int8: Option<&Group>| {
            let half = |role, layer| int8.is_none_or(|g| !g.layers.contains(&(role, layer)));
            self.mix.write(self.trial, &half, None)?;
            let found = self.judge.distance(self.trial, 1)?;
            Ok::<f64, Error>(found.noise / found.signal)
        };
        self.always = noise(None)?;
        let mut measured = Vec::new();
        for group in &self.groups {
            measured.push((noise(Some(group))? - self.always).max(0.0));
            progress(measured.len(), self.groups.len());
        }
        for (group, noise) in self.groups.iter_mut().zip(measured) {
            group.noise = noise;
        }
        self.groups.sort_by(|a, b| (b.noise / b.macs).total_cmp(&(a.noise / a.macs)));
        Ok(())
    }

    /// Tries mixtures until the fewest groups are known that meet the goal, or that all do not.
    fn fewest(&self, goal: f64, steps: &mut Vec<Step>) -> Result<(), Error> {
        let all = self.groups.len();
        // Noise adds up and the share of other pixels grows with its root: about so many groups should do. Then halve.
        let rest = |n: usize| self.always + self.groups[n..].iter().map(|g| g.noise).sum::<f64>();
        let wanted = rest(0) * ((1.0 - goal) / (1.0 - steps[0].found.agree)).powi(2);
        let mut next = (1..all).find(|&n| rest(n) <= wanted).unwrap_or(all);
        let (mut low, mut high) = (0, all + 1);
        while low + 1 < high {
            self.mix.write(self.trial, &|role, layer| self.in_half(next, role, layer), None)?;
            let found = self.judge.distance(self.trial, usize::MAX)?;
            steps.push(Step { half: next, found });
            if found.agree >= goal {
                high = next;
            } else {
                low = next;
            }
            next = (low + high) / 2;
        }
        Ok(())
    }
}

/// The two conversions.
struct Mix<'a> {
    int8: File<'a>,
    half: File<'a>,
}

impl Mix<'_> {
    /// Writes a file whose layers are in half precision where `half` says so. The report is int8's, with what is added.
    fn write(
        &self,
        path: &Path,
        half: &dyn Fn(Role, u16) -> bool,
        report: Option<(&[String], Value)>,
    ) -> Result<(Vec<Line>, u64), Error> {
        let mut writer = Writer::new(path, self.int8.table().len())?;
        let mut lines = Vec::new();
        for ours in self.int8.table() {
            let Some(role) = Role::from_code(ours.role) else { continue };
            let theirs = self.half.find(role, ours.layer).filter(|e| e.taps == ours.taps);
            let (file, entry) = match theirs {
                Some(theirs) if half(role, ours.layer) => (&self.half, theirs),
                _ => (&self.int8, ours),
            };
            let mut tensor = tensor(role, entry);
            let mut bytes = file.bytes_of(entry).to_vec();
            if let (Role::Report, Some((notes, added))) = (role, &report) {
                bytes = extend(&bytes, notes, added, &lines);
                tensor.k = bytes.len() as u32;
            }
            writer.add(&tensor, &bytes)?;
            if tensor.kind != Kind::Bytes {
                lines.push(Line::new(&tensor, bytes.len() as u64));
            }
        }
        let bytes = writer.finish(*self.int8.header())?;
        Ok((lines, bytes))
    }
}

/// The report of the int8 conversion with what has changed.
fn extend(report: &[u8], notes: &[String], added: &Value, lines: &[Line]) -> Vec<u8> {
    let mut report: Value = serde_json::from_slice(report).unwrap_or(json!({}));
    report["precision"] = json!("auto");
    report["notes"] = json!(notes);
    report["auto"] = added.clone();
    report["tensors"] = lines.iter().map(Line::json).collect();
    report.to_string().into_bytes()
}

fn tensor(role: Role, e: &Entry) -> Tensor {
    Tensor {
        role,
        layer: e.layer,
        kind: Kind::from_code(e.kind).unwrap_or(Kind::Bytes),
        taps: e.taps,
        bias_rows: e.bias_rows,
        n: e.n,
        k: e.k,
        sqnr: e.sqnr,
        source_bytes: e.source_bytes,
    }
}

/// The layers that are int8 and could be otherwise (Winograd's matrices could not), blocks by parts.
fn groups(model: &Model) -> Vec<Group> {
    let facts = model.facts();
    let mut groups: Vec<Group> = Vec::new();
    for e in model.file().table().iter().filter(|e| e.kind == Kind::Int8 as u8) {
        let Some(role) = Role::from_code(e.role) else { continue };
        if is_winograd(role, e.taps) {
            continue;
        }
        let name = match role {
            Role::Qkv | Role::Proj | Role::Fc1 | Role::Fc2 => {
                let cuts = PARTS.map(|(a, b)| (facts.blocks * a).div_ceil(b));
                let block = usize::from(e.layer);
                let first = cuts.into_iter().filter(|&c| c <= block).max().unwrap_or(0);
                let last = cuts.into_iter().filter(|&c| c > block).min().unwrap_or(facts.blocks) - 1;
                if first == last {
                    format!("{} of block {first}", role.name())
                } else {
                    format!("{} of blocks {first} to {last}", role.name())
                }
            }
            // Half of their multiplications are one of them.
            Role::Up0a | Role::Up0b | Role::Up1 | Role::Lateral2 => role.name().into(),
            _ => group(role.name()).into(),
        };
        let mut macs =
            rows(facts, role, e.layer) as f64 * f64::from(e.taps) * f64::from(e.n) * f64::from(e.k);
        if role == Role::Qkv {
            // A block's attention follows its first layer.
            macs += 2.0 * (facts.tokens() as f64).powi(2) * facts.channels as f64;
        }
        match groups.iter_mut().find(|g| g.name == name) {
            Some(group) => {
                group.layers.push((role, e.layer));
                group.macs += macs;
            }
            None => groups.push(Group { name, layers: vec![(role, e.layer)], macs, noise: 0.0 }),
        }
    }
    groups
}

/// Rows that each matrix of a layer is multiplied with.
fn rows(f: &Facts, role: Role, layer: u16) -> usize {
    let level = |level| f.level(level).0 * f.level(level).1;
    match role {
        Role::Qkv | Role::Proj | Role::Fc1 | Role::Fc2 => f.tokens(),
        Role::Up0b => level(1),
        Role::Pool | Role::TopPool => f.pool_scales[usize::from(layer).min(7)].pow(2),
        Role::Top => level(3),
        Role::Fpn | Role::Fuse => level(layer.into()),
        Role::Classify => level(0),
        _ => f.patches(),
    }
}

/// Pictures, and what the half-precision model makes of them.
struct Judge<'a> {
    pictures: &'a Pictures,
    references: Vec<Vec<f32>>,
    classes: usize,
}

impl<'a> Judge<'a> {
    /// Runs the reference.
    fn new(half: &Path, pictures: &'a Pictures) -> Result<Self, Error> {
        let runner = Runner::open(half)?;
        let references = (0..pictures.count())
            .map(|i| Ok(runner.run(&pictures.get(i, runner.size())?, &mut ())?.0))
            .collect::<Result<_, Error>>()?;
        Ok(Judge { pictures, references, classes: runner.facts().classes })
    }

    fn count(&self) -> usize {
        self.references.len()
    }

    /// Of a file, on at most so many pictures.
    fn distance(&self, file: &Path, most: usize) -> Result<Distance, Error> {
        let runner = Runner::open(file)?;
        let mut sum = Distance { noise: 0.0, signal: 0.0, agree: 0.0, seconds: f64::INFINITY };
        for (i, reference) in self.references.iter().enumerate().take(most) {
            let (logits, seconds) = runner.run(&self.pictures.get(i, runner.size())?, &mut ())?;
            for (a, b) in logits.iter().zip(reference) {
                sum.noise += f64::from(a - b).powi(2);
                sum.signal += f64::from(*b).powi(2);
            }
            let (ours, theirs) = (classes(&logits, self.classes), classes(reference, self.classes));
            let same = ours.iter().zip(&theirs).filter(|(a, b)| a == b).count();
            sum.agree += same as f64 / (ours.len() * self.references.len().min(most)) as f64;
            sum.seconds = sum.seconds.min(seconds);
        }
        Ok(sum)
    }
}

/// The class of each pixel of `[classes][pixels]`.
fn classes(logits: &[f32], classes: usize) -> Vec<u16> {
    let pixels = logits.len() / classes;
    let mut best = vec![0u16; pixels];
    for class in 1..classes {
        for (i, best) in best.iter_mut().enumerate() {
            if logits[class * pixels + i] > logits[usize::from(*best) * pixels + i] {
                *best = class as u16;
            }
        }
    }
    best
}

//! The conversion: both precisions, the search, the mixture that was chosen.

use super::group::{LayerGroup, groups};
use super::mixture::{Mixture, ReportChanges};
use super::reference::Reference;
use super::search::{Search, Step};
use crate::calibrate::Pictures;
use crate::checkpoint::Checkpoint;
use crate::convert::single;
use crate::error::Error;
use crate::options::{Options, Rounding};
use crate::output::Report;
use crate::progress::Progress;
use crate::spec::Spec;
use beitle::Model;
use beitle::file::format::{Precision, Task};
use beitle::memory::FileBytes;
use beitle_files::TemporaryFile;
use serde_json::json;

/// Converts a checkpoint so that at least a share `goal` of pixels agrees with half precision, if that is possible.
pub(in crate::convert) fn convert(
    options: &Options,
    goal: f64,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, Error> {
    check_task(options)?;
    let temporary = || single::temporary(options);
    let (int8_file, half_file, trial) = (temporary()?, temporary()?, temporary()?);
    let int8_options = Options {
        output: int8_file.path().to_owned(),
        precision: Precision::Int8,
        agreement: None,
        ..options.clone()
    };
    let Report { mut notes, ignored, .. } = single::convert(&int8_options, progress)?;
    single::convert_half(options, &half_file, progress)?;

    let (int8_map, half_map) = (open(&int8_file)?, open(&half_file)?);
    let failed = |e: beitle::Error| Error::new(&options.output, e.to_string());
    let int8 = Model::new(int8_map.bytes()).map_err(failed)?;
    let half = Model::new(half_map.bytes()).map_err(failed)?;
    let folder = match &options.rounding {
        Rounding::Compensated(folder) => folder.as_deref(),
        Rounding::Nearest => None,
    };
    let pictures = Pictures::find(folder)?;
    let mut search = Search {
        mixture: Mixture { int8: *int8.file(), half: *half.file() },
        reference: Reference::new(half_file.path(), &pictures)?,
        trial: trial.path(),
        groups: groups(&int8),
        fixed_noise: 0.0,
    };
    let plain = search.reference.deviation(int8_file.path(), usize::MAX)?;
    let mut steps = vec![Step { half: 0, deviation: plain }];
    if plain.agreement < goal {
        search.measure(progress)?;
        search.bisect(goal, &mut steps)?;
    }
    // Bisection need not end at the best step. Without any that meets the goal, all groups are in half precision in the last.
    let met = steps.iter().filter(|s| s.deviation.agreement >= goal).min_by_key(|s| s.half);
    let chosen = *met.unwrap_or(&steps[steps.len() - 1]);
    notes.extend(result_notes(&search, &steps[0], &chosen, goal, met.is_some()));
    let auto = json!({
        "goal": goal,
        "steps": steps.iter().map(|s| s.json(&search.groups)).collect::<Vec<_>>(),
        "noise_of_what_stays_int8": search.fixed_noise,
        "groups": search.groups.iter().map(LayerGroup::json).collect::<Vec<_>>(),
    });
    let in_half = |role, layer| search.in_half(chosen.half, role, layer);
    let changes = ReportChanges { notes: &notes, auto };
    let (tensors, file_bytes) = search.mixture.write(&options.output, &in_half, Some(&changes))?;
    notes.extend(cost_notes(&search.groups, &steps));
    Ok(Report { tensors, file_bytes, notes, ignored })
}

/// Checks that the model segments pictures: agreement is counted in pixels.
fn check_task(options: &Options) -> Result<(), Error> {
    let checkpoint = Checkpoint::open_with(&options.checkpoint, options.key.as_deref())?;
    if Spec::new(&checkpoint, options)?.task == Task::Segmentation {
        return Ok(());
    }
    let what = "does not segment pictures: --precision auto counts pixels that agree; expected int8 or another precision";
    Err(Error::new(checkpoint.main_file(), what))
}

fn open(file: &TemporaryFile) -> Result<FileBytes, Error> {
    // SAFETY: this process has made the file under a name of its own, and does not write to it any more.
    unsafe { FileBytes::map(file.path()) }.map_err(|e| Error::io(file.path(), "cannot read", e))
}

/// What was chosen and how well it agrees.
fn result_notes(search: &Search, plain: &Step, chosen: &Step, goal: f64, met: bool) -> Vec<String> {
    let mut notes = vec![format!(
        "{:.4} of the pixels agree with half precision on {} pictures (plain int8: {:.4})",
        chosen.deviation.agreement,
        search.reference.picture_count(),
        plain.deviation.agreement,
    )];
    if !met {
        notes.push(format!(
            "the goal of {goal} was not reached; nothing is left to convert to half precision"
        ));
    }
    if chosen.half > 0 {
        let names: Vec<_> = search.groups[..chosen.half].iter().map(|g| g.name.as_str()).collect();
        notes.push(format!("in half precision: {}", names.join(", ")));
    }
    notes
}

/// What each mixture costs, in multiplications: the time of single runs would say more about what else the machine does.
fn cost_notes(groups: &[LayerGroup], steps: &[Step]) -> impl Iterator<Item = String> {
    let macs = |groups: &[LayerGroup]| groups.iter().map(|g| g.macs).sum::<f64>();
    steps[1..].iter().map(move |step| {
        format!(
            "{} groups in half precision: {:.4} agree, {:.0} % of the multiplications that could be int8 are not",
            step.half,
            step.deviation.agreement,
            100.0 * macs(&groups[..step.half]) / macs(groups)
        )
    })
}

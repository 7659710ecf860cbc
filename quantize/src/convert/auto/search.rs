//! Searches for the smallest number of groups in half precision that meets a goal.

use super::group::LayerGroup;
use super::mixture::Mixture;
use super::reference::{Deviation, Reference};
use crate::error::Error;
use crate::progress::{Phase, Progress};
use beitle::file::format::Role;
use serde_json::{Value, json};
use std::path::Path;

/// A mixture that was tried.
#[derive(Clone, Copy)]
pub(super) struct Step {
    /// Number of groups in half precision: the first ones.
    pub(super) half: usize,
    pub(super) deviation: Deviation,
}

impl Step {
    pub(super) fn json(&self, groups: &[LayerGroup]) -> Value {
        let macs: f64 = groups[..self.half].iter().map(|g| g.macs).sum();
        let noise = self.deviation.noise / self.deviation.signal;
        json!({"half": self.half, "half_gmac": macs / 1e9, "agreement": self.deviation.agreement, "noise": noise})
    }
}

/// What the search works on.
pub(super) struct Search<'a> {
    pub(super) mixture: Mixture<'a>,
    pub(super) reference: Reference<'a>,
    /// Where mixtures are written.
    pub(super) trial: &'a Path,
    pub(super) groups: Vec<LayerGroup>,
    /// Noise of the layers that are int8 in every mixture. 0 until measured.
    pub(super) fixed_noise: f64,
}

impl Search<'_> {
    /// Whether a layer is in one of the first `n` groups.
    pub(super) fn in_half(&self, n: usize, role: Role, layer: u16) -> bool {
        self.groups[..n].iter().any(|g| g.layers.contains(&(role, layer)))
    }

    /// Measures the noise of each group alone, on one picture, and sorts the groups by noise per multiplication, descending.
    pub(super) fn measure(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<(), Error> {
        let noise = |in_int8: Option<&LayerGroup>| {
            let in_half = |role, layer| in_int8.is_none_or(|g| !g.layers.contains(&(role, layer)));
            self.mixture.write(self.trial, &in_half, None)?;
            let deviation = self.reference.deviation(self.trial, 1)?;
            Ok::<f64, Error>(deviation.noise / deviation.signal)
        };
        self.fixed_noise = noise(None)?;
        let mut measured = Vec::new();
        for group in &self.groups {
            measured.push((noise(Some(group))? - self.fixed_noise).max(0.0));
            let (done, total) = (measured.len(), self.groups.len());
            progress(Progress { phase: Phase::Search, done, total });
        }
        for (group, noise) in self.groups.iter_mut().zip(measured) {
            group.noise = noise;
        }
        self.groups.sort_by(|a, b| (b.noise / b.macs).total_cmp(&(a.noise / a.macs)));
        Ok(())
    }

    /// Bisects the number of groups in half precision and adds every mixture tried to `steps`, which starts with plain int8.
    /// Ends at the smallest number that meets the goal, or with all groups in half precision if even they miss it.
    pub(super) fn bisect(&self, goal: f64, steps: &mut Vec<Step>) -> Result<(), Error> {
        let all = self.groups.len();
        // First guess: noise adds up, and the share of differing pixels grows with its square root.
        let remaining = |n: usize| self.fixed_noise + self.groups[n..].iter().map(|g| g.noise).sum::<f64>();
        let plain = steps[0].deviation.agreement;
        let allowed = remaining(0) * ((1.0 - goal) / (1.0 - plain)).powi(2);
        let mut next = (1..all).find(|&n| remaining(n) <= allowed).unwrap_or(all);
        let (mut too_few, mut enough) = (0, all + 1);
        while too_few + 1 < enough {
            self.mixture.write(self.trial, &|role, layer| self.in_half(next, role, layer), None)?;
            let deviation = self.reference.deviation(self.trial, usize::MAX)?;
            steps.push(Step { half: next, deviation });
            if deviation.agreement >= goal {
                enough = next;
            } else {
                too_few = next;
            }
            next = (too_few + enough) / 2;
        }
        Ok(())
    }
}

//! Groups of layers that change precision together.

use crate::output;
use beitle::file::format::{Role, TensorEntry, TensorKind, is_winograd};
use beitle::{Facts, Model};
use serde_json::{Value, json};

/// Where the sequence of blocks is cut, as fractions of its length. The parts are smaller at the start: noise of early blocks
/// grows on its way to the logits. On a base model most of the blocks' noise comes from the first part
/// (docs/decisions/007-precision-auto.md).
const CUTS: [(usize, usize); 4] = [(1, 12), (1, 6), (1, 4), (1, 2)];

/// Layers that change precision together.
pub(super) struct LayerGroup {
    pub(super) name: String,
    pub(super) layers: Vec<(Role, u16)>,
    /// Multiply-accumulates of one run.
    pub(super) macs: f64,
    /// Noise that int8 in these layers alone adds to the logits, as a fraction of their energy. 0 until measured.
    pub(super) noise: f64,
}

impl LayerGroup {
    pub(super) fn json(&self) -> Value {
        json!({"group": self.name, "gmac": self.macs / 1e9, "noise": self.noise})
    }
}

/// The groups of an int8 model's layers. Winograd convolutions, which are always int8, are in none.
pub(super) fn groups(model: &Model) -> Vec<LayerGroup> {
    let facts = model.facts();
    let mut groups: Vec<LayerGroup> = Vec::new();
    for entry in model.file().table().iter().filter(|e| e.kind == TensorKind::Int8 as u8) {
        let Some(role) = Role::from_code(entry.role) else { continue };
        if is_winograd(role, entry.matrices) {
            continue;
        }
        let layer = entry.layer;
        let name = group_name(facts, role, layer);
        let macs = macs(facts, role, entry);
        match groups.iter_mut().find(|g| g.name == name) {
            Some(group) => {
                group.layers.push((role, layer));
                group.macs += macs;
            }
            None => groups.push(LayerGroup { name, layers: vec![(role, layer)], macs, noise: 0.0 }),
        }
    }
    groups
}

/// The group a layer belongs to. The layers of the blocks are grouped by role and part of the network; each layer of the neck
/// is a group, because the neck's cost is distributed unevenly; other layers are grouped as in the report.
fn group_name(facts: &Facts, role: Role, layer: u16) -> String {
    match role {
        Role::Qkv | Role::Proj | Role::Fc1 | Role::Fc2 => {
            let cuts = CUTS.map(|(a, b)| (facts.blocks * a).div_ceil(b));
            let block = usize::from(layer);
            let first = cuts.into_iter().filter(|&c| c <= block).max().unwrap_or(0);
            let last = cuts.into_iter().filter(|&c| c > block).min().unwrap_or(facts.blocks) - 1;
            if first == last {
                format!("{} of block {first}", role.name())
            } else {
                format!("{} of blocks {first} to {last}", role.name())
            }
        }
        Role::Deconv0 | Role::DeconvLateral0 | Role::DeconvLateral1 | Role::Lateral2 => role.name().into(),
        _ => output::report_group(role).into(),
    }
}

/// Multiply-accumulates of a layer; those of attention count towards `qkv`.
fn macs(facts: &Facts, role: Role, entry: &TensorEntry) -> f64 {
    let rows = row_count(facts, role, entry.layer) as f64;
    let mut macs = rows * f64::from(entry.matrices) * f64::from(entry.n) * f64::from(entry.k);
    if role == Role::Qkv {
        macs += 2.0 * (facts.tokens() as f64).powi(2) * facts.channels as f64;
    }
    macs
}

/// Rows that each matrix of a layer is multiplied with.
fn row_count(f: &Facts, role: Role, layer: u16) -> usize {
    let level = |level| f.level(level).0 * f.level(level).1;
    match role {
        Role::Qkv | Role::Proj | Role::Fc1 | Role::Fc2 => f.tokens(),
        Role::DeconvLateral0 => level(1),
        Role::PspBranch | Role::PspBottleneckBranch => f.pool_scales[usize::from(layer).min(7)].pow(2),
        Role::PspBottleneck => level(3),
        Role::FpnConv | Role::FpnBottleneck => level(layer.into()),
        Role::Classifier => level(0),
        _ => f.patches(),
    }
}

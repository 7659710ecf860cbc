//! Collects samples of every layer's inputs while a model runs.

use super::pictures::Pictures;
use super::runner::Runner;
use super::samples::{ROWS, RowSampler, Samples};
use super::tiles::TileSampler;
use crate::error::Error;
use crate::options::Conv;
use beitle::Facts;
use beitle::file::format::Role;
use beitle::observe::{Observer, Stage};
use half::bf16;
use std::collections::BTreeMap;
use std::path::Path;

/// Samples of every linear layer's input: one set per layer, for Winograd convolutions one per Winograd point.
pub struct LayerInputs(BTreeMap<(Role, u16), Vec<Samples>>);

impl LayerInputs {
    /// The samples of a layer; empty if the engine does not report its inputs.
    pub fn of(&self, role: Role, layer: u16) -> &[Samples] {
        self.0.get(&(role, layer)).map_or(&[], Vec::as_slice)
    }

    /// Runs the model in `file` on every picture. `conv` is how its convolutions will run once quantised. `progress` is
    /// called after each picture.
    ///
    /// # Errors
    /// The file or a picture cannot be read.
    pub fn collect(
        file: &Path,
        pictures: &Pictures,
        conv: Conv,
        progress: &mut dyn FnMut(),
    ) -> Result<LayerInputs, Error> {
        let runner = Runner::open(file)?;
        let mut collector = Collector {
            layers: BTreeMap::new(),
            tiles: BTreeMap::new(),
            conv,
            facts: *runner.facts(),
            samplers: BTreeMap::new(),
            rows_per_picture: ROWS.div_ceil(pictures.count()),
        };
        for i in 0..pictures.count() {
            collector.samplers.clear();
            collector.tiles.values_mut().for_each(TileSampler::restart);
            runner.run(pictures, i, &mut collector)?;
            progress();
        }
        let layers = collector.layers.into_iter().map(|(layer, samples)| (layer, vec![samples]));
        let tiles = collector.tiles.into_iter().map(|(layer, tiles)| (layer, tiles.samples));
        Ok(LayerInputs(layers.chain(tiles).collect()))
    }
}

/// The observer: keeps some rows of every layer, spread evenly over each picture.
struct Collector {
    layers: BTreeMap<(Role, u16), Samples>,
    /// Samples of Winograd convolutions.
    tiles: BTreeMap<(Role, u16), TileSampler>,
    conv: Conv,
    facts: Facts,
    /// One for each layer, restarted with each picture.
    samplers: BTreeMap<(Role, u16), RowSampler>,
    rows_per_picture: usize,
}

impl Collector {
    /// Approximate number of rows that a layer reads.
    fn row_count(&self, role: Role, layer: u16) -> usize {
        let level = match (role, layer) {
            (Role::DeconvLateral0, _) => 1,
            (Role::FpnConv | Role::FpnBottleneck, level) => level.into(),
            (Role::Classifier, _) => 0,
            _ => 2,
        };
        let (width, height) = self.facts.level(level);
        width * height
    }
}

impl Observer for Collector {
    fn done(&mut self, _: Stage, _: u64) -> bool {
        true
    }

    fn wants_inputs(&self) -> bool {
        true
    }

    fn input(&mut self, role: Role, layer: u16, rows: &[f32], width: usize, pitch: usize) {
        let one_in = (self.row_count(role, layer) / self.rows_per_picture).max(1) as u32;
        if let Some(tile) = self.conv.tile(role, layer, self.facts.grid_width) {
            let tiles = self.tiles.entry((role, layer)).or_insert_with(|| TileSampler::new(tile));
            return tiles.push_row(rows, width, pitch, one_in);
        }
        let samples = self.layers.entry((role, layer)).or_default();
        samples.k = width;
        let sampler = self.samplers.entry((role, layer)).or_default();
        for row in rows.chunks(pitch) {
            if sampler.keeps(one_in) {
                samples.rows.extend(row[..width].iter().map(|x| bf16::from_f32(*x)));
            }
        }
    }
}

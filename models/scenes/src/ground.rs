//! The surfaces of the ground: their colours, and the patterns of asphalt and paving.

use crate::colour::{Colour, mix, scale, vary};
use crate::noise::hash_unit;
use crate::rng::Rng;
use crate::road::{Road, within};

/// The colours of the ground.
pub(crate) struct Ground {
    road: Colour,
    paint: Colour,
    pavement: Colour,
    /// Side of a paving tile in metres.
    tile: f32,
    pub grass: Colour,
    pub water: Colour,
    pub seed: u32,
}

/// The lines painted on the road.
pub(crate) struct Markings {
    /// Length of a dash and its gap in the centre line, in metres.
    dash: f32,
    edge_lines: bool,
}

/// How a point of the ground looks close up.
pub(crate) struct Texture {
    /// Brightness of large patches, from -0.5 to 0.5.
    pub patch: f32,
    /// Brightness of the finest grain, from -0.5 to 0.5.
    pub grain: f32,
    /// How much of the finest detail the picture resolves here, from 0 to 1.
    pub detail: f32,
}

impl Ground {
    pub fn new(rng: &mut Rng) -> Self {
        let roads = [[0.26, 0.26, 0.27], [0.34, 0.34, 0.35], [0.42, 0.41, 0.40], [0.36, 0.33, 0.30]];
        let pavements = [[0.66, 0.63, 0.58], [0.62, 0.60, 0.58], [0.70, 0.60, 0.46], [0.60, 0.40, 0.33]];
        let grasses = [[0.25, 0.42, 0.14], [0.36, 0.45, 0.18], [0.42, 0.46, 0.20], [0.20, 0.36, 0.12]];
        let waters = [[0.14, 0.30, 0.46], [0.12, 0.36, 0.42], [0.20, 0.34, 0.52]];
        let (road, pavement) = (rng.pick(&roads), rng.pick(&pavements));
        let (grass, water) = (rng.pick(&grasses), rng.pick(&waters));
        Ground {
            road: vary(rng, road, 0.12),
            paint: vary(rng, [0.85, 0.85, 0.82], 0.1),
            pavement: vary(rng, pavement, 0.12),
            tile: rng.range(0.4, 1.2),
            grass: vary(rng, grass, 0.15),
            water: vary(rng, water, 0.15),
            seed: rng.seed(),
        }
    }

    /// The road's surface at (`x`, `z`), `d` metres outside its edge (negative on the road), with its markings.
    pub fn asphalt(
        &self,
        road: &Road,
        markings: &Markings,
        (x, z): (f32, f32),
        d: f32,
        texture: &Texture,
    ) -> Colour {
        let plain = scale(self.road, 1.0 + 0.35 * texture.patch + 0.3 * (texture.grain * texture.detail));
        if markings.cover(road, x - road.middle, z, d) {
            mix(plain, self.paint, 0.8 + 0.3 * texture.patch)
        } else {
            plain
        }
    }

    /// A pavement at (`x`, `z`).
    pub fn paving(&self, x: f32, z: f32, texture: &Texture) -> Colour {
        let (a, b) = (x / self.tile, z / self.tile);
        let (i, j) = (a.floor(), b.floor());
        let joint = a - i < 0.06 || b - j < 0.06;
        let tone = 0.12 * (hash_unit(i as i32, j as i32, self.seed) - 0.5) - if joint { 0.25 } else { 0.0 };
        scale(self.pavement, 1.0 + 0.25 * texture.patch + tone * (texture.detail * 4.0).min(1.0))
    }
}

impl Markings {
    pub fn new(rng: &mut Rng) -> Self {
        Markings { dash: rng.range(3.0, 6.0), edge_lines: rng.chance(0.4) }
    }

    /// Whether the point at distance `z` is painted, `across` metres from the road's middle and `d` outside its edge.
    fn cover(&self, road: &Road, across: f32, z: f32, d: f32) -> bool {
        if within(road.zebra, z, 0.0) && d < 0.0 {
            let stripe = across * 0.9;
            return stripe - stripe.floor() < 0.5;
        }
        if d >= 0.0 || within(road.crossing, z, 0.0) {
            return false;
        }
        let dash = z / self.dash;
        let centre_line = across.abs() < 0.09 && dash - dash.floor() < 0.55;
        centre_line || (self.edge_lines && (d + 0.35).abs() < 0.07)
    }
}

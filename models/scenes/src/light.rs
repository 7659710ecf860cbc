//! Sun, sky light and haze.

use crate::colour::{Colour, mix, near, times};
use crate::rng::Rng;

/// What the weather and the hour do to colours.
pub(crate) struct Light {
    /// Towards the sun.
    pub sun: [f32; 3],
    pub sun_colour: Colour,
    pub ambient: Colour,
    pub zenith: Colour,
    pub horizon: Colour,
    pub cloud: Colour,
    pub cloudiness: f32,
    haze_distance: f32,
}

impl Light {
    pub fn new(rng: &mut Rng) -> Self {
        let kind = rng.below(8);
        // Zenith, horizon, clouds, sun, ambient.
        let (zenith, horizon, cloud, sun, ambient) = match kind {
            0..3 => {
                ([0.25, 0.45, 0.78], [0.70, 0.80, 0.90], [0.95; 3], [0.72, 0.68, 0.60], [0.42, 0.45, 0.52])
            }
            3 => ([0.45, 0.58, 0.75], [0.80, 0.82, 0.82], [0.90; 3], [0.55, 0.52, 0.48], [0.50, 0.52, 0.55]),
            4 | 5 => {
                ([0.62, 0.64, 0.67], [0.80, 0.81, 0.82], [0.50, 0.52, 0.55], [0.10; 3], [0.76, 0.77, 0.80])
            }
            6 => (
                [0.35, 0.40, 0.60],
                [0.95, 0.68, 0.45],
                [0.85, 0.60, 0.52],
                [0.75, 0.48, 0.28],
                [0.36, 0.34, 0.42],
            ),
            _ => (
                [0.18, 0.20, 0.30],
                [0.42, 0.38, 0.42],
                [0.25, 0.25, 0.30],
                [0.12, 0.10, 0.10],
                [0.50, 0.51, 0.60],
            ),
        };
        let low = if kind == 6 { 0.25 } else { rng.range(0.4, 1.2) };
        let side = rng.range(0.3, 1.0) * if rng.chance(0.5) { 1.0 } else { -1.0 };
        let along = rng.range(-1.0, 1.0);
        let length = (side * side + along * along + low * low).sqrt();
        Light {
            sun: [side / length, low / length, along / length],
            sun_colour: near(rng, sun, 0.15),
            ambient: near(rng, ambient, 0.15),
            zenith: near(rng, zenith, 0.15),
            horizon: near(rng, horizon, 0.08),
            cloud: near(rng, cloud, 0.1),
            cloudiness: rng.range(0.0, 1.0),
            haze_distance: if rng.chance(0.15) { rng.range(60.0, 120.0) } else { rng.range(150.0, 900.0) },
        }
    }

    /// A surface of colour `c` whose normal meets the sun at cosine `facing`; `lit` is 0 in shadow.
    #[inline]
    pub fn shade(&self, c: Colour, facing: f32, lit: f32) -> Colour {
        let k = facing.max(0.0) * lit;
        let l = [0, 1, 2].map(|i| self.ambient[i] + 1.1 * self.sun_colour[i] * k);
        times(c, l)
    }

    /// `c` seen through `z` metres of air.
    #[inline]
    pub fn haze(&self, c: Colour, z: f32) -> Colour {
        mix(c, self.horizon, z / (z + self.haze_distance))
    }

    /// Ground displacement of a shadow per metre of height.
    pub fn cast(&self) -> (f32, f32) {
        let up = self.sun[1].max(0.25);
        (-self.sun[0] / up, -self.sun[2] / up)
    }

    pub fn strength(&self) -> f32 {
        (self.sun_colour[0] * 1.6).min(1.0)
    }
}

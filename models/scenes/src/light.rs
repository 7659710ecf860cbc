//! Sun, sky light and haze: how the weather and the hour change colours.

use crate::colour::{Colour, mix, multiply, vary};
use crate::rng::Rng;

/// The colours of one kind of weather.
struct Weather {
    zenith: Colour,
    horizon: Colour,
    cloud: Colour,
    sun: Colour,
    ambient: Colour,
}

const CLEAR: Weather = Weather {
    zenith: [0.25, 0.45, 0.78],
    horizon: [0.70, 0.80, 0.90],
    cloud: [0.95; 3],
    sun: [0.72, 0.68, 0.60],
    ambient: [0.42, 0.45, 0.52],
};
const HAZY: Weather = Weather {
    zenith: [0.45, 0.58, 0.75],
    horizon: [0.80, 0.82, 0.82],
    cloud: [0.90; 3],
    sun: [0.55, 0.52, 0.48],
    ambient: [0.50, 0.52, 0.55],
};
const OVERCAST: Weather = Weather {
    zenith: [0.62, 0.64, 0.67],
    horizon: [0.80, 0.81, 0.82],
    cloud: [0.50, 0.52, 0.55],
    sun: [0.10; 3],
    ambient: [0.76, 0.77, 0.80],
};
const LOW_SUN: Weather = Weather {
    zenith: [0.35, 0.40, 0.60],
    horizon: [0.95, 0.68, 0.45],
    cloud: [0.85, 0.60, 0.52],
    sun: [0.75, 0.48, 0.28],
    ambient: [0.36, 0.34, 0.42],
};
const DUSK: Weather = Weather {
    zenith: [0.18, 0.20, 0.30],
    horizon: [0.42, 0.38, 0.42],
    cloud: [0.25, 0.25, 0.30],
    sun: [0.12, 0.10, 0.10],
    ambient: [0.50, 0.51, 0.60],
};

/// The light of a scene.
pub(crate) struct Light {
    /// Unit vector towards the sun.
    pub sun: [f32; 3],
    pub sun_colour: Colour,
    pub ambient: Colour,
    pub zenith: Colour,
    pub horizon: Colour,
    pub cloud: Colour,
    pub cloudiness: f32,
    /// Metres of air through which half of a colour remains.
    haze_distance: f32,
}

impl Light {
    pub fn new(rng: &mut Rng) -> Self {
        let kind = rng.below(8);
        let weather = match kind {
            0..3 => CLEAR,
            3 => HAZY,
            4 | 5 => OVERCAST,
            6 => LOW_SUN,
            _ => DUSK,
        };
        let up = if kind == 6 { 0.25 } else { rng.range(0.4, 1.2) };
        let side = rng.range(0.3, 1.0) * if rng.chance(0.5) { 1.0 } else { -1.0 };
        let along = rng.range(-1.0, 1.0);
        let length = (side * side + along * along + up * up).sqrt();
        Light {
            sun: [side / length, up / length, along / length],
            sun_colour: vary(rng, weather.sun, 0.15),
            ambient: vary(rng, weather.ambient, 0.15),
            zenith: vary(rng, weather.zenith, 0.15),
            horizon: vary(rng, weather.horizon, 0.08),
            cloud: vary(rng, weather.cloud, 0.1),
            cloudiness: rng.range(0.0, 1.0),
            haze_distance: if rng.chance(0.15) { rng.range(60.0, 120.0) } else { rng.range(150.0, 900.0) },
        }
    }

    /// A surface of colour `c`. `facing` is the cosine between its normal and the sun; `lit` is 1 in the sun and 0 in
    /// shadow.
    #[inline]
    pub fn shade(&self, c: Colour, facing: f32, lit: f32) -> Colour {
        let k = facing.max(0.0) * lit;
        let light = [0, 1, 2].map(|i| self.ambient[i] + 1.1 * self.sun_colour[i] * k);
        multiply(c, light)
    }

    /// `c` seen through `z` metres of air.
    #[inline]
    pub fn haze(&self, c: Colour, z: f32) -> Colour {
        mix(c, self.horizon, z / (z + self.haze_distance))
    }

    /// How far a shadow moves on the ground, in x and z, per metre of height.
    pub fn shadow_offset(&self) -> (f32, f32) {
        let up = self.sun[1].max(0.25);
        (-self.sun[0] / up, -self.sun[2] / up)
    }

    /// How dark shadows are: from 0 (none) to 1.
    pub fn shadow_strength(&self) -> f32 {
        (self.sun_colour[0] * 1.6).min(1.0)
    }
}

//! Trees: a trunk and a crown of noise.

use super::Spot;
use crate::canvas::Canvas;
use crate::classes::TREE;
use crate::colour::{Colour, mix, near, scale};
use crate::rng::{Rng, clouds, noise};

pub(crate) struct Tree {
    pub radius: f32,
    pub trunk: f32,
    tall: f32,
    cone: bool,
    bark: Colour,
    leaf: Colour,
    seed: u32,
}

impl Tree {
    pub fn new(rng: &mut Rng) -> Self {
        let leaves = [
            [0.22, 0.40, 0.12],
            [0.32, 0.44, 0.14],
            [0.14, 0.28, 0.12],
            [0.55, 0.50, 0.16],
            [0.60, 0.34, 0.12],
            [0.35, 0.42, 0.30],
        ];
        let leaf = rng.pick(&leaves);
        let radius = rng.range(1.1, 2.8);
        Tree {
            radius,
            trunk: rng.range(1.4, 2.8),
            tall: radius * rng.range(0.9, 1.6),
            cone: rng.chance(0.2),
            bark: near(rng, [0.33, 0.25, 0.19], 0.3),
            leaf: near(rng, leaf, 0.2),
            seed: rng.seed(),
        }
    }

    pub fn draw(&self, canvas: &mut Canvas, spot: &Spot) {
        let middle = self.trunk + self.tall * 0.85;
        let (foot, sun) = (spot.camera.footprint(spot.z), spot.light.sun);
        let fine = (0.15 / foot).min(1.0);
        let bole = (0.1 * self.radius).max(0.16);
        canvas.plate(
            spot.camera,
            (spot.x, spot.z),
            self.radius * 1.2,
            (0.0, middle + self.tall * 1.2),
            |u, v, _| {
                let (a, b) = (u / self.radius, (v - middle) / self.tall);
                let round =
                    if self.cone { a.abs() * 1.9 / (1.05 - b).max(0.1) } else { (a * a + b * b).sqrt() };
                let edge = clouds(u * 1.3, v * 1.3, self.seed);
                let crown = round + 0.7 * (edge - 0.5) < 0.92 && b > -1.0;
                let c = if crown {
                    let clump = clouds(u * 1.9 + 5.0, v * 1.9, self.seed ^ 1);
                    let leaf = noise(u * 9.0, v * 9.0, self.seed ^ 2) - 0.5;
                    let k = 0.45 + 0.9 * clump + 0.6 * fine * leaf;
                    let facing = 0.45 + 0.5 * (a * sun[0] + b * sun[1]) + 0.5 * (clump - 0.5);
                    spot.light.shade(scale(self.leaf, k), facing, spot.lit)
                } else if u.abs() < bole && v < middle {
                    let rough = 0.75 + 0.5 * noise(u * 14.0, v * 3.0, self.seed);
                    let c = mix(self.bark, scale(self.bark, 0.6), 0.5 + 0.5 * u / bole);
                    spot.light.shade(scale(c, rough), 0.4, spot.lit)
                } else {
                    return None;
                };
                Some((spot.light.haze(c, spot.z), TREE))
            },
        );
    }
}

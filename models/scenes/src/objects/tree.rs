//! Trees: a trunk and a crown whose outline and leaves are noise.

use super::object::{Placement, Shape};
use super::shadow::Shadow;
use crate::canvas::Canvas;
use crate::classes::TREE;
use crate::colour::{Colour, mix, scale, vary};
use crate::noise::{fractal_noise, noise};
use crate::rng::Rng;

pub(crate) struct Tree {
    /// Half the crown's width.
    radius: f32,
    /// Height of the trunk below the crown.
    trunk: f32,
    /// Half the crown's height.
    half_height: f32,
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
            half_height: radius * rng.range(0.9, 1.6),
            cone: rng.chance(0.2),
            bark: vary(rng, [0.33, 0.25, 0.19], 0.3),
            leaf: vary(rng, leaf, 0.2),
            seed: rng.seed(),
        }
    }

    /// Whether the crown covers `(u, v)`, which is `(a, b)` in units of its half sizes from its middle.
    fn crown_covers(&self, (u, v): (f32, f32), (a, b): (f32, f32)) -> bool {
        let distance = if self.cone { a.abs() * 1.9 / (1.05 - b).max(0.1) } else { (a * a + b * b).sqrt() };
        let edge = fractal_noise(u * 1.3, v * 1.3, self.seed);
        distance + 0.7 * (edge - 0.5) < 0.92 && b > -1.0
    }

    /// The colour of the crown before haze. `detail` is 1 where single leaves are visible.
    fn crown_at(&self, (u, v): (f32, f32), (a, b): (f32, f32), detail: f32, at: &Placement) -> Colour {
        let sun = at.light.sun;
        let clump = fractal_noise(u * 1.9 + 5.0, v * 1.9, self.seed ^ 1);
        let leaf = noise(u * 9.0, v * 9.0, self.seed ^ 2) - 0.5;
        let brightness = 0.45 + 0.9 * clump + 0.6 * detail * leaf;
        let facing = 0.45 + 0.5 * (a * sun[0] + b * sun[1]) + 0.5 * (clump - 0.5);
        at.light.shade(scale(self.leaf, brightness), facing, at.lit)
    }

    /// The colour of a trunk of this radius before haze.
    fn trunk_at(&self, u: f32, v: f32, radius: f32, at: &Placement) -> Colour {
        let rough = 0.75 + 0.5 * noise(u * 14.0, v * 3.0, self.seed);
        let c = mix(self.bark, scale(self.bark, 0.6), 0.5 + 0.5 * u / radius);
        at.light.shade(scale(c, rough), 0.4, at.lit)
    }
}

impl Shape for Tree {
    fn draw(&self, canvas: &mut Canvas, at: &Placement) {
        let middle = self.trunk + self.half_height * 0.85;
        let top = middle + self.half_height * 1.2;
        let detail = (0.15 / at.camera.footprint(at.z)).min(1.0);
        let trunk_radius = (0.1 * self.radius).max(0.16);
        canvas.billboard(at.camera, (at.x, at.z), self.radius * 1.2, (0.0, top), |u, v, _| {
            let crown = (u / self.radius, (v - middle) / self.half_height);
            let c = if self.crown_covers((u, v), crown) {
                self.crown_at((u, v), crown, detail, at)
            } else if u.abs() < trunk_radius && v < middle {
                self.trunk_at(u, v, trunk_radius, at)
            } else {
                return None;
            };
            Some((at.light.haze(c, at.z), TREE))
        });
    }

    fn shadow(&self) -> Shadow {
        Shadow::upright(self.radius * 0.8, self.trunk, self.trunk + self.radius)
    }
}

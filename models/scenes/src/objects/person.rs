//! People, standing and walking.
//!
//! A figure is described in units of its own height: `u` to the right of its middle, `v` from 0 at the feet to 1.

use super::object::{Placement, Shape};
use super::shadow::Shadow;
use crate::canvas::Canvas;
use crate::classes::PERSON;
use crate::colour::{Colour, any_colour, saturated_colour, scale, vary};
use crate::noise::noise;
use crate::rng::Rng;

/// Height of the hips.
const HIPS: f32 = 0.46;

pub(crate) struct Person {
    /// Metres.
    height: f32,
    girth: f32,
    stride: f32,
    /// How far the arms swing.
    swing: f32,
    coat: Colour,
    trousers: Colour,
    skin: Colour,
    hair: Colour,
    skirt: bool,
    /// The side a bag is carried on, and its colour.
    bag: Option<(f32, Colour)>,
    seed: u32,
}

impl Person {
    pub fn new(rng: &mut Rng) -> Self {
        let skins = [[0.85, 0.65, 0.52], [0.62, 0.43, 0.32], [0.38, 0.25, 0.18]];
        let hairs = [[0.12, 0.09, 0.07], [0.45, 0.30, 0.15], [0.75, 0.72, 0.68], [0.70, 0.20, 0.15]];
        let (skin, hair) = (rng.pick(&skins), rng.pick(&hairs));
        Person {
            height: rng.range(1.5, 1.95),
            girth: rng.range(1.1, 1.5),
            stride: rng.range(0.0, 0.2),
            swing: rng.range(-0.12, 0.12),
            coat: if rng.chance(0.75) { saturated_colour(rng) } else { any_colour(rng) },
            trousers: if rng.chance(0.6) { vary(rng, [0.16, 0.17, 0.24], 0.4) } else { any_colour(rng) },
            skin: vary(rng, skin, 0.1),
            hair,
            skirt: rng.chance(0.25),
            bag: rng.chance(0.3).then(|| (if rng.chance(0.5) { 0.3 } else { -0.3 }, any_colour(rng))),
            seed: rng.seed(),
        }
    }

    /// The colour at `(u, v)`, `None` beside the figure.
    fn at(&self, u: f32, v: f32) -> Option<Colour> {
        if let Some(colour) = self.head_at(u, v).or_else(|| self.bag_at(u, v)) {
            Some(colour)
        } else if (HIPS..0.86).contains(&v) {
            self.torso_at(u, v)
        } else if v >= HIPS {
            // The neck.
            (u.abs() < 0.04).then_some(self.skin)
        } else {
            self.legs_at(u, v)
        }
    }

    fn head_at(&self, u: f32, v: f32) -> Option<Colour> {
        let (x, y) = (u / 0.065, (v - 0.925) / 0.078);
        let hair = y > 0.15 || x * self.swing > 0.1;
        (x * x + y * y < 1.0).then_some(if hair { self.hair } else { self.skin })
    }

    fn bag_at(&self, u: f32, v: f32) -> Option<Colour> {
        let (side, colour) = self.bag?;
        ((u - side * 0.5).abs() < 0.06 && (0.42..0.62).contains(&v)).then_some(colour)
    }

    /// Coat and arms.
    fn torso_at(&self, u: f32, v: f32) -> Option<Colour> {
        let shoulder = (0.13 - (v - 0.80).max(0.0) * 0.9) * self.girth;
        if u.abs() < shoulder - 0.03 * (1.0 - (v - HIPS) * 2.5).abs() {
            let fold = 0.85 + 0.3 * noise(u * 20.0, v * 14.0, self.seed);
            return Some(scale(self.coat, fold));
        }
        // The two arms swing in opposite directions.
        let arm = (0.84 - v) * self.swing;
        if (u.abs() - (0.135 * self.girth + arm * if u > 0.0 { 1.0 } else { -1.0 })).abs() < 0.036 {
            return Some(if v < 0.5 { self.skin } else { scale(self.coat, 0.8) });
        }
        None
    }

    /// A skirt, or legs and shoes.
    fn legs_at(&self, u: f32, v: f32) -> Option<Colour> {
        if self.skirt && v > 0.25 {
            return (u.abs() < (0.12 + (HIPS - v) * 0.25) * self.girth).then_some(scale(self.coat, 0.9));
        }
        let from_leg = u.abs() - ((HIPS - v) * self.stride + 0.045);
        (from_leg.abs() < 0.062 * self.girth).then(|| {
            if v < 0.04 { [0.10, 0.09, 0.09] } else { scale(self.trousers, if u > 0.0 { 1.0 } else { 0.82 }) }
        })
    }
}

impl Shape for Person {
    fn draw(&self, canvas: &mut Canvas, at: &Placement) {
        let h = self.height;
        canvas.billboard(at.camera, (at.x, at.z), 0.35 * h, (0.0, h * 1.01), |u, v, _| {
            let c = self.at(u / h, v / h)?;
            let facing = 0.5 + 0.5 * (u / (0.2 * h)) * at.light.sun[0];
            Some((at.light.haze(at.light.shade(c, facing, at.lit), at.z), PERSON))
        });
    }

    fn shadow(&self) -> Shadow {
        Shadow::upright(0.25, 0.0, 1.6)
    }
}

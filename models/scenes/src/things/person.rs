//! People, standing and walking.

use super::Spot;
use crate::canvas::Canvas;
use crate::classes::PERSON;
use crate::colour::{Colour, any, near, scale, strong};
use crate::rng::{Rng, noise};

pub(crate) struct Person {
    height: f32,
    girth: f32,
    stride: f32,
    swing: f32,
    coat: Colour,
    trousers: Colour,
    skin: Colour,
    hair: Colour,
    skirt: bool,
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
            coat: if rng.chance(0.75) { strong(rng) } else { any(rng) },
            trousers: if rng.chance(0.6) { near(rng, [0.16, 0.17, 0.24], 0.4) } else { any(rng) },
            skin: near(rng, skin, 0.1),
            hair,
            skirt: rng.chance(0.25),
            bag: rng.chance(0.3).then(|| (if rng.chance(0.5) { 0.3 } else { -0.3 }, any(rng))),
            seed: rng.seed(),
        }
    }

    /// The colour at `(u, v)` of a figure one unit tall.
    fn at(&self, u: f32, v: f32) -> Option<Colour> {
        let g = self.girth;
        let (hu, hv) = (u / 0.065, (v - 0.925) / 0.078);
        if hu * hu + hv * hv < 1.0 {
            return Some(if hv > 0.15 || (hu * self.swing > 0.1) { self.hair } else { self.skin });
        }
        if let Some((side, colour)) = self.bag
            && (u - side * 0.5).abs() < 0.06
            && (0.42..0.62).contains(&v)
        {
            return Some(colour);
        }
        if (0.46..0.86).contains(&v) {
            let shoulder = (0.13 - (v - 0.80).max(0.0) * 0.9) * g;
            if u.abs() < shoulder - 0.03 * (1.0 - (v - 0.46) * 2.5).abs() {
                let fold = 0.85 + 0.3 * noise(u * 20.0, v * 14.0, self.seed);
                return Some(scale(self.coat, fold));
            }
            // Arms swing against each other.
            let arm = (0.84 - v) * self.swing;
            if (u.abs() - (0.135 * g + arm * if u > 0.0 { 1.0 } else { -1.0 })).abs() < 0.036 {
                return Some(if v < 0.5 { self.skin } else { scale(self.coat, 0.8) });
            }
            return None;
        }
        if v >= 0.46 {
            return (u.abs() < 0.04).then_some(self.skin);
        }
        if self.skirt && v > 0.25 {
            return (u.abs() < (0.12 + (0.46 - v) * 0.25) * g).then_some(scale(self.coat, 0.9));
        }
        let spread = (0.46 - v) * self.stride + 0.045;
        let leg = u.abs() - spread;
        (leg.abs() < 0.062 * g).then(|| {
            if v < 0.04 { [0.10, 0.09, 0.09] } else { scale(self.trousers, if u > 0.0 { 1.0 } else { 0.82 }) }
        })
    }

    pub fn draw(&self, canvas: &mut Canvas, spot: &Spot) {
        let h = self.height;
        canvas.plate(spot.camera, (spot.x, spot.z), 0.35 * h, (0.0, h * 1.01), |u, v, _| {
            let c = self.at(u / h, v / h)?;
            let facing = 0.5 + 0.5 * (u / (0.2 * h)) * spot.light.sun[0];
            Some((spot.light.haze(spot.light.shade(c, facing, spot.lit), spot.z), PERSON))
        });
    }
}

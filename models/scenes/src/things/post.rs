//! Lamp posts, and traffic signs with theirs.

use super::Spot;
use crate::canvas::Canvas;
use crate::classes::{POLE, SIGN};
use crate::colour::{Colour, grey, near, scale};
use crate::rng::{Rng, hash};

/// The thickness of a post: never so thin that it vanishes in a small picture.
fn thickness(rng: &mut Rng, z: f32) -> f32 {
    rng.range(0.34, 0.5).max(0.04 * z)
}

fn metal(rng: &mut Rng) -> Colour {
    let tones = [grey(0.16), grey(0.22), [0.12, 0.22, 0.16], grey(0.8)];
    let c = rng.pick(&tones);
    near(rng, c, 0.15)
}

pub(crate) struct Lamp {
    pub half: f32,
    pub height: f32,
    colour: Colour,
    arm: f32,
}

impl Lamp {
    pub fn new(rng: &mut Rng, z: f32, towards: f32) -> Self {
        let arm = if rng.chance(0.6) { towards * rng.range(0.8, 2.0) } else { 0.0 };
        Lamp { half: 0.5 * thickness(rng, z), height: rng.range(4.5, 8.0), colour: metal(rng), arm }
    }

    pub fn draw(&self, canvas: &mut Canvas, spot: &Spot) {
        let (r, h) = (self.half, self.height);
        let reach = self.arm.abs() + 3.0 * r;
        canvas.plate(spot.camera, (spot.x, spot.z), reach, (0.0, h + 3.0 * r), |u, v, _| {
            let post = u.abs() < r * if v < 0.8 { 1.3 } else { 1.0 } && v < h;
            let arm = (h - 2.0 * r..h).contains(&v) && u * self.arm > 0.0 && u.abs() < self.arm.abs();
            let head = v > h - 2.5 * r && v < h + r && (u - self.arm).abs() < 2.5 * r;
            if !(post || arm || head) {
                return None;
            }
            let round = if post { u / r } else { 0.0 };
            let c = if head && v < h - 1.5 * r { [0.9, 0.88, 0.75] } else { self.colour };
            let facing = 0.5 + 0.5 * round * spot.light.sun[0];
            let c = spot.light.shade(scale(c, 1.0 - 0.3 * round.abs()), facing, spot.lit);
            Some((spot.light.haze(c, spot.z), POLE))
        });
    }
}

pub(crate) struct Sign {
    half: f32,
    size: f32,
    middle: f32,
    shape: usize,
    rim: Colour,
    face: Colour,
    ink: Colour,
    metal: Colour,
    seed: u32,
}

impl Sign {
    pub fn new(rng: &mut Rng, z: f32) -> Self {
        let schemes: [(Colour, Colour, Colour); 6] = [
            ([0.80, 0.08, 0.10], [0.92, 0.92, 0.90], [0.08; 3]),
            ([0.90, 0.90, 0.92], [0.10, 0.25, 0.65], [0.92; 3]),
            ([0.12, 0.12, 0.10], [0.92, 0.76, 0.10], [0.08; 3]),
            ([0.90, 0.90, 0.90], [0.05, 0.42, 0.25], [0.92; 3]),
            ([0.90, 0.88, 0.88], [0.75, 0.08, 0.10], [0.92; 3]),
            ([0.10, 0.10, 0.12], [0.13, 0.13, 0.14], [0.08; 3]),
        ];
        let scheme = rng.below(6);
        let (rim, face, ink) = schemes[scheme];
        // The last scheme is a traffic light.
        let shape = if scheme == 5 { 4 } else { rng.below(4) };
        let size = rng.range(0.5, 0.8).max(0.055 * z);
        Sign {
            half: 0.5 * thickness(rng, z) * 0.8,
            size,
            middle: rng.range(2.0, 2.8) + 0.5 * size,
            shape,
            rim: near(rng, rim, 0.1),
            face: near(rng, face, 0.12),
            ink,
            metal: metal(rng),
            seed: rng.seed(),
        }
    }

    /// The plate at `(a, b)` in units of its half size.
    fn plate(&self, a: f32, b: f32) -> Option<Colour> {
        let edge = match self.shape {
            0 => (a * a + b * b).sqrt(),
            1 => (a.abs() * 1.73 + b).max(-b * 1.6 - 0.2) * 0.85,
            2 => a.abs().max(b.abs()),
            3 => (a.abs() * 0.72).max(b.abs() * 1.4),
            _ => (a.abs() * 1.9).max(b.abs() * 0.9),
        };
        if edge > 1.0 {
            return None;
        }
        if self.shape == 4 {
            let lamp = (b * 1.6).round().clamp(-1.0, 1.0);
            let (p, q) = (a * 3.0, (b * 1.6 - lamp) * 2.4);
            let on = hash(0, 0, self.seed) % 3 == (lamp + 1.0) as u32;
            let lamps = [[0.2, 0.9, 0.4], [0.95, 0.7, 0.1], [0.95, 0.15, 0.1]];
            let c = lamps[(lamp + 1.0) as usize];
            return Some(if p * p + q * q < 1.0 { scale(c, if on { 1.0 } else { 0.25 }) } else { self.face });
        }
        if edge > 0.78 {
            return Some(self.rim);
        }
        let mark = hash((a * 2.5).floor() as i32, (b * 2.5).floor() as i32, self.seed).is_multiple_of(3);
        Some(if mark && edge < 0.6 { self.ink } else { self.face })
    }

    pub fn draw(&self, canvas: &mut Canvas, spot: &Spot) {
        let s = self.size;
        let half = (s * 1.4).max(self.half);
        canvas.plate(spot.camera, (spot.x, spot.z), half, (0.0, self.middle + 1.2 * s), |u, v, _| {
            let (c, label) = if let Some(c) = self.plate(u / s, (v - self.middle) / s) {
                (c, SIGN)
            } else if u.abs() < self.half && v < self.middle {
                (scale(self.metal, 1.0 - 0.3 * (u / self.half).abs()), POLE)
            } else {
                return None;
            };
            let facing = 0.3 - spot.light.sun[2] * 0.7;
            Some((spot.light.haze(spot.light.shade(c, facing, spot.lit), spot.z), label))
        });
    }
}

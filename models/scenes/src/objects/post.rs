//! Lamp posts, and traffic signs on posts.

use super::object::{Placement, Shape};
use super::shadow::Shadow;
use crate::canvas::Canvas;
use crate::classes::{POLE, SIGN};
use crate::colour::{Colour, grey, scale, vary};
use crate::noise::hash;
use crate::rng::Rng;

/// The thickness of a post at distance `z`. Distant posts are thicker, so that they stay visible in small pictures.
fn thickness(rng: &mut Rng, z: f32) -> f32 {
    rng.range(0.34, 0.5).max(0.04 * z)
}

fn metal_colour(rng: &mut Rng) -> Colour {
    let tones = [grey(0.16), grey(0.22), [0.12, 0.22, 0.16], grey(0.8)];
    let c = rng.pick(&tones);
    vary(rng, c, 0.15)
}

pub(crate) struct Lamp {
    half: f32,
    height: f32,
    colour: Colour,
    /// Length of the arm, negative to the left, 0 for a lamp on top of its post.
    arm: f32,
}

impl Lamp {
    /// A lamp at distance `z` whose arm, if any, points in the direction `towards`, -1 or 1.
    pub fn new(rng: &mut Rng, z: f32, towards: f32) -> Self {
        let arm = if rng.chance(0.6) { towards * rng.range(0.8, 2.0) } else { 0.0 };
        let half = 0.5 * thickness(rng, z);
        Lamp { half, height: rng.range(4.5, 8.0), colour: metal_colour(rng), arm }
    }
}

impl Shape for Lamp {
    fn draw(&self, canvas: &mut Canvas, at: &Placement) {
        let (r, h) = (self.half, self.height);
        let reach = self.arm.abs() + 3.0 * r;
        canvas.billboard(at.camera, (at.x, at.z), reach, (0.0, h + 3.0 * r), |u, v, _| {
            let post = u.abs() < r * if v < 0.8 { 1.3 } else { 1.0 } && v < h;
            let arm = (h - 2.0 * r..h).contains(&v) && u * self.arm > 0.0 && u.abs() < self.arm.abs();
            let head = v > h - 2.5 * r && v < h + r && (u - self.arm).abs() < 2.5 * r;
            if !(post || arm || head) {
                return None;
            }
            let round = if post { u / r } else { 0.0 };
            let c = if head && v < h - 1.5 * r { [0.9, 0.88, 0.75] } else { self.colour };
            let facing = 0.5 + 0.5 * round * at.light.sun[0];
            let c = at.light.shade(scale(c, 1.0 - 0.3 * round.abs()), facing, at.lit);
            Some((at.light.haze(c, at.z), POLE))
        });
    }

    fn shadow(&self) -> Shadow {
        Shadow::upright(self.half, 0.0, self.height)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Plate {
    Disc,
    Triangle,
    Square,
    Board,
    TrafficLight,
}

pub(crate) struct TrafficSign {
    /// Half the thickness of the post.
    half: f32,
    /// Half the size of the plate.
    size: f32,
    /// Height of the plate's middle.
    middle: f32,
    plate: Plate,
    rim: Colour,
    face: Colour,
    ink: Colour,
    metal: Colour,
    seed: u32,
}

impl TrafficSign {
    pub fn new(rng: &mut Rng, z: f32) -> Self {
        // Rim, face and ink. The last scheme is a traffic light.
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
        let plate = if scheme == 5 {
            Plate::TrafficLight
        } else {
            rng.pick(&[Plate::Disc, Plate::Triangle, Plate::Square, Plate::Board])
        };
        let size = rng.range(0.5, 0.8).max(0.055 * z);
        TrafficSign {
            half: 0.5 * thickness(rng, z) * 0.8,
            size,
            middle: rng.range(2.0, 2.8) + 0.5 * size,
            plate,
            rim: vary(rng, rim, 0.1),
            face: vary(rng, face, 0.12),
            ink,
            metal: metal_colour(rng),
            seed: rng.seed(),
        }
    }

    /// The plate's colour at `(a, b)`, in units of half its size from its middle; `None` outside.
    fn plate_at(&self, a: f32, b: f32) -> Option<Colour> {
        // 1 at the plate's edge.
        let edge = match self.plate {
            Plate::Disc => (a * a + b * b).sqrt(),
            Plate::Triangle => (a.abs() * 1.73 + b).max(-b * 1.6 - 0.2) * 0.85,
            Plate::Square => a.abs().max(b.abs()),
            Plate::Board => (a.abs() * 0.72).max(b.abs() * 1.4),
            Plate::TrafficLight => (a.abs() * 1.9).max(b.abs() * 0.9),
        };
        if edge > 1.0 {
            return None;
        }
        if self.plate == Plate::TrafficLight {
            return Some(self.traffic_light_at(a, b));
        }
        if edge > 0.78 {
            return Some(self.rim);
        }
        let mark = hash((a * 2.5).floor() as i32, (b * 2.5).floor() as i32, self.seed).is_multiple_of(3);
        Some(if mark && edge < 0.6 { self.ink } else { self.face })
    }

    /// Three lamps above each other, one of them on.
    fn traffic_light_at(&self, a: f32, b: f32) -> Colour {
        let row = (b * 1.6).round().clamp(-1.0, 1.0);
        let (p, q) = (a * 3.0, (b * 1.6 - row) * 2.4);
        if p * p + q * q >= 1.0 {
            return self.face;
        }
        let on = hash(0, 0, self.seed) % 3 == (row + 1.0) as u32;
        let lamps = [[0.2, 0.9, 0.4], [0.95, 0.7, 0.1], [0.95, 0.15, 0.1]];
        scale(lamps[(row + 1.0) as usize], if on { 1.0 } else { 0.25 })
    }
}

impl Shape for TrafficSign {
    fn draw(&self, canvas: &mut Canvas, at: &Placement) {
        let s = self.size;
        let half = (s * 1.4).max(self.half);
        canvas.billboard(at.camera, (at.x, at.z), half, (0.0, self.middle + 1.2 * s), |u, v, _| {
            let (c, label) = if let Some(c) = self.plate_at(u / s, (v - self.middle) / s) {
                (c, SIGN)
            } else if u.abs() < self.half && v < self.middle {
                (scale(self.metal, 1.0 - 0.3 * (u / self.half).abs()), POLE)
            } else {
                return None;
            };
            let facing = 0.3 - at.light.sun[2] * 0.7;
            Some((at.light.haze(at.light.shade(c, facing, at.lit), at.z), label))
        });
    }

    fn shadow(&self) -> Shadow {
        Shadow::upright(0.25, 0.0, 2.4)
    }
}

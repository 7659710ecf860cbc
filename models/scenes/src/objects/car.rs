//! Cars, vans and buses: a body, a cabin and wheels.
//!
//! Body and cabin are boxes. Each pixel's ray is intersected with both by the slab method (Kay and Kajiya 1986, "Ray
//! tracing complex scenes"); the nearer hit decides the face, and the position on it the colour.

use super::object::{Placement, Shape};
use super::shadow::Shadow;
use crate::canvas::Canvas;
use crate::classes::CAR;
use crate::colour::{Colour, any_colour, grey, mix, scale, vary};
use crate::rng::Rng;

pub(crate) struct Car {
    length: f32,
    width: f32,
    /// Height of the body.
    waist: f32,
    /// Height of the cabin's roof.
    top: f32,
    /// Where the cabin begins and ends, as a share of the length.
    cabin: (f32, f32),
    paint: Colour,
    glass: Colour,
    /// Whether the car is seen from behind.
    away: bool,
    /// Radius of a wheel.
    wheel: f32,
}

/// A face of a box.
#[derive(Clone, Copy)]
enum Face {
    Side,
    Top,
    /// Front or back, whichever the camera sees.
    End,
}

/// A point on a face of the car.
struct Hit {
    face: Face,
    /// Distance from the camera.
    z: f32,
    /// Metres to the right of the car's middle, above the ground, and behind its near end.
    across: f32,
    up: f32,
    along: f32,
}

/// Where a ray from the camera enters a box: the distance and the face, or `None` if it misses. Corners are relative to
/// the camera, with y downwards like the ray's slopes.
fn enter_box(ray: (f32, f32), low: [f32; 3], high: [f32; 3]) -> Option<(f32, Face)> {
    let slopes = [ray.0, ray.1, 1.0];
    let (mut first, mut last, mut face) = (0.0f32, f32::MAX, Face::End);
    for (i, entered) in [Face::Side, Face::Top, Face::End].into_iter().enumerate() {
        let d = if slopes[i].abs() < 1e-6 { 1e-6 } else { slopes[i] };
        let (a, b) = (low[i] / d, high[i] / d);
        if a.min(b) > first {
            (first, face) = (a.min(b), entered);
        }
        last = last.min(a.max(b));
    }
    (first < last && first > 0.0).then_some((first, face))
}

/// The corners of a box for [`enter_box`], from corners above the ground and the camera's height.
fn seen_from(eye: f32, low: [f32; 3], high: [f32; 3]) -> ([f32; 3], [f32; 3]) {
    ([low[0], eye - high[1], low[2]], [high[0], eye - low[1], high[2]])
}

impl Car {
    pub fn new(rng: &mut Rng, away: bool) -> Self {
        let paint = any_colour(rng);
        let glass = vary(rng, [0.16, 0.19, 0.23], 0.4);
        // A bus, a van, a small car, a saloon.
        let (length, width, waist, top, cabin) = match rng.below(10) {
            0 => (rng.range(8.0, 11.0), 2.4, 1.3, rng.range(2.8, 3.2), (0.02, 0.98)),
            1 | 2 => (rng.range(4.8, 5.6), 2.0, 1.15, rng.range(2.0, 2.4), (0.02, 0.80)),
            3..6 => (rng.range(3.7, 4.2), 1.75, 0.9, rng.range(1.45, 1.6), (0.05, 0.72)),
            _ => (rng.range(4.2, 4.8), 1.85, 0.88, rng.range(1.38, 1.5), (0.18, 0.70)),
        };
        let cabin = if away { cabin } else { (1.0 - cabin.1, 1.0 - cabin.0) };
        Car { length, width, waist, top, cabin, paint, glass, away, wheel: 0.3 + 0.02 * length }
    }

    fn half_width(&self) -> f32 {
        0.5 * self.width
    }

    /// The body's colour; `None` beneath the car, where one sees through.
    fn body_at(&self, hit: &Hit) -> Option<Colour> {
        match hit.face {
            Face::Side => self.body_side_at(hit.up, hit.along),
            Face::Top => Some(scale(self.paint, 1.1)),
            Face::End => self.body_end_at(hit.across, hit.up),
        }
    }

    fn body_side_at(&self, up: f32, along: f32) -> Option<Colour> {
        let r = self.wheel;
        for hub in [0.19 * self.length, 0.81 * self.length] {
            let (p, q) = (along - hub, up - r);
            let d = p * p + q * q;
            if d < r * r {
                return Some(if d < 0.3 * r * r { grey(0.6) } else { grey(0.07) });
            }
        }
        if up <= 0.25 {
            return None;
        }
        let door_gap = (along - 0.5 * self.length).abs() < 0.03;
        let brightness = if up < 0.38 {
            0.5
        } else if door_gap {
            0.7
        } else {
            1.0
        };
        Some(scale(self.paint, brightness))
    }

    /// Tyres, lights, number plate and grille.
    fn body_end_at(&self, across: f32, up: f32) -> Option<Colour> {
        let w = self.half_width();
        if up < 0.28 {
            let tyre = across.abs() > w - 0.3;
            return tyre.then_some(grey(0.07));
        }
        let (low, high) = (self.waist * 0.6, self.waist * 0.85);
        if across.abs() > w - 0.38 && (low..high).contains(&up) {
            return Some(if self.away { [0.75, 0.08, 0.06] } else { [0.95, 0.94, 0.85] });
        }
        if across.abs() < 0.28 && (0.45..0.62).contains(&up) {
            return Some([0.88, 0.86, 0.70]);
        }
        let grille = !self.away && across.abs() < w * 0.6 && up < self.waist * 0.75;
        Some(if grille || up < 0.42 { grey(0.12) } else { self.paint })
    }

    fn cabin_at(&self, hit: &Hit) -> Colour {
        let rise = (hit.up - self.waist) / (self.top - self.waist);
        let pane = (0.08..0.82).contains(&rise);
        match hit.face {
            Face::Top => scale(self.paint, 1.1),
            Face::Side => {
                let t = hit.along * 0.55;
                let pillar = t - t.floor() < 0.1;
                if pane && !pillar { scale(self.glass, 0.8 + 0.5 * rise) } else { self.paint }
            }
            Face::End if pane && hit.across.abs() < self.half_width() * 0.82 => {
                mix(self.glass, [0.6, 0.68, 0.75], 0.5 * rise)
            }
            Face::End => self.paint,
        }
    }
}

impl Shape for Car {
    fn draw(&self, canvas: &mut Canvas, at: &Placement) {
        let (light, eye) = (at.light, at.camera.height);
        let (x, z, w) = (at.x, at.z, self.half_width());
        let low = [x - w, 0.0, z];
        let inset = 0.88 * w;
        let (from, to) = (z + self.cabin.0 * self.length, z + self.cabin.1 * self.length);
        let body = seen_from(eye, low, [x + w, self.waist, z + self.length]);
        let cabin = seen_from(eye, [x - inset, self.waist, from], [x + inset, self.top, to]);
        canvas.solid(at.camera, low, [x + w, self.top, z + self.length], |sx, sy| {
            let hit = |(t, face)| Hit { face, z: t, across: sx * t - x, up: eye - sy * t, along: t - z };
            let body_hit = enter_box((sx, sy), body.0, body.1).map(hit);
            let cabin_hit = enter_box((sx, sy), cabin.0, cabin.1).map(hit);
            let (c, hit) = match (body_hit, cabin_hit) {
                (Some(b), Some(c)) if c.z < b.z => (self.cabin_at(&c), c),
                (None, Some(c)) => (self.cabin_at(&c), c),
                (b, _) => {
                    let b = b?;
                    (self.body_at(&b)?, b)
                }
            };
            let facing = match hit.face {
                Face::Side => -x.signum() * light.sun[0],
                Face::Top => light.sun[1],
                Face::End => -light.sun[2],
            };
            Some((light.haze(light.shade(c, facing, at.lit), hit.z), CAR))
        });
    }

    fn shadow(&self) -> Shadow {
        Shadow { radius: self.half_width() * 0.95, bottom: 0.0, top: 0.6, length: self.length }
    }
}

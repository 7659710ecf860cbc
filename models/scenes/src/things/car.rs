//! Cars, vans and buses: a body, a cabin and wheels.

use super::Spot;
use crate::canvas::Canvas;
use crate::classes::CAR;
use crate::colour::{Colour, any, grey, mix, near, scale};
use crate::rng::Rng;

pub(crate) struct Car {
    pub length: f32,
    width: f32,
    waist: f32,
    top: f32,
    /// The cabin, from and to along the length.
    cabin: (f32, f32),
    paint: Colour,
    glass: Colour,
    /// Seen from behind.
    away: bool,
    wheel: f32,
}

/// Where a ray enters a box: distance and the axis of the face.
fn enter(ray: (f32, f32), low: [f32; 3], high: [f32; 3]) -> Option<(f32, usize)> {
    let slopes = [ray.0, ray.1, 1.0];
    let (mut first, mut last, mut axis) = (0.0f32, f32::MAX, 2);
    for i in 0..3 {
        let d = if slopes[i].abs() < 1e-6 { 1e-6 } else { slopes[i] };
        let (a, b) = (low[i] / d, high[i] / d);
        if a.min(b) > first {
            (first, axis) = (a.min(b), i);
        }
        last = last.min(a.max(b));
    }
    (first < last && first > 0.0).then_some((first, axis))
}

impl Car {
    pub fn new(rng: &mut Rng, away: bool) -> Self {
        let paint = any(rng);
        let glass = near(rng, [0.16, 0.19, 0.23], 0.4);
        let (length, width, waist, top, cabin) = match rng.below(10) {
            0 => (rng.range(8.0, 11.0), 2.4, 1.3, rng.range(2.8, 3.2), (0.02, 0.98)),
            1 | 2 => (rng.range(4.8, 5.6), 2.0, 1.15, rng.range(2.0, 2.4), (0.02, 0.80)),
            3..6 => (rng.range(3.7, 4.2), 1.75, 0.9, rng.range(1.45, 1.6), (0.05, 0.72)),
            _ => (rng.range(4.2, 4.8), 1.85, 0.88, rng.range(1.38, 1.5), (0.18, 0.70)),
        };
        let cabin = if away { cabin } else { (1.0 - cabin.1, 1.0 - cabin.0) };
        Car { length, width, waist, top, cabin, paint, glass, away, wheel: 0.3 + 0.02 * length }
    }

    pub fn half(&self) -> f32 {
        0.5 * self.width
    }

    fn body(&self, axis: usize, across: f32, v: f32, along: f32) -> Option<Colour> {
        let w = self.half();
        match axis {
            0 => {
                let r = self.wheel;
                for hub in [0.19 * self.length, 0.81 * self.length] {
                    let (p, q) = (along - hub, v - r);
                    let d = p * p + q * q;
                    if d < r * r {
                        return Some(if d < 0.3 * r * r { grey(0.6) } else { grey(0.07) });
                    }
                }
                let panel = (along - 0.5 * self.length).abs() < 0.03;
                (v > 0.25).then_some(scale(
                    self.paint,
                    if v < 0.38 {
                        0.5
                    } else if panel {
                        0.7
                    } else {
                        1.0
                    },
                ))
            }
            1 => Some(scale(self.paint, 1.1)),
            _ => {
                let tyre = across.abs() > w - 0.3;
                if v < 0.28 {
                    return tyre.then_some(grey(0.07));
                }
                let (low, high) = (self.waist * 0.6, self.waist * 0.85);
                if across.abs() > w - 0.38 && (low..high).contains(&v) {
                    return Some(if self.away { [0.75, 0.08, 0.06] } else { [0.95, 0.94, 0.85] });
                }
                if across.abs() < 0.28 && (0.45..0.62).contains(&v) {
                    return Some([0.88, 0.86, 0.70]);
                }
                let grille = !self.away && across.abs() < w * 0.6 && v < self.waist * 0.75;
                Some(if grille || v < 0.42 { grey(0.12) } else { self.paint })
            }
        }
    }

    fn cabin(&self, axis: usize, across: f32, v: f32, along: f32) -> Colour {
        let (rise, w) = ((v - self.waist) / (self.top - self.waist), self.half());
        let pane = (0.08..0.82).contains(&rise);
        match axis {
            1 => scale(self.paint, 1.1),
            0 => {
                let t = along * 0.55;
                let pillar = t - t.floor() < 0.1;
                if pane && !pillar { scale(self.glass, 0.8 + 0.5 * rise) } else { self.paint }
            }
            _ if pane && across.abs() < w * 0.82 => mix(self.glass, [0.6, 0.68, 0.75], 0.5 * rise),
            _ => self.paint,
        }
    }

    pub fn draw(&self, canvas: &mut Canvas, spot: &Spot) {
        let (light, eye) = (spot.light, spot.camera.height);
        let (x, z, w) = (spot.x, spot.z, self.half());
        let body = ([x - w, 0.0, z], [x + w, self.waist, z + self.length]);
        let inset = 0.88 * w;
        let from = z + self.cabin.0 * self.length;
        let to = z + self.cabin.1 * self.length;
        // Rays start at the camera's height and run downwards with positive slope.
        let flip = |b: [f32; 3], t: [f32; 3]| ([b[0], eye - t[1], b[2]], [t[0], eye - b[1], t[2]]);
        let (b0, b1) = flip(body.0, body.1);
        let (c0, c1) = flip([x - inset, self.waist, from], [x + inset, self.top, to]);
        canvas.solid(spot.camera, body.0, [x + w, self.top, z + self.length], |sx, sy| {
            let at = |t: f32| (sx * t - x, eye - sy * t, t - z);
            let lower = enter((sx, sy), b0, b1);
            let upper = enter((sx, sy), c0, c1);
            let cabin_first = match (lower, upper) {
                (Some(l), Some(u)) => u.0 < l.0,
                (None, Some(_)) => true,
                _ => false,
            };
            let (c, t, axis) = if cabin_first {
                let (t, axis) = upper?;
                let (across, v, along) = at(t);
                (self.cabin(axis, across, v, along), t, axis)
            } else {
                let (t, axis) = lower?;
                let (across, v, along) = at(t);
                (self.body(axis, across, v, along)?, t, axis)
            };
            let facing = match axis {
                0 => -x.signum() * light.sun[0],
                1 => light.sun[1],
                _ => -light.sun[2],
            };
            Some((light.haze(light.shade(c, facing, spot.lit), t), CAR))
        });
    }
}

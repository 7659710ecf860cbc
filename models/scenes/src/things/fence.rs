//! Fences along the street and barriers across the pavement.

use super::Spot;
use crate::camera::Camera;
use crate::canvas::Canvas;
use crate::classes::FENCE;
use crate::colour::{Colour, grey, mix, near, scale};
use crate::light::Light;
use crate::rng::{Rng, speck};
use crate::street::within;

#[derive(Clone, Copy)]
enum Style {
    Planks,
    Pickets,
    Rails,
    Mesh,
    Wall,
}

/// What a fence is made of.
struct Made {
    style: Style,
    height: f32,
    colour: Colour,
    pitch: f32,
    seed: u32,
}

impl Made {
    fn new(rng: &mut Rng) -> Self {
        let style = rng.pick(&[Style::Planks, Style::Pickets, Style::Rails, Style::Mesh, Style::Wall]);
        let woods =
            [[0.45, 0.32, 0.20], [0.62, 0.50, 0.35], grey(0.88), [0.20, 0.36, 0.24], [0.38, 0.22, 0.16]];
        let stones = [[0.48, 0.24, 0.18], [0.66, 0.58, 0.42]];
        let c = if matches!(style, Style::Wall) { rng.pick(&stones) } else { rng.pick(&woods) };
        Made {
            style,
            height: rng.range(1.4, 2.1),
            colour: near(rng, c, 0.15),
            pitch: rng.range(0.18, 0.3),
            seed: rng.seed(),
        }
    }

    /// The surface at `u` along and `v` up, and how much of what is behind it hides.
    fn at(&self, u: f32, v: f32, foot: f32) -> (Colour, f32) {
        let a = u / self.pitch;
        let (i, t) = (a.floor(), a - a.floor());
        let solid = scale(self.colour, 0.85 + 0.3 * speck(i as i32, 1, self.seed));
        // What is finer than a pixel blends.
        let fade = (0.5 * self.pitch / foot).min(1.0);
        let rail = |y: f32| (v - y * self.height).abs() < 0.06 + 0.5 * foot;
        let post = u - (u / 2.0).floor() * 2.0 < 0.15 + foot;
        let gaps = |open: bool, share: f32| {
            let sharp = if open { 0.35 } else { 1.0 };
            (solid, share + (sharp - share) * fade)
        };
        match self.style {
            Style::Planks => (mix(self.colour, if t < 0.12 { scale(solid, 0.55) } else { solid }, fade), 1.0),
            Style::Wall => (self.stones(u, v, foot), 1.0),
            _ if post => (scale(self.colour, 0.85), 1.0),
            Style::Pickets if rail(0.3) || rail(0.75) => (scale(self.colour, 0.8), 1.0),
            Style::Pickets => gaps(t > 0.6, 0.6),
            Style::Rails if rail(0.95) || rail(0.62) || rail(0.3) => (self.colour, 1.0),
            Style::Rails => (self.colour, 0.35),
            Style::Mesh if rail(0.97) => (self.colour, 1.0),
            Style::Mesh => {
                let b = v / self.pitch;
                gaps(t > 0.3 && b - b.floor() > 0.3, 0.5)
            }
        }
    }

    fn stones(&self, u: f32, v: f32, foot: f32) -> Colour {
        let row = (v * 6.0).floor();
        let along = u * 2.5 + 0.5 * (row as i32 & 1) as f32;
        let joint = v * 6.0 - row < 0.2 || along - along.floor() < 0.1;
        let stone = 0.8 + 0.4 * speck(along.floor() as i32, row as i32, self.seed);
        let c = scale(self.colour, if joint { 0.7 } else { stone });
        let cap = if v > self.height - 0.12 { 1.2 } else { 1.0 };
        scale(mix(self.colour, c, (0.1 / foot).min(1.0)), cap)
    }
}

/// A fence along the street.
pub(crate) struct Fence {
    x: f32,
    stretch: (f32, f32),
    crossing: Option<(f32, f32)>,
    made: Made,
}

impl Fence {
    pub fn along(rng: &mut Rng, x: f32, stretch: (f32, f32), crossing: Option<(f32, f32)>) -> Self {
        Fence { x, stretch, crossing, made: Made::new(rng) }
    }

    pub fn draw(&self, canvas: &mut Canvas, camera: &Camera, light: &Light, lit: f32) {
        let facing = self.x.signum() * -light.sun[0];
        canvas.wall(camera, self.x, self.stretch, self.made.height, |z, v, under| {
            if within(self.crossing, z, 1.8) {
                return None;
            }
            let (c, cover) = self.made.at(z, v, camera.footprint(z));
            let solid = light.haze(light.shade(c, facing, lit), z);
            Some((mix(under, solid, cover), FENCE))
        });
    }
}

/// A barrier across a pavement.
pub(crate) struct Barrier {
    made: Made,
    half: f32,
    striped: bool,
}

impl Barrier {
    pub fn new(rng: &mut Rng) -> Self {
        Barrier { made: Made::new(rng), half: rng.range(0.7, 1.2), striped: rng.chance(0.5) }
    }

    pub fn draw(&self, canvas: &mut Canvas, spot: &Spot) {
        let foot = spot.camera.footprint(spot.z);
        canvas.plate(spot.camera, (spot.x, spot.z), self.half, (0.0, self.made.height), |u, v, under| {
            let stripe = (u + v) * 2.0;
            let (c, cover) = match stripe - stripe.floor() {
                _ if !self.striped => self.made.at(u + 20.0, v, foot),
                s if s < 0.5 => ([0.85, 0.15, 0.12], 1.0),
                _ => (grey(0.9), 1.0),
            };
            let solid = spot.light.shade(c, 0.3 - 0.7 * spot.light.sun[2], spot.lit);
            Some((mix(under, spot.light.haze(solid, spot.z), cover), FENCE))
        });
    }
}

//! Fences along the street, and barriers across the pavement.

use super::object::{Placement, Shape};
use super::shadow::Shadow;
use crate::camera::Camera;
use crate::canvas::Canvas;
use crate::classes::FENCE;
use crate::colour::{Colour, grey, mix, scale, vary};
use crate::light::Light;
use crate::noise::hash_unit;
use crate::rng::Rng;
use crate::road::{Stretch, within};

#[derive(Clone, Copy)]
enum Style {
    Planks,
    Pickets,
    Rails,
    Mesh,
    Wall,
}

/// The pattern of a fence.
struct Pattern {
    style: Style,
    height: f32,
    colour: Colour,
    /// Metres from one plank, picket or mesh opening to the next.
    pitch: f32,
    seed: u32,
}

impl Pattern {
    fn new(rng: &mut Rng) -> Self {
        let style = rng.pick(&[Style::Planks, Style::Pickets, Style::Rails, Style::Mesh, Style::Wall]);
        let woods =
            [[0.45, 0.32, 0.20], [0.62, 0.50, 0.35], grey(0.88), [0.20, 0.36, 0.24], [0.38, 0.22, 0.16]];
        let stones = [[0.48, 0.24, 0.18], [0.66, 0.58, 0.42]];
        let c = if matches!(style, Style::Wall) { rng.pick(&stones) } else { rng.pick(&woods) };
        Pattern {
            style,
            height: rng.range(1.4, 2.1),
            colour: vary(rng, c, 0.15),
            pitch: rng.range(0.18, 0.3),
            seed: rng.seed(),
        }
    }

    /// Colour and opacity `u` metres along and `v` metres up, seen with pixels of `footprint` metres. Patterns finer
    /// than a pixel fade to their mean opacity.
    fn at(&self, u: f32, v: f32, footprint: f32) -> (Colour, f32) {
        let a = u / self.pitch;
        let (i, t) = (a.floor(), a - a.floor());
        let solid = scale(self.colour, 0.85 + 0.3 * hash_unit(i as i32, 1, self.seed));
        let fade = (0.5 * self.pitch / footprint).min(1.0);
        let rail = |y: f32| (v - y * self.height).abs() < 0.06 + 0.5 * footprint;
        let post = u - (u / 2.0).floor() * 2.0 < 0.15 + footprint;
        let with_gaps = |open: bool, mean_opacity: f32| {
            let opacity = if open { 0.35 } else { 1.0 };
            (solid, mean_opacity + (opacity - mean_opacity) * fade)
        };
        match self.style {
            Style::Planks => (mix(self.colour, if t < 0.12 { scale(solid, 0.55) } else { solid }, fade), 1.0),
            Style::Wall => (self.stone_at(u, v, footprint), 1.0),
            _ if post => (scale(self.colour, 0.85), 1.0),
            Style::Pickets if rail(0.3) || rail(0.75) => (scale(self.colour, 0.8), 1.0),
            Style::Pickets => with_gaps(t > 0.6, 0.6),
            Style::Rails if rail(0.95) || rail(0.62) || rail(0.3) => (self.colour, 1.0),
            Style::Rails => (self.colour, 0.35),
            Style::Mesh if rail(0.97) => (self.colour, 1.0),
            Style::Mesh => {
                let b = v / self.pitch;
                with_gaps(t > 0.3 && b - b.floor() > 0.3, 0.5)
            }
        }
    }

    /// A wall of stones with a lighter row on top.
    fn stone_at(&self, u: f32, v: f32, footprint: f32) -> Colour {
        let row = (v * 6.0).floor();
        let along = u * 2.5 + 0.5 * (row as i32 & 1) as f32;
        let joint = v * 6.0 - row < 0.2 || along - along.floor() < 0.1;
        let tone = 0.8 + 0.4 * hash_unit(along.floor() as i32, row as i32, self.seed);
        let c = scale(self.colour, if joint { 0.7 } else { tone });
        let coping = if v > self.height - 0.12 { 1.2 } else { 1.0 };
        scale(mix(self.colour, c, (0.1 / footprint).min(1.0)), coping)
    }
}

/// A fence along the street.
pub(crate) struct Fence {
    x: f32,
    stretch: Stretch,
    crossing: Option<Stretch>,
    pattern: Pattern,
}

impl Fence {
    /// A fence at `x`, with a gap where another road crosses.
    pub fn new(rng: &mut Rng, x: f32, stretch: Stretch, crossing: Option<Stretch>) -> Self {
        Fence { x, stretch, crossing, pattern: Pattern::new(rng) }
    }

    pub fn draw(&self, canvas: &mut Canvas, camera: &Camera, light: &Light, lit: f32) {
        let facing = self.x.signum() * -light.sun[0];
        canvas.wall(camera, self.x, self.stretch, self.pattern.height, |z, v, beneath| {
            if within(self.crossing, z, 1.8) {
                return None;
            }
            let (c, opacity) = self.pattern.at(z, v, camera.footprint(z));
            let solid = light.haze(light.shade(c, facing, lit), z);
            Some((mix(beneath, solid, opacity), FENCE))
        });
    }
}

/// A barrier across a pavement.
pub(crate) struct Barrier {
    pattern: Pattern,
    half: f32,
    striped: bool,
}

impl Barrier {
    pub fn new(rng: &mut Rng) -> Self {
        Barrier { pattern: Pattern::new(rng), half: rng.range(0.7, 1.2), striped: rng.chance(0.5) }
    }
}

impl Shape for Barrier {
    fn draw(&self, canvas: &mut Canvas, at: &Placement) {
        let footprint = at.camera.footprint(at.z);
        let top = self.pattern.height;
        canvas.billboard(at.camera, (at.x, at.z), self.half, (0.0, top), |u, v, beneath| {
            let stripe = (u + v) * 2.0;
            let (c, opacity) = match stripe - stripe.floor() {
                _ if !self.striped => self.pattern.at(u + 20.0, v, footprint),
                s if s < 0.5 => ([0.85, 0.15, 0.12], 1.0),
                _ => (grey(0.9), 1.0),
            };
            let solid = at.light.shade(c, 0.3 - 0.7 * at.light.sun[2], at.lit);
            Some((mix(beneath, at.light.haze(solid, at.z), opacity), FENCE))
        });
    }

    fn shadow(&self) -> Shadow {
        Shadow::upright(0.3, 0.0, 0.8)
    }
}

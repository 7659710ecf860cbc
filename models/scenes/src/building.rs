//! Houses: rows of boxes with windows, bricks, shop fronts and roofs.

use crate::camera::Camera;
use crate::canvas::Canvas;
use crate::classes::BUILDING;
use crate::colour::{Colour, any, grey, mix, near, scale};
use crate::light::Light;
use crate::rng::{Rng, noise, speck};
use crate::street::within;

pub(crate) struct Building {
    /// Where its wall along the street is, and on which side of the street.
    x: f32,
    out: f32,
    pub near: f32,
    pub far: f32,
    pub height: f32,
    roof: f32,
    wall: Colour,
    tiles: Colour,
    glass: Colour,
    frame: Colour,
    base: Colour,
    pitch: (f32, f32),
    window: (f32, f32),
    bricks: bool,
    shops: bool,
    seed: u32,
}

impl Building {
    /// A row of houses at `x`, far to near.
    pub fn row(rng: &mut Rng, x: f32, out: f32, crossing: Option<(f32, f32)>) -> Vec<Self> {
        let mut row = Vec::new();
        let tall = rng.range(5.0, 17.0);
        let gaps = rng.range(0.0, 0.7);
        let mut z = rng.range(-8.0, 1.0);
        while z < 120.0 {
            let far = z + rng.range(6.0, 20.0);
            if within(crossing, z, 2.0) {
                z = crossing.map_or(far, |(_, to)| to + 2.0);
                continue;
            }
            let far = match crossing {
                Some((from, _)) if z < from && far > from - 2.0 => from - 2.0,
                _ => far,
            };
            if far > z + 2.0 {
                row.push(Self::new(rng, x, out, (z, far), tall));
            }
            z = far.max(z + 1.0) + if rng.chance(gaps) { rng.range(1.5, 9.0) } else { 0.0 };
        }
        row.reverse();
        row
    }

    fn new(rng: &mut Rng, x: f32, out: f32, (near_z, far): (f32, f32), tall: f32) -> Self {
        let walls = [
            [0.52, 0.28, 0.22],
            [0.42, 0.25, 0.18],
            [0.80, 0.76, 0.66],
            [0.58, 0.58, 0.58],
            [0.85, 0.84, 0.82],
            [0.75, 0.62, 0.42],
            [0.70, 0.50, 0.45],
        ];
        let which = rng.below(walls.len());
        Building {
            x,
            out,
            near: near_z,
            far,
            height: tall * rng.range(0.65, 1.35),
            roof: if rng.chance(0.5) { rng.range(1.0, 3.0) } else { 0.0 },
            wall: near(rng, walls[which], 0.15),
            tiles: near(rng, [0.42, 0.26, 0.22], 0.4),
            glass: near(rng, [0.18, 0.22, 0.28], 0.4),
            frame: if rng.chance(0.6) { grey(0.85) } else { any(rng) },
            base: any(rng),
            pitch: (rng.range(1.8, 3.6), rng.range(2.6, 3.4)),
            window: (rng.range(0.35, 0.8), rng.range(0.4, 0.7)),
            bricks: which < 2 || rng.chance(0.15),
            shops: rng.chance(0.35),
            seed: rng.seed(),
        }
    }

    /// The top of the wall, roof included.
    pub fn top(&self) -> f32 {
        self.height + self.roof
    }

    /// The surface at `u` metres along and `v` metres up, seen with pixels of `foot` metres.
    fn surface(&self, u: f32, v: f32, foot: f32) -> Colour {
        if v > self.height {
            let rib = (u * 2.5).floor() as i32;
            let row = (v * 4.0).floor() as i32;
            return scale(self.tiles, 0.85 + 0.3 * speck(rib, row, self.seed));
        }
        let fade = (0.12 / foot).min(1.0);
        let dirt = 0.9 + 0.2 * noise(u * 0.6, v * 0.4, self.seed);
        let mut wall = scale(self.wall, dirt);
        if self.bricks {
            let row = (v * 5.0).floor();
            let along = u * 2.5 + 0.5 * (row as i32 & 1) as f32;
            let joint = v * 5.0 - row < 0.22 || along - along.floor() < 0.1;
            let tone = 0.8 + 0.4 * speck(along.floor() as i32, row as i32, self.seed);
            let brick = if joint { mix(wall, grey(0.62), 0.6) } else { scale(wall, tone) };
            wall = mix(wall, brick, fade);
        }
        let (a, b) = (u / self.pitch.0, v / self.pitch.1);
        let (i, j) = (a.floor(), b.floor());
        let (du, dv) = ((a - i - 0.5).abs() * 2.0, (b - j - 0.55).abs() * 2.0);
        let lot = speck(i as i32, j as i32, self.seed ^ 77);
        if j < 1.0 && self.shops {
            // A shop front: a board above, glass below, a plinth.
            return match v {
                v if v > self.pitch.1 * 0.8 => self.base,
                v if v < 0.5 || du > 0.85 => scale(self.base, 0.6),
                _ => mix(self.glass, self.frame, 0.4 * noise(u * 1.5, v * 1.5, self.seed)),
            };
        }
        if j < 1.0 && lot < 0.25 {
            // A door.
            return if du < 0.45 && v < 2.2 { scale(self.base, 0.9) } else { wall };
        }
        if v > self.height - 0.6 {
            return scale(wall, 0.85);
        }
        let (w, h) = self.window;
        if du < w && dv < h {
            let bar = (du < 0.06 || dv > h - 0.12 || du > w - 0.1) && fade > 0.3;
            if bar {
                return self.frame;
            }
            return match lot {
                l if l > 0.9 => [0.85, 0.75, 0.50],
                l if l > 0.7 => mix(self.glass, [0.70, 0.78, 0.86], 0.6),
                _ => scale(self.glass, 0.7 + 0.6 * lot),
            };
        }
        if dv < h + 0.15 && dv > h && du < w + 0.1 {
            return scale(wall, 1.15);
        }
        wall
    }

    pub fn draw(&self, canvas: &mut Canvas, camera: &Camera, light: &Light) {
        let facing = -self.out * light.sun[0];
        let slant = self.roof * 0.15;
        canvas.wall(camera, self.x, (self.near, self.far), self.top() - slant, |z, v, _| {
            let c = self.surface(z - self.near, v, camera.footprint(z));
            Some((light.haze(light.shade(c, facing, 1.0), z), BUILDING))
        });
        let (z, deep) = (self.near, 9.0);
        let centre = self.x + self.out * deep * 0.5;
        canvas.plate(camera, (centre, z), deep * 0.5, (0.0, self.top()), |u, v, _| {
            // A gable.
            if v > self.height && u.abs() > deep * 0.5 * (1.0 - (v - self.height) / self.roof) {
                return None;
            }
            let blind = v > self.height || speck(0, 0, self.seed) < 0.4;
            let c =
                if blind { scale(self.wall, 0.95) } else { self.surface(u + 40.0, v, camera.footprint(z)) };
            Some((light.haze(light.shade(c, -light.sun[2], 1.0), z), BUILDING))
        });
    }
}

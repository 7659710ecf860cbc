//! Houses: rows of boxes with windows, bricks, shop fronts and roofs.
//!
//! A house shows two faces: its front, a wall along the street, and its gable, which faces the camera. Patterns on them
//! fade out where a pixel is larger than their detail.

use crate::camera::Camera;
use crate::canvas::Canvas;
use crate::classes::BUILDING;
use crate::colour::{Colour, any_colour, grey, mix, scale, vary};
use crate::light::Light;
use crate::noise::{hash_unit, noise};
use crate::rng::Rng;
use crate::road::{Stretch, within};

/// Depth of a house away from the street, in metres.
const DEPTH: f32 = 9.0;

pub(crate) struct Building {
    /// x of the front.
    x: f32,
    /// The direction away from the road, -1 or 1.
    out: f32,
    /// The front's stretch along the street.
    pub near: f32,
    pub far: f32,
    /// Height of the wall.
    height: f32,
    /// Height of the roof, 0 for a flat one.
    roof: f32,
    wall: Colour,
    tiles: Colour,
    glass: Colour,
    frame: Colour,
    base: Colour,
    /// Width and height of the cell that holds one window.
    pitch: (f32, f32),
    /// Width and height of a window as a share of its cell.
    window: (f32, f32),
    bricks: bool,
    shops: bool,
    seed: u32,
}

/// A position within the cell of a window.
struct Cell {
    storey: f32,
    /// Horizontal and vertical distance from the window's middle, in half cells.
    du: f32,
    dv: f32,
    /// A random number of the cell in `[0, 1)`.
    random: f32,
}

impl Building {
    /// A row of houses along `x`, from far to near.
    pub fn row(rng: &mut Rng, x: f32, out: f32, crossing: Option<Stretch>) -> Vec<Self> {
        let mut row = Vec::new();
        let mean_height = rng.range(5.0, 17.0);
        let gap_probability = rng.range(0.0, 0.7);
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
                row.push(Self::new(rng, x, out, (z, far), mean_height));
            }
            z = far.max(z + 1.0) + if rng.chance(gap_probability) { rng.range(1.5, 9.0) } else { 0.0 };
        }
        row.reverse();
        row
    }

    fn new(rng: &mut Rng, x: f32, out: f32, (near, far): Stretch, mean_height: f32) -> Self {
        let walls = [
            [0.52, 0.28, 0.22],
            [0.42, 0.25, 0.18],
            [0.80, 0.76, 0.66],
            [0.58, 0.58, 0.58],
            [0.85, 0.84, 0.82],
            [0.75, 0.62, 0.42],
            [0.70, 0.50, 0.45],
        ];
        let wall = rng.below(walls.len());
        Building {
            x,
            out,
            near,
            far,
            height: mean_height * rng.range(0.65, 1.35),
            roof: if rng.chance(0.5) { rng.range(1.0, 3.0) } else { 0.0 },
            wall: vary(rng, walls[wall], 0.15),
            tiles: vary(rng, [0.42, 0.26, 0.22], 0.4),
            glass: vary(rng, [0.18, 0.22, 0.28], 0.4),
            frame: if rng.chance(0.6) { grey(0.85) } else { any_colour(rng) },
            base: any_colour(rng),
            pitch: (rng.range(1.8, 3.6), rng.range(2.6, 3.4)),
            window: (rng.range(0.35, 0.8), rng.range(0.4, 0.7)),
            // The first two walls have the colours of brick.
            bricks: wall < 2 || rng.chance(0.15),
            shops: rng.chance(0.35),
            seed: rng.seed(),
        }
    }

    /// Height of the house with its roof.
    pub fn top(&self) -> f32 {
        self.height + self.roof
    }

    /// The surface `u` metres along the wall and `v` metres up, seen with pixels of `footprint` metres.
    fn surface(&self, u: f32, v: f32, footprint: f32) -> Colour {
        if v > self.height {
            return self.roof_tiles(u, v);
        }
        let fade = (0.12 / footprint).min(1.0);
        let wall = self.wall_at(u, v, fade);
        let cell = self.cell(u, v);
        let (w, h) = self.window;
        if cell.storey < 1.0 && self.shops {
            self.shop_front(u, v, cell.du)
        } else if cell.storey < 1.0 && cell.random < 0.25 {
            let door = cell.du < 0.45 && v < 2.2;
            if door { scale(self.base, 0.9) } else { wall }
        } else if v > self.height - 0.6 {
            // The cornice.
            scale(wall, 0.85)
        } else if cell.du < w && cell.dv < h {
            self.window_at(&cell, fade)
        } else if cell.dv < h + 0.15 && cell.dv > h && cell.du < w + 0.1 {
            // Lintel and sill.
            scale(wall, 1.15)
        } else {
            wall
        }
    }

    fn roof_tiles(&self, u: f32, v: f32) -> Colour {
        let column = (u * 2.5).floor() as i32;
        let row = (v * 4.0).floor() as i32;
        scale(self.tiles, 0.85 + 0.3 * hash_unit(column, row, self.seed))
    }

    /// The plain wall, with dirt and bricks. `fade` is 1 where bricks are visible and falls to 0 with distance.
    fn wall_at(&self, u: f32, v: f32, fade: f32) -> Colour {
        let dirt = 0.9 + 0.2 * noise(u * 0.6, v * 0.4, self.seed);
        let wall = scale(self.wall, dirt);
        if !self.bricks {
            return wall;
        }
        let row = (v * 5.0).floor();
        let along = u * 2.5 + 0.5 * (row as i32 & 1) as f32;
        let joint = v * 5.0 - row < 0.22 || along - along.floor() < 0.1;
        let tone = 0.8 + 0.4 * hash_unit(along.floor() as i32, row as i32, self.seed);
        let brick = if joint { mix(wall, grey(0.62), 0.6) } else { scale(wall, tone) };
        mix(wall, brick, fade)
    }

    fn cell(&self, u: f32, v: f32) -> Cell {
        let (a, b) = (u / self.pitch.0, v / self.pitch.1);
        let (i, j) = (a.floor(), b.floor());
        Cell {
            storey: j,
            du: (a - i - 0.5).abs() * 2.0,
            dv: (b - j - 0.55).abs() * 2.0,
            random: hash_unit(i as i32, j as i32, self.seed ^ 77),
        }
    }

    /// A shop front: a name board at the top, glass below it, a plinth.
    fn shop_front(&self, u: f32, v: f32, du: f32) -> Colour {
        if v > self.pitch.1 * 0.8 {
            self.base
        } else if v < 0.5 || du > 0.85 {
            scale(self.base, 0.6)
        } else {
            mix(self.glass, self.frame, 0.4 * noise(u * 1.5, v * 1.5, self.seed))
        }
    }

    /// A window: its frame, or a pane that is lit, reflects the sky, or is dark.
    fn window_at(&self, cell: &Cell, fade: f32) -> Colour {
        let (w, h) = self.window;
        if (cell.du < 0.06 || cell.dv > h - 0.12 || cell.du > w - 0.1) && fade > 0.3 {
            self.frame
        } else if cell.random > 0.9 {
            [0.85, 0.75, 0.50]
        } else if cell.random > 0.7 {
            mix(self.glass, [0.70, 0.78, 0.86], 0.6)
        } else {
            scale(self.glass, 0.7 + 0.6 * cell.random)
        }
    }

    pub fn draw(&self, canvas: &mut Canvas, camera: &Camera, light: &Light) {
        self.draw_front(canvas, camera, light);
        self.draw_gable(canvas, camera, light);
    }

    fn draw_front(&self, canvas: &mut Canvas, camera: &Camera, light: &Light) {
        let facing = -self.out * light.sun[0];
        let slant = self.roof * 0.15;
        canvas.wall(camera, self.x, (self.near, self.far), self.top() - slant, |z, v, _| {
            let c = self.surface(z - self.near, v, camera.footprint(z));
            Some((light.haze(light.shade(c, facing, 1.0), z), BUILDING))
        });
    }

    fn draw_gable(&self, canvas: &mut Canvas, camera: &Camera, light: &Light) {
        let z = self.near;
        let centre = self.x + self.out * DEPTH * 0.5;
        canvas.billboard(camera, (centre, z), DEPTH * 0.5, (0.0, self.top()), |u, v, _| {
            let slope = DEPTH * 0.5 * (1.0 - (v - self.height) / self.roof);
            if v > self.height && u.abs() > slope {
                return None;
            }
            let without_windows = v > self.height || hash_unit(0, 0, self.seed) < 0.4;
            let c = if without_windows {
                scale(self.wall, 0.95)
            } else {
                self.surface(u + 40.0, v, camera.footprint(z))
            };
            Some((light.haze(light.shade(c, -light.sun[2], 1.0), z), BUILDING))
        });
    }
}

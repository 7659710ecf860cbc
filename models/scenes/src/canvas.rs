//! The picture being painted, and the three ways to paint on it.

use crate::camera::{Camera, pixels};
use crate::colour::Colour;

/// Nothing is painted nearer than this.
pub(crate) const NEAR: f32 = 0.6;

/// Colours and labels, row by row.
pub(crate) struct Canvas {
    pub width: usize,
    pub height: usize,
    pub colours: Vec<Colour>,
    pub labels: Vec<u8>,
}

impl Canvas {
    pub fn new(width: usize, height: usize) -> Self {
        let n = width * height;
        Canvas { width, height, colours: vec![[0.0; 3]; n], labels: vec![0; n] }
    }

    #[inline]
    fn put(&mut self, x: usize, y: usize, what: (Colour, u8)) {
        let i = y * self.width + x;
        self.colours[i] = what.0;
        self.labels[i] = what.1;
    }

    /// A plate facing the camera at distance `z`: `paint(u, v, under)` with `u` metres right of `x`, `v` above the ground.
    pub fn plate(
        &mut self,
        camera: &Camera,
        (x, z): (f32, f32),
        half: f32,
        (bottom, top): (f32, f32),
        mut paint: impl FnMut(f32, f32, Colour) -> Option<(Colour, u8)>,
    ) {
        if z < NEAR {
            return;
        }
        let columns = pixels(camera.column(x - half, z), camera.column(x + half, z), self.width);
        for py in pixels(camera.row(top, z), camera.row(bottom, z), self.height) {
            let v = camera.height - camera.slope_y(py) * z;
            for px in columns.clone() {
                let under = self.colours[py * self.width + px];
                if let Some(what) = paint(camera.slope_x(px) * z - x, v, under) {
                    self.put(px, py, what);
                }
            }
        }
    }

    /// A wall along the street at `x` from `near` to `far`: `paint(z, v, under)`.
    pub fn wall(
        &mut self,
        camera: &Camera,
        x: f32,
        (near, far): (f32, f32),
        top: f32,
        mut paint: impl FnMut(f32, f32, Colour) -> Option<(Colour, u8)>,
    ) {
        let near = near.max(NEAR);
        if near >= far {
            return;
        }
        let (a, b) = (camera.column(x, near), camera.column(x, far));
        for px in pixels(a.min(b), a.max(b), self.width) {
            let z = x / camera.slope_x(px);
            if !(near..=far).contains(&z) {
                continue;
            }
            for py in pixels(camera.row(top, z), camera.row(0.0, z), self.height) {
                let under = self.colours[py * self.width + px];
                if let Some(what) = paint(z, camera.height - camera.slope_y(py) * z, under) {
                    self.put(px, py, what);
                }
            }
        }
    }

    /// Every pixel of a box `low..high` in the world: `paint(slope_x, slope_y)` casts its own rays.
    pub fn solid(
        &mut self,
        camera: &Camera,
        low: [f32; 3],
        high: [f32; 3],
        mut paint: impl FnMut(f32, f32) -> Option<(Colour, u8)>,
    ) {
        if low[2] < NEAR {
            return;
        }
        let left = camera.column(low[0], low[2]).min(camera.column(low[0], high[2]));
        let right = camera.column(high[0], low[2]).max(camera.column(high[0], high[2]));
        let top = camera.row(high[1], low[2]).min(camera.row(high[1], high[2]));
        let bottom = camera.row(low[1], low[2]);
        for py in pixels(top, bottom, self.height) {
            for px in pixels(left, right, self.width) {
                if let Some(what) = paint(camera.slope_x(px), camera.slope_y(py)) {
                    self.put(px, py, what);
                }
            }
        }
    }
}

//! The picture being painted, and three shapes to paint: a billboard, a wall and a box.
//!
//! Each shape finds the pixels it covers and asks a `paint` function for the colour and class of each; `None` leaves
//! the pixel as it is. There is no depth buffer: later shapes cover earlier ones.

use crate::camera::{Camera, pixels};
use crate::colour::Colour;

/// The near plane: nothing closer to the camera is painted. In metres.
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
    fn put(&mut self, x: usize, y: usize, (colour, label): (Colour, u8)) {
        let i = y * self.width + x;
        self.colours[i] = colour;
        self.labels[i] = label;
    }

    /// A billboard: a rectangle that faces the camera at distance `z`. Calls `paint(u, v, beneath)` with `u` metres to
    /// the right of `x`, `v` metres above the ground, and the colour already there.
    pub fn billboard(
        &mut self,
        camera: &Camera,
        (x, z): (f32, f32),
        half_width: f32,
        (bottom, top): (f32, f32),
        mut paint: impl FnMut(f32, f32, Colour) -> Option<(Colour, u8)>,
    ) {
        if z < NEAR {
            return;
        }
        let columns = pixels(camera.column(x - half_width, z), camera.column(x + half_width, z), self.width);
        for py in pixels(camera.row(top, z), camera.row(bottom, z), self.height) {
            let v = camera.height - camera.slope_y(py) * z;
            for px in columns.clone() {
                let beneath = self.colours[py * self.width + px];
                if let Some(painted) = paint(camera.slope_x(px) * z - x, v, beneath) {
                    self.put(px, py, painted);
                }
            }
        }
    }

    /// A wall along the street at `x`, from distance `near` to `far` and from the ground to `top`. Calls
    /// `paint(z, v, beneath)`, `v` metres above the ground.
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
                let beneath = self.colours[py * self.width + px];
                if let Some(painted) = paint(z, camera.height - camera.slope_y(py) * z, beneath) {
                    self.put(px, py, painted);
                }
            }
        }
    }

    /// The smallest rectangle of pixels that covers a box from corner `low` to corner `high` (x, y, z). Calls
    /// `paint(slope_x, slope_y)` with the slopes of the pixel's ray; `paint` itself decides where the ray hits.
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
                if let Some(painted) = paint(camera.slope_x(px), camera.slope_y(py)) {
                    self.put(px, py, painted);
                }
            }
        }
    }
}

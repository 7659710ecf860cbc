//! A level pinhole camera.
//!
//! The world is in metres: x to the right, y up from the ground, z ahead. Picture coordinates are in pixels from the
//! top left corner; the centre of pixel 0 is at 0.5.

/// A level camera above `x = z = 0`.
#[derive(Clone, Copy)]
pub(crate) struct Camera {
    /// Focal lengths in pixels.
    pub fx: f32,
    pub fy: f32,
    /// The vanishing point in pixels.
    pub cx: f32,
    pub cy: f32,
    /// Metres above the ground.
    pub height: f32,
}

impl Camera {
    /// Horizontal slope of the ray through the centre of column `px`.
    #[inline]
    pub fn slope_x(&self, px: usize) -> f32 {
        (px as f32 + 0.5 - self.cx) / self.fx
    }

    /// Downward slope of the ray through the centre of row `py`.
    #[inline]
    pub fn slope_y(&self, py: usize) -> f32 {
        (py as f32 + 0.5 - self.cy) / self.fy
    }

    /// The picture column of a point, as a coordinate.
    pub fn column(&self, x: f32, z: f32) -> f32 {
        self.cx + self.fx * x / z
    }

    /// The picture row of a point, as a coordinate.
    pub fn row(&self, y: f32, z: f32) -> f32 {
        self.cy + self.fy * (self.height - y) / z
    }

    /// The footprint of a pixel: how many metres it covers at distance `z`.
    pub fn footprint(&self, z: f32) -> f32 {
        z / self.fy
    }
}

/// The pixels in `0..size` whose centres lie between two picture coordinates.
pub(crate) fn pixels(low: f32, high: f32, size: usize) -> core::ops::Range<usize> {
    let first = |v: f32| (v - 0.5).ceil().clamp(0.0, size as f32) as usize;
    first(low)..first(high)
}

//! The pinhole camera. The world is in metres: x to the right, y up from the ground, z ahead.

/// A level camera at `x = z = 0`, `height` above the ground.
#[derive(Clone, Copy)]
pub(crate) struct Camera {
    pub fx: f32,
    pub fy: f32,
    pub cx: f32,
    pub cy: f32,
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

    pub fn column(&self, x: f32, z: f32) -> f32 {
        self.cx + self.fx * x / z
    }

    pub fn row(&self, y: f32, z: f32) -> f32 {
        self.cy + self.fy * (self.height - y) / z
    }

    /// Metres one pixel covers at distance `z`.
    pub fn footprint(&self, z: f32) -> f32 {
        z / self.fy
    }
}

/// The pixels whose centres lie between two picture coordinates, within `0..size`.
pub(crate) fn pixels(low: f32, high: f32, size: usize) -> core::ops::Range<usize> {
    let at = |v: f32| (v - 0.5).ceil().clamp(0.0, size as f32) as usize;
    at(low)..at(high)
}

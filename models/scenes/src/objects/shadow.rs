//! Shadows of objects on the ground: soft capsules, the points within a radius of a segment.
//!
//! An object casts two: one in the direction of the sun's light, and one beneath it, where little of the sky's light
//! arrives.

use crate::camera::{Camera, pixels};
use crate::canvas::{Canvas, NEAR};
use crate::colour::scale;
use crate::light::Light;

/// The part of an object that casts its shadow, in metres.
pub(crate) struct Shadow {
    pub radius: f32,
    /// Its lowest and highest point above the ground.
    pub bottom: f32,
    pub top: f32,
    /// How far it extends away from the camera.
    pub length: f32,
}

impl Shadow {
    /// The shadow of an object that is short along the street.
    pub fn upright(radius: f32, bottom: f32, top: f32) -> Self {
        Shadow { radius, bottom, top, length: 0.0 }
    }

    /// Darkens the ground around an object at (`x`, `z`).
    pub fn draw(&self, canvas: &mut Canvas, camera: &Camera, light: &Light, (x, z): (f32, f32)) {
        let (offset_x, offset_z) = light.shadow_offset();
        let inset = if self.length > 0.0 { self.radius } else { 0.0 };
        let end = (self.length - inset).max(0.0);
        let from = (x + offset_x * self.bottom, z + offset_z * self.bottom + inset);
        let to = (x + offset_x * self.top, z + offset_z * self.top + end);
        darken_capsule(canvas, camera, from, to, self.radius, 1.0 - 0.5 * light.shadow_strength());
        let contact_radius = (self.radius * 0.9).min(0.9);
        darken_capsule(canvas, camera, (x, z + inset), (x, z + end), contact_radius, 0.6);
    }
}

/// Multiplies the ground within `radius` of the segment from `a` to `b` by `gain`, with a soft edge.
fn darken_capsule(
    canvas: &mut Canvas,
    camera: &Camera,
    a: (f32, f32),
    b: (f32, f32),
    radius: f32,
    gain: f32,
) {
    let near = (a.1.min(b.1) - radius).max(NEAR);
    let far = (a.1.max(b.1) + radius).max(near + 0.01);
    let (left, right) = (a.0.min(b.0) - radius, a.0.max(b.0) + radius);
    let low = camera.column(left, near).min(camera.column(left, far));
    let high = camera.column(right, near).max(camera.column(right, far));
    let (dx, dz) = (b.0 - a.0, b.1 - a.1);
    let squared_length = (dx * dx + dz * dz).max(1e-6);
    for py in pixels(camera.row(0.0, far), camera.row(0.0, near), canvas.height) {
        let z = camera.height / camera.slope_y(py);
        for px in pixels(low, high, canvas.width) {
            let x = camera.slope_x(px) * z;
            let t = (((x - a.0) * dx + (z - a.1) * dz) / squared_length).clamp(0.0, 1.0);
            let (ex, ez) = (x - a.0 - t * dx, z - a.1 - t * dz);
            let distance = (ex * ex + ez * ez).sqrt() / radius;
            if distance < 1.0 {
                let i = py * canvas.width + px;
                let strength = ((1.0 - distance) * 5.0).min(1.0);
                canvas.colours[i] = scale(canvas.colours[i], 1.0 + (gain - 1.0) * strength);
            }
        }
    }
}

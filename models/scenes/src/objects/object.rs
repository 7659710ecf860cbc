//! An object: a shape and where it stands.

use super::shadow::Shadow;
use crate::camera::Camera;
use crate::canvas::Canvas;
use crate::light::Light;

/// What an object looks like, wherever it stands.
pub(crate) trait Shape: Send + Sync {
    fn draw(&self, canvas: &mut Canvas, placement: &Placement);

    fn shadow(&self) -> Shadow;
}

/// Where and under what light a shape is painted.
pub(crate) struct Placement<'a> {
    pub camera: &'a Camera,
    pub light: &'a Light,
    pub x: f32,
    pub z: f32,
    /// 1 in the sun, 0 in the shadow of a house.
    pub lit: f32,
}

pub(crate) struct Object {
    pub x: f32,
    pub z: f32,
    shape: Box<dyn Shape>,
}

impl Object {
    pub fn new(x: f32, z: f32, shape: impl Shape + 'static) -> Self {
        Object { x, z, shape: Box::new(shape) }
    }

    pub fn draw(&self, canvas: &mut Canvas, camera: &Camera, light: &Light, lit: f32) {
        self.shape.draw(canvas, &Placement { camera, light, x: self.x, z: self.z, lit });
    }

    pub fn draw_shadow(&self, canvas: &mut Canvas, camera: &Camera, light: &Light) {
        self.shape.shadow().draw(canvas, camera, light, (self.x, self.z));
    }
}

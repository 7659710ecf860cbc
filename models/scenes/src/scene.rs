//! A scene and its rendering: a street, its light, and the camera that looks at it.

use crate::camera::Camera;
use crate::canvas::Canvas;
use crate::light::Light;
use crate::rng::Rng;
use crate::road::outward;
use crate::sensor::Sensor;
use crate::street::Street;

/// The first held-out seed: the demonstration model was trained on smaller seeds only.
pub const HELD_OUT: u64 = 1_000_000;

/// A picture with a class for every pixel.
pub struct Picture {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Red, green and blue of every pixel, row by row.
    pub rgb: Vec<u8>,
    /// The class of every pixel, an index into [`CLASSES`](crate::CLASSES), row by row.
    pub labels: Vec<u8>,
}

/// A street, its light and the camera that looks at it. Independent of the picture's size.
pub struct Scene {
    light: Light,
    street: Street,
    sensor: Sensor,
    /// Focal length as a share of the picture's height.
    focal: f32,
    /// The vanishing point, as a share of the picture's width and height.
    vanishing_point: (f32, f32),
    /// Height of the camera in metres.
    eye: f32,
}

impl Scene {
    /// The scene of a seed.
    pub fn new(seed: u64) -> Self {
        let rng = &mut Rng::new(seed);
        let light = Light::new(rng);
        let street = Street::new(rng);
        Scene {
            street,
            light,
            sensor: Sensor::new(rng),
            focal: rng.range(0.8, 1.25),
            vanishing_point: (rng.range(0.3, 0.7), rng.range(0.36, 0.56)),
            eye: if rng.chance(0.4) { rng.range(2.3, 4.5) } else { rng.range(1.4, 2.3) },
        }
    }

    /// Draws the scene in any size.
    ///
    /// # Panics
    /// If a side is 0.
    pub fn render(&self, width: usize, height: usize) -> Picture {
        assert!(width > 0 && height > 0, "a picture must be at least 1 pixel wide and 1 pixel high");
        let focal = self.focal * height as f32;
        let (x, y) = self.vanishing_point;
        let (cx, cy) = (x * width as f32, y * height as f32);
        let camera = Camera { fx: focal, fy: focal, cx, cy, height: self.eye };
        let mut canvas = Canvas::new(width, height);
        self.paint(&mut canvas, &camera);
        let rgb = self.sensor.expose(&mut canvas);
        Picture { width, height, rgb, labels: canvas.labels }
    }

    /// Paints from far to near, so that near objects cover far ones.
    fn paint(&self, canvas: &mut Canvas, camera: &Camera) {
        let (street, light) = (&self.street, &self.light);
        let lit = |x: f32, z: f32| if street.in_shadow(x, z, 1.0, light) { 0.0 } else { 1.0 };
        street.draw_backdrop(canvas, camera, light);
        for object in street.sides.iter().flat_map(|s| &s.trees).chain(&street.objects) {
            object.draw_shadow(canvas, camera, light);
        }
        for (s, side) in street.sides.iter().enumerate() {
            for building in &side.buildings {
                building.draw(canvas, camera, light);
            }
            for tree in &side.trees {
                tree.draw(canvas, camera, light, lit(tree.x, tree.z));
            }
            if let Some(fence) = &side.fence {
                let x = street.road.middle + outward(s) * (street.road.half + side.verge + side.pavement);
                fence.draw(canvas, camera, light, lit(x, 12.0));
            }
        }
        for object in &street.objects {
            object.draw(canvas, camera, light, lit(object.x, object.z));
        }
    }
}

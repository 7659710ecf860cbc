//! Labelled street scenes drawn from a seed.
//!
//! The same seed and size give the same bytes everywhere: arithmetic is integers and plain `f32`
//! operations, the few cosines come from `libm`. The demonstration model is trained on these scenes;
//! tests and benches use unseen seeds, from [`HELD_OUT`] on.
//!
//! ```
//! let picture = beitle_scenes::Scene::new(7).render(64, 48);
//! assert_eq!(picture.rgb.len(), 64 * 48 * 3);
//! assert!(picture.labels.iter().all(|&l| usize::from(l) < beitle_scenes::CLASSES.len()));
//! ```
#![forbid(unsafe_code)]

mod building;
mod camera;
mod canvas;
mod classes;
mod colour;
mod ground;
mod jpeg;
mod light;
mod rng;
mod sensor;
mod street;
mod things;

pub use classes::{CLASSES, PALETTE};

use camera::Camera;
use canvas::Canvas;
use light::Light;
use rng::Rng;
use sensor::Sensor;
use street::{Street, sign};

/// The demonstration model has seen no scene with a seed from here on.
pub const HELD_OUT: u64 = 1_000_000;

/// A picture with a class for every pixel.
pub struct Picture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green and blue of every pixel, row by row.
    pub rgb: Vec<u8>,
    /// An index into [`CLASSES`] for every pixel.
    pub labels: Vec<u8>,
}

/// A street, its weather and the camera that looks at it.
pub struct Scene {
    light: Light,
    street: Street,
    sensor: Sensor,
    /// Focal length in picture heights.
    focal: f32,
    /// Where the street vanishes, in picture widths and heights.
    vanish: (f32, f32),
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
            vanish: (rng.range(0.3, 0.7), rng.range(0.36, 0.56)),
            eye: if rng.chance(0.4) { rng.range(2.3, 4.5) } else { rng.range(1.4, 2.3) },
        }
    }

    /// The picture at any size; both sides must be at least one pixel.
    pub fn render(&self, width: usize, height: usize) -> Picture {
        assert!(width > 0 && height > 0, "a picture has at least one pixel");
        let f = self.focal * height as f32;
        let (cx, cy) = (self.vanish.0 * width as f32, self.vanish.1 * height as f32);
        let camera = Camera { fx: f, fy: f, cx, cy, height: self.eye };
        let mut canvas = Canvas::new(width, height);
        self.paint(&mut canvas, &camera);
        let rgb = self.sensor.expose(&mut canvas);
        Picture { width, height, rgb, labels: canvas.labels }
    }

    /// Far to near: what occludes comes later.
    fn paint(&self, canvas: &mut Canvas, camera: &Camera) {
        let (street, light) = (&self.street, &self.light);
        let lit = |x: f32, z: f32| if street.in_shadow(x, z, 1.0, light) { 0.0 } else { 1.0 };
        street.draw_backdrop(canvas, camera, light);
        for thing in street.sides.iter().flat_map(|s| &s.trees).chain(&street.things) {
            thing.draw_shadow(canvas, camera, light);
        }
        for (s, side) in street.sides.iter().enumerate() {
            for building in &side.buildings {
                building.draw(canvas, camera, light);
            }
            for tree in &side.trees {
                tree.draw(canvas, camera, light, lit(tree.x, tree.z));
            }
            if let Some(fence) = &side.fence {
                let x = street.middle + sign(s) * (street.half + side.verge + side.pavement);
                fence.draw(canvas, camera, light, lit(x, 12.0));
            }
        }
        for thing in &street.things {
            thing.draw(canvas, camera, light, lit(thing.x, thing.z));
        }
    }
}

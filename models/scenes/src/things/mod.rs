//! Things that stand on the ground, and their shadows.

pub(crate) mod car;
pub(crate) mod fence;
mod person;
mod post;
mod tree;

use crate::camera::{Camera, pixels};
use crate::canvas::{Canvas, NEAR};
use crate::colour::scale;
use crate::light::Light;
use crate::rng::Rng;

pub(crate) enum Kind {
    Car(car::Car),
    Person(person::Person),
    Lamp(post::Lamp),
    Sign(post::Sign),
    Tree(tree::Tree),
    Barrier(fence::Barrier),
}

/// One thing and where it stands.
pub(crate) struct Thing {
    pub x: f32,
    pub z: f32,
    pub kind: Kind,
}

/// Where and how a thing is painted.
pub(crate) struct Spot<'a> {
    pub camera: &'a Camera,
    pub light: &'a Light,
    pub x: f32,
    pub z: f32,
    /// 1 in the sun, 0 in the shadow of a house.
    pub lit: f32,
}

impl Thing {
    pub fn car(rng: &mut Rng, x: f32, z: f32, away: bool) -> Self {
        Thing { x, z, kind: Kind::Car(car::Car::new(rng, away)) }
    }

    pub fn person(rng: &mut Rng, x: f32, z: f32) -> Self {
        Thing { x, z, kind: Kind::Person(person::Person::new(rng)) }
    }

    pub fn lamp(rng: &mut Rng, x: f32, z: f32, out: f32) -> Self {
        Thing { x, z, kind: Kind::Lamp(post::Lamp::new(rng, z, -out)) }
    }

    pub fn sign(rng: &mut Rng, x: f32, z: f32) -> Self {
        Thing { x, z, kind: Kind::Sign(post::Sign::new(rng, z)) }
    }

    pub fn tree(rng: &mut Rng, x: f32, z: f32) -> Self {
        Thing { x, z, kind: Kind::Tree(tree::Tree::new(rng)) }
    }

    pub fn barrier(rng: &mut Rng, x: f32, z: f32) -> Self {
        Thing { x, z, kind: Kind::Barrier(fence::Barrier::new(rng)) }
    }

    pub fn draw(&self, canvas: &mut Canvas, camera: &Camera, light: &Light, lit: f32) {
        let spot = Spot { camera, light, x: self.x, z: self.z, lit };
        match &self.kind {
            Kind::Car(car) => car.draw(canvas, &spot),
            Kind::Person(person) => person.draw(canvas, &spot),
            Kind::Lamp(lamp) => lamp.draw(canvas, &spot),
            Kind::Sign(sign) => sign.draw(canvas, &spot),
            Kind::Tree(tree) => tree.draw(canvas, &spot),
            Kind::Barrier(barrier) => barrier.draw(canvas, &spot),
        }
    }

    /// Darkens the ground beneath and behind, seen from the sun.
    pub fn draw_shadow(&self, canvas: &mut Canvas, camera: &Camera, light: &Light) {
        let (sx, sz) = light.cast();
        let (radius, from, to, length) = match &self.kind {
            Kind::Car(car) => (car.half() * 0.95, 0.0, 0.6, car.length),
            Kind::Person(_) => (0.25, 0.0, 1.6, 0.0),
            Kind::Lamp(lamp) => (lamp.half, 0.0, lamp.height, 0.0),
            Kind::Sign(_) => (0.25, 0.0, 2.4, 0.0),
            Kind::Tree(tree) => (tree.radius * 0.8, tree.trunk, tree.trunk + tree.radius, 0.0),
            Kind::Barrier(_) => (0.3, 0.0, 0.8, 0.0),
        };
        let strong = 0.5 * light.strength();
        let inset = if length > 0.0 { radius } else { 0.0 };
        let a = (self.x + sx * from, self.z + sz * from + inset);
        let b = (self.x + sx * to, self.z + sz * to + (length - inset).max(0.0));
        capsule(canvas, camera, a, b, radius, 1.0 - strong);
        // Where it touches the ground no sky reaches either.
        let c = (self.x, self.z + inset);
        capsule(
            canvas,
            camera,
            c,
            (self.x, self.z + (length - inset).max(0.0)),
            (radius * 0.9).min(0.9),
            0.6,
        );
    }
}

/// Multiplies the ground within `radius` of the segment from `a` to `b` by `gain`, softly at the rim.
fn capsule(canvas: &mut Canvas, camera: &Camera, a: (f32, f32), b: (f32, f32), radius: f32, gain: f32) {
    let near = (a.1.min(b.1) - radius).max(NEAR);
    let far = (a.1.max(b.1) + radius).max(near + 0.01);
    let (left, right) = (a.0.min(b.0) - radius, a.0.max(b.0) + radius);
    let low = camera.column(left, near).min(camera.column(left, far));
    let high = camera.column(right, near).max(camera.column(right, far));
    let (dx, dz) = (b.0 - a.0, b.1 - a.1);
    let whole = (dx * dx + dz * dz).max(1e-6);
    for py in pixels(camera.row(0.0, far), camera.row(0.0, near), canvas.height) {
        let z = camera.height / camera.slope_y(py);
        for px in pixels(low, high, canvas.width) {
            let x = camera.slope_x(px) * z;
            let t = (((x - a.0) * dx + (z - a.1) * dz) / whole).clamp(0.0, 1.0);
            let (ex, ez) = (x - a.0 - t * dx, z - a.1 - t * dz);
            let d = (ex * ex + ez * ez).sqrt() / radius;
            if d < 1.0 {
                let i = py * canvas.width + px;
                let soft = ((1.0 - d) * 5.0).min(1.0);
                canvas.colours[i] = scale(canvas.colours[i], 1.0 + (gain - 1.0) * soft);
            }
        }
    }
}

//! Sky, skyline and ground: the part of the picture that every other object is painted on.

use crate::camera::Camera;
use crate::canvas::Canvas;
use crate::classes::{BUILDING, GRASS, PAVEMENT, ROAD, SKY, TREE, WATER};
use crate::colour::{Colour, mix, scale};
use crate::ground::Texture;
use crate::light::Light;
use crate::noise::{fractal_noise, hash_unit, noise};
use crate::road::within;
use crate::side::Yard;
use crate::street::Street;

/// Distance of the skyline in metres; the ground ends there.
const END: f32 = 130.0;

impl Street {
    /// Paints every pixel of the picture.
    pub fn draw_backdrop(&self, canvas: &mut Canvas, camera: &Camera, light: &Light) {
        let (width, height) = (canvas.width, canvas.height);
        let skyline: Vec<(f32, u8, Colour)> =
            (0..width).map(|px| self.skyline(camera.slope_x(px), light)).collect();
        for py in 0..height {
            let dy = camera.slope_y(py);
            for (px, &(top, class, colour)) in skyline.iter().enumerate() {
                let dx = camera.slope_x(px);
                let i = py * width + px;
                let (c, label) = if dy * END > camera.height {
                    let z = camera.height / dy;
                    self.ground_at(dx * z, z, camera.footprint(z), light)
                } else if camera.height - dy * END < top {
                    let grain = noise(dx * 160.0, dy * 160.0, self.backdrop_seed);
                    (light.haze(scale(colour, 0.75 + 0.5 * grain), END), class)
                } else {
                    (self.sky(dx, -dy, light), SKY)
                };
                canvas.colours[i] = c;
                canvas.labels[i] = label;
            }
        }
    }

    /// Height, class and colour of the skyline in the direction of horizontal slope `dx`.
    fn skyline(&self, dx: f32, light: &Light) -> (f32, u8, Colour) {
        let block = (dx * 9.0).floor();
        let random = hash_unit(block as i32, 3, self.backdrop_seed);
        if hash_unit((dx * 2.2).floor() as i32, 9, self.backdrop_seed) < 0.5 {
            let top = self.skyline * (0.55 + 0.4 * random);
            let colour = mix([0.45, 0.42, 0.42], [0.75, 0.70, 0.62], random);
            (top, BUILDING, light.shade(colour, 0.3, 1.0))
        } else {
            let top = self.skyline * (0.35 + 0.5 * fractal_noise(dx * 14.0, 0.5, self.backdrop_seed));
            (top, TREE, light.shade([0.20, 0.30, 0.14], 0.4, 1.0))
        }
    }

    /// The sky in the direction of horizontal slope `dx` and upward slope `up`.
    fn sky(&self, dx: f32, up: f32, light: &Light) -> Colour {
        let up = up.max(0.0);
        let blue = mix(light.horizon, light.zenith, (up * 1.6).min(1.0));
        // Clouds lie on a horizontal plane, so they look smaller towards the horizon.
        let distance = 1.0 / (up + 0.12);
        let clouds = fractal_noise(dx * distance * 0.7, distance * 1.3, self.backdrop_seed ^ 5);
        let density = clouds + 0.5 * light.cloudiness - 0.68;
        let t = (density * 4.0).clamp(0.0, 1.0) * (up * 6.0).min(1.0);
        mix(blue, light.cloud, t * 0.85)
    }

    /// Colour and class of the ground at (`x`, `z`), seen with pixels of `footprint` metres.
    fn ground_at(&self, x: f32, z: f32, footprint: f32, light: &Light) -> (Colour, u8) {
        let side = &self.sides[usize::from(x > self.road.middle)];
        let d = (x - self.road.middle).abs() - self.road.half;
        let on_crossing = within(self.road.crossing, z, 0.0);
        let in_yard = d >= side.verge + side.pavement;
        let texture = self.texture(x, z, footprint);
        let (c, label) = if d < 0.0 || on_crossing {
            (self.ground.asphalt(&self.road, &self.markings, (x, z), d, &texture), ROAD)
        } else if within(self.road.crossing, z, 1.8) && !(in_yard && side.yard == Yard::Water) {
            (self.ground.paving(x, z, &texture), PAVEMENT)
        } else if d < side.verge || (in_yard && side.yard == Yard::Lawn) {
            (self.grass(x, z, footprint, &texture), GRASS)
        } else if in_yard && side.yard == Yard::Water && d < side.building_line() {
            return (self.water(x, z, footprint, light), WATER);
        } else {
            (self.ground.paving(x, z, &texture), PAVEMENT)
        };
        let kerb = if label == PAVEMENT && d < 0.18 && !on_crossing { 1.15 } else { 1.0 };
        let lit = if self.in_shadow(x, z, 0.0, light) { 0.0 } else { 1.0 };
        (light.haze(light.shade(scale(c, kerb), light.sun[1], lit), z), label)
    }

    fn texture(&self, x: f32, z: f32, footprint: f32) -> Texture {
        let seed = self.ground.seed;
        Texture {
            patch: noise(x * 0.7, z * 0.35, seed) - 0.5,
            grain: hash_unit((x * 40.0).floor() as i32, (z * 40.0).floor() as i32, seed) - 0.5,
            detail: (0.05 / footprint).min(1.0),
        }
    }

    fn grass(&self, x: f32, z: f32, footprint: f32, texture: &Texture) -> Colour {
        let blades = noise(x * 6.0, z * 3.0, self.ground.seed) - 0.5;
        let k = 1.0
            + 0.5 * texture.patch
            + 0.5 * texture.detail * texture.grain
            + 0.5 * blades * (0.4 / footprint).min(1.0);
        scale(self.ground.grass, k)
    }

    /// Water with ripples, which reflects more of the sky the farther away it is. Haze is included.
    fn water(&self, x: f32, z: f32, footprint: f32, light: &Light) -> Colour {
        let seed = self.ground.seed;
        let ripple = noise(x * 1.2, z * 2.5, seed) + 0.6 * noise(x * 3.1, z * 6.0, seed ^ 3) - 0.8;
        let reflection = (z / (z + 12.0)).min(0.8);
        let c = mix(self.ground.water, mix(light.horizon, light.zenith, 0.4), reflection * 0.45);
        light.haze(scale(c, 1.0 + 0.35 * ripple * (0.4 / footprint).min(1.0)), z)
    }
}

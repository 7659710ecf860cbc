//! Sky, skyline and ground: everything flat or far away.

use crate::camera::Camera;
use crate::canvas::Canvas;
use crate::classes::{BUILDING, GRASS, PAVEMENT, ROAD, SKY, TREE, WATER};
use crate::colour::{Colour, mix, scale};
use crate::light::Light;
use crate::rng::{clouds, noise, speck};
use crate::street::{Street, Yard, sign, within};

/// The skyline stands here.
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
                    let grain = noise(dx * 160.0, dy * 160.0, self.backdrop);
                    (light.haze(scale(colour, 0.75 + 0.5 * grain), END), class)
                } else {
                    (self.sky(dx, -dy, light), SKY)
                };
                canvas.colours[i] = c;
                canvas.labels[i] = label;
            }
        }
    }

    /// Height, class and colour of the skyline in a direction.
    fn skyline(&self, dx: f32, light: &Light) -> (f32, u8, Colour) {
        let block = (dx * 9.0).floor();
        let lot = speck(block as i32, 3, self.backdrop);
        if speck((dx * 2.2).floor() as i32, 9, self.backdrop) < 0.5 {
            let top = self.skyline * (0.55 + 0.4 * lot);
            (top, BUILDING, light.shade(mix([0.45, 0.42, 0.42], [0.75, 0.70, 0.62], lot), 0.3, 1.0))
        } else {
            let top = self.skyline * (0.35 + 0.5 * clouds(dx * 14.0, 0.5, self.backdrop));
            (top, TREE, light.shade([0.20, 0.30, 0.14], 0.4, 1.0))
        }
    }

    /// The sky at slope `up` above the horizon.
    fn sky(&self, dx: f32, up: f32, light: &Light) -> Colour {
        let up = up.max(0.0);
        let blue = mix(light.horizon, light.zenith, (up * 1.6).min(1.0));
        // Clouds lie on a ceiling and so crowd towards the horizon.
        let far = 1.0 / (up + 0.12);
        let thick = clouds(dx * far * 0.7, far * 1.3, self.backdrop ^ 5) + 0.5 * light.cloudiness - 0.68;
        let t = (thick * 4.0).clamp(0.0, 1.0) * (up * 6.0).min(1.0);
        mix(blue, light.cloud, t * 0.85)
    }

    fn ground_at(&self, x: f32, z: f32, foot: f32, light: &Light) -> (Colour, u8) {
        let side = usize::from(x > self.middle);
        let here = &self.sides[side];
        let d = (x - self.middle).abs() - self.half;
        let (crossed, seed) = (within(self.crossing, z, 0.0), self.ground.seed);
        let fine = (0.05 / foot).min(1.0);
        let grain = speck((x * 40.0).floor() as i32, (z * 40.0).floor() as i32, seed) - 0.5;
        let patch = noise(x * 0.7, z * 0.35, seed) - 0.5;
        let yard = d >= here.verge + here.pavement;
        let (c, label) = if d < 0.0 || crossed {
            (self.asphalt(x, z, d, grain * fine, patch), ROAD)
        } else if within(self.crossing, z, 1.8) && !(yard && here.yard == Yard::Water) {
            (self.tiles(x, z, fine, patch), PAVEMENT)
        } else if d < here.verge || (yard && here.yard == Yard::Lawn) {
            let blades = noise(x * 6.0, z * 3.0, seed) - 0.5;
            let k = 1.0 + 0.5 * patch + 0.5 * fine * grain + 0.5 * blades * (0.4 / foot).min(1.0);
            (scale(self.ground.grass, k), GRASS)
        } else if yard && here.yard == Yard::Water && d < here.line() {
            let ripple = noise(x * 1.2, z * 2.5, seed) + 0.6 * noise(x * 3.1, z * 6.0, seed ^ 3) - 0.8;
            let glare = (z / (z + 12.0)).min(0.8);
            let c = mix(self.ground.water, mix(light.horizon, light.zenith, 0.4), glare * 0.45);
            return (light.haze(scale(c, 1.0 + 0.35 * ripple * (0.4 / foot).min(1.0)), z), WATER);
        } else {
            (self.tiles(x, z, fine, patch), PAVEMENT)
        };
        let kerb = if label == PAVEMENT && d < 0.18 && !crossed { 1.15 } else { 1.0 };
        let lit = if self.in_shadow(x, z, 0.0, light) { 0.0 } else { 1.0 };
        (light.haze(light.shade(scale(c, kerb), light.sun[1], lit), z), label)
    }

    fn asphalt(&self, x: f32, z: f32, d: f32, grain: f32, patch: f32) -> Colour {
        let plain = scale(self.ground.road, 1.0 + 0.35 * patch + 0.3 * grain);
        let across = x - self.middle;
        let marked = if within(self.zebra, z, 0.0) && d < 0.0 {
            let stripe = across * 0.9;
            stripe - stripe.floor() < 0.5
        } else if d >= 0.0 || within(self.crossing, z, 0.0) {
            false
        } else {
            let dash = z / self.dashes;
            let centre = across.abs() < 0.09 && dash - dash.floor() < 0.55;
            centre || (self.edge_lines && (d + 0.35).abs() < 0.07)
        };
        if marked { mix(plain, self.ground.paint, 0.8 + 0.3 * patch) } else { plain }
    }

    fn tiles(&self, x: f32, z: f32, fine: f32, patch: f32) -> Colour {
        let (a, b) = (x / self.ground.tile, z / self.ground.tile);
        let (i, j) = (a.floor(), b.floor());
        let joint = a - i < 0.06 || b - j < 0.06;
        let tone =
            0.12 * (speck(i as i32, j as i32, self.ground.seed) - 0.5) - if joint { 0.25 } else { 0.0 };
        scale(self.ground.pavement, 1.0 + 0.25 * patch + tone * (fine * 4.0).min(1.0))
    }

    /// Whether a house stands between this point and the sun.
    pub fn in_shadow(&self, x: f32, z: f32, y: f32, light: &Light) -> bool {
        let (along_x, along_z) = light.cast();
        let side = usize::from(along_x < 0.0);
        let wall = self.middle + sign(side) * (self.half + self.sides[side].line());
        let t = (x - wall) / along_x;
        if t < 0.0 {
            return false;
        }
        let from = z - t * along_z;
        self.sides[side].buildings.iter().any(|b| (b.near..b.far).contains(&from) && b.top() > t + y)
    }
}

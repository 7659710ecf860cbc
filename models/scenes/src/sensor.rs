//! What a cheap camera does to a picture: soft optics, vignette, exposure, noise and block artefacts.

use crate::canvas::Canvas;
use crate::colour::Colour;
use crate::jpeg;
use crate::rng::{Rng, hash};

pub(crate) struct Sensor {
    blur: f32,
    vignette: f32,
    gain: Colour,
    lift: f32,
    noise: f32,
    quality: Option<f32>,
    seed: u32,
}

impl Sensor {
    pub fn new(rng: &mut Rng) -> Self {
        let exposure = rng.range(0.75, 1.25);
        Sensor {
            blur: rng.range(0.1, 0.6),
            vignette: rng.range(0.0, 0.3),
            gain: [rng.range(0.93, 1.07), 1.0, rng.range(0.93, 1.07)].map(|g| g * exposure),
            lift: rng.range(0.0, 0.06),
            noise: if rng.chance(0.1) { rng.range(0.02, 0.04) } else { rng.range(0.003, 0.02) },
            quality: rng.chance(0.7).then(|| rng.range(0.2, 1.6)),
            seed: rng.seed(),
        }
    }

    /// Bytes, three for every pixel.
    pub fn expose(&self, canvas: &mut Canvas) -> Vec<u8> {
        let (w, h) = (canvas.width, canvas.height);
        soften(&mut canvas.colours, w, h, self.blur);
        for (y, row) in canvas.colours.chunks_exact_mut(w).enumerate() {
            let dy = (y as f32 + 0.5) / h as f32 - 0.5;
            for (x, c) in row.iter_mut().enumerate() {
                let dx = (x as f32 + 0.5) / w as f32 - 0.5;
                let k = 1.0 - self.vignette * 2.0 * (dx * dx + dy * dy);
                let bits = hash(x as i32, y as i32, self.seed);
                for (i, v) in c.iter_mut().enumerate() {
                    // Four sums of bits make something close to a bell.
                    let r = bits.rotate_left(10 * i as u32);
                    let bell = ((r & 255) + (r >> 8 & 255) + (r >> 16 & 255)) as f32 * (1.0 / 255.0) - 1.5;
                    let lit = *v * self.gain[i] * k;
                    let shoulder =
                        if lit > 0.8 { 0.8 + 0.2 * (1.0 - 1.0 / (1.0 + (lit - 0.8) * 5.0)) } else { lit };
                    *v = self.lift + (1.0 - self.lift) * shoulder + 2.0 * self.noise * bell;
                }
            }
        }
        if let Some(q) = self.quality {
            jpeg::degrade(&mut canvas.colours, w, h, q);
        }
        canvas.colours.iter().flat_map(|c| c.map(|v| (v.clamp(0.0, 1.0) * 255.0 + 0.5) as u8)).collect()
    }
}

/// A three-tap blur both ways; `t` of it.
fn soften(colours: &mut [Colour], w: usize, h: usize, t: f32) {
    let side = 0.25 * t;
    let blend = |a: Colour, b: Colour, c: Colour| [0, 1, 2].map(|i| b[i] + side * (a[i] - 2.0 * b[i] + c[i]));
    for row in colours.chunks_exact_mut(w) {
        let mut before = row[0];
        for x in 0..w {
            let here = row[x];
            row[x] = blend(before, here, row[(x + 1).min(w - 1)]);
            before = here;
        }
    }
    let mut before: Vec<Colour> = colours[..w].to_vec();
    for y in 0..h {
        let next = (y + 1).min(h - 1) * w;
        for x in 0..w {
            let here = colours[y * w + x];
            colours[y * w + x] = blend(before[x], here, colours[next + x]);
            before[x] = here;
        }
    }
}

//! The faults of a cheap camera: soft optics, vignetting, wrong exposure, noise and JPEG artefacts.
//!
//! In: a painted canvas. Out: its bytes. Labels are not touched.

use crate::canvas::Canvas;
use crate::colour::Colour;
use crate::jpeg;
use crate::noise::hash;
use crate::rng::Rng;

pub(crate) struct Sensor {
    /// Strength of the blur, from 0 to 1.
    blur: f32,
    vignette: f32,
    /// Exposure and white balance.
    gain: Colour,
    /// Brightness of black.
    lift: f32,
    noise: f32,
    /// Quantiser step of the JPEG artefacts; `None` for a picture without them.
    jpeg_step: Option<f32>,
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
            jpeg_step: rng.chance(0.7).then(|| rng.range(0.2, 1.6)),
            seed: rng.seed(),
        }
    }

    /// The picture that this camera takes of the canvas, as packed RGB. Changes the canvas's colours.
    pub fn expose(&self, canvas: &mut Canvas) -> Vec<u8> {
        let (w, h) = (canvas.width, canvas.height);
        blur(&mut canvas.colours, w, h, self.blur);
        for (y, row) in canvas.colours.chunks_exact_mut(w).enumerate() {
            let dy = (y as f32 + 0.5) / h as f32 - 0.5;
            for (x, c) in row.iter_mut().enumerate() {
                let dx = (x as f32 + 0.5) / w as f32 - 0.5;
                let falloff = 1.0 - self.vignette * 2.0 * (dx * dx + dy * dy);
                let bits = hash(x as i32, y as i32, self.seed);
                for (i, v) in c.iter_mut().enumerate() {
                    let lit = compress_highlights(*v * self.gain[i] * falloff);
                    let noise = bell(bits.rotate_left(10 * i as u32));
                    *v = self.lift + (1.0 - self.lift) * lit + 2.0 * self.noise * noise;
                }
            }
        }
        if let Some(step) = self.jpeg_step {
            jpeg::degrade(&mut canvas.colours, w, h, step);
        }
        canvas.colours.iter().flat_map(|c| c.map(|v| (v.clamp(0.0, 1.0) * 255.0 + 0.5) as u8)).collect()
    }
}

/// Compresses values above 0.8, so that they stay below 1.
fn compress_highlights(v: f32) -> f32 {
    if v > 0.8 { 0.8 + 0.2 * (1.0 - 1.0 / (1.0 + (v - 0.8) * 5.0)) } else { v }
}

/// A number in -1.5 to 1.5, distributed roughly as a bell curve: the sum of three of the bytes.
fn bell(bits: u32) -> f32 {
    ((bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255)) as f32 * (1.0 / 255.0) - 1.5
}

/// Filters with `[s, 1 - 2s, s]`, `s = strength / 4`, along rows and then along columns.
fn blur(colours: &mut [Colour], w: usize, h: usize, strength: f32) {
    let s = 0.25 * strength;
    let filter = |a: Colour, b: Colour, c: Colour| [0, 1, 2].map(|i| b[i] + s * (a[i] - 2.0 * b[i] + c[i]));
    for row in colours.chunks_exact_mut(w) {
        let mut before = row[0];
        for x in 0..w {
            let here = row[x];
            row[x] = filter(before, here, row[(x + 1).min(w - 1)]);
            before = here;
        }
    }
    let mut before: Vec<Colour> = colours[..w].to_vec();
    for y in 0..h {
        let next = (y + 1).min(h - 1) * w;
        for x in 0..w {
            let here = colours[y * w + x];
            colours[y * w + x] = filter(before[x], here, colours[next + x]);
            before[x] = here;
        }
    }
}

//! Squares for training: scenes drawn in one of several shapes and stretched to the model's input size.
//!
//! The network's input is a stretched picture, so training pictures are stretched too: RGB with a triangle filter as
//! in Pillow's bilinear resize, labels by the nearest pixel.

use beitle_scenes::{Picture, Scene};

/// RGB and labels of a scene, `size` x `size` pixels.
pub(crate) fn draw(seed: u64, size: usize) -> (Vec<u8>, Vec<u8>) {
    let (w, h) = match seed % 8 {
        0..4 => (size * 5 / 4, size * 15 / 16),
        4..6 => (size, size),
        6 => (size * 3 / 2, size),
        _ => (size * 5 / 2, size * 15 / 8),
    };
    let picture = Scene::new(seed).render(w, h);
    if (w, h) == (size, size) {
        return (picture.rgb, picture.labels);
    }
    (resize_rgb(&picture, size), resize_labels(&picture, size))
}

/// The filter weights of output sample `i` when `from` samples become `to`, and the first input sample.
fn filter_weights(i: usize, from: usize, to: usize) -> (usize, Vec<f32>) {
    let step = from as f32 / to as f32;
    let support = step.max(1.0);
    let centre = (i as f32 + 0.5) * step;
    let low = (centre - support + 0.5).max(0.0) as usize;
    let high = ((centre + support + 0.5) as usize).min(from);
    let weights: Vec<f32> =
        (low..high).map(|p| (1.0 - ((p as f32 + 0.5 - centre) / support).abs()).max(0.0)).collect();
    let sum: f32 = weights.iter().sum();
    (low, weights.iter().map(|v| v / sum).collect())
}

fn resize_rgb(picture: &Picture, size: usize) -> Vec<u8> {
    let (w, h) = (picture.width, picture.height);
    let mut rows = vec![0.0f32; size * h * 3];
    for x in 0..size {
        let (low, weights) = filter_weights(x, w, size);
        for y in 0..h {
            for c in 0..3 {
                let samples = picture.rgb[(y * w + low) * 3 + c..].iter().step_by(3);
                rows[(y * size + x) * 3 + c] =
                    weights.iter().zip(samples).map(|(v, &p)| v * f32::from(p)).sum();
            }
        }
    }
    let mut out = vec![0; size * size * 3];
    for y in 0..size {
        let (low, weights) = filter_weights(y, h, size);
        for x in 0..size * 3 {
            let samples = rows[low * size * 3 + x..].iter().step_by(size * 3);
            let sum: f32 = weights.iter().zip(samples).map(|(v, p)| v * p).sum();
            out[y * size * 3 + x] = (sum + 0.5).clamp(0.0, 255.0) as u8;
        }
    }
    out
}

fn resize_labels(picture: &Picture, size: usize) -> Vec<u8> {
    let (w, h) = (picture.width, picture.height);
    (0..size * size)
        .map(|i| {
            let (x, y) = (i % size, i / size);
            picture.labels[(2 * y + 1) * h / (2 * size) * w + (2 * x + 1) * w / (2 * size)]
        })
        .collect()
}

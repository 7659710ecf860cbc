//! `scenes`: writes scenes as PNG files, or as a stream of squares for training.

use std::error::Error;
use std::io::{self, Write};

use beitle_scenes::{PALETTE, Picture, Scene};
use image::RgbImage;

const USAGE: &str = "usage:
  scenes picture SEED WIDTH HEIGHT PICTURE.png [LABELS.png]   one scene and its label map (class numbers, grey)
  scenes sheet SEED ROWS COLUMNS SIZE SHEET.png               many scenes beside their coloured label maps
  scenes stream SEED COUNT SIZE                               to standard output, for every scene: SIZE*SIZE*3
                                                              bytes of colour, SIZE*SIZE bytes of labels
  scenes folder SEED COUNT WIDTH HEIGHT FOLDER                a data set: images/SEED.png and labels/SEED.png
  scenes raw SEED COUNT WIDTH HEIGHT                          the same, drawn at this very size";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize| -> Result<usize, Box<dyn Error>> { Ok(args.get(i).ok_or(USAGE)?.parse()?) };
    match args.first().map(String::as_str) {
        Some("picture") => {
            let picture = Scene::new(number(1)? as u64).render(number(2)?, number(3)?);
            let (w, h) = (picture.width as u32, picture.height as u32);
            let path = args.get(4).ok_or(USAGE)?;
            image::save_buffer(path, &picture.rgb, w, h, image::ColorType::Rgb8)?;
            if let Some(path) = args.get(5) {
                image::save_buffer(path, &picture.labels, w, h, image::ColorType::L8)?;
            }
        }
        Some("sheet") => {
            sheet(number(1)?, number(2)?, number(3)?, number(4)?).save(args.get(5).ok_or(USAGE)?)?;
        }
        Some("stream") => {
            let size = number(3)?;
            stream(number(1)?, number(2)?, |seed| square(seed, size))?;
        }
        Some("folder") => {
            let folder = std::path::Path::new(args.get(5).ok_or(USAGE)?);
            for seed in number(1)?..number(1)? + number(2)? {
                let picture = Scene::new(seed as u64).render(number(3)?, number(4)?);
                let (w, h) = (picture.width as u32, picture.height as u32);
                let kinds = [
                    ("images", &picture.rgb, image::ColorType::Rgb8),
                    ("labels", &picture.labels, image::ColorType::L8),
                ];
                for (kind, data, colour) in kinds {
                    std::fs::create_dir_all(folder.join(kind))?;
                    image::save_buffer(folder.join(kind).join(format!("{seed}.png")), data, w, h, colour)?;
                }
            }
        }
        Some("raw") => {
            let (width, height) = (number(3)?, number(4)?);
            stream(number(1)?, number(2)?, |seed| {
                let picture = Scene::new(seed).render(width, height);
                (picture.rgb, picture.labels)
            })?;
        }
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

/// Colours and labels of scene after scene to standard output.
fn stream(first: usize, count: usize, draw: impl Fn(u64) -> (Vec<u8>, Vec<u8>)) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for seed in first..first + count {
        let (rgb, labels) = draw(seed as u64);
        // A reader that has seen enough hangs up.
        match out.write_all(&rgb).and_then(|()| out.write_all(&labels)) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            other => other?,
        }
    }
    out.flush()
}

/// Scenes beside their label maps.
fn sheet(first: usize, rows: usize, columns: usize, size: usize) -> RgbImage {
    let mut sheet = RgbImage::new((2 * columns * size) as u32, (rows * size) as u32);
    for i in 0..rows * columns {
        let picture = Scene::new((first + i) as u64).render(size, size);
        let (left, top) = (i % columns * 2 * size, i / columns * size);
        for (at, &label) in picture.labels.iter().enumerate() {
            let (x, y) = ((left + at % size) as u32, (top + at / size) as u32);
            let rgb = [0, 1, 2].map(|c| picture.rgb[3 * at + c]);
            sheet.put_pixel(x, y, image::Rgb(rgb));
            sheet.put_pixel(x + size as u32, y, image::Rgb(PALETTE[usize::from(label)]));
        }
    }
    sheet
}

/// A scene as the model sees it: drawn at one of several shapes and squeezed into a square.
fn square(seed: u64, size: usize) -> (Vec<u8>, Vec<u8>) {
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
    (squeeze(&picture, size), nearest(&picture, size))
}

/// Triangle-filter weights from `from` samples to sample `i` of `to`, as Pillow's bilinear filter has them.
fn taps(i: usize, from: usize, to: usize) -> (usize, Vec<f32>) {
    let step = from as f32 / to as f32;
    let reach = step.max(1.0);
    let centre = (i as f32 + 0.5) * step;
    let low = (centre - reach + 0.5).max(0.0) as usize;
    let high = ((centre + reach + 0.5) as usize).min(from);
    let raw: Vec<f32> =
        (low..high).map(|p| (1.0 - ((p as f32 + 0.5 - centre) / reach).abs()).max(0.0)).collect();
    let sum: f32 = raw.iter().sum();
    (low, raw.iter().map(|v| v / sum).collect())
}

fn squeeze(picture: &Picture, size: usize) -> Vec<u8> {
    let (w, h) = (picture.width, picture.height);
    let mut wide = vec![0.0f32; size * h * 3];
    for x in 0..size {
        let (low, weights) = taps(x, w, size);
        for y in 0..h {
            for c in 0..3 {
                let row = weights
                    .iter()
                    .enumerate()
                    .map(|(k, v)| v * f32::from(picture.rgb[(y * w + low + k) * 3 + c]));
                wide[(y * size + x) * 3 + c] = row.sum();
            }
        }
    }
    let mut out = vec![0; size * size * 3];
    for y in 0..size {
        let (low, weights) = taps(y, h, size);
        for x in 0..size * 3 {
            let sum: f32 = weights.iter().enumerate().map(|(k, v)| v * wide[(low + k) * size * 3 + x]).sum();
            out[y * size * 3 + x] = (sum + 0.5).clamp(0.0, 255.0) as u8;
        }
    }
    out
}

fn nearest(picture: &Picture, size: usize) -> Vec<u8> {
    let (w, h) = (picture.width, picture.height);
    (0..size * size)
        .map(|i| {
            let (x, y) = (i % size, i / size);
            picture.labels[(2 * y + 1) * h / (2 * size) * w + (2 * x + 1) * w / (2 * size)]
        })
        .collect()
}

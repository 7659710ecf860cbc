//! The `scenes` command: draws scenes into PNG files, or streams their bytes to a training or scoring script.

mod square;

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;

use beitle_scenes::{PALETTE, Picture, Scene};
use image::{ColorType, RgbImage};

const USAGE: &str = "usage:
  scenes picture SEED WIDTH HEIGHT PICTURE.png [LABELS.png]   one scene and its label map (class numbers as grey)
  scenes sheet SEED ROWS COLUMNS SIZE SHEET.png               a table of scenes, each beside its coloured label map
  scenes stream SEED COUNT SIZE                               squares for training, to standard output: for each
                                                              scene SIZE*SIZE*3 bytes of RGB, SIZE*SIZE of labels
  scenes folder SEED COUNT WIDTH HEIGHT FOLDER                a data set: images/SEED.png and labels/SEED.png
  scenes raw SEED COUNT WIDTH HEIGHT                          in the format of stream, but not stretched";

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize| -> Result<usize, Box<dyn Error>> { Ok(args.get(i).ok_or(USAGE)?.parse()?) };
    match args.first().map(String::as_str) {
        Some("picture") => {
            let picture = Scene::new(number(1)? as u64).render(number(2)?, number(3)?);
            save(&picture, args.get(4).ok_or(USAGE)?.as_ref(), args.get(5).map(Path::new))?;
        }
        Some("sheet") => {
            sheet(number(1)?, number(2)?, number(3)?, number(4)?).save(args.get(5).ok_or(USAGE)?)?;
        }
        Some("stream") => {
            let size = number(3)?;
            stream(number(1)?, number(2)?, |seed| square::draw(seed, size))?;
        }
        Some("folder") => {
            let size = (number(3)?, number(4)?);
            folder(number(1)?, number(2)?, size, args.get(5).ok_or(USAGE)?.as_ref())?;
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

/// Saves a picture and, where wanted, its label map.
fn save(picture: &Picture, path: &Path, labels: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let (w, h) = (picture.width as u32, picture.height as u32);
    image::save_buffer(path, &picture.rgb, w, h, ColorType::Rgb8)?;
    if let Some(path) = labels {
        image::save_buffer(path, &picture.labels, w, h, ColorType::L8)?;
    }
    Ok(())
}

/// Draws a data set into a folder.
fn folder(
    first: usize,
    count: usize,
    (width, height): (usize, usize),
    folder: &Path,
) -> Result<(), Box<dyn Error>> {
    let (images, labels) = (folder.join("images"), folder.join("labels"));
    std::fs::create_dir_all(&images)?;
    std::fs::create_dir_all(&labels)?;
    for seed in first..first + count {
        let picture = Scene::new(seed as u64).render(width, height);
        let name = format!("{seed}.png");
        save(&picture, &images.join(&name), Some(&labels.join(&name)))?;
    }
    Ok(())
}

/// Writes RGB and labels of scene after scene to standard output, until the reader closes it.
fn stream(first: usize, count: usize, draw: impl Fn(u64) -> (Vec<u8>, Vec<u8>)) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for seed in first..first + count {
        let (rgb, labels) = draw(seed as u64);
        match out.write_all(&rgb).and_then(|()| out.write_all(&labels)) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            other => other?,
        }
    }
    out.flush()
}

/// A table of scenes, each beside its label map in the palette's colours.
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

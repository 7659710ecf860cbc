//! Pictures of every format as Pillow decodes them, JPEG within tolerances; what cannot be decoded right is refused.
//! `tests/goldens/make_jpeg.py` makes the JPEG files and what Pillow decodes from them.

use beitle_pictures::{Error, Limits, Picture, decode};
use image::{DynamicImage, ImageFormat};
use std::io::Cursor;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/jpeg")
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

fn decoded(file: &[u8]) -> Picture {
    decode(file, &Limits::default()).unwrap()
}

fn message(file: &[u8]) -> String {
    decode(file, &Limits::default()).unwrap_err().to_string()
}

/// The largest and the mean difference in levels between what is decoded from a JPEG file and what Pillow decodes from it.
/// Most goldens are within two thirds of it.
fn tolerance(name: &str) -> (u8, f64) {
    match name {
        "grey" | "grey-progressive" | "rgb" | "adobe-rgb" | "cmyk" => (1, 0.02),
        "sequential-444" | "progressive-444" => (3, 0.03),
        // Half as many columns or rows of chroma: libjpeg alternates between rounding up and down.
        "sequential-422" | "progressive-422" | "440" | "chroma-differs" | "two-scans" => (4, 0.25),
        // Pictures of up to 4 columns: libjpeg repeats chroma instead of interpolating it.
        "narrow-420" => (40, 8.0),
        _ => (3, 0.1),
    }
}

/// The largest and the mean difference between two pictures of the same size.
fn difference(a: &[u8], b: &[u8]) -> (u8, f64) {
    assert_eq!(a.len(), b.len());
    let levels = || a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
    (levels().max().unwrap(), levels().map(f64::from).sum::<f64>() / a.len() as f64)
}

#[test]
fn jpeg_pixels_are_close_to_pillows() {
    let mut compared = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if path.extension().unwrap() != "jpg" {
            continue;
        }
        let file = std::fs::read(&path).unwrap();
        match name.strip_prefix("refused-") {
            Some(word) => {
                assert!(message(&file).contains(word), "{name}: {}", message(&file));
            }
            None => {
                let (got, want) = (decoded(&file), decoded(&read(&format!("{name}.png"))));
                assert_eq!((got.width, got.height), (want.width, want.height), "{name}");
                let (largest, mean) = tolerance(name);
                let found = difference(&got.rgb, &want.rgb);
                assert!(found.0 <= largest && found.1 <= mean, "{name}: {found:?}");
                // Tolerances so narrow that a picture shifted by one pixel is far outside.
                let shifted = difference(&got.rgb[3..], &want.rgb[..want.rgb.len() - 3]);
                assert!(shifted.0 > 2 * largest && shifted.1 > 2.0 * mean, "{name}: {shifted:?}");
            }
        }
        compared += 1;
    }
    assert!(compared > 25, "{compared}");
}

#[test]
fn cut_jpeg_files_are_refused() {
    for name in ["sequential-420.jpg", "progressive-444.jpg", "three-scans.jpg", "restart.jpg"] {
        let file = read(name);
        for length in 2..file.len() {
            assert!(decode(&file[..length], &Limits::default()).is_err(), "{length} bytes of {name}");
        }
        // With an end-of-image marker the rest would be made up.
        let scan = file.windows(2).position(|w| w == b"\xff\xda").unwrap();
        for length in scan..file.len() - 2 {
            let cut = [&file[..length], b"\xff\xd9"].concat();
            assert!(decode(&cut, &Limits::default()).is_err(), "{length} bytes of {name} and an end");
        }
        let cut = [&file[..scan + 100], b"\xff\xd9"].concat();
        assert!(message(&cut).contains("truncated"), "{name}: {}", message(&cut));
    }
    let file = read("sequential-444.jpg");
    assert_eq!(
        decoded(&[&file, &b"trailer"[..]].concat()),
        decoded(&file),
        "bytes after the image are ignored"
    );
}

#[test]
fn jpeg_files_are_rotated_by_their_exif_orientation() {
    let file = read("sequential-444.jpg");
    let exif = b"\xff\xe1\0\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let rotated = decoded(&[&file[..2], exif, &file[2..]].concat());
    let upright = decoded(&file);
    assert_eq!((rotated.width, rotated.height), (upright.height, upright.width));
    // Orientation 6: the first row is the right column.
    let right = &rotated.rgb[(rotated.width - 1) * 3..rotated.width * 3];
    assert_eq!(right, &upright.rgb[..3]);
}

#[test]
fn announced_sizes_have_a_limit() {
    let mut file = read("sequential-420.jpg");
    let frame = file.windows(2).position(|w| w == b"\xff\xc0").unwrap();
    let mut with_size = |side: u16| {
        file[frame + 5..frame + 7].copy_from_slice(&side.to_be_bytes());
        file[frame + 7..frame + 9].copy_from_slice(&side.to_be_bytes());
        message(&file)
    };
    assert!(with_size(65_500).contains("65500x65500 pixels, more than the limit"));
    assert!(with_size(10_000).contains("bytes of JPEG cannot hold 10000x10000 pixels"));
    assert!(with_size(0).contains("no pixels"));
    let limits = Limits { max_pixels: 37 * 29 - 1, ..Limits::default() };
    let too_large = decode(&read("sequential-420.jpg"), &limits);
    assert!(matches!(too_large, Err(Error::TooManyPixels { width: 37, height: 29, .. })));
}

#[test]
fn other_formats_are_read_by_content() {
    let rgb: Vec<u8> = (0..7 * 5 * 3).map(|i| (i * 37) as u8).collect();
    let image = image::RgbImage::from_raw(7, 5, rgb.clone()).unwrap();
    for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Pnm, ImageFormat::WebP] {
        let mut file = Cursor::new(Vec::new());
        DynamicImage::from(image.clone()).write_to(&mut file, format).unwrap();
        assert_eq!(
            decoded(file.get_ref()),
            Picture { width: 7, height: 5, rgb: rgb.clone(), alpha: None },
            "{format:?}"
        );
        let cut = &file.get_ref()[..file.get_ref().len() - 9];
        assert!(decode(cut, &Limits::default()).is_err(), "{format:?}");
    }
}

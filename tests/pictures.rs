//! Pictures of every format as Pillow decodes them, JPEG to the byte; what cannot be decoded right is refused.
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

#[test]
fn jpeg_pixels_equal_pillows() {
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
            None => assert_eq!(decoded(&file), decoded(&read(&format!("{name}.png"))), "{name}"),
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
        // With an end-of-image marker the rest would be grey.
        let scan = file.windows(2).position(|w| w == b"\xff\xda").unwrap();
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
    assert!(with_size(15_000).contains("bytes of JPEG data cannot hold 15000x15000 pixels"));
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
        assert_eq!(decoded(file.get_ref()), Picture { width: 7, height: 5, rgb: rgb.clone() }, "{format:?}");
        let cut = &file.get_ref()[..file.get_ref().len() - 9];
        assert!(decode(cut, &Limits::default()).is_err(), "{format:?}");
    }
}

//! Random damage to small files of every format: no panic leaves the loader, and memory stays within its limit.

use beitle_pictures::{Limits, decode};
use image::{DynamicImage, GrayAlphaImage, ImageFormat, RgbImage, RgbaImage};
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Cursor;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Counts the bytes in use. This file has one test, so no other thread allocates meanwhile.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all calls go to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = IN_USE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        // SAFETY: the caller's contract is that of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above; the pointer came from `alloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Files of about a kilobyte.
fn files() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/jpeg");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let jpegs = paths.filter(|path| path.extension().is_some_and(|e| e == "jpg"));
    let mut files: Vec<_> =
        jpegs.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect();
    files.sort();
    let mut noise = Random(1);
    let mut pixels =
        |bytes: usize| (0..13 * 11 * bytes).map(|_| noise.next() as u8 & 0xf0).collect::<Vec<_>>();
    let rgb = DynamicImage::from(RgbImage::from_raw(13, 11, pixels(3)).unwrap());
    let rgba = DynamicImage::from(RgbaImage::from_raw(13, 11, pixels(4)).unwrap());
    let grey = DynamicImage::from(GrayAlphaImage::from_raw(13, 11, pixels(2)).unwrap());
    let deep = DynamicImage::from(rgb.to_rgb16());
    for (image, format) in [
        (&rgb, ImageFormat::Png),
        (&grey, ImageFormat::Png),
        (&deep, ImageFormat::Png),
        (&rgb, ImageFormat::Bmp),
        (&rgba, ImageFormat::Bmp),
        (&rgb, ImageFormat::Pnm),
        (&rgb, ImageFormat::WebP),
        (&rgba, ImageFormat::WebP),
    ] {
        let mut file = Cursor::new(Vec::new());
        image.write_to(&mut file, format).unwrap();
        files.push((format!("{format:?}"), file.into_inner()));
    }
    files.push(("lossy WebP".into(), LOSSY_WEBP.to_vec()));
    files.push(("text PNM".into(), b"P3 2 2 255 1 2 3 4 5 6 7 8 9 10 11 12".to_vec()));
    files
}

/// A generator of numbers (an LCG's upper half).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n
    }

    /// Changes a few bytes, or cuts, repeats or inserts some. Half of the changes are near the start, where headers are.
    fn damage(&mut self, file: &mut Vec<u8>) {
        for _ in 0..1 + self.below(4) {
            let range = if self.below(2) == 0 { file.len() } else { file.len().min(64) };
            let at = self.below(range.max(1));
            match self.below(6) {
                0 | 1 if at < file.len() => file[at] = self.next() as u8,
                2 if at < file.len() => file[at] ^= 1 << self.below(8),
                3 if at < file.len() => file[at] = [0, 0xff, 0x7f, 0x80][self.below(4)],
                4 => file.insert(at, self.next() as u8),
                _ => file.truncate(file.len() - self.below(file.len() / 8 + 1)),
            }
        }
    }
}

#[test]
fn damage_gives_errors_within_the_memory_limit() {
    let limits = Limits { max_pixels: 1_000_000, ..Limits::default() };
    let mut random = Random(2);
    let mut readable = 0;
    for (name, file) in files() {
        for round in 0..600 {
            let mut damaged = file.clone();
            random.damage(&mut damaged);
            let before = IN_USE.load(Relaxed);
            PEAK.store(before, Relaxed);
            let result = decode(&damaged, &limits);
            let taken = PEAK.load(Relaxed) - before;
            let allowed = limits.memory() as usize;
            assert!(
                taken <= allowed,
                "{name}, round {round}: {taken} bytes of {allowed}, {:?}",
                result.err()
            );
            readable += usize::from(result.is_ok());
        }
    }
    assert!(readable > 1000, "some damage is to pixels only: {readable}");
}

/// 13x11 pixels with transparency, by Pillow at quality 60.
#[rustfmt::skip]
const LOSSY_WEBP: [u8; 172] = [
    0x52, 0x49, 0x46, 0x46, 0xa4, 0x00, 0x00, 0x00, 0x57, 0x45, 0x42, 0x50, 0x56, 0x50, 0x38, 0x58, 0x0a, 0x00, 0x00, 0x00,
    0x10, 0x00, 0x00, 0x00, 0x0c, 0x00, 0x00, 0x0a, 0x00, 0x00, 0x41, 0x4c, 0x50, 0x48, 0x38, 0x00, 0x00, 0x00, 0x01, 0x57,
    0x20, 0x16, 0x4c, 0xfc, 0x95, 0xd7, 0x1f, 0x43, 0x44, 0xa4, 0x06, 0xaa, 0x62, 0xdb, 0xa6, 0xee, 0xbd, 0xde, 0xfe, 0x54,
    0x50, 0x41, 0x05, 0x15, 0x54, 0x50, 0x41, 0x05, 0x15, 0x54, 0x90, 0x73, 0x87, 0x88, 0xe8, 0x7f, 0x7e, 0xd4, 0x87, 0x72,
    0x91, 0x0f, 0xd2, 0x46, 0x5c, 0x08, 0x13, 0x7e, 0xc0, 0x75, 0x58, 0x83, 0x0a, 0x01, 0x56, 0x50, 0x38, 0x20, 0x46, 0x00,
    0x00, 0x00, 0xf0, 0x01, 0x00, 0x9d, 0x01, 0x2a, 0x0d, 0x00, 0x0b, 0x00, 0x02, 0x80, 0x42, 0x25, 0xb0, 0x02, 0x74, 0xba,
    0x00, 0x03, 0x08, 0x2f, 0xbf, 0xc0, 0x00, 0xfe, 0xf5, 0xdd, 0x6e, 0xac, 0x27, 0xc1, 0x8b, 0xe3, 0x1c, 0xa1, 0x95, 0x62,
    0xc2, 0xff, 0xfd, 0x0f, 0x0e, 0x21, 0x98, 0x52, 0x2b, 0x1b, 0x50, 0x9e, 0xa6, 0x63, 0xb7, 0xfb, 0xf2, 0xeb, 0xe0, 0x46,
    0x0f, 0x26, 0xff, 0x47, 0x9d, 0x3d, 0x5d, 0xe6, 0x84, 0x8c, 0x00, 0x00,
];

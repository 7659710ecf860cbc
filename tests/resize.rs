//! Resizing against Pillow and OpenCV: `tests/data/resize` holds small pictures and their outputs, which must match
//! byte for byte in every pixel format. `BEITLE_RESIZE_GOLDENS` names another file of this kind.

use beitle::image::resize::{Filter, Resizer, resize, scratch_bytes};
use beitle::image::{ImageView, PixelFormat};
use safetensors::SafeTensors;

fn goldens() -> Vec<u8> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/resize/resize.safetensors");
    let path = std::env::var("BEITLE_RESIZE_GOLDENS").unwrap_or_else(|_| default.into());
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn filter(name: &str) -> Filter {
    match name {
        "nearest" => Filter::Nearest,
        "box" => Filter::Box,
        "bilinear" => Filter::Bilinear,
        "hamming" => Filter::Hamming,
        "bicubic" => Filter::Bicubic,
        "lanczos" => Filter::Lanczos,
        "opencv" => Filter::LinearCv,
        other => panic!("unknown filter {other}"),
    }
}

/// Packed RGB converted to another pixel format, with `pad` bytes after each row.
fn converted(rgb: &[u8], width: usize, format: PixelFormat, pad: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for row in rgb.chunks_exact(width * 3) {
        for pixel in row.chunks_exact(3) {
            let mut bytes = vec![0xA5; format.bytes()];
            for (o, &p) in format.offsets().into_iter().zip(pixel) {
                bytes[o] = p;
            }
            out.extend(bytes);
        }
        out.extend(vec![0x5A; pad]);
    }
    out
}

#[test]
fn bytes_match_pillow_and_opencv() {
    let bytes = goldens();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut cases = 0;
    let mut wrong = Vec::new();
    for name in tensors.names() {
        let parts: Vec<&str> = name.split('.').collect();
        let [kind, id, _] = parts[..] else { continue };
        let (src, want) = (tensors.tensor(&format!("src.{id}")).unwrap(), tensors.tensor(name).unwrap());
        let (h, w) = (src.shape()[0], src.shape()[1]);
        let (dst_h, dst_w) = (want.shape()[0], want.shape()[1]);
        let filter = filter(kind);
        for format in [PixelFormat::Rgb8, PixelFormat::Bgr8, PixelFormat::Rgba8, PixelFormat::Bgra8] {
            let data = converted(src.data(), w, format, 5);
            let view = ImageView::new(&data, w, h, w * format.bytes() + 5, format).unwrap();
            // The scratch memory is exactly as long as promised, not cleared, and starts at an odd address.
            let mut scratch = vec![0xEE; scratch_bytes(w, h, dst_w, dst_h, filter) + 1];
            let mut got = vec![0; dst_w * dst_h * 3];
            resize(&view, filter, dst_w, dst_h, &mut got, &mut scratch[1..]).unwrap();
            if got != want.data() {
                let differing = got.iter().zip(want.data()).filter(|(a, b)| a != b).count();
                wrong.push(format!("{name} {format:?}: {differing} of {} bytes differ", got.len()));
            }
        }
        cases += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases >= 90, "only {cases} cases");
}

#[test]
fn grey_equals_rgb_with_equal_channels() {
    let grey: Vec<u8> = (0..40 * 30).map(|i| (i * i / 7) as u8).collect();
    let rgb: Vec<u8> = grey.iter().flat_map(|&g| [g; 3]).collect();
    for code in [0, 1, 2, 3, 4, 5, 16] {
        let filter = Filter::from_code(code).unwrap();
        let mut scratch = vec![0; scratch_bytes(40, 30, 17, 55, filter)];
        let mut run = |data: &[u8], format| {
            let view = ImageView::packed(data, 40, 30, format).unwrap();
            let mut out = vec![0; 17 * 55 * 3];
            resize(&view, filter, 17, 55, &mut out, &mut scratch).unwrap();
            out
        };
        assert_eq!(run(&grey, PixelFormat::Gray8), run(&rgb, PixelFormat::Rgb8), "{filter:?}");
    }
}

#[test]
fn scratch_stays_small() {
    let kib = |w, h, filter| scratch_bytes(w, h, 640, 640, filter) / 1024;
    assert!(kib(4000, 3000, Filter::Bicubic) < 136);
    // Two rows of the picture, converted to four bytes for a pixel, are 31 KiB of it.
    assert!(kib(4000, 3000, Filter::LinearCv) < 57);
    // The widest source: each of its 2^24 columns has a weight in six output columns, and two rows of it are stored.
    assert!(kib(1 << 24, 3, Filter::Lanczos) < 544 * 1024);
    assert_eq!(Filter::from_code(6), None);
}

#[test]
fn scratch_for_a_size_suffices_for_smaller_pictures() {
    for code in [0, 1, 2, 3, 4, 5, 16] {
        let filter = Filter::from_code(code).unwrap();
        let most = scratch_bytes(70, 90, 64, 48, filter);
        for (w, h) in (1..=70).flat_map(|w| (1..=90).map(move |h| (w, h))) {
            assert!(scratch_bytes(w, h, 64, 48, filter) <= most, "{filter:?} {w}x{h}");
        }
    }
}

#[test]
fn sizes_that_are_refused_need_no_scratch() {
    for code in [0, 1, 2, 3, 4, 5, 16] {
        let filter = Filter::from_code(code).unwrap();
        for bad in [0, (1 << 24) + 1, usize::MAX / 2, usize::MAX] {
            for at in 0..4 {
                let mut sizes = [5, 4, 3, 2];
                sizes[at] = bad;
                let [w, h, dst_w, dst_h] = sizes;
                assert_eq!(scratch_bytes(w, h, dst_w, dst_h, filter), 0, "{filter:?} {sizes:?}");
            }
        }
    }
}

#[test]
fn short_buffers_and_bad_sizes_are_rejected() {
    let data = [0; 48];
    let view = ImageView::packed(&data, 4, 4, PixelFormat::Rgb8).unwrap();
    let needed = scratch_bytes(4, 4, 2, 3, Filter::Bicubic);
    let mut scratch = vec![0; needed];
    let mut out = [0; 18];
    let mut run = |out: &mut [u8], n: usize, w| resize(&view, Filter::Bicubic, w, 3, out, &mut scratch[..n]);
    assert!(run(&mut out, needed, 2).is_ok());
    assert!(run(&mut out, needed - 1, 2).is_err());
    assert!(run(&mut out[..17], needed, 2).is_err());
    assert!(run(&mut out, needed, 0).is_err());
    assert!(run(&mut out, needed, usize::MAX).is_err());
    let mut rows = Resizer::new(&view, Filter::Bicubic, 2, 3, &mut scratch).unwrap();
    assert!(rows.next_row(&mut out[..5]).is_err());
    for _ in 0..3 {
        assert_eq!(rows.next_row(&mut out), Ok(true));
    }
    assert_eq!(rows.next_row(&mut out), Ok(false));
}

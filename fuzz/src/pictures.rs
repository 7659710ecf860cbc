//! Picture files: any bytes. The decoder of JPEG, which is the project's own, does not panic; panics of the others become errors.

use beitle_pictures::{Limits, decode};

/// Small, so that a run takes milliseconds.
const LIMITS: Limits = Limits { max_pixels: 1 << 14, max_file_bytes: 1 << 16 };

pub fn run(data: &[u8]) {
    match decode(data, &LIMITS) {
        Ok(picture) => {
            let pixels = picture.width * picture.height;
            assert!((1..=1 << 14).contains(&pixels) && picture.rgb.len() == 3 * pixels);
        }
        Err(e) => {
            let message = e.to_string();
            let is_jpeg = data.starts_with(b"\xFF\xD8");
            assert!(!(is_jpeg && message.contains("the decoder failed")), "{message}");
        }
    }
}

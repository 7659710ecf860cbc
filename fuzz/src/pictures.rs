//! Picture files: any bytes. They are decoded within the limits, or refused. A panic of a decoder, which users see as an error, is a
//! finding here.

use beitle_pictures::{Error, Limits, decode};

/// Small, so that a run takes milliseconds.
const LIMITS: Limits = Limits { max_pixels: 1 << 14, max_file_bytes: 1 << 16 };

pub fn run(data: &[u8]) {
    match decode(data, &LIMITS) {
        Ok(picture) => {
            let pixels = picture.width * picture.height;
            assert!((1..=1 << 14).contains(&pixels) && picture.rgb.len() == 3 * pixels);
        }
        // Not by the message, which may quote the file.
        Err(e) => assert!(!matches!(e, Error::Panicked(_)), "{e}"),
    }
}

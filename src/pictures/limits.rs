//! What a picture file may take.

use crate::error::Error;

/// The longest side of a picture in pixels, as in the engine.
const MAX_SIDE: u64 = 1 << 24;

/// What a picture file may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Width times height.
    pub max_pixels: u64,
    /// Size of the file in bytes.
    pub max_file_bytes: u64,
}

impl Default for Limits {
    /// 128 million pixels and 1 GiB.
    fn default() -> Self {
        Limits { max_pixels: 128_000_000, max_file_bytes: 1 << 30 }
    }
}

impl Limits {
    /// An upper bound of the memory that decoding takes, in bytes: 20 for each of `max_pixels`, and 32 MiB. The file itself
    /// comes on top. Usual files take 4 to 8 bytes for each of their pixels. The only exception known are lossless WebP files
    /// with as many Huffman tables as possible: these can take hundreds of times the file's size, up to some 1.4 GB.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.max_pixels.saturating_mul(20).saturating_add(32 << 20)
    }

    /// Checks the size that a file announces.
    ///
    /// # Errors
    /// A side is zero or longer than the engine allows, or there are more than `max_pixels` pixels.
    pub fn check(&self, width: u64, height: u64) -> Result<(), Error> {
        if width == 0 || height == 0 {
            return Err(Error::content("the picture has no pixels"));
        }
        // Sizes of buffers must not overflow on 32-bit processors.
        let is_addressable = || usize::try_from(width * height * 20).is_ok();
        let is_short = width <= MAX_SIDE && height <= MAX_SIDE;
        if !is_short || width * height > self.max_pixels || !is_addressable() {
            return Err(Error::TooManyPixels { width, height, max_pixels: self.max_pixels });
        }
        Ok(())
    }
}

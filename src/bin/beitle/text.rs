//! A canvas of RGB pixels with rectangles and letters from an 8x8 bitmap font.

use font8x8::legacy::BASIC_LEGACY;

/// The side of a letter before scaling, in pixels.
pub const LETTER: usize = 8;

/// Packed RGB to draw on.
pub struct Canvas {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `height * width * 3` bytes.
    pub rgb: Vec<u8>,
}

impl Canvas {
    /// A canvas of one colour.
    pub fn new(width: usize, height: usize, colour: [u8; 3]) -> Self {
        Canvas { width, height, rgb: colour.repeat(width * height) }
    }

    /// Paints a rectangle, as far as it lies on the canvas.
    pub fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, colour: [u8; 3]) {
        let columns = x.min(self.width) * 3..(x + width).min(self.width) * 3;
        for row in self.rgb.chunks_exact_mut(self.width * 3).skip(y).take(height) {
            row[columns.clone()].as_chunks_mut().0.fill(colour);
        }
    }

    /// Writes `text` with its upper left corner at (`x`, `y`), each dot of the font `scale` pixels large.
    pub fn text(&mut self, x: usize, y: usize, scale: usize, colour: [u8; 3], text: &str) {
        for (i, letter) in text.chars().enumerate() {
            let glyph = BASIC_LEGACY.get(letter as usize).unwrap_or(&BASIC_LEGACY['?' as usize]);
            for (dy, dots) in glyph.iter().enumerate() {
                for dx in (0..LETTER).filter(|dx| dots >> dx & 1 == 1) {
                    let left = x + (i * LETTER + dx) * scale;
                    self.fill(left, y + dy * scale, scale, scale, colour);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_appear_and_are_cut_at_the_edge() {
        let mut canvas = Canvas::new(20, 12, [0; 3]);
        canvas.text(2, 2, 1, [255; 3], "H\u{e9}");
        assert_eq!(canvas.rgb[(2 * 20 + 2) * 3], 255, "H begins at its upper left");
        let lit = canvas.rgb.iter().filter(|&&v| v != 0).count();
        assert!(lit > 60);
        canvas.text(15, 9, 3, [255; 3], "XXX");
        canvas.fill(100, 100, 5, 5, [1; 3]);
        assert_eq!(canvas.rgb.len(), 20 * 12 * 3);
    }
}

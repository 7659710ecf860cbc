//! An RGB canvas with filled rectangles and text.
//!
//! Glyphs come from an 8x8 bitmap font. Scale2x (Mazzoleni 2001, <https://www.scale2x.it/algorithm>) enlarges them
//! twice, which turns stair steps into diagonals; the result is then resampled to the text size, with partly covered
//! pixels blended into the canvas.

use font8x8::legacy::BASIC_LEGACY;

/// Side of a glyph in the font.
const GLYPH: usize = 8;
/// Samples along each axis of a pixel when its coverage is computed.
const SAMPLES: usize = 4;

/// A canvas of packed RGB pixels.
pub struct Canvas {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[height][width][3]`.
    pub rgb: Vec<u8>,
}

impl Canvas {
    /// A canvas of one colour.
    pub fn new(width: usize, height: usize, colour: [u8; 3]) -> Self {
        Canvas { width, height, rgb: colour.repeat(width * height) }
    }

    /// Fills a rectangle, clipped to the canvas.
    pub fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, colour: [u8; 3]) {
        let columns = x.min(self.width) * 3..(x + width).min(self.width) * 3;
        for row in self.rgb.chunks_exact_mut(self.width * 3).skip(y).take(height) {
            row[columns.clone()].as_chunks_mut().0.fill(colour);
        }
    }

    /// Writes a line of text with its upper left corner at (`x`, `y`), clipped to the canvas. Each character is a
    /// square of `size` pixels.
    pub fn text(&mut self, x: usize, y: usize, size: usize, colour: [u8; 3], text: &str) {
        for (i, character) in text.chars().enumerate() {
            let bitmap = BASIC_LEGACY.get(character as usize).unwrap_or(&BASIC_LEGACY['?' as usize]);
            self.glyph(x + i * size, y, size, colour, bitmap);
        }
    }

    fn glyph(&mut self, x: usize, y: usize, size: usize, colour: [u8; 3], bitmap: &[u8; GLYPH]) {
        let dots: Vec<bool> =
            bitmap.iter().flat_map(|row| (0..GLYPH).map(move |x| row >> x & 1 == 1)).collect();
        let (dots, side) = (scale2x(&scale2x(&dots, GLYPH), 2 * GLYPH), 4 * GLYPH);
        // The middle of sample `i` of pixel `p`, in dots.
        let dot = |p: usize, i: usize| (2 * (p * SAMPLES + i) + 1) * side / (2 * SAMPLES * size);
        for (dy, row) in self.rgb.chunks_exact_mut(self.width * 3).skip(y).take(size).enumerate() {
            for (dx, pixel) in row.as_chunks_mut::<3>().0.iter_mut().skip(x).take(size).enumerate() {
                let samples = (0..SAMPLES).flat_map(|j| (0..SAMPLES).map(move |i| (i, j)));
                let lit = samples.filter(|&(i, j)| dots[dot(dy, j) * side + dot(dx, i)]).count();
                for (value, c) in pixel.iter_mut().zip(colour) {
                    let dark = SAMPLES * SAMPLES - lit;
                    *value = ((usize::from(c) * lit + usize::from(*value) * dark) / (lit + dark)) as u8;
                }
            }
        }
    }
}

/// Doubles a square bitmap of `side` by `side` dots.
fn scale2x(dots: &[bool], side: usize) -> Vec<bool> {
    let mut doubled = vec![false; 4 * dots.len()];
    for y in 0..side {
        for x in 0..side {
            let at = |x: usize, y: usize| x < side && y < side && dots[y * side + x];
            let dot = at(x, y);
            let (up, down) = (at(x, y.wrapping_sub(1)), at(x, y + 1));
            let (left, right) = (at(x.wrapping_sub(1), y), at(x + 1, y));
            // A corner takes the value of its two neighbours where they agree and the other two sides differ.
            let corner =
                |a: bool, b: bool, c: bool, d: bool| if a == b && a != c && b != d { a } else { dot };
            let to = 4 * y * side + 2 * x;
            doubled[to] = corner(left, up, down, right);
            doubled[to + 1] = corner(up, right, left, down);
            doubled[to + 2 * side] = corner(down, left, right, up);
            doubled[to + 2 * side + 1] = corner(right, down, up, left);
        }
    }
    doubled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_clipped_at_the_edge() {
        let mut canvas = Canvas::new(20, 12, [0; 3]);
        canvas.text(2, 2, GLYPH, [255; 3], "H\u{e9}");
        assert_eq!(canvas.rgb[(3 * 20 + 2) * 3], 255, "the left stem of H, below its rounded corner");
        let lit = canvas.rgb.iter().filter(|&&v| v != 0).count();
        assert!(lit > 60);
        canvas.text(15, 9, 3 * GLYPH, [255; 3], "XXX");
        canvas.fill(100, 100, 5, 5, [1; 3]);
        assert_eq!(canvas.rgb.len(), 20 * 12 * 3);
    }

    #[test]
    fn scale2x_fills_diagonals() {
        let doubled = scale2x(&[true, false, false, true], 2);
        let rows: Vec<Vec<u8>> = doubled.chunks(4).map(|r| r.iter().map(|&d| d.into()).collect()).collect();
        assert_eq!(rows[0], [1, 1, 0, 0]);
        assert_eq!(rows[1], [1, 1, 1, 0], "the corner between two dots is filled");
    }
}

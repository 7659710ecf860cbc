//! The overlay of `beitle segment`: the picture blended with its classes' colours, and a legend below it.

use crate::canvas::Canvas;
use crate::class_map::ClassMapBuf;
use crate::numbers::share;
use crate::picture::Picture;

/// A class in the legend.
pub struct LegendEntry<'a> {
    /// The class's name.
    pub name: &'a str,
    /// The class's colour.
    pub colour: [u8; 3],
    /// The class's share of the picture, 0 to 1.
    pub share: f64,
}

const BACKGROUND: [u8; 3] = [24, 25, 28];
const BRIGHT: [u8; 3] = [236, 236, 232];
const DIM: [u8; 3] = [150, 152, 158];
/// Longest name in the legend, in characters.
const MAX_NAME: usize = 22;
/// Most rows of the legend; the rarest classes share the last entry.
const MAX_ROWS: usize = 16;
/// Characters of a percentage and the space after it.
const PERCENT: usize = 7;

/// How a picture and the colours of its classes are blended.
#[derive(clap::Args)]
pub struct OverlayArgs {
    /// Weight of the classes' colours in the overlay, 0 to 1 in steps of 1/256
    #[arg(long, value_name = "A", default_value_t = 0.4375, value_parser = share)]
    alpha: f64,
}

impl OverlayArgs {
    /// The blend.
    pub fn blend(&self) -> Blend {
        Blend { weight: (256.0 * self.alpha).round() as u32 }
    }
}

/// A blend of pixels with the colours of their classes.
#[derive(Clone, Copy)]
pub struct Blend {
    /// Weight of the colour in units of 1/256, at most 256.
    weight: u32,
}

impl Blend {
    /// A pixel blended with the colour of its class.
    pub fn mix(self, pixel: [u8; 3], colour: [u8; 3]) -> [u8; 3] {
        let channel =
            |i: usize| u32::from(colour[i]) * self.weight + u32::from(pixel[i]) * (256 - self.weight);
        [0, 1, 2].map(|i| (channel(i) / 256) as u8)
    }
}

/// Draws the picture blended with its classes' colours and light borders between classes; below it a legend of `entries` (the most
/// frequent class first), if there are any. `palette` holds the colour of every class.
pub fn draw(
    picture: &Picture,
    map: &ClassMapBuf,
    palette: &[[u8; 3]],
    blend: Blend,
    entries: &[LegendEntry<'_>],
) -> Canvas {
    let size = (picture.width, picture.height);
    let legend = (!entries.is_empty()).then(|| Legend::new(size, entries));
    let (width, below) = legend.as_ref().map_or((size.0, 0), |legend| (legend.width, legend.height()));
    let mut canvas = Canvas::new(width, picture.height + below, BACKGROUND);
    draw_blended(&mut canvas, picture, map, (palette, blend), letter(size).div_ceil(16));
    if let Some(legend) = legend {
        legend.draw(&mut canvas, picture.height);
    }
    canvas
}

/// Draws the blended picture at the top of the canvas, centred. Borders are `border` pixels wide.
fn draw_blended(
    canvas: &mut Canvas,
    picture: &Picture,
    map: &ClassMapBuf,
    (palette, blend): (&[[u8; 3]], Blend),
    border: usize,
) {
    let (width, height) = (picture.width, picture.height);
    let left = (canvas.width - width) / 2;
    for y in 0..height {
        let out = &mut canvas.rgb[(y * canvas.width + left) * 3..][..width * 3];
        let photo = picture.rgb[y * width * 3..].as_chunks::<3>().0;
        for (x, (out, photo)) in out.as_chunks_mut::<3>().0.iter_mut().zip(photo).enumerate() {
            let class = map.get(y * width + x);
            let differs = |x: usize, y: usize| map.get(y.min(height - 1) * width + x.min(width - 1)) != class;
            let is_border = differs(x + border, y) || differs(x, y + border);
            let colour = palette.get(class.unwrap_or(0) as usize).copied().unwrap_or([0; 3]);
            let mixed = blend.mix(*photo, colour);
            *out =
                if is_border { mixed.map(|mixed| ((u32::from(mixed) + 2 * 255) / 3) as u8) } else { mixed };
        }
    }
}

/// Size of a character in pixels, which grows with the picture.
fn letter(picture: (usize, usize)) -> usize {
    (picture.0.min(picture.1) / 36).max(8)
}

/// The legend: cells of swatch, share and name, column by column.
struct Legend<'a> {
    /// Width of the canvas: the picture's, or more where a narrow picture has long names.
    width: usize,
    /// Size of a character in pixels; all other sizes are multiples of it.
    letter: usize,
    columns: usize,
    /// Width of a cell.
    cell: usize,
    entries: &'a [LegendEntry<'a>],
    /// Number of classes without an entry, and their share.
    rest: Option<(usize, f64)>,
}

impl<'a> Legend<'a> {
    fn new(picture: (usize, usize), entries: &'a [LegendEntry<'a>]) -> Self {
        let letter = letter(picture);
        let name = entries.iter().map(|e| short_name(e.name).chars().count()).max().unwrap_or(0).max(8);
        // Swatch and gap, percentage, name, gap.
        let cell = (9 * letter).div_ceil(4) + (PERCENT + name) * letter + 3 * letter / 2;
        let margins = 2 * letter;
        let width = picture.0.max(cell + margins);
        let columns = ((width - margins) / cell).max(1);
        let most = columns * MAX_ROWS;
        let shown = if entries.len() > most { most - 1 } else { entries.len() };
        let hidden = &entries[shown..];
        let rest = (!hidden.is_empty()).then(|| (hidden.len(), hidden.iter().map(|e| e.share).sum()));
        Legend { width, letter, columns, cell, entries: &entries[..shown], rest }
    }

    fn rows(&self) -> usize {
        (self.entries.len() + usize::from(self.rest.is_some())).div_ceil(self.columns)
    }

    fn height(&self) -> usize {
        (self.rows() + 1) * 2 * self.letter
    }

    fn draw(&self, canvas: &mut Canvas, top: usize) {
        let letter = self.letter;
        let (swatch, rim) = (3 * letter / 2, letter.div_ceil(12));
        let rows = self.rows();
        let place = |i: usize| (letter + i / rows * self.cell, top + letter + i % rows * 2 * letter);
        let mut label = |(x, y): (usize, usize), share: f64, name: &str, colour| {
            let (x, y) = (x + (9 * letter).div_ceil(4), y + letter / 2);
            canvas.text(x, y, letter, DIM, &percent(share));
            canvas.text(x + PERCENT * letter, y, letter, colour, name);
        };
        for (i, entry) in self.entries.iter().enumerate() {
            label(place(i), entry.share, &short_name(entry.name), BRIGHT);
        }
        if let Some((classes, share)) = self.rest {
            label(place(self.entries.len()), share, &format!("{classes} others"), DIM);
        }
        for (i, entry) in self.entries.iter().enumerate() {
            let (x, y) = place(i);
            let y = y + letter / 4;
            // The rim separates dark colours from the background.
            canvas.fill(x, y, swatch, swatch, DIM);
            canvas.fill(x + rim, y + rim, swatch - 2 * rim, swatch - 2 * rim, entry.colour);
        }
    }
}

fn percent(share: f64) -> String {
    if share < 0.0005 { " <0.1%".into() } else { format!("{:5.1}%", share * 100.0) }
}

/// The first of a class's comma-separated synonyms, cut to [`MAX_NAME`] characters.
fn short_name(name: &str) -> String {
    let first = name.split([',', ';']).next().unwrap_or(name).trim();
    if first.chars().count() <= MAX_NAME {
        return first.into();
    }
    first.chars().take(MAX_NAME - 2).chain("..".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLEND: Blend = Blend { weight: 112 };

    fn entries(n: usize) -> Vec<LegendEntry<'static>> {
        let entry = |_| LegendEntry { name: "wall, brick", colour: [200, 0, 0], share: 1.0 / n as f64 };
        (0..n).map(entry).collect()
    }

    #[test]
    fn canvas_has_room_for_picture_and_legend() {
        for (width, height, classes) in [(1, 1, 1), (640, 480, 3), (33, 900, 150), (2000, 50, 40)] {
            let picture = Picture { width, height, rgb: vec![100; width * height * 3], alpha: None };
            let map = ClassMapBuf::U8(vec![0; width * height]);
            let canvas = draw(&picture, &map, &[[200, 0, 0]], BLEND, &entries(classes));
            assert!(canvas.width >= width && canvas.height > height);
            assert_eq!(canvas.rgb.len(), canvas.width * canvas.height * 3);
        }
    }

    #[test]
    fn colours_are_blended_and_borders_are_light() {
        let picture = Picture { width: 4, height: 1, rgb: vec![0; 12], alpha: None };
        let map = ClassMapBuf::U8(vec![0, 0, 1, 1]);
        let canvas = draw(&picture, &map, &[[160, 0, 0], [0, 160, 0]], BLEND, &entries(2));
        let left = (canvas.width - 4) / 2 * 3;
        assert_eq!(canvas.rgb[left..left + 3], [70, 0, 0]);
        assert_eq!(canvas.rgb[left + 3..left + 6], [193, 170, 170], "the last pixel before another class");
        assert_eq!(canvas.rgb[left + 6..left + 9], [0, 70, 0]);
        let colours = Blend { weight: 256 };
        let canvas = draw(&picture, &map, &[[160, 0, 0], [0, 160, 0]], colours, &[]);
        assert_eq!((canvas.width, canvas.height), (4, 1), "without entries there is no legend");
        assert_eq!((&canvas.rgb[..3], &canvas.rgb[9..]), (&[160, 0, 0][..], &[0, 160, 0][..]));
    }

    #[test]
    fn names_are_shortened() {
        assert_eq!(short_name("door, double door"), "door");
        assert_eq!(short_name("a very long name of something"), "a very long name of ..");
    }
}

//! The map over the photograph, and below it which colour is what.

use crate::picture::Picture;
use crate::text::{Canvas, LETTER};
use beitle::output::ClassMap;

/// A class for the legend.
pub struct Entry<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its colour.
    pub colour: [u8; 3],
    /// Its part of the picture, 0 to 1.
    pub share: f64,
}

const PAPER: [u8; 3] = [24, 25, 28];
const INK: [u8; 3] = [236, 236, 232];
const DIM: [u8; 3] = [150, 152, 158];
/// Letters of a name in the legend.
const LONGEST: usize = 22;
/// Rows of the legend: rarer classes are summed up.
const ROWS: usize = 16;
/// Sixteenths of the class's colour in the blend.
const BLEND: u32 = 9;

/// Draws the picture blended with its classes' colours, their outlines, and a legend of `entries`.
pub fn draw(picture: &Picture, map: ClassMap<'_>, palette: &[[u8; 3]], entries: &[Entry<'_>]) -> Canvas {
    let (width, height) = (picture.width, picture.height);
    let scale = ((width.min(height) + 240) / 480).max(1);
    let legend = Legend::new(width, scale, entries);
    let mut canvas = Canvas::new(legend.width, height + legend.height(), PAPER);
    let left = (legend.width - width) / 2;
    let line = scale.div_ceil(2);
    for y in 0..height {
        let row = &mut canvas.rgb[(y * legend.width + left) * 3..][..width * 3];
        for (x, (out, photo)) in
            row.chunks_exact_mut(3).zip(picture.rgb[y * width * 3..].chunks_exact(3)).enumerate()
        {
            let class = map.get(y * width + x);
            let differs = |x: usize, y: usize| map.get(y.min(height - 1) * width + x.min(width - 1)) != class;
            let colour = palette.get(class.unwrap_or(0) as usize).copied().unwrap_or([0; 3]);
            let edge = differs(x + line, y) || differs(x, y + line);
            for ((out, &p), c) in out.iter_mut().zip(photo).zip(colour) {
                let blend = (u32::from(c) * BLEND + u32::from(p) * (16 - BLEND)) / 16;
                *out = if edge { (blend + 2 * 255) / 3 } else { blend } as u8;
            }
        }
    }
    legend.draw(&mut canvas, height);
    canvas
}

/// Columns of swatch, share and name.
struct Legend<'a> {
    width: usize,
    scale: usize,
    columns: usize,
    cell: usize,
    entries: &'a [Entry<'a>],
    /// Classes left out, and their share.
    rest: Option<(usize, f64)>,
}

impl<'a> Legend<'a> {
    fn new(picture_width: usize, scale: usize, entries: &'a [Entry<'a>]) -> Self {
        let letters = entries.iter().map(|e| short(e.name).chars().count()).max().unwrap_or(0).max(11);
        // Swatch, gap, "100.0% ", name, gap.
        let cell = (12 + 6 + (7 + letters) * LETTER + 12) * scale;
        let margins = 2 * 10 * scale;
        let width = picture_width.max(cell + margins);
        let columns = ((width - margins) / cell).max(1);
        let shown = if entries.len() > columns * ROWS { columns * ROWS - 1 } else { entries.len() };
        let left_out = &entries[shown..];
        let rest = (!left_out.is_empty()).then(|| (left_out.len(), left_out.iter().map(|e| e.share).sum()));
        Legend { width, scale, columns, cell, entries: &entries[..shown], rest }
    }

    fn rows(&self) -> usize {
        (self.entries.len() + usize::from(self.rest.is_some())).div_ceil(self.columns)
    }

    fn height(&self) -> usize {
        (self.rows() * 16 + 2 * 8) * self.scale
    }

    fn draw(&self, canvas: &mut Canvas, top: usize) {
        let s = self.scale;
        let rows = self.rows();
        let place = |i: usize| (10 * s + i / rows * self.cell, top + (8 + i % rows * 16) * s);
        for (i, entry) in self.entries.iter().enumerate() {
            let (x, y) = place(i);
            // A rim, so that dark colours can be told from the paper.
            canvas.fill(x, y + 2 * s, 12 * s, 12 * s, DIM);
            canvas.fill(x + s, y + 3 * s, 10 * s, 10 * s, entry.colour);
            canvas.text(x + 18 * s, y + 4 * s, s, DIM, &percent(entry.share));
            canvas.text(x + (18 + 7 * LETTER) * s, y + 4 * s, s, INK, &short(entry.name));
        }
        if let Some((classes, share)) = self.rest {
            let (x, y) = place(self.entries.len());
            canvas.text(x + 18 * s, y + 4 * s, s, DIM, &percent(share));
            canvas.text(x + (18 + 7 * LETTER) * s, y + 4 * s, s, DIM, &format!("{classes} others"));
        }
    }
}

fn percent(share: f64) -> String {
    if share < 0.0005 { " <0.1%".into() } else { format!("{:5.1}%", share * 100.0) }
}

/// The first of a class's synonyms, cut where it is too long for the legend.
fn short(name: &str) -> String {
    let first = name.split([',', ';']).next().unwrap_or(name).trim();
    if first.chars().count() <= LONGEST {
        return first.into();
    }
    first.chars().take(LONGEST - 2).chain("..".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(n: usize) -> Vec<Entry<'static>> {
        let entry = |_| Entry { name: "wall, brick", colour: [200, 0, 0], share: 1.0 / n as f64 };
        (0..n).map(entry).collect()
    }

    #[test]
    fn photograph_and_legend_have_room() {
        for (width, height, classes) in [(1, 1, 1), (640, 480, 3), (33, 900, 150), (2000, 50, 40)] {
            let picture = Picture { width, height, rgb: vec![100; width * height * 3] };
            let map = vec![0; width * height];
            let canvas = draw(&picture, ClassMap::U8(&map), &[[200, 0, 0]], &entries(classes));
            assert!(canvas.width >= width && canvas.height > height);
            assert_eq!(canvas.rgb.len(), canvas.width * canvas.height * 3);
        }
    }

    #[test]
    fn colours_are_blended_and_edges_light() {
        let picture = Picture { width: 4, height: 1, rgb: vec![0; 12] };
        let canvas = draw(&picture, ClassMap::U8(&[0, 0, 1, 1]), &[[160, 0, 0], [0, 160, 0]], &entries(2));
        let left = (canvas.width - 4) / 2 * 3;
        assert_eq!(canvas.rgb[left..left + 3], [90, 0, 0]);
        assert_eq!(canvas.rgb[left + 3..left + 6], [200, 170, 170], "the last pixel before another class");
        assert_eq!(canvas.rgb[left + 6..left + 9], [0, 90, 0]);
    }

    #[test]
    fn names_are_short() {
        assert_eq!(short("door, double door"), "door");
        assert_eq!(short("a very long name of something"), "a very long name of ..");
    }
}

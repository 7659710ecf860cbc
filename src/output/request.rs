//! What the caller wants of a run, and where it goes.

use super::class_map::ClassMapMut;

/// Where the results of a run are written.
#[derive(Debug)]
pub struct Output<'a> {
    /// Width and height of the class map in pixels, normally those of the picture.
    pub size: (usize, usize),
    /// One class per pixel of `size`, row by row.
    pub map: ClassMapMut<'a>,
    /// The logits, `[classes][4 · grid height][4 · grid width]`, or `None` if they are not wanted.
    pub logits: Option<&'a mut [f32]>,
}

impl<'a> Output<'a> {
    /// A class map alone, of `size` (width, height) pixels.
    pub fn map(size: (usize, usize), map: ClassMapMut<'a>) -> Self {
        Output { size, map, logits: None }
    }
}

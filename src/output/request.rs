//! The results that the caller wants of a run, and the buffers that receive them.

use super::class_map::ClassMapMut;

/// The buffers that a run writes.
#[derive(Debug)]
pub struct Output<'a> {
    /// Width and height of the class map in pixels, normally those of the picture. The logits are interpolated to this size.
    pub size: (usize, usize),
    /// The class of each pixel, row by row; at least width · height pixels long.
    pub map: ClassMapMut<'a>,
    /// The logits, f32 `[classes][4 · grid height][4 · grid width]`, or `None` if they are not wanted.
    /// Only a picture that is stretched as a whole has logits.
    pub logits: Option<&'a mut [f32]>,
    /// With several views ([`Views::are_several`]): the memory for their scores, `[height][width][classes]`; else `None`. After the
    /// run a score is the mean of the class's probabilities in all views, in units of about 1/65535.
    ///
    /// [`Views::are_several`]: crate::views::Views::are_several
    pub scores: Option<&'a mut [u16]>,
}

impl<'a> Output<'a> {
    /// Only a class map, of `size` (width, height) pixels.
    pub fn map(size: (usize, usize), map: ClassMapMut<'a>) -> Self {
        Output { size, map, logits: None, scores: None }
    }
}

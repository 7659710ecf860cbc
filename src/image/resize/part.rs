//! The part of a resized picture that is wanted.

/// A rectangle of the resized picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
}

//! Pictures in, model input out: pixel formats, resizing, preprocessing.

pub(crate) mod preprocess;
pub mod resize;
mod view;

pub use view::{ImageView, MAX_SIDE, PixelFormat, check_size};

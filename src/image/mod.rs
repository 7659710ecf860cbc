//! Pictures in, network input out: borrowed pixels in any of the usual formats ([`ImageView`]), resized to RGB bytes of the
//! input size ([`resize`](mod@resize)) as the recipe of the model requires.

pub(crate) mod preprocess;
pub mod resize;
mod view;

pub use view::{ImageView, MAX_SIDE, PixelFormat, check_size};

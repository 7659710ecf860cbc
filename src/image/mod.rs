//! Pictures in, network input out: borrowed pixels in any of the usual formats ([`ImageView`]), resized to RGB bytes of the
//! input size ([`resize`](mod@resize)) as the recipe of the model requires.

mod format;
pub(crate) mod preprocess;
pub mod resize;
mod rows;
mod view;
pub(crate) mod yuv;

pub use format::PixelFormat;
pub use view::{ImageView, MAX_SIDE, Plane, check_size};
pub use yuv::{YuvMatrix, YuvRange};

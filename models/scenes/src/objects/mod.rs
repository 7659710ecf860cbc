//! Everything that stands on the ground: one file per kind, each a [`Shape`](object::Shape) that draws itself and says
//! what shadow it casts. [`Object`](object::Object) puts a shape somewhere.

pub(crate) mod car;
pub(crate) mod fence;
pub(crate) mod object;
pub(crate) mod person;
pub(crate) mod post;
mod shadow;
pub(crate) mod tree;

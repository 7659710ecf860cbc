//! The facts of a conversion: the checkpoint's configuration and the user's options merged and checked.
//!
//! [`Spec::new`] resolves and checks every fact, [`Spec::header`] writes them as the weight file's header, and
//! [`Spec::precision_of`] chooses each tensor's storage type.

mod facts;
mod header;
mod resolve;

pub use facts::Spec;

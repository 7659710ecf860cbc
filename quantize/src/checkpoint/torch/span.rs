//! A range of bytes of a file.

/// Where the content of a storage lies.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) bytes: u64,
}

//! Files mapped into memory, and an arena from the heap: what a program on an operating system needs around the core.

use std::fs::File;
use std::io;
use std::path::Path;

/// A file mapped read-only. Opening takes microseconds whatever its size; pages come in as they are read.
#[derive(Debug)]
pub struct MappedFile {
    map: Option<memmap2::Mmap>,
}

impl MappedFile {
    /// Maps a file. While it is mapped, nobody may shorten it or write into it (as with any mapped model or library:
    /// a program that does gets a bus error or wrong numbers).
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        // An empty file cannot be mapped.
        if file.metadata()?.len() == 0 {
            return Ok(MappedFile { map: None });
        }
        // SAFETY: a private read-only mapping; that the file does not change meanwhile is asked of the caller above.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(MappedFile { map: Some(map) })
    }

    /// The file's bytes; they start at a page boundary.
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or(&[])
    }
}

/// One line of memory.
#[repr(C, align(64))]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Line([u8; 64]);

/// An arena on the heap, aligned as the engine wants it.
pub struct Arena(Vec<Line>);

impl Arena {
    /// An arena of at least so many bytes, zero. The operating system gives the pages when they are first touched.
    pub fn new(bytes: usize) -> Self {
        Arena(bytemuck::zeroed_vec(bytes.div_ceil(64)))
    }

    /// Its bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}

//! Memory from an operating system: weight files mapped into the address space, and arenas for the engine. Without an operating
//! system the caller passes plain slices instead.

use std::fs::File;
use std::io;
use std::path::Path;

/// A file mapped read-only. Opening takes microseconds whatever the size of the file; the operating system loads pages when
/// they are first read.
#[derive(Debug)]
pub struct MappedFile {
    map: Option<memmap2::Mmap>,
}

impl MappedFile {
    /// Maps a file. While it is mapped, no process may truncate it or write to it: this process would get a bus error or wrong
    /// results, as with any mapped library.
    ///
    /// # Errors
    /// The error of the operating system, or [`InvalidInput`](io::ErrorKind::InvalidInput) if `path` is not a regular file.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        // An empty file cannot be mapped.
        if file.metadata()?.len() == 0 {
            return Ok(MappedFile { map: None });
        }
        // SAFETY: the mapping is private and read-only. The documentation above requires that the file does not change while it
        // is mapped.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(MappedFile { map: Some(map) })
    }

    /// The bytes of the file; they start at a page boundary.
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or(&[])
    }
}

/// Arenas of at least this many bytes ask for huge pages. The head walks over maps with strides of many small pages, and
/// would spend a tenth of its time on address translation.
const HUGE: usize = 8 << 20;

/// An arena from the operating system. It starts at a page boundary, which satisfies the engine's alignment of 64 bytes.
pub struct Arena(memmap2::MmapMut);

impl Arena {
    /// An arena of at least `bytes` zero bytes. The operating system provides its pages when they are first touched. If it
    /// refuses, the program aborts as it does for any failed allocation.
    pub fn new(bytes: usize) -> Self {
        let Ok(map) = memmap2::MmapMut::map_anon(bytes.max(1)) else {
            let layout = std::alloc::Layout::from_size_align(bytes, 64);
            std::alloc::handle_alloc_error(layout.unwrap_or(std::alloc::Layout::new::<u64>()))
        };
        #[cfg(target_os = "linux")]
        if bytes >= HUGE {
            // Only a hint: the engine works on small pages too.
            let _ = map.advise(memmap2::Advice::HugePage);
        }
        Arena(map)
    }

    /// The bytes of the arena.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

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

/// Arenas from this size on ask for huge pages: the head walks over maps with strides of many pages, and small pages cost
/// it a tenth of its time in address translation.
const HUGE: usize = 8 << 20;

/// An arena from the operating system, aligned as the engine wants it.
pub struct Arena(memmap2::MmapMut);

impl Arena {
    /// An arena of at least so many bytes, zero. The operating system gives the pages when they are first touched; without
    /// memory the program ends, as with any allocation.
    pub fn new(bytes: usize) -> Self {
        let Ok(map) = memmap2::MmapMut::map_anon(bytes.max(1)) else {
            let layout = std::alloc::Layout::from_size_align(bytes, 64);
            std::alloc::handle_alloc_error(layout.unwrap_or(std::alloc::Layout::new::<u64>()))
        };
        #[cfg(target_os = "linux")]
        if bytes >= HUGE {
            // Advice only: where it is not taken, everything works as well.
            let _ = map.advise(memmap2::Advice::HugePage);
        }
        Arena(map)
    }

    /// Its bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

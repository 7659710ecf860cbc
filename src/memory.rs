//! Memory from an operating system: the bytes of weight files, and arenas for the engine. Without an operating system the caller
//! passes plain slices instead.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::vec::Vec;

/// The bytes that [`FileBytes::read_ahead`] asks for at once.
#[cfg(unix)]
const READ_AHEAD: usize = 2 << 20;

/// The memory for the stack of the thread that reads ahead, and some to spare.
#[cfg(unix)]
const THREAD_BYTES: usize = 6 << 20;

/// The bytes of a weight file, at an address that [`Model::new`](crate::Model::new) accepts.
#[derive(Debug)]
pub struct FileBytes(Source);

#[derive(Debug)]
enum Source {
    Mapped(Arc<memmap2::Mmap>),
    /// A copy, and the number of bytes read.
    Copy(Arena, usize),
}

impl FileBytes {
    /// Reads a file into memory. Nothing can change the bytes afterwards. Memory and time are proportional to the
    /// length of the file; [`map`](FileBytes::map) avoids both.
    ///
    /// # Errors
    /// The error of the operating system, or [`InvalidInput`](io::ErrorKind::InvalidInput) if `path` is not a regular file.
    pub fn read(path: impl AsRef<Path>) -> io::Result<Self> {
        let (mut file, len) = open(path.as_ref())?;
        let mut copy = Arena::new(len)?;
        let mut filled = 0;
        while filled < len {
            match file.read(&mut copy.bytes_mut()[filled..len]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(FileBytes(Source::Copy(copy, filled)))
    }

    /// Maps a file read-only. This takes microseconds whatever the size of the file: the operating system loads pages when they
    /// are first read, shares them between processes, and may drop them when memory is short.
    ///
    /// # Errors
    /// As [`read`](FileBytes::read).
    ///
    /// # Safety
    /// As long as the file is mapped, nothing writes to it or truncates it, in this process or another. A write would change
    /// bytes behind a shared reference, which is undefined behaviour. On Unix, reading pages that are missing after a
    /// truncation, or that the disk cannot deliver, raises the signal SIGBUS, which ends a program that does not handle it.
    /// Replacing the file by renaming another one to its path is safe there: the mapping keeps the old contents.
    pub unsafe fn map(path: impl AsRef<Path>) -> io::Result<Self> {
        let (file, len) = open(path.as_ref())?;
        // An empty file cannot be mapped.
        if len == 0 {
            return Ok(FileBytes(Source::Copy(Arena::new(0)?, 0)));
        }
        // SAFETY: the caller promises that the file does not change while it is mapped.
        let map = unsafe { memmap2::MmapOptions::new().len(len).map(&file)? };
        Ok(FileBytes(Source::Mapped(Arc::new(map))))
    }

    /// Asks the operating system to load parts of a mapped file, one after another, on a thread of its own: those of
    /// [`Model::read_order`](crate::Model::read_order). A first run then computes while the disk reads, instead of waiting for each
    /// page that it touches. Does nothing for a file in memory, and on systems other than Unix.
    pub fn read_ahead(&self, parts: Vec<Range<usize>>) {
        #[cfg(not(unix))]
        let _ = parts;
        #[cfg(unix)]
        if let Source::Mapped(map) = &self.0 {
            // If there can be no thread, pages are loaded when they are touched. The process ends if a small allocation of a new thread
            // fails.
            if Arena::new(THREAD_BYTES).is_ok() {
                let map = Arc::clone(map);
                let _ = std::thread::Builder::new()
                    .name("beitle-read-ahead".into())
                    .spawn(move || load(&map, parts));
            }
        }
    }

    /// The bytes of the file; they start at a page boundary.
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Source::Mapped(map) => map,
            Source::Copy(copy, len) => &copy.bytes()[..*len],
        }
    }
}

/// Asks for parts of a mapped file, until the last or until nothing else uses the mapping. What lies beyond the file is left out.
#[cfg(unix)]
fn load(map: &Arc<memmap2::Mmap>, parts: Vec<Range<usize>>) {
    let pieces = parts.into_iter().flat_map(|part| {
        let end = part.end.min(map.len());
        (part.start..end)
            .step_by(READ_AHEAD)
            .map(move |start| start..end.min(start.saturating_add(READ_AHEAD)))
    });
    for piece in pieces {
        if Arc::strong_count(map) == 1
            || map.advise_range(memmap2::Advice::WillNeed, piece.start, piece.len()).is_err()
        {
            break;
        }
    }
}

/// Opens a regular file; returns its length, too. Other files, such as pipes and devices, could block or never end.
fn open(path: &Path) -> io::Result<(File, usize)> {
    let irregular = || io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file");
    if !std::fs::metadata(path)?.is_file() {
        return Err(irregular());
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(irregular());
    }
    let len = usize::try_from(metadata.len()).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    Ok((file, len))
}

/// Arenas of at least this many bytes ask for huge pages. The head walks over maps with strides of many small pages, and
/// would spend a tenth of its time on address translation.
#[cfg(target_os = "linux")]
const HUGE: usize = 8 << 20;

/// An arena from the operating system. It starts at a page boundary, which satisfies the engine's alignment of 64 bytes.
#[derive(Debug)]
pub struct Arena(memmap2::MmapMut);

impl Arena {
    /// An arena of at least `bytes` bytes, all zero. The operating system provides its pages when they are first touched.
    ///
    /// # Errors
    /// The operating system refuses so much memory.
    pub fn new(bytes: usize) -> io::Result<Self> {
        let map = memmap2::MmapMut::map_anon(bytes.max(1))?;
        #[cfg(target_os = "linux")]
        if bytes >= HUGE {
            // Only a hint: the engine works on small pages too.
            let _ = map.advise(memmap2::Advice::HugePage);
        }
        Ok(Arena(map))
    }

    /// The bytes of the arena.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes of the arena, for writing.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "Miri maps no files")]
    fn files_are_read_and_mapped() {
        let path = std::env::temp_dir().join(std::format!("beitle-memory-{}", std::process::id()));
        for content in [&b""[..], b"some bytes"] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(FileBytes::read(&path).unwrap().bytes(), content);
            // SAFETY: only this test knows the file.
            let mapped = unsafe { FileBytes::map(&path) }.unwrap();
            mapped.read_ahead(std::vec![0..4, 20..24, 4..usize::MAX]);
            assert_eq!(mapped.bytes(), content);
        }
        std::fs::remove_file(&path).unwrap();
        assert!(FileBytes::read(&path).is_err());
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri maps no files")]
    fn only_regular_files_are_opened() {
        let folder = std::env::temp_dir();
        assert_eq!(FileBytes::read(&folder).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        #[cfg(unix)]
        assert_eq!(FileBytes::read("/dev/zero").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri maps no files")]
    fn too_large_an_arena_is_an_error() {
        assert!(Arena::new(isize::MAX as usize).is_err());
    }
}

//! Reading regular files. Other files, such as pipes and devices, could block or never end.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

fn irregular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file")
}

/// Opens a regular file, or a symbolic link to one. Returns its length in bytes, too.
///
/// # Errors
/// The error of the operating system, or [`InvalidInput`](io::ErrorKind::InvalidInput) for any other kind of file.
pub fn open(path: &Path) -> io::Result<(File, u64)> {
    // Opening a device can have effects, so check its kind first.
    if !std::fs::metadata(path)?.is_file() {
        return Err(irregular());
    }
    let mut options = OpenOptions::new();
    options.read(true);
    // If a pipe has taken the file's place meanwhile, opening it does not block.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK | libc::O_NOCTTY);
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok((file, metadata.len())) } else { Err(irregular()) }
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// As [`open`], and [`FileTooLarge`](io::ErrorKind::FileTooLarge) for longer files; also if the file grows while it is read.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let (file, length) = open(path)?;
    if length > limit {
        return Err(too_large(length, limit));
    }
    let mut bytes = Vec::new();
    let expected = usize::try_from(length).unwrap_or(usize::MAX);
    bytes.try_reserve_exact(expected.saturating_add(1)).map_err(io::Error::other)?;
    read_into(bytes, file, limit)
}

/// Reads to the end of an input of unknown length, such as standard input.
///
/// # Errors
/// The error of the operating system, or [`FileTooLarge`](io::ErrorKind::FileTooLarge) for more than `limit` bytes.
pub fn read_up_to(input: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    read_into(Vec::new(), input, limit)
}

fn read_into(mut bytes: Vec<u8>, input: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    input.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    let found = bytes.len() as u64;
    if found > limit { Err(too_large(found, limit)) } else { Ok(bytes) }
}

fn too_large(found: u64, limit: u64) -> io::Error {
    let message = format!("has {found} bytes; expected at most {limit}");
    io::Error::new(io::ErrorKind::FileTooLarge, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_up_to_the_limit() {
        let file = crate::output::TemporaryFile::beside(&std::env::temp_dir().join("regular")).unwrap();
        std::fs::write(file.path(), b"12345").unwrap();
        assert_eq!(read(file.path(), 5).unwrap(), b"12345");
        assert_eq!(read(file.path(), 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    /// A file below /proc says that it is empty, but is not: it looks like one that grows while it is read.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_growing_file_is_read_up_to_the_limit() {
        let path = Path::new("/proc/self/status");
        assert_eq!(open(path).unwrap().1, 0);
        assert!(read(path, 1 << 20).unwrap().len() > 100);
        let error = read(path, 100).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "has 101 bytes; expected at most 100");
    }

    #[test]
    #[cfg(unix)]
    fn only_regular_files_are_opened() {
        let temporary =
            |name: &str| std::env::temp_dir().join(format!("beitle-{name}-{}", std::process::id()));
        let (fifo, link, good) = (temporary("fifo"), temporary("link"), temporary("good"));
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        std::os::unix::fs::symlink(&fifo, &link).unwrap();
        for path in [Path::new("/dev/zero"), Path::new("/dev/null"), Path::new("/"), &fifo, &link] {
            assert_eq!(read(path, 9).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{}", path.display());
        }
        std::fs::remove_file(&link).unwrap();
        std::fs::write(&good, "x").unwrap();
        std::os::unix::fs::symlink(&good, &link).unwrap();
        assert_eq!(read(&link, 1).unwrap(), b"x");
        for path in [fifo, link, good] {
            std::fs::remove_file(path).unwrap();
        }
    }
}

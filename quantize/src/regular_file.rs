//! Opens the files that the converter reads. All its readers open files here: a path in, an open regular file and its length
//! out. Other files, such as devices that never end and FIFOs that nobody writes to, are refused.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::error::Error;

/// Opens a regular file, or a symbolic link to one, for reading. Returns the file and its length in bytes.
///
/// # Errors
/// The path does not lead to a regular file, or it cannot be opened.
pub fn open(path: &Path) -> Result<(File, u64), Error> {
    beitle_files::open(path).map_err(|e| error(path, e))
}

/// Reads a whole file of at most `limit` bytes; no more of it is read even if it grows meanwhile.
///
/// # Errors
/// The file cannot be opened or read, or is longer.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    beitle_files::read(path, limit).map_err(|e| error(path, e))
}

fn error(path: &Path, e: io::Error) -> Error {
    match e.kind() {
        ErrorKind::InvalidInput | ErrorKind::FileTooLarge => Error::new(path, e.to_string()),
        _ => Error::io(path, "cannot read", e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn temporary(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("beitle-regular-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_file_is_read_up_to_the_limit() {
        let path = temporary("limit");
        std::fs::write(&path, [7; 100]).unwrap();
        assert_eq!(read(&path, 100).unwrap(), [7; 100]);
        let message = read(&path, 99).unwrap_err().to_string();
        assert_eq!(message, format!("{}: has 100 bytes; expected at most 99", path.display()));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn folders_are_refused() {
        let message = open(&std::env::temp_dir()).unwrap_err().to_string();
        assert!(message.ends_with(": is not a regular file"), "{message}");
    }

    /// A file below /proc says that it is empty, but is not: it looks like one that grows while it is read.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_growing_file_is_read_up_to_the_limit() {
        let path = Path::new("/proc/self/status");
        assert_eq!(open(path).unwrap().1, 0);
        assert!(read(path, 1 << 20).unwrap().len() > 100);
        let message = read(path, 100).unwrap_err().to_string();
        assert_eq!(message, "/proc/self/status: has 101 bytes; expected at most 100");
    }

    #[test]
    #[cfg(unix)]
    fn devices_fifos_and_links_to_them_are_refused() {
        let (fifo, link, good) = (temporary("fifo"), temporary("link"), temporary("good"));
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        std::os::unix::fs::symlink(&fifo, &link).unwrap();
        for path in [&fifo, &link, Path::new("/dev/zero"), Path::new("/dev/null")] {
            let message = open(path).unwrap_err().to_string();
            assert_eq!(message, format!("{}: is not a regular file", path.display()));
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

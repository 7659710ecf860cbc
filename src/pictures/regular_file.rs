//! Reading a file whole: only regular files, and only up to a limit.

use crate::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::Path;

/// Reads a regular file of at most `max_bytes` bytes.
///
/// Never waits for another process: a pipe or a device is refused before it is opened, and if the path is replaced by one in
/// between, after it was opened without blocking.
///
/// # Errors
/// The file is not a regular one, is too large, or cannot be read.
pub fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>, Error> {
    check(&fs::metadata(path).map_err(Error::Io)?, max_bytes)?;
    let file = open(path).map_err(Error::Io)?;
    let metadata = file.metadata().map_err(Error::Io)?;
    check(&metadata, max_bytes)?;
    let expected = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    // One byte more than expected: the last read finds the end without growing the vector.
    let capacity = expected.saturating_add(1);
    bytes.try_reserve_exact(capacity).map_err(|_| Error::OutOfMemory { bytes: capacity })?;
    // The file may have grown since, and files of `/proc` have length 0.
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(Error::Io)?;
    if bytes.len() as u64 > max_bytes {
        return Err(Error::TooManyBytes { max_bytes });
    }
    Ok(bytes)
}

fn check(metadata: &fs::Metadata, max_bytes: u64) -> Result<(), Error> {
    match metadata {
        m if !m.is_file() => Err(Error::NotRegular),
        m if m.len() > max_bytes => Err(Error::TooManyBytes { max_bytes }),
        _ => Ok(()),
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_up_to_the_limit_are_read() {
        let path = std::env::temp_dir().join(format!("beitle-read-{}", std::process::id()));
        fs::write(&path, [7; 100]).unwrap();
        assert_eq!(read(&path, 100).unwrap(), [7; 100]);
        assert!(matches!(read(&path, 99), Err(Error::TooManyBytes { max_bytes: 99 })));
        fs::remove_file(&path).unwrap();
        assert!(matches!(read(&path, 99), Err(Error::Io(_))));
        assert!(matches!(read(&std::env::temp_dir(), 99), Err(Error::NotRegular)));
        #[cfg(unix)]
        assert!(matches!(read(Path::new("/dev/zero"), 99), Err(Error::NotRegular)));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_refused_without_waiting_for_a_writer() {
        let path = std::env::temp_dir().join(format!("beitle-pipe-{}", std::process::id()));
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(matches!(read(&path, 99), Err(Error::NotRegular)));
        // Opening does not wait either, should the pipe appear after the first check.
        assert!(open(&path).is_ok());
        fs::remove_file(&path).unwrap();
    }
}

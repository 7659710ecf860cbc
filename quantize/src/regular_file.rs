//! Opens the files that the converter reads: `beitle_files`, with errors that name the file. All readers open files here, so
//! devices that never end and FIFOs that nobody writes to are refused.

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

    #[test]
    fn errors_name_the_file() {
        let path = std::env::temp_dir().join(format!("beitle-regular-{}", std::process::id()));
        let message = |result: Result<Vec<u8>, Error>| result.unwrap_err().to_string();
        assert!(message(read(&path, 9)).starts_with(&format!("{}: cannot read", path.display())));
        std::fs::write(&path, [7; 100]).unwrap();
        let too_large = format!("{}: has 100 bytes; expected at most 99", path.display());
        assert_eq!(message(read(&path, 99)), too_large);
        std::fs::remove_file(path).unwrap();
        assert!(message(read(&std::env::temp_dir(), 9)).ends_with(": is not a regular file"));
    }
}

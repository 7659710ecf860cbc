//! SHA-256 of files and texts.

use sha2::{Digest, Sha256};
use std::io::{self, Read};

/// Adds everything that can be read to a checksum.
pub(crate) fn add(hash: &mut Sha256, mut from: impl Read) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Bytes in hexadecimal.
#[cfg(feature = "hub")]
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

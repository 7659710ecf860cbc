//! Zip archives as `torch.save` writes them: where the content of each entry lies in the file.
//!
//! The crate `rawzip` parses the format. It streams the directory through a buffer, so memory is bounded by what this module
//! keeps of it. What `torch.save` never writes is refused: compressed or encrypted entries, several entries with one name,
//! bytes after the archive.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};

use rawzip::{CompressionMethod, Error, ErrorKind, FileReader, MAX_CENTRAL_DIRECTORY_RECORD_SIZE};
use rawzip::{ZipArchive, ZipArchiveEntryWayfinder, ZipEntry, ZipLocator};

use super::span::Span;
use crate::checkpoint::limits::{MAX_DIRECTORY, MAX_ENTRIES};
use crate::text::{excerpt, printable};

/// An entry of the directory.
struct Entry {
    wayfinder: ZipArchiveEntryWayfinder,
    /// Neither compressed nor encrypted.
    plain: bool,
}

/// A zip archive whose directory has been read.
pub(super) struct Archive {
    zip: ZipArchive<FileReader>,
    length: u64,
    /// The entries whose names are UTF-8.
    entries: BTreeMap<Box<str>, Entry>,
}

impl Archive {
    /// Reads the directory of a file of `length` bytes.
    pub(super) fn open(file: &File, length: u64) -> Result<Archive, String> {
        let file = file.try_clone().map_err(|e| format!("cannot be read: {e}"))?;
        let mut buffer = vec![0; MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
        let located = ZipLocator::new().locate_in_reader(FileReader::from(file), &mut buffer, length);
        let zip = located.map_err(|(_, e)| fault(&e))?;
        if zip.end_offset() != length {
            return Err(fault(&ErrorKind::MissingEndOfCentralDirectory.into()));
        }
        // All bytes up to the end record, whatever length that claims: `rawzip` reads the records of all of them.
        let directory = zip.eocd_offset() - zip.directory_offset();
        if directory > MAX_DIRECTORY {
            return Err(format!("its zip directory has {directory} bytes; expected at most {MAX_DIRECTORY}"));
        }
        let mut entries = BTreeMap::new();
        let mut records = zip.entries(&mut buffer);
        while let Some(record) = records.next_entry().map_err(|e| fault(&e))? {
            let Ok(name) = std::str::from_utf8(record.file_path().as_bytes()) else { continue };
            let plain =
                !record.flags().is_encrypted() && record.compression_method() == CompressionMethod::STORE;
            if entries.insert(name.into(), Entry { wayfinder: record.wayfinder(), plain }).is_some() {
                return Err(format!(
                    "the archive has two entries with the name {}",
                    excerpt(&printable(name))
                ));
            }
            if entries.len() > MAX_ENTRIES {
                return Err(format!("its zip archive has more than {MAX_ENTRIES} entries"));
            }
        }
        Ok(Archive { zip, length, entries })
    }

    /// The names that are UTF-8, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(|name| &**name)
    }

    /// Whether there is an entry of this name.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// An entry, which must lie in the file and be neither compressed nor encrypted.
    fn entry(&self, name: &str) -> Result<ZipEntry<'_, FileReader>, String> {
        let error = |what: &str| format!("{} in the archive {what}", printable(name));
        let Entry { wayfinder, plain } = self.entries.get(name).ok_or_else(|| error("is missing"))?;
        if !plain || wayfinder.compressed_size_hint() != wayfinder.uncompressed_size_hint() {
            return Err(error("is compressed; save it again with torch.save"));
        }
        let entry = self.zip.get_entry(*wayfinder).map_err(|e| error(&format!("cannot be read: {e}")))?;
        if entry.compressed_data_range().1 > self.length {
            return Err(error("extends beyond the end of the file"));
        }
        Ok(entry)
    }

    /// The span of an entry, which must lie in the file and be neither compressed nor encrypted.
    pub(super) fn span(&self, name: &str) -> Result<Span, String> {
        let (start, end) = self.entry(name)?.compressed_data_range();
        Ok(Span { start, bytes: end - start })
    }

    /// The content of an entry of at most `limit` bytes, whose checksum must be right.
    pub(super) fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, String> {
        let entry = self.entry(name)?;
        let (start, end) = entry.compressed_data_range();
        let (name, bytes) = (printable(name), end - start);
        if bytes > limit {
            return Err(format!("{name} in the archive has {bytes} bytes; expected at most {limit}"));
        }
        let mut content = Vec::with_capacity(bytes as usize);
        let result = entry.verifying_reader(entry.reader()).read_to_end(&mut content);
        result.map_err(|e| format!("{name} in the archive cannot be read: {e}"))?;
        Ok(content)
    }
}

/// What is wrong with an archive or its directory.
fn fault(error: &Error) -> String {
    match error.kind() {
        ErrorKind::MissingEndOfCentralDirectory => {
            "is not a zip archive written by torch.save, or a truncated one".into()
        }
        ErrorKind::IO(e) if e.kind() != io::ErrorKind::UnexpectedEof => format!("cannot be read: {e}"),
        _ => format!("its zip directory is damaged: {error}"),
    }
}

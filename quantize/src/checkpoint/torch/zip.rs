//! The directory of a zip archive, as `torch.save` writes it: where the content of each entry lies in the file.
//!
//! The directory is at the end of the file. Everything else about an archive is refused: compressed or encrypted entries,
//! several entries of one name, data before the archive. Format: APPNOTE.TXT of PKWARE, section 4.3.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use crate::checkpoint::limits::MAX_DIRECTORY;
use crate::text::{excerpt, printable};

const LOCAL_HEADER: &[u8] = b"PK\x03\x04";
const DIRECTORY_ENTRY: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const END_64_LOCATOR: &[u8] = b"PK\x06\x07";

/// Lengths of these records without names, extra fields and comments.
const LOCAL_HEADER_BYTES: u64 = 30;
const DIRECTORY_ENTRY_BYTES: usize = 46;
const END_BYTES: usize = 22;
const END_64_BYTES: usize = 56;
const END_64_LOCATOR_BYTES: usize = 20;
/// The longest comment, which follows the end record.
const MAX_COMMENT: usize = 65_535;
/// Tag of the extra field with sizes of 64 bits.
const EXTRA_64: u16 = 1;
/// In place of a size that the extra field holds.
const SIZE_IN_EXTRA: u64 = 0xffff_ffff;

/// An entry of the directory.
struct Entry {
    /// Its name in the directory's bytes.
    name: Range<usize>,
    /// Position of its local header.
    header: u64,
    bytes: u64,
    crc: u32,
    /// Neither compressed nor encrypted.
    plain: bool,
}

/// Bytes of the file that an entry's content occupies.
#[derive(Clone, Copy)]
pub(super) struct EntrySpan {
    pub(super) start: u64,
    pub(super) bytes: u64,
}

/// A zip archive whose directory has been read.
pub(super) struct Archive<'f> {
    file: &'f File,
    length: u64,
    directory: Vec<u8>,
    /// Sorted by name.
    entries: Vec<Entry>,
}

impl<'f> Archive<'f> {
    /// Reads the directory of a file of `length` bytes.
    pub(super) fn open(file: &'f File, length: u64) -> Result<Archive<'f>, String> {
        let span = find_directory(file, length)?;
        if span.bytes > MAX_DIRECTORY {
            return Err(format!(
                "its zip directory has {} bytes; expected at most {MAX_DIRECTORY}",
                span.bytes
            ));
        }
        let directory = read(file, span.start, span.bytes as usize)?;
        let mut entries = Vec::new();
        let mut position = 0;
        while position < directory.len() {
            let (entry, end) = parse_entry(&directory, position)
                .ok_or_else(|| format!("its zip directory is damaged at byte {position}"))?;
            entries.push(entry);
            position = end;
        }
        entries.sort_by(|a, b| directory[a.name.clone()].cmp(&directory[b.name.clone()]));
        let archive = Archive { file, length, directory, entries };
        match archive.entries.windows(2).find(|pair| archive.name(&pair[0]) == archive.name(&pair[1])) {
            Some(pair) => {
                let name = String::from_utf8_lossy(archive.name(&pair[0]));
                Err(format!("the archive has two entries with the name {}", excerpt(&name)))
            }
            None => Ok(archive),
        }
    }

    fn name(&self, entry: &Entry) -> &[u8] {
        &self.directory[entry.name.clone()]
    }

    /// The names that are UTF-8, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter_map(|entry| std::str::from_utf8(self.name(entry)).ok())
    }

    fn find(&self, name: &str) -> Option<&Entry> {
        let index = self.entries.binary_search_by(|entry| self.name(entry).cmp(name.as_bytes()));
        self.entries.get(index.ok()?)
    }

    /// Whether there is an entry of this name.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The span of an entry, which must lie in the file and be neither compressed nor encrypted.
    pub(super) fn span(&self, name: &str) -> Result<EntrySpan, String> {
        let fault = |what: &str| format!("{} in the archive {what}", printable(name));
        let entry = self.find(name).ok_or_else(|| fault("is missing"))?;
        if !entry.plain {
            return Err(fault("is compressed; save it again with torch.save"));
        }
        let header = read(self.file, entry.header, LOCAL_HEADER_BYTES as usize)?;
        if !header.starts_with(LOCAL_HEADER) {
            return Err(fault("has no header"));
        }
        let names =
            number(&header, 26, 2).zip(number(&header, 28, 2)).map_or(0, |(name, extra)| name + extra);
        let start = entry.header + LOCAL_HEADER_BYTES + names;
        if start.checked_add(entry.bytes).is_none_or(|end| end > self.length) {
            return Err(fault("extends beyond the end of the file"));
        }
        Ok(EntrySpan { start, bytes: entry.bytes })
    }

    /// The content of an entry of at most `limit` bytes.
    pub(super) fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, String> {
        let span = self.span(name)?;
        if span.bytes > limit {
            return Err(format!(
                "{} in the archive has {} bytes; expected at most {limit}",
                printable(name),
                span.bytes
            ));
        }
        let content = read(self.file, span.start, span.bytes as usize)?;
        if self.find(name).is_some_and(|entry| entry.crc != beitle::file::crc::crc32(&content)) {
            return Err(format!("{} in the archive is damaged: its checksum is wrong", printable(name)));
        }
        Ok(content)
    }
}

/// The position of the directory: from the end record or, in large files, from the end record of 64 bits before it.
fn find_directory(file: &File, length: u64) -> Result<EntrySpan, String> {
    let tail_bytes = length.min((END_64_LOCATOR_BYTES + END_BYTES + MAX_COMMENT) as u64);
    let tail = read(file, length - tail_bytes, tail_bytes as usize)?;
    let is_end = |at: &usize| {
        tail[*at..].starts_with(END)
            && number(&tail, at + 20, 2)
                .is_some_and(|comment| at + END_BYTES + comment as usize == tail.len())
    };
    let end = (0..=tail.len().saturating_sub(END_BYTES)).rev().find(is_end);
    let end = end.ok_or("is not a zip archive written by torch.save, or a truncated one")?;
    let damaged = || "the end of its zip directory is damaged".to_string();
    let mut end_start = length - tail_bytes + end as u64;
    let field = |at: usize, width: usize| number(&tail, end + at, width).ok_or_else(damaged);
    let (mut bytes, mut start) = (field(12, 4)?, field(16, 4)?);
    let locator = end.checked_sub(END_64_LOCATOR_BYTES).map(|at| &tail[at..end]);
    if let Some(locator) = locator.filter(|locator| locator.starts_with(END_64_LOCATOR)) {
        end_start = number(locator, 8, 8).filter(|at| *at < end_start).ok_or_else(damaged)?;
        let record = read(file, end_start, END_64_BYTES)?;
        let field =
            |at: usize| number(&record, at, 8).filter(|_| record.starts_with(END_64)).ok_or_else(damaged);
        (bytes, start) = (field(40)?, field(48)?);
    }
    match start.checked_add(bytes) {
        Some(directory_end) if directory_end == end_start => Ok(EntrySpan { start, bytes }),
        _ => Err(damaged()),
    }
}

/// The entry at `position` of the directory, and the position of the next. `None` if it is malformed.
fn parse_entry(directory: &[u8], position: usize) -> Option<(Entry, usize)> {
    let record = directory.get(position..)?;
    let field = |at: usize, width: usize| number(record, at, width);
    if !record.starts_with(DIRECTORY_ENTRY) {
        return None;
    }
    let name_end = DIRECTORY_ENTRY_BYTES + field(28, 2)? as usize;
    let extra_end = name_end + field(30, 2)? as usize;
    let end = extra_end + field(32, 2)? as usize;
    record.get(..end)?;
    let [mut stored, mut bytes, mut header] = [field(20, 4)?, field(24, 4)?, field(42, 4)?];
    // The extra field holds those of these three that do not fit into 32 bits, in this order.
    let mut extra = extra_64(&record[name_end..extra_end]);
    for value in [&mut bytes, &mut stored, &mut header] {
        if *value == SIZE_IN_EXTRA {
            *value = number(extra, 0, 8)?;
            extra = &extra[8..];
        }
    }
    let (flags, method) = (field(8, 2)?, field(10, 2)?);
    let name = position + DIRECTORY_ENTRY_BYTES..position + name_end;
    let plain = flags & 1 == 0 && method == 0 && stored == bytes;
    Some((Entry { name, header, bytes, crc: field(16, 4)? as u32, plain }, position + end))
}

/// The content of the extra field with sizes of 64 bits; empty if there is none.
fn extra_64(mut extra: &[u8]) -> &[u8] {
    while let (Some(tag), Some(length)) = (number(extra, 0, 2), number(extra, 2, 2)) {
        let (content, rest) = extra[4..].split_at((length as usize).min(extra.len() - 4));
        if tag == u64::from(EXTRA_64) {
            return content;
        }
        extra = rest;
    }
    &[]
}

/// The little-endian number of `width` bytes, at most eight, at `position`; `None` beyond the end.
fn number(bytes: &[u8], position: usize, width: usize) -> Option<u64> {
    let bytes = bytes.get(position..position.checked_add(width)?)?;
    Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// `count` bytes of the file.
fn read(mut file: &File, start: u64, count: usize) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; count];
    let result = file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut bytes));
    match result {
        Ok(()) => Ok(bytes),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err("its zip archive is truncated".into()),
        Err(e) => Err(format!("cannot be read: {e}")),
    }
}

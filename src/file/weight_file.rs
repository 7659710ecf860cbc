//! A weight file in memory: bytes in, a checked header and tensor table out. Tensors are looked up by role and layer.

use super::crc::Crc32;
use super::format::{ALIGN, Header, MAGIC, Role, TensorEntry, TensorKind, VERSION};
use crate::error::Error;

/// The table has at most this many entries. No header requires more than 2,597.
const MAX_TENSORS: u32 = 4096;

/// A weight file whose structure is valid: header, table, and the size, offset and shape of every tensor.
#[derive(Clone, Copy)]
pub struct WeightFile<'a> {
    bytes: &'a [u8],
    header: &'a Header,
    table: &'a [TensorEntry],
}

impl<'a> WeightFile<'a> {
    /// Validates everything except the contents of the tensors, in microseconds whatever the size of the file.
    ///
    /// # Errors
    /// The first violation of the format, with its field, its value and what was expected.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.len() >= MAGIC.len() && bytes[..MAGIC.len()] != MAGIC {
            return Err(Error::Magic);
        }
        let truncated = |what, needed| Error::Truncated { what, needed, found: bytes.len() as u64 };
        let head =
            bytes.get(..size_of::<Header>()).ok_or(truncated("the header", size_of::<Header>() as u64))?;
        if !bytes.as_ptr().addr().is_multiple_of(ALIGN) {
            return Err(Error::Misaligned);
        }
        let header: &Header = bytemuck::from_bytes(head);
        if header.version != VERSION {
            return Err(Error::Version { found: header.version, expected: VERSION });
        }
        if header.tensor_count > MAX_TENSORS {
            let (field, found) = ("tensor_count", header.tensor_count.into());
            return Err(Error::Header { field, found, expected: "at most 4096" });
        }
        let table_end =
            size_of::<Header>() as u64 + u64::from(header.tensor_count) * size_of::<TensorEntry>() as u64;
        let table = usize::try_from(table_end)
            .ok()
            .and_then(|end| bytes.get(size_of::<Header>()..end))
            .ok_or(truncated("the tensor table", table_end))?;
        if header.file_bytes > bytes.len() as u64 {
            return Err(truncated("the whole file", header.file_bytes));
        }
        if header.file_bytes < bytes.len() as u64 {
            let expected = "the length of the file (extra bytes follow the last tensor)";
            return Err(Error::Header { field: "file_bytes", found: header.file_bytes, expected });
        }
        let mut crc = Crc32::new();
        crc.update(bytemuck::bytes_of(&Header { head_crc: 0, ..*header }));
        crc.update(table);
        if crc.value() != header.head_crc {
            return Err(Error::Checksum { what: "header and tensor table", layer: 0 });
        }
        let file = WeightFile { bytes, header, table: bytemuck::cast_slice(table) };
        file.check_offsets(table_end)?;
        super::tensors::check(header, file.table)?;
        Ok(file)
    }

    /// Checks that the tensors follow one another in table order, each at the next aligned offset and of the size of its shape,
    /// and that the last one ends with the file.
    fn check_offsets(&self, table_end: u64) -> Result<(), Error> {
        let mut end = table_end;
        for e in self.table {
            let role = Role::from_code(e.role).map_or("unknown", Role::name);
            let wrong =
                |field, found, expected| Error::Tensor { role, layer: e.layer, field, found, expected };
            let start = end.checked_next_multiple_of(ALIGN as u64).ok_or(Error::TooLarge)?;
            if e.offset != start {
                return Err(wrong("offset", e.offset, start));
            }
            if TensorKind::from_code(e.kind).is_none() {
                return Err(wrong("kind", e.kind.into(), TensorKind::Int8 as u64));
            }
            let bytes = e.expected_bytes().ok_or(wrong("bytes", e.bytes, u64::MAX))?;
            if e.bytes != bytes {
                return Err(wrong("bytes", e.bytes, bytes));
            }
            end = start.checked_add(bytes).ok_or(wrong("bytes", bytes, self.header.file_bytes))?;
            if end > self.header.file_bytes {
                return Err(wrong("offset + bytes", end, self.header.file_bytes));
            }
        }
        if end != self.header.file_bytes {
            let expected = "the end of the last tensor";
            return Err(Error::Header { field: "file_bytes", found: self.header.file_bytes, expected });
        }
        Ok(())
    }

    /// All bytes of the file.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The header.
    pub fn header(&self) -> &'a Header {
        self.header
    }

    /// The tensor table.
    pub fn table(&self) -> &'a [TensorEntry] {
        self.table
    }

    /// The table entry of a tensor.
    #[inline(never)]
    pub fn find(&self, role: Role, layer: u16) -> Option<&'a TensorEntry> {
        let i = self.table.binary_search_by_key(&(role as u16, layer), |e| (e.role, e.layer)).ok()?;
        self.table.get(i)
    }

    /// The bytes of a tensor. `entry` must come from the table of this file; otherwise the result is empty or bytes of other
    /// tensors.
    pub fn bytes_of(&self, entry: &TensorEntry) -> &'a [u8] {
        let start = entry.offset as usize;
        self.bytes.get(start..start.saturating_add(entry.bytes as usize)).unwrap_or(&[])
    }
}

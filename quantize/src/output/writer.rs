//! Writes a weight file: tensors one after the other, then header and table. The file appears under its name when it is
//! complete.

use super::tensor::TensorInfo;
use crate::error::Error;
use beitle::file::crc::{Crc32, crc32};
use beitle::file::format::{ALIGN, Header, MAGIC, TensorEntry, VERSION};
use beitle_files::OutputFile;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A weight file being written. Dropped before [`Writer::finish`], it leaves nothing.
pub struct Writer {
    target: PathBuf,
    file: BufWriter<OutputFile>,
    entries: Vec<TensorEntry>,
    /// Entries that space is reserved for.
    planned: usize,
    /// Bytes written so far.
    end: u64,
}

impl Writer {
    /// Creates a file with space for the header and a table of `tensors` entries.
    ///
    /// # Errors
    /// No file can be created in the folder of `target`.
    pub fn new(target: &Path, tensors: usize) -> Result<Writer, Error> {
        let file = OutputFile::create(target).map_err(|e| Error::io(target, "cannot be written", e))?;
        let end = (size_of::<Header>() + tensors * size_of::<TensorEntry>()) as u64;
        let mut writer = Writer {
            target: target.to_owned(),
            file: BufWriter::with_capacity(1 << 20, file),
            entries: Vec::with_capacity(tensors),
            planned: tensors,
            end: 0,
        };
        writer.put(&vec![0; end as usize])?;
        Ok(writer)
    }

    fn io<T>(&self, result: std::io::Result<T>) -> Result<T, Error> {
        result.map_err(|e| Error::io(&self.target, "cannot be written", e))
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.end += bytes.len() as u64;
        let result = self.file.write_all(bytes);
        self.io(result)
    }

    /// Appends a tensor at the next aligned offset.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&mut self, t: &TensorInfo, bytes: &[u8]) -> Result<(), Error> {
        let gap = self.end.next_multiple_of(ALIGN as u64) - self.end;
        self.put(&[0; ALIGN][..gap as usize])?;
        self.entries.push(TensorEntry {
            role: t.role as u16,
            layer: t.layer,
            kind: t.kind as u8,
            bias_rows: t.bias_rows,
            matrices: t.matrices,
            n: t.n,
            k: t.k,
            offset: self.end,
            bytes: bytes.len() as u64,
            crc: crc32(bytes),
            sqnr: t.sqnr,
            source_bytes: t.source_bytes,
            reserved: [0; 2],
        });
        self.put(bytes)
    }

    /// Writes header and table and gives the file its name. `facts` is the header without the fields that
    /// describe the file itself. Returns the length in bytes.
    ///
    /// # Errors
    /// The file cannot be written or renamed.
    pub fn finish(mut self, facts: Header) -> Result<u64, Error> {
        debug_assert_eq!(self.entries.len(), self.planned);
        let mut header = Header {
            magic: MAGIC,
            version: VERSION,
            header_bytes: size_of::<Header>() as u32,
            file_bytes: self.end,
            tensor_count: self.entries.len() as u32,
            head_crc: 0,
            ..facts
        };
        let table = bytemuck::cast_slice::<TensorEntry, u8>(&self.entries);
        let mut crc = Crc32::new();
        crc.update(bytemuck::bytes_of(&header));
        crc.update(table);
        header.head_crc = crc.value();
        let result = self
            .file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.write_all(bytemuck::bytes_of(&header)))
            .and_then(|()| self.file.write_all(table))
            .and_then(|()| self.file.flush());
        self.io(result)?;
        let Writer { target, file, end, .. } = self;
        let committed = file.into_inner().map_err(|e| e.into_error()).and_then(OutputFile::commit);
        committed.map_err(|e| Error::io(&target, "cannot be written", e))?;
        Ok(end)
    }
}

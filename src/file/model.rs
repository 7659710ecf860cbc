//! A model: the facts of a weight file and typed views of its tensors. Nothing is copied.

use super::facts::Facts;
use super::format::Role;
use super::linear::Linear;
use super::weight_file::WeightFile;
use crate::error::Error;

/// A model in memory: its facts and its tensors, borrowed from the file's bytes.
#[derive(Clone, Copy)]
pub struct Model<'a> {
    file: WeightFile<'a>,
    facts: Facts,
}

impl<'a> Model<'a> {
    /// Checks the structure of `bytes` (which must start at a multiple of 64) and borrows it; microseconds, whatever the
    /// size. Tensor contents are checked by [`Model::verify`] alone.
    ///
    /// # Errors
    /// What is wrong with the file, by field.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        let file = WeightFile::parse(bytes)?;
        let facts = Facts::new(file.header()).ok_or(Error::Magic)?;
        let model = Model { file, facts };
        for role in [Role::ClassNames, Role::Source, Role::Tool, Role::Report] {
            model.text(role)?;
        }
        Ok(model)
    }

    /// Reads every byte and compares the checksums.
    ///
    /// # Errors
    /// The first tensor that is damaged.
    pub fn verify(&self) -> Result<(), Error> {
        self.file.verify()
    }

    /// The model's facts.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The file itself, for its tables.
    pub fn file(&self) -> &WeightFile<'a> {
        &self.file
    }

    fn text(&self, role: Role) -> Result<&'a str, Error> {
        let e = self.file.find(role, 0).ok_or(Error::Missing { role: role.name(), layer: 0 })?;
        let bytes = self.file.bytes_of(e);
        core::str::from_utf8(bytes).map_err(|bad| Error::Tensor {
            role: role.name(),
            layer: 0,
            field: "UTF-8 up to byte",
            found: bad.valid_up_to() as u64,
            expected: bytes.len() as u64,
        })
    }

    /// The checkpoint's name.
    pub fn source(&self) -> &'a str {
        self.text(Role::Source).unwrap_or("")
    }

    /// The converter and its version.
    pub fn tool(&self) -> &'a str {
        self.text(Role::Tool).unwrap_or("")
    }

    /// The converter's report, JSON.
    pub fn report(&self) -> &'a str {
        self.text(Role::Report).unwrap_or("")
    }

    /// The name of a class.
    pub fn class_name(&self, class: usize) -> Option<&'a str> {
        self.text(Role::ClassNames).ok()?.lines().nth(class)
    }

    /// The colour of a class.
    pub fn colour(&self, class: usize) -> [u8; 3] {
        let palette = self.file.find(Role::Palette, 0).map_or(&[][..], |e| self.file.bytes_of(e));
        palette.as_chunks().0.get(class).copied().unwrap_or([0; 3])
    }

    /// A linear tensor. The file has been checked: it is there and of the right shape.
    pub(crate) fn linear(&self, role: Role, layer: usize) -> Result<Linear<'a>, Error> {
        let missing = Error::Missing { role: role.name(), layer: layer as u16 };
        let entry = self.file.find(role, layer as u16).ok_or(missing)?;
        Linear::new(&self.file, entry).ok_or(missing)
    }

    /// A plain tensor.
    pub(crate) fn plain(&self, role: Role, layer: usize) -> Result<&'a [f32], Error> {
        let missing = Error::Missing { role: role.name(), layer: layer as u16 };
        let entry = self.file.find(role, layer as u16).ok_or(missing)?;
        bytemuck::try_cast_slice(self.file.bytes_of(entry)).map_err(|_| missing)
    }

    /// The relative-position table of a block: per head, the table and its three last entries.
    pub(crate) fn bias(&self, block: usize) -> Result<Option<&'a [f32]>, Error> {
        match (self.facts.relative, self.facts.shared) {
            (true, _) => self.plain(Role::RelativeBias, block).map(Some),
            (_, true) => self.plain(Role::RelativeBias, 0).map(Some),
            _ => Ok(None),
        }
    }
}

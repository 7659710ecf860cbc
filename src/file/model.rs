//! A model: the facts of a weight file and typed views of its tensors, borrowed from the bytes of the file.

use super::facts::Facts;
use super::format::Role;
use super::linear::{Linear, LinearShape};
use super::verify::verify;
use super::weight_file::WeightFile;
use crate::error::Error;

/// A validated model: its facts and its tensors, borrowed from the bytes of a weight file.
#[derive(Clone, Copy)]
pub struct Model<'a> {
    file: WeightFile<'a>,
    facts: Facts,
}

impl<'a> Model<'a> {
    /// Validates the structure of a weight file and borrows it. `bytes` must start at a multiple of 64. This reads header, tensor
    /// table and the names of classes, checkpoint and converter, which takes microseconds whatever the size of the weights. The
    /// contents of the other tensors are not read (see [`Model::verify`]).
    ///
    /// # Errors
    /// The first violation of the format: its field, value and what was expected.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        let file = WeightFile::parse(bytes)?;
        let facts = Facts::new(file.header()).ok_or(Error::Magic)?;
        let model = Model { file, facts };
        for role in [Role::ClassNames, Role::Source, Role::Tool] {
            if role != Role::ClassNames || facts.classes > 0 {
                check_printable(role, model.text(role)?)?;
            }
        }
        Ok(model)
    }

    /// Reads the whole file and checks the contents of every tensor: its checksum, and the padding and sums of weights, on which
    /// the same results on every CPU rest.
    ///
    /// # Errors
    /// [`Error::Checksum`] for a damaged tensor, [`Error::Tensor`] for contents that the format does not allow.
    pub fn verify(&self) -> Result<(), Error> {
        verify(&self.file)?;
        self.text(Role::Report).map(|_| ())
    }

    /// The model's facts.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The file, for its header and tensor table.
    pub fn file(&self) -> &WeightFile<'a> {
        &self.file
    }

    /// The text of a tensor of raw bytes.
    #[inline(never)]
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

    /// The name of the checkpoint.
    pub fn source(&self) -> &'a str {
        self.text(Role::Source).unwrap_or("")
    }

    /// The name and version of the converter.
    pub fn tool(&self) -> &'a str {
        self.text(Role::Tool).unwrap_or("")
    }

    /// The converter's report, in JSON; empty if it is not UTF-8, which only [`verify`](Model::verify) reports.
    pub fn report(&self) -> &'a str {
        self.text(Role::Report).unwrap_or("")
    }

    /// The names of the classes, in order. They have no control characters. A file may have fewer names than classes.
    pub fn class_names(&self) -> impl Iterator<Item = &'a str> {
        let names = self.file.find(Role::ClassNames, 0).map_or(&[][..], |e| self.file.bytes_of(e));
        let names = names.strip_suffix(b"\n").unwrap_or(names);
        let lines = names.split(|b| *b == b'\n').take(if names.is_empty() { 0 } else { self.facts.classes });
        lines.map(|name| core::str::from_utf8(name).unwrap_or(""))
    }

    /// The name of class number `class`, counted from 0; `None` if the file has none. It is searched from the start: to name
    /// all classes, use [`class_names`](Model::class_names).
    pub fn class_name(&self, class: usize) -> Option<&'a str> {
        self.class_names().nth(class)
    }

    /// The colour of a class in the palette, as R, G, B; black for a class that does not exist, and if the model does not segment
    /// pictures.
    pub fn colour(&self, class: usize) -> [u8; 3] {
        let palette = self.file.find(Role::Palette, 0).map_or(&[][..], |e| self.file.bytes_of(e));
        palette.as_chunks().0.get(class).copied().unwrap_or([0; 3])
    }

    /// The byte ranges of the tensors in the order in which a run first reads them, for
    /// [`FileBytes::read_ahead`](crate::memory::FileBytes::read_ahead).
    #[cfg(feature = "std")]
    pub fn read_order(&self) -> std::vec::Vec<core::ops::Range<usize>> {
        let mut tensors: std::vec::Vec<_> = self.file.table().iter().collect();
        tensors.sort_by_key(|e| match Role::from_code(e.role) {
            Some(Role::Qkv | Role::Proj | Role::Fc1 | Role::Fc2 | Role::RelativeBias) => {
                (1, e.layer, e.offset)
            }
            Some(role) if role < Role::Qkv => (0, 0, e.offset),
            Some(Role::PspBranch | Role::PspBottleneck | Role::PspBottleneckBranch | Role::Lateral2) => {
                (2, 0, e.offset)
            }
            Some(Role::FpnConv) if e.layer == 2 => (3, 0, e.offset),
            _ => (4, 0, e.offset),
        });
        tensors.iter().map(|e| e.offset as usize..(e.offset + e.bytes) as usize).collect()
    }

    /// A linear tensor that the header requires. It exists and has the right shape, because [`Model::new`] has checked the
    /// file; another role or layer gives [`Error::Missing`].
    pub(crate) fn linear(&self, role: Role, layer: usize) -> Result<Linear<'a>, Error> {
        let missing = Error::Missing { role: role.name(), layer: layer as u16 };
        let entry = self.file.find(role, layer as u16).ok_or(missing)?;
        Linear::new(&self.file, entry).ok_or(missing)
    }

    /// The shape of a linear tensor, under the same conditions as [`linear`](Model::linear).
    #[inline(never)]
    pub(crate) fn linear_shape(&self, role: Role, layer: usize) -> Result<LinearShape, Error> {
        let entry = self.file.find(role, layer as u16);
        entry.map(LinearShape::of).ok_or(Error::Missing { role: role.name(), layer: layer as u16 })
    }

    /// A plain f32 tensor, `[n][k]`, under the same conditions as [`linear`](Model::linear).
    pub(crate) fn plain(&self, role: Role, layer: usize) -> Result<&'a [f32], Error> {
        let missing = Error::Missing { role: role.name(), layer: layer as u16 };
        let entry = self.file.find(role, layer as u16).ok_or(missing)?;
        bytemuck::try_cast_slice(self.file.bytes_of(entry)).map_err(|_| missing)
    }

    /// The relative-position biases of a block, `[heads][offsets + 3]` (see [`Role::RelativeBias`]); `None` if the model has
    /// none.
    pub(crate) fn relative_bias(&self, block: usize) -> Result<Option<&'a [f32]>, Error> {
        match (self.facts.relative, self.facts.shared) {
            (true, _) => self.plain(Role::RelativeBias, block).map(Some),
            (_, true) => self.plain(Role::RelativeBias, 0).map(Some),
            _ => Ok(None),
        }
    }
}

/// Checks that a text has no control characters, except line breaks between class names: programs print it, and terminals obey
/// escape sequences.
#[inline(never)]
fn check_printable(role: Role, text: &str) -> Result<(), Error> {
    if !text.chars().any(|c| c.is_control() && (role, c) != (Role::ClassNames, '\n')) {
        return Ok(());
    }
    let (role, field) = (role.name(), "control characters");
    Err(Error::Tensor { role, layer: 0, field, found: 1, expected: 0 })
}

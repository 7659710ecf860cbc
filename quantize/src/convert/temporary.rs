//! Intermediate weight files.

use std::path::{Path, PathBuf};

/// A path beside the output for an intermediate file, which is removed when this is dropped.
pub(super) struct TemporaryFile {
    path: PathBuf,
}

impl TemporaryFile {
    /// `output` with `.suffix` appended. Creates nothing.
    pub(super) fn beside(output: &Path, suffix: &str) -> TemporaryFile {
        let mut name = output.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{suffix}"));
        TemporaryFile { path: output.with_file_name(name) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

//! When the checksums of a weight file are verified: by default when it is used for the first time, which a file in the user's cache
//! remembers. A file that has changed since (its length or time of modification) is verified again.

use crate::console::{Failure, bytes, warn};
use crate::model_file::ModelFile;
use beitle::Model;
use clap::ValueEnum;
use std::env::var_os;
use std::fs;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

/// Arguments that say when a weight file is verified.
#[derive(clap::Args)]
pub struct VerifyArgs {
    /// When to read the whole weight file and verify its checksums, without which a damaged file gives wrong results
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = When::First, num_args = 0..=1, require_equals = true, default_missing_value = "always")]
    verify: When,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    /// When this user uses the file for the first time
    First,
    /// Every time
    Always,
    /// Not at all
    Never,
}

/// How many weight files are remembered.
const REMEMBERED: usize = 100;
/// From this length on a message says that a file is read: it may take seconds.
const LONG: u64 = 100 << 20;

impl VerifyArgs {
    /// Verifies the file, if it is time to.
    ///
    /// # Errors
    /// It is damaged.
    pub fn check(&self, file: &ModelFile<'_>, model: &Model<'_>) -> Result<(), Failure> {
        let entry = if self.verify == When::First { entry(file) } else { None };
        let known = known_entries();
        if self.verify == When::Never || entry.as_ref().is_some_and(|entry| known.contains(entry)) {
            return Ok(());
        }
        if self.verify == When::First && file.bytes() >= LONG {
            let (path, size) = (file.path.display(), bytes(file.bytes()));
            warn(&format!("verifying {path} ({size}), because it is used for the first time"));
        }
        model.verify().map_err(|e| Failure::file(file.path, e))?;
        if let Some(entry) = entry {
            remember(entry, known);
        }
        Ok(())
    }
}

/// A line that says which file, and which state of it, was verified; `None` if it cannot be said in a line.
fn entry(file: &ModelFile<'_>) -> Option<String> {
    let path = fs::canonicalize(file.path).ok()?;
    let modified = fs::metadata(&path).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    let path = path.to_str().filter(|path| !path.contains('\n'))?;
    Some(format!("{} {}.{:09} {path}", file.bytes(), modified.as_secs(), modified.subsec_nanos()))
}

/// The file that remembers.
fn cache() -> Option<PathBuf> {
    let folder = |name| var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = folder("XDG_CACHE_HOME").or_else(|| match cfg!(windows) {
        true => folder("LOCALAPPDATA"),
        false => folder("HOME").map(|home| home.join(".cache")),
    })?;
    Some(caches.join("beitle").join("verified"))
}

/// The lines of the file that remembers.
fn known_entries() -> Vec<String> {
    let text = cache().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Adds a line, and drops that of an earlier state of the file, and the oldest ones. Where nothing can be written, the file is
/// verified again next time.
fn remember(entry: String, mut known: Vec<String>) {
    let path = |entry: &str| entry.splitn(3, ' ').nth(2).map(str::to_owned);
    known.retain(|other| path(other) != path(&entry));
    known.push(entry);
    let recent = &known[known.len().saturating_sub(REMEMBERED)..];
    if let Some(cache) = cache()
        && let Some(folder) = cache.parent()
        && fs::create_dir_all(folder).is_ok()
    {
        let _ = beitle_files::write(&cache, (recent.join("\n") + "\n").as_bytes());
    }
}

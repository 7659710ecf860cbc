//! When the checksums of a weight file are verified: by default the first time this user uses it. Verified weight files are recorded
//! in the user's cache folder. A file that has been replaced or changed since is verified again.

use crate::console::{Failure, bytes, warn};
use crate::model_file::ModelFile;
use beitle::Model;
use clap::ValueEnum;
use std::env::var_os;
use std::fs::{self, Metadata};
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
    /// The first time this user uses the file, and after it has been replaced or changed
    First,
    /// Every time
    Always,
    /// Not at all
    Never,
}

/// How many weight files the record keeps.
const KEPT: usize = 100;
/// The longest record that is read, in bytes.
const MAX_RECORD: u64 = 1 << 20;
/// From this length on a message says that a file is read: it may take seconds.
const LONG: u64 = 100 << 20;

impl VerifyArgs {
    /// Verifies the file, if it is time to. Unless `quiet`, a message says so for a large file.
    ///
    /// # Errors
    /// It is damaged.
    pub fn check(&self, file: &ModelFile<'_>, model: &Model<'_>, quiet: bool) -> Result<(), Failure> {
        let verify = || model.verify().map_err(|e| Failure::file(file.path, e));
        match self.verify {
            When::Never => return Ok(()),
            When::Always => return verify(),
            When::First => {}
        }
        let (entry, mut record) = (entry(file), Record::read());
        if entry.as_ref().is_some_and(|entry| record.entries.contains(entry)) {
            return Ok(());
        }
        if file.bytes() >= LONG && !quiet {
            let (path, size) = (file.path.display(), bytes(file.bytes()));
            warn(&format!("verifying {path} ({size}), which this user has not used before"));
        }
        verify()?;
        if let Some(entry) = entry {
            record.add(entry);
        }
        Ok(())
    }
}

/// The entry for a file in its present state; `None` if its path is not UTF-8 or contains a line break.
fn entry(file: &ModelFile<'_>) -> Option<String> {
    let path = fs::canonicalize(file.path).ok()?;
    let metadata = fs::metadata(&path).ok()?;
    let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    let path = path.to_str().filter(|path| !path.contains(['\n', '\r']))?;
    let (length, state) = (file.bytes(), state(&metadata));
    Some(format!("{length} {}.{:09} {state} {path}", modified.as_secs(), modified.subsec_nanos()))
}

/// What changes when a file is replaced by another one that has the same length and time of modification.
fn state(metadata: &Metadata) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let (device, inode) = (metadata.dev(), metadata.ino());
        format!("{device}:{inode} {}.{:09}", metadata.ctime(), metadata.ctime_nsec())
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        "- -".into()
    }
}

/// The path in an entry.
fn path_of(entry: &str) -> Option<&str> {
    entry.splitn(5, ' ').nth(4)
}

/// The record of verified weight files: a line for each, the latest last.
struct Record {
    entries: Vec<String>,
    /// Where it is; `None` if nothing can be written there.
    path: Option<PathBuf>,
}

impl Record {
    fn read() -> Self {
        let path = record_path();
        let file = path.as_ref().and_then(|path| beitle_files::read(path, MAX_RECORD).ok());
        let text = file.map(String::from_utf8);
        // A file that is no record is somebody else's.
        let is_ours = |text: &str| text.lines().all(|line| path_of(line).is_some());
        match text {
            Some(Ok(text)) if is_ours(&text) => {
                Record { entries: text.lines().map(str::to_owned).collect(), path }
            }
            _ => Record { entries: Vec::new(), path: path.filter(|path| !path.exists()) },
        }
    }

    /// Replaces the entry for the same path and keeps the latest [`KEPT`]. If the record cannot be written, the file is verified again
    /// next time.
    fn add(&mut self, entry: String) {
        let Some(path) = &self.path else { return };
        self.entries.retain(|other| path_of(other) != path_of(&entry));
        self.entries.push(entry);
        let latest = &self.entries[self.entries.len().saturating_sub(KEPT)..];
        if path.parent().is_some_and(|folder| fs::create_dir_all(folder).is_ok()) {
            let _ = beitle_files::write(path, (latest.join("\n") + "\n").as_bytes());
        }
    }
}

fn record_path() -> Option<PathBuf> {
    let folder = |name| var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let caches = folder("XDG_CACHE_HOME").or_else(|| match cfg!(windows) {
        true => folder("LOCALAPPDATA"),
        false => folder("HOME").map(|home| home.join(".cache")),
    })?;
    Some(caches.join("beitle").join("verified"))
}

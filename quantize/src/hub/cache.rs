//! Where downloaded files lie.
//!
//! The cache of the Hub has a folder for each repository, `models--owner--name`, with `refs/REVISION` (a file with a commit),
//! `blobs/ETAG` (the contents of files) and `snapshots/COMMIT/FILE` (links to the blobs).
//!
//! Source: <https://huggingface.co/docs/hub/local-cache>.

use crate::error::Error;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::{io, process};

/// A folder of downloaded files.
pub struct Cache(PathBuf);

/// The value of an environment variable that is set and not empty.
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn home(source: &Path) -> Result<PathBuf, Error> {
    let home = variable("HOME").or_else(|| variable("USERPROFILE")).map(PathBuf::from);
    home.ok_or_else(|| Error::new(source, "cannot be downloaded: HOME is not set, and neither is HF_HOME"))
}

/// `~/.cache`, or where the user has it.
fn user_cache(source: &Path) -> Result<PathBuf, Error> {
    match variable("XDG_CACHE_HOME") {
        Some(path) => Ok(path.into()),
        None => Ok(home(source)?.join(".cache")),
    }
}

/// The folder of the Hub's cache and token.
pub fn hub_home(source: &Path) -> Result<PathBuf, Error> {
    match variable("HF_HOME") {
        Some(path) => Ok(path.into()),
        None => Ok(user_cache(source)?.join("huggingface")),
    }
}

impl Cache {
    /// The cache of the Hub; `source` is what is to be downloaded.
    pub fn of_hub(source: &Path) -> Result<Self, Error> {
        match variable("HF_HUB_CACHE") {
            Some(path) => Ok(Cache(path.into())),
            None => Ok(Cache(hub_home(source)?.join("hub"))),
        }
    }

    /// The cache of files that have a URL.
    pub fn of_urls(source: &Path) -> Result<Self, Error> {
        Ok(Cache(user_cache(source)?.join("beitle")))
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The folder of a repository.
    pub fn repository(&self, owner: &str, name: &str) -> PathBuf {
        self.0.join(format!("models--{owner}--{name}"))
    }
}

/// Creates a folder.
pub fn create(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|e| Error::io(folder, "cannot create the folder", e))
}

/// Makes `link` lead to the blob, or copies it where links cannot be made.
pub fn link(blob: &Path, snapshot: &Path, file: &str) -> Result<(), Error> {
    let link = snapshot.join(file);
    if link.exists() {
        return Ok(());
    }
    create(link.parent().unwrap_or(snapshot))?;
    let _ = fs::remove_file(&link);
    // From `snapshots/COMMIT`, and further up from folders in it.
    let up = "../".repeat(2 + file.matches('/').count());
    let target = Path::new(&up).join("blobs").join(blob.file_name().unwrap_or_default());
    #[cfg(unix)]
    if std::os::unix::fs::symlink(&target, &link).is_ok() || link.exists() {
        return Ok(());
    }
    let _ = target;
    copy(blob, &link).map_err(|e| Error::io(&link, "cannot be written", e))
}

/// Copies a file under a temporary name: what has its own name is whole.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let partial = with_suffix(to, &format!(".{}.incomplete", process::id()));
    let copied = fs::copy(from, &partial).and_then(|_| fs::rename(&partial, to));
    if copied.is_err() {
        let _ = fs::remove_file(&partial);
    }
    copied
}

/// The path with something after its name.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_whole_or_absent() {
        let folder = env::temp_dir().join(format!("beitle-copy-{}", process::id()));
        let _ = fs::remove_dir_all(&folder);
        create(&folder).unwrap();
        let names = || {
            let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let [from, to] = ["from", "to"].map(|name| folder.join(name));
        fs::write(&from, "content").unwrap();
        copy(&from, &to).unwrap();
        assert_eq!((fs::read(&to).unwrap(), names().len()), (b"content".to_vec(), 2));
        // Nothing can be renamed to a folder that is in use.
        fs::remove_file(&to).unwrap();
        create(&to.join("inner")).unwrap();
        assert!(copy(&from, &to).is_err());
        assert_eq!(names(), ["from", "to"]);
        fs::remove_dir_all(&folder).unwrap();
    }
}

//! Checkpoints that are not on this machine: of the Hugging Face Hub, by name, or a file by URL.
//!
//! In: `owner/name`, `owner/name@revision` or a URL. Out: the path of a folder or file that can be converted. Files lie in the cache that
//! Python's tools use, in its layout (`cache`), so that either uses what the other has downloaded. `client` asks the server, `download`
//! fetches a file: it goes on where an interrupted one ended, and is used only if its checksum is right. `repository` knows which files a
//! conversion needs.

mod cache;
mod client;
mod download;
mod repository;

use crate::error::Error;
use crate::progress::Progress;
use cache::Cache;
use client::{Client, shown};
use repository::Repository;
use std::path::{Path, PathBuf};

/// The path of a checkpoint, which is downloaded if it is not on this machine: `source` is a path that exists, `owner/name` or
/// `owner/name@revision` on the Hub (unless there is a folder `owner`), or the URL of a file. Anything else is taken for a path.
///
/// These environment variables count, as in Python's tools: `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HOME`, `HF_HUB_CACHE`,
/// `HF_HUB_OFFLINE`, and `HTTPS_PROXY` and its like.
///
/// # Errors
/// The server refuses or does not answer, what it sends is not what it has announced, or the disk is full.
pub fn fetch(source: &Path, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf, Error> {
    let text = source.to_string_lossy();
    if source.exists() {
        return Ok(source.to_owned());
    }
    if text.starts_with("https://") || text.starts_with("http://") {
        let cache = Cache::of_urls(Path::new(&shown(&text)))?;
        return download::file(&Client::new(None), &text, &cache, progress);
    }
    // In a folder that is here, a file or folder is missing.
    let is_here = source.parent().is_some_and(Path::is_dir);
    match Repository::parse(&text).filter(|_| !is_here) {
        Some(repository) => repository.fetch(&Client::for_hub(), &Cache::of_hub(source)?, progress),
        None => Ok(source.to_owned()),
    }
}

//! Downloads of single files.

use super::cache::{Cache, create};
use super::client::{Client, Follow, header};
use crate::error::Error;
use crate::progress::{Phase, Progress};
use crate::sha256;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use ureq::http::StatusCode;

/// A file on a server.
pub struct RemoteFile<'a> {
    /// What is being downloaded, for messages.
    pub what: &'a Path,
    pub url: &'a str,
    /// Its length in bytes, if the server says so.
    pub bytes: Option<u64>,
    /// Its SHA-256 in hexadecimal, if the server says so.
    pub sha256: Option<&'a str>,
}

/// Downloads a file to `target`, unless it exists. What an interrupted download has left is used: it lies beside the target, in a file
/// whose name ends in `.incomplete`.
///
/// # Errors
/// The server refuses, the content is not what was announced, or it cannot be written.
pub fn download(
    client: &Client,
    remote: &RemoteFile,
    target: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Error> {
    if target.exists() {
        return Ok(());
    }
    create(target.parent().unwrap_or(Path::new("")))?;
    let partial = with_suffix(target, ".incomplete");
    let io_error = |action| move |e| Error::io(with_suffix(target, ".incomplete"), action, e);
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(&partial)
        .map_err(io_error("cannot be created"))?;
    // Another download of the same file may be going on.
    file.lock().map_err(io_error("cannot be locked"))?;
    if target.exists() {
        return Ok(());
    }
    let have = file.metadata().map_err(io_error("cannot be read"))?.len();
    check_room(remote, &partial, have)?;
    fetch_all(client, remote, &mut file, progress).map_err(|e| match e {
        Failed::Here(e) => Error::io(&partial, "cannot be written", e),
        Failed::There(e) => e,
    })?;
    if let Err(e) = check(remote, &mut file) {
        // What is there is wrong: the next attempt begins anew.
        let _ = fs::remove_file(&partial);
        return Err(e);
    }
    file.sync_all().map_err(io_error("cannot be written"))?;
    fs::rename(&partial, target).map_err(io_error("cannot be renamed"))
}

/// Checks that the disk has room for what is missing of a file.
fn check_room(remote: &RemoteFile, partial: &Path, have: u64) -> Result<(), Error> {
    let (Some(bytes), Some(free)) = (remote.bytes, free_bytes(partial)) else { return Ok(()) };
    let missing = bytes.saturating_sub(have);
    if missing <= free {
        return Ok(());
    }
    let [missing, free] = [missing, free].map(|bytes| bytes / 1_000_000);
    let folder = partial.parent().unwrap_or(partial).display();
    Err(Error::new(
        remote.what,
        format!("needs {missing} MB on the disk of {folder}, which has {free} MB left"),
    ))
}

/// The free bytes on the disk of a file, where they can be found out.
fn free_bytes(file: &Path) -> Option<u64> {
    #[cfg(unix)]
    return rustix::fs::statvfs(file).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    #[cfg(not(unix))]
    {
        let _ = file;
        None
    }
}

/// Why a download failed: the file cannot be written, or it cannot be had.
enum Failed {
    Here(io::Error),
    There(Error),
}

/// Appends what is missing to the file. A connection that breaks is made again, as long as something arrives.
fn fetch_all(
    client: &Client,
    remote: &RemoteFile,
    file: &mut File,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Failed> {
    let (mut attempt, mut buffer) = (0, vec![0; 1 << 16]);
    let mut have = file.metadata().map_err(Failed::Here)?.len();
    if remote.bytes.is_some_and(|bytes| have > bytes) || have > 0 && remote.bytes.is_none() {
        file.set_len(0).map_err(Failed::Here)?;
        have = 0;
    }
    loop {
        if remote.bytes == Some(have) {
            return Ok(());
        }
        client.wait(attempt);
        let range = (have > 0).then_some(have);
        let response =
            client.send(remote.what, ("GET", remote.url), range, Follow::All).map_err(Failed::There)?;
        // A server that does not know ranges sends everything.
        if have > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
            file.set_len(0).map_err(Failed::Here)?;
            have = 0;
        }
        let announced =
            header(response.headers(), "content-length").and_then(|text| text.parse::<u64>().ok());
        let total = remote.bytes.or(announced.map(|bytes| have + bytes));
        let start = have;
        let mut body = response.into_body().into_reader();
        let broken = loop {
            let read = match body.read(&mut buffer) {
                Ok(0) => break None,
                Ok(read) => read,
                Err(e) => break Some(e),
            };
            if total.is_some_and(|total| have + read as u64 > total) {
                return Err(Failed::There(Error::new(
                    remote.what,
                    "the server sends more than it has announced",
                )));
            }
            file.write_all(&buffer[..read]).map_err(Failed::Here)?;
            have += read as u64;
            let (done, total) = (have as usize, total.unwrap_or(have) as usize);
            progress(Progress { phase: Phase::Download, done, total });
        };
        if broken.is_none() && total.is_none_or(|total| total == have) {
            return Ok(());
        }
        // A new request, unless several in a row have brought nothing.
        attempt = if have > start { 1 } else { attempt + 1 };
        if attempt >= client.attempts() {
            let reason = broken.map_or("it ends too early".into(), |e| e.to_string());
            return Err(Failed::There(Error::new(remote.what, format!("the download broke off: {reason}"))));
        }
    }
}

/// Checks the length and the checksum of a file.
fn check(remote: &RemoteFile, file: &mut File) -> Result<(), Error> {
    let failed = |e: io::Error| Error::new(remote.what, format!("what was downloaded cannot be read: {e}"));
    let bytes = file.metadata().map_err(failed)?.len();
    if let Some(expected) = remote.bytes.filter(|expected| *expected != bytes) {
        return Err(Error::new(remote.what, format!("has {bytes} bytes; the server announced {expected}")));
    }
    let Some(expected) = remote.sha256 else { return Ok(()) };
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut hash = Sha256::new();
    sha256::add(&mut hash, file).map_err(failed)?;
    let found = sha256::hex(&hash.finalize());
    match found == expected.to_lowercase() {
        true => Ok(()),
        false => {
            Err(Error::new(remote.what, format!("has the SHA-256 {found}; the server announced {expected}")))
        }
    }
}

/// Downloads the file at a URL into a folder of its own in the cache.
///
/// # Errors
/// As [`download`].
pub fn file(
    client: &Client,
    url: &str,
    cache: &Cache,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf, Error> {
    let what = Path::new(url);
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let name = path.rsplit('/').next().filter(|name| !name.is_empty() && !name.starts_with('.'));
    let Some(name) = name else {
        return Err(Error::new(what, "the URL does not end with the name of a file"));
    };
    let digest = sha256::hex(&Sha256::digest(url)[..8]);
    let target = cache.folder().join(digest).join(name);
    if target.exists() {
        return Ok(target);
    }
    let head = client.send(what, ("HEAD", url), None, Follow::All)?;
    let bytes = header(head.headers(), "content-length").and_then(|text| text.parse().ok());
    download(client, &RemoteFile { what, url, bytes, sha256: None }, &target, progress)?;
    Ok(target)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

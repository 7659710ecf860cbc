//! Downloads of single files.

use super::cache::{Cache, create, with_suffix};
use super::client::{Client, Follow, Range, header, shown};
use crate::checkpoint::MAX_FILE;
use crate::error::Error;
use crate::progress::{Phase, Progress};
use crate::sha256;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use ureq::http::{HeaderMap, StatusCode};

/// The most bytes of what tells versions of a file apart.
const VERSION_BYTES: u64 = 1024;

/// A file on a server.
pub struct RemoteFile<'a> {
    /// What is being downloaded, for messages.
    pub what: &'a Path,
    pub url: &'a str,
    /// Its length in bytes, if the server says so.
    pub bytes: Option<u64>,
    /// Its SHA-256 in hexadecimal, if the server says so.
    pub sha256: Option<&'a str>,
    pub version: Version,
}

/// What tells versions of a file apart, for a download that goes on where an earlier one has ended.
pub enum Version {
    /// The file at the URL never changes.
    Only,
    /// The [`validator`] that the server sends now, if it sends one.
    Tagged(Option<String>),
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
    let path = with_suffix(target, ".incomplete");
    let io_error = |action| move |e| Error::io(with_suffix(target, ".incomplete"), action, e);
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(&path)
        .map_err(io_error("cannot be created"))?;
    // Another download of the same file may be going on.
    file.lock().map_err(io_error("cannot be locked"))?;
    if target.exists() {
        return Ok(());
    }
    let have = file.metadata().map_err(io_error("cannot be read"))?.len();
    let mut partial = Partial { file, path, have };
    let is_usable = match &remote.version {
        Version::Only => true,
        Version::Tagged(now) => now.is_some() && *now == partial.version(),
    };
    // Of a file without a length nobody knows whether more is to come.
    if !is_usable || remote.bytes.is_none_or(|bytes| have > bytes) {
        partial.restart().map_err(io_error("cannot be written"))?;
    }
    limit(remote, remote.bytes, &partial)?;
    let fetched = fetch_all(client, remote, &mut partial, progress).map_err(|e| match e {
        Failed::Here(e) => Error::io(&partial.path, "cannot be written", e),
        Failed::There(e) => e,
    });
    if let Err(e) = fetched {
        if remote.bytes.is_none() {
            partial.remove();
        }
        return Err(e);
    }
    if let Err(e) = check(remote, &mut partial.file) {
        // What is there is wrong: the next attempt begins anew.
        partial.remove();
        return Err(e);
    }
    partial.file.sync_all().map_err(io_error("cannot be written"))?;
    fs::rename(&partial.path, target).map_err(io_error("cannot be renamed"))?;
    let _ = fs::remove_file(partial.version_path());
    Ok(())
}

/// The beginning of a file. Beside it lies a file with its version, if the server says that.
struct Partial {
    file: File,
    path: PathBuf,
    /// Its length.
    have: u64,
}

impl Partial {
    fn version_path(&self) -> PathBuf {
        with_suffix(&self.path, ".version")
    }

    /// The version of the file that this is the beginning of.
    fn version(&self) -> Option<String> {
        let text = beitle_files::read(&self.version_path(), VERSION_BYTES).ok()?;
        String::from_utf8(text).ok()
    }

    /// Empties the file.
    fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.have = 0;
        let _ = fs::remove_file(self.version_path());
        Ok(())
    }

    /// Deletes the file.
    fn remove(&self) {
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(self.version_path());
    }
}

/// The most bytes that a file may come to: `total`, if the server states its length, otherwise what the disk has room for.
///
/// # Errors
/// The disk has no room for what is missing, or the file is longer than any weight file.
fn limit(remote: &RemoteFile, total: Option<u64>, partial: &Partial) -> Result<u64, Error> {
    let free = free_bytes(&partial.path).unwrap_or(u64::MAX);
    let room = partial.have.saturating_add(free);
    let Some(total) = total else { return Ok(room.min(MAX_FILE)) };
    if total > room {
        let [missing, free] = [total - partial.have, free].map(|bytes| bytes / 1_000_000);
        let folder = partial.path.parent().unwrap_or(&partial.path).display();
        return Err(Error::new(
            remote.what,
            format!("needs {missing} MB on the disk of {folder}, which has {free} MB left"),
        ));
    }
    if total > MAX_FILE {
        return Err(Error::new(remote.what, format!("has {total} bytes; expected at most {MAX_FILE}")));
    }
    Ok(total)
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

/// Appends what is missing to the file. A connection that breaks is made again, as long as the file grows.
fn fetch_all(
    client: &Client,
    remote: &RemoteFile,
    partial: &mut Partial,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Failed> {
    let mut attempt = 0;
    // The most that the file has ever had: a server that does not know ranges begins anew each time.
    let mut most = partial.have;
    loop {
        if remote.bytes == Some(partial.have) {
            return Ok(());
        }
        client.wait(attempt);
        let has_one_version = matches!(remote.version, Version::Only);
        let version = partial.version().filter(|_| !has_one_version);
        let is_known = has_one_version || version.is_some();
        let range = (partial.have > 0 && is_known)
            .then_some(Range { start: partial.have, version: version.as_deref() });
        let response =
            client.send(remote.what, ("GET", remote.url), range, Follow::All).map_err(Failed::There)?;
        let headers = response.headers();
        let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
        let part = content_range(headers).filter(|_| is_part);
        let now = validator(headers);
        let is_same = version.is_none() || now.is_none() || version == now;
        let is_asked = is_same
            && part.is_some_and(|(start, total)| {
                start == partial.have
                    && total.is_none_or(|total| remote.bytes.is_none_or(|bytes| bytes == total))
            });
        if !is_asked {
            partial.restart().map_err(Failed::Here)?;
            if let Some(now) = now.filter(|_| !has_one_version) {
                fs::write(partial.version_path(), now).map_err(Failed::Here)?;
            }
        }
        let broken = if is_part && !is_asked {
            Some("the server sends another part than was asked for".to_owned())
        } else {
            let announced = header(headers, "content-length").and_then(|text| text.parse::<u64>().ok());
            let total = remote.bytes.or(part.and_then(|(_, total)| total));
            let total = total.or(announced.map(|bytes| partial.have.saturating_add(bytes)));
            let limit = limit(remote, total, partial).map_err(Failed::There)?;
            let mut body = response.into_body().into_reader();
            let broken = receive(remote, &mut body, partial, (total, limit), progress)?;
            if broken.is_none() && total.is_none_or(|total| total == partial.have) {
                return Ok(());
            }
            broken.map(|e| e.to_string())
        };
        // A new request, unless several in a row have brought nothing.
        attempt = if partial.have > most { 1 } else { attempt + 1 };
        most = most.max(partial.have);
        if attempt >= client.attempts() {
            let reason = broken.unwrap_or("it ends too early".into());
            return Err(Failed::There(Error::new(remote.what, format!("the download broke off: {reason}"))));
        }
    }
}

/// Appends a body to the file, which may come to `limit` bytes; `total` is its whole length, if that is known. Returns the error that
/// cut the body off, if one did.
fn receive(
    remote: &RemoteFile,
    body: &mut dyn Read,
    partial: &mut Partial,
    (total, limit): (Option<u64>, u64),
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<io::Error>, Failed> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = match body.read(&mut buffer) {
            Ok(0) => return Ok(None),
            Ok(read) => read,
            Err(e) => return Ok(Some(e)),
        };
        if read as u64 > limit.saturating_sub(partial.have) {
            let problem = match total {
                Some(_) => "the server sends more than it has announced".into(),
                None => {
                    let [limit, most] = [limit, MAX_FILE].map(|bytes| bytes / 1_000_000);
                    format!(
                        "the server announces no length, and sends more than {limit} MB: expected at most {most} MB, \
                        and what the disk has room for"
                    )
                }
            };
            return Err(Failed::There(Error::new(remote.what, problem)));
        }
        partial.file.write_all(&buffer[..read]).map_err(Failed::Here)?;
        partial.have += read as u64;
        let (done, total) = (partial.have as usize, total.unwrap_or(partial.have) as usize);
        progress(Progress { phase: Phase::Download, done, total });
    }
}

/// What tells a file's versions apart: its ETag, or its time of change if it has none. Weak tags do not tell bytes apart.
fn validator(headers: &HeaderMap) -> Option<String> {
    let text = match header(headers, "etag") {
        Some(tag) => Some(tag).filter(|tag| tag.starts_with('"')),
        None => header(headers, "last-modified"),
    };
    text.filter(|text| text.len() as u64 <= VERSION_BYTES).map(str::to_owned)
}

/// The first byte of an answer that is a part of a file, and the file's length, if it is known.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let (range, total) = header(headers, "content-range")?.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()))
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
    let what = &PathBuf::from(shown(url));
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
    let version = Version::Tagged(validator(head.headers()));
    download(client, &RemoteFile { what, url, bytes, sha256: None, version }, &target, progress)?;
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_grows_beyond_its_limit() {
        let path = std::env::temp_dir().join(format!("beitle-limit-{}", std::process::id()));
        let what = Path::new("a/b");
        let remote = RemoteFile { what, url: "", bytes: None, sha256: None, version: Version::Only };
        let file = OpenOptions::new().append(true).create(true).open(&path).unwrap();
        let mut partial = Partial { file, path, have: 100 };
        let free = free_bytes(&partial.path).unwrap_or(u64::MAX);
        // Other programs write to the disk meanwhile.
        let found = limit(&remote, None, &partial).unwrap();
        assert!(found <= MAX_FILE && found.abs_diff(free.min(MAX_FILE)) < 1 << 30);
        assert_eq!(limit(&remote, Some(1000), &partial).unwrap(), 1000);
        assert!(limit(&remote, Some(u64::MAX), &partial).is_err());
        // Beyond the limit, even if the disk had room for it.
        partial.have = MAX_FILE + 1;
        let message = limit(&remote, Some(MAX_FILE + 1), &partial).unwrap_err().to_string();
        assert_eq!(message, "a/b: has 68719476737 bytes; expected at most 68719476736");

        for (total, part) in [(Some(1 << 20), "more than it has announced"), (None, "announces no length")] {
            partial.restart().unwrap();
            let mut body = io::repeat(0);
            let received = receive(&remote, &mut body, &mut partial, (total, 1 << 20), &mut |_| ());
            let Err(Failed::There(e)) = received else { panic!("an endless body is received") };
            assert!(e.to_string().contains(part), "{e}");
            assert_eq!(partial.file.metadata().unwrap().len(), 1 << 20);
        }
        partial.remove();
    }
}

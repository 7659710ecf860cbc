//! A repository of the Hub: which files a conversion needs, and where they are.

use super::cache::{Cache, create, link};
use super::client::{Client, Follow, header, shown};
use super::download::{RemoteFile, Version, download};
use crate::checkpoint::read_index;
use crate::error::Error;
use crate::progress::Progress;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};

/// Files with the weights, the preferred one first.
const WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];
/// Files that are needed if they exist.
const OPTIONAL: [&str; 1] = ["preprocessor_config.json"];
const CONFIG: &str = "config.json";
/// The most bytes of an answer that is not a file.
const ANSWER_BYTES: u64 = 4 << 20;

/// What is needed of a repository's list of files. Nothing else of it is kept in memory.
#[derive(Deserialize)]
struct Listing {
    /// The commit.
    sha: String,
    siblings: Vec<ListedFile>,
}

#[derive(Deserialize)]
struct ListedFile {
    #[serde(rename = "rfilename")]
    name: String,
}

/// A model of the Hub at a revision.
#[derive(Debug, PartialEq, Eq)]
pub struct Repository {
    owner: String,
    name: String,
    revision: String,
}

impl Repository {
    /// `owner/name` or `owner/name@revision`; `None` if the text is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
        let (owner, name) = id.split_once('/')?;
        let is_name = |part: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !part.is_empty() && part.len() <= 96 && !part.starts_with(['.', '-']) && part.chars().all(allowed)
        };
        // Branches of pull requests are called refs/pr/1.
        let is_revision = !revision.is_empty() && revision.split('/').all(is_name);
        let is_repository = is_name(owner) && is_name(name) && is_revision;
        is_repository.then(|| Repository {
            owner: owner.into(),
            name: name.into(),
            revision: revision.into(),
        })
    }

    fn what(&self) -> PathBuf {
        format!("{}/{}@{}", self.owner, self.name, self.revision).into()
    }

    /// The folder with all files that a conversion needs, after downloading those that are missing.
    ///
    /// # Errors
    /// The server refuses, the repository has no weights, or a download fails.
    pub fn fetch(
        &self,
        client: &Client,
        cache: &Cache,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PathBuf, Error> {
        let folder = cache.repository(&self.owner, &self.name);
        // A commit never changes; a branch does, unless there is no network.
        let is_commit = self.revision.len() == 40 && self.revision.chars().all(|c| c.is_ascii_hexdigit());
        let named = fs::read_to_string(folder.join("refs").join(&self.revision)).ok();
        let known =
            if is_commit { Some(self.revision.clone()) } else { named.map(|text| text.trim().to_owned()) };
        if let Some(commit) = known {
            let snapshot = folder.join("snapshots").join(&commit);
            // Others may have filled the cache, and not with all that is needed if it exists.
            let is_settled = || {
                let is_known =
                    |file| snapshot.join(file).exists() || absence(&folder, &commit, file).exists();
                is_commit && OPTIONAL.into_iter().all(is_known)
            };
            if is_complete(&snapshot) && (client.is_offline() || is_settled()) {
                return Ok(snapshot);
            }
        }
        self.download(client, &folder, progress)
    }

    fn download(
        &self,
        client: &Client,
        folder: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PathBuf, Error> {
        let Repository { owner, name, revision } = self;
        let what = self.what();
        let url = format!(
            "{}/api/models/{owner}/{name}/revision/{}",
            client.endpoint(),
            revision.replace('/', "%2F")
        );
        let answer = client.send(&what, ("GET", &url), None, Follow::All)?;
        let wrong = |problem: &str| Error::new(&what, format!("{}: {problem}", shown(client.endpoint())));
        let text = answer.into_body().into_with_config().limit(ANSWER_BYTES).read_to_vec();
        let text = text.map_err(|e| wrong(&format!("cannot read the list of files: {e}")))?;
        let listing: Listing = serde_json::from_slice(&text)
            .map_err(|_| wrong("the list of files is not JSON with the fields sha and siblings"))?;
        let commit = listing.sha.as_str();
        if commit.len() != 40 || !commit.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(wrong("the list of files has no commit (field sha)"));
        }
        let has = |file: &str| listing.siblings.iter().any(|listed| listed.name == file);
        if !has(CONFIG) {
            return Err(Error::new(&what, "has no config.json: expected a model of transformers"));
        }
        let Some(weights) = WEIGHTS.into_iter().find(|file| has(file)) else {
            let expected = WEIGHTS.join(", ");
            return Err(Error::new(&what, format!("has no weights; expected one of {expected}")));
        };
        let snapshot = folder.join("snapshots").join(commit);
        let mut fetch = |file: &str| self.file(client, folder, (commit, file), progress);
        for file in [CONFIG].into_iter().chain(OPTIONAL.into_iter().filter(|file| has(file))).chain([weights])
        {
            fetch(file)?;
        }
        for shard in shards(&snapshot.join(weights))? {
            fetch(&shard)?;
        }
        for file in OPTIONAL.into_iter().filter(|file| !has(file)) {
            let note = absence(folder, commit, file);
            create(note.parent().unwrap_or(folder))?;
            fs::write(&note, "").map_err(|e| Error::io(&note, "cannot be written", e))?;
        }
        // Last, so that a revision that is named is complete.
        let named = folder.join("refs").join(revision);
        create(named.parent().unwrap_or(folder))?;
        fs::write(&named, commit).map_err(|e| Error::io(&named, "cannot be written", e))?;
        Ok(snapshot)
    }

    /// Downloads a file of a commit, unless it is there.
    fn file(
        &self,
        client: &Client,
        folder: &Path,
        (commit, file): (&str, &str),
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), Error> {
        let snapshot = folder.join("snapshots").join(commit);
        if snapshot.join(file).exists() {
            return Ok(());
        }
        let (what, endpoint) = (Path::new(&self.what()).join(file), client.endpoint());
        let url = format!("{endpoint}/{}/{}/resolve/{commit}/{file}", self.owner, self.name);
        let head = client.send(&what, ("HEAD", &url), None, Follow::SameServer)?;
        let of = |names: [&str; 2]| names.into_iter().find_map(|name| header(head.headers(), name));
        let etag = of(["x-linked-etag", "etag"]).unwrap_or("").trim_start_matches("W/").trim_matches('"');
        if etag.is_empty() || !etag.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            let server = shown(endpoint);
            return Err(Error::new(&what, format!("{server} does not identify the file (header ETag)")));
        }
        // Only answers about the file itself, not redirects, have its length as theirs.
        let own_length = if head.status().is_success() { "content-length" } else { "x-linked-size" };
        let bytes = of(["x-linked-size", own_length]).and_then(|text| text.parse().ok());
        let blob = folder.join("blobs").join(etag);
        // The ETag of a large file is its SHA-256, that of others a hash of Git's.
        let sha256 = Some(etag).filter(|etag| etag.len() == 64);
        // A file of a commit has one version.
        let version = Version::Only;
        download(client, &RemoteFile { what: &what, url: &url, bytes, sha256, version }, &blob, progress)?;
        link(&blob, &snapshot, file)
    }
}

/// The files that an index names; none if `weights` is no index.
fn shards(weights: &Path) -> Result<Vec<String>, Error> {
    if weights.extension().is_none_or(|extension| extension != "json") {
        return Ok(Vec::new());
    }
    let shards: Vec<String> = read_index(weights)?.into_keys().collect();
    // They become parts of URLs, too.
    let is_name = |name: &String| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !name.starts_with('.') && name.chars().all(allowed)
    };
    match shards.iter().find(|name| !is_name(name)) {
        Some(name) => {
            let message =
                format!("field weight_map: expected names of letters, digits and -_., found {name:?}");
            Err(Error::new(weights, message))
        }
        None => Ok(shards),
    }
}

/// The empty file by which the cache knows that a commit lacks a file.
fn absence(folder: &Path, commit: &str, file: &str) -> PathBuf {
    folder.join(".no_exist").join(commit).join(file)
}

/// Whether a snapshot has what a conversion needs.
fn is_complete(snapshot: &Path) -> bool {
    let weights = WEIGHTS.into_iter().map(|file| snapshot.join(file)).find(|file| file.exists());
    let shards = weights.and_then(|weights| shards(&weights).ok());
    snapshot.join(CONFIG).exists()
        && shards.is_some_and(|shards| shards.iter().all(|shard| snapshot.join(shard).exists()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_repositories() {
        let parsed = |text| Repository::parse(text).map(|r| (r.owner, r.name, r.revision));
        let found =
            |owner: &str, name: &str, revision: &str| Some((owner.into(), name.into(), revision.into()));
        assert_eq!(parsed("microsoft/beit-base"), found("microsoft", "beit-base", "main"));
        assert_eq!(parsed("a/b.c_d@v1.0"), found("a", "b.c_d", "v1.0"));
        assert_eq!(parsed("a/b@refs/pr/3"), found("a", "b", "refs/pr/3"));
        for text in
            ["beit", "a/b/c", "/a/b", "./a", "../a", "a/..", "a/b@", "a/b@../x", "a b/c", "a/b@x/../y"]
        {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}

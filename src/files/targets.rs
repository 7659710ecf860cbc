//! Checks of output paths, before any work.

use crate::output::{Target, folder_of};
use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// What makes two paths the same file.
#[derive(PartialEq, Eq, Hash)]
enum Identity {
    /// Device and inode of an existing file.
    #[cfg(unix)]
    Inode(u64, u64),
    /// The path without links, for files that do not exist or where there are no inodes.
    Path(PathBuf),
}

/// The identity of a file; `None` for folders, devices and pipes, which may be named several times. Also `None` if the folder
/// does not exist.
fn identity(path: &Path) -> Option<Identity> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => None,
        #[cfg(unix)]
        Ok(found) => {
            use std::os::unix::fs::MetadataExt;
            Some(Identity::Inode(found.dev(), found.ino()))
        }
        #[cfg(not(unix))]
        Ok(_) => fs::canonicalize(path).ok().map(Identity::Path),
        Err(_) => {
            let folder = fs::canonicalize(folder_of(path)).ok()?;
            Some(Identity::Path(folder.join(path.file_name()?)))
        }
    }
}

/// An output that must not be written.
#[derive(Debug, PartialEq, Eq)]
pub struct TargetError {
    /// The output.
    pub path: PathBuf,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message)
    }
}

/// Checks that no output is an input or another output, through whatever links, that none is a folder or write-protected, and
/// that their folders exist.
///
/// # Errors
/// The first output that must not be written.
pub fn check<'a>(
    outputs: impl IntoIterator<Item = &'a Path>,
    inputs: impl IntoIterator<Item = &'a Path>,
) -> Result<(), TargetError> {
    let inputs: HashMap<_, _> = inputs.into_iter().filter_map(|path| Some((identity(path)?, path))).collect();
    let mut seen = HashMap::new();
    for output in outputs {
        let wrong = |message: String| TargetError { path: output.to_path_buf(), message };
        let folder = folder_of(output);
        if !folder.is_dir() {
            return Err(wrong(format!("{} is not a folder that exists", folder.display())));
        }
        Target::new(output).map_err(|e| wrong(e.to_string()))?;
        let Some(identity) = identity(output) else { continue };
        if let Some(input) = inputs.get(&identity) {
            return Err(wrong(format!("would overwrite {}, which this run reads", input.display())));
        }
        if let Some(other) = seen.insert(identity, output) {
            let other = other.display();
            return Err(wrong(format!("two results would be written to this file (also as {other})")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_neither_inputs_nor_equal() {
        let folder = std::env::temp_dir().join(format!("beitle-targets-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name);
        fs::write(path("in"), b"x").unwrap();
        let (input, new) = (path("in"), path("new"));
        let check = |outputs: &[&Path]| check(outputs.iter().copied(), [input.as_path()]);
        assert_eq!(check(&[&new, &path("other")]), Ok(()));
        assert!(check(&[&input]).unwrap_err().message.contains("would overwrite"));
        assert!(check(&[&new, &folder.join("./new")]).unwrap_err().message.contains("two results"));
        assert!(check(&[&path("missing/new")]).unwrap_err().message.contains("not a folder that exists"));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&input, path("link")).unwrap();
            assert!(check(&[&path("link")]).unwrap_err().message.contains("would overwrite"));
            fs::hard_link(&input, path("hard")).unwrap();
            assert!(check(&[&path("hard")]).unwrap_err().message.contains("would overwrite"));
            let null = Path::new("/dev/null");
            assert_eq!(check(&[null, null]), Ok(()));
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}

//! From arguments to work: which pictures, and where their results go.

use crate::console::Failure;
use crate::picture::EXTENSIONS;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A picture and the files to be made from it.
#[derive(Debug, PartialEq)]
pub struct Job {
    /// The picture.
    pub image: PathBuf,
    /// The class map, `<stem>.seg.png` unless named otherwise.
    pub map: PathBuf,
    /// The overlay, `<stem>.overlay.png`.
    pub overlay: PathBuf,
    /// The logits, where asked for.
    pub logits: Option<PathBuf>,
}

/// Endings of what this program writes: not taken from folders.
const OURS: [&str; 2] = [".seg.png", ".overlay.png"];

/// Lists the work for `images`, files and folders, in the order given, folders by name.
///
/// `output` and `logits` name files where there is one picture, and folders (made if need be) where there are several.
///
/// # Errors
/// A folder that cannot be read or holds no pictures; two results of the same name; a result that would replace a
/// picture.
pub fn jobs(images: &[PathBuf], output: Option<&Path>, logits: Option<&Path>) -> Result<Vec<Job>, Failure> {
    let mut pictures = Vec::new();
    for image in images {
        if image.is_dir() { pictures.extend(folder(image)?) } else { pictures.push(image.clone()) }
    }
    let single = pictures.len() == 1 && !images[0].is_dir();
    let is_file = |path: &Path| single && !path.is_dir() && !ends_with_separator(path);
    for path in [output, logits].into_iter().flatten().filter(|p| !is_file(p)) {
        fs::create_dir_all(path).map_err(|e| {
            Failure::work(format_args!("{}: a folder for the results was expected: {e}", path.display()))
        })?;
    }
    let jobs: Vec<Job> = pictures
        .into_iter()
        .map(|image| {
            let stem = image.file_stem().unwrap_or(image.as_os_str()).to_os_string();
            let named = |folder: &Path, ending: &str| {
                let mut name = stem.clone();
                name.push(ending);
                folder.join(name)
            };
            let (map, overlay) = match output {
                Some(path) if is_file(path) => (path.to_path_buf(), path.with_extension("overlay.png")),
                folder => {
                    let folder = folder.unwrap_or(Path::new(""));
                    (named(folder, ".seg.png"), named(folder, ".overlay.png"))
                }
            };
            let logits = logits.map(|p| if is_file(p) { p.to_path_buf() } else { named(p, ".npy") });
            Job { image, map, overlay, logits }
        })
        .collect();
    check(&jobs)?;
    Ok(jobs)
}

fn ends_with_separator(path: &Path) -> bool {
    path.as_os_str().to_string_lossy().ends_with(std::path::is_separator)
}

/// The pictures of a folder, by name.
///
/// # Errors
/// It cannot be read or holds none.
pub fn folder(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |e| Failure::work(format_args!("{}: {e}", path.display()));
    let mut pictures = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let known = Path::new(&name).extension().is_some_and(|e| EXTENSIONS.iter().any(|known| e == *known));
        if known && !OURS.iter().any(|ours| name.ends_with(ours)) && !file.is_dir() {
            pictures.push(file);
        }
    }
    pictures.sort();
    if pictures.is_empty() {
        let kinds = EXTENSIONS.join(", ");
        return Err(Failure::usage(format_args!("{}: no pictures in this folder ({kinds})", path.display())));
    }
    Ok(pictures)
}

fn check(jobs: &[Job]) -> Result<(), Failure> {
    let mut taken = HashMap::new();
    for job in jobs {
        if let Some(other) = taken.insert(&job.map, &job.image) {
            let (a, b, map) = (other.display(), job.image.display(), job.map.display());
            return Err(Failure::usage(format_args!("{a} and {b} would both be written to {map}")));
        }
        let same = |result: &Path| match (fs::canonicalize(result), fs::canonicalize(&job.image)) {
            (Ok(result), Ok(image)) => result == image,
            _ => false,
        };
        if [Some(&job.map), Some(&job.overlay), job.logits.as_ref()].into_iter().flatten().any(|r| same(r)) {
            let image = job.image.display();
            return Err(Failure::usage(format_args!("{image} would be replaced by its own result")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_named_after_pictures() {
        let dir = std::env::temp_dir().join(format!("beitle-inputs-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        for name in ["b.jpg", "a.PNG", "a.seg.png", "a.overlay.png", "notes.txt"] {
            fs::write(dir.join(name), b"").unwrap();
        }
        let one = dir.join("b.jpg");
        let found = jobs(std::slice::from_ref(&dir), None, None).unwrap();
        let names: Vec<_> = found.iter().map(|j| j.map.to_str().unwrap()).collect();
        assert_eq!(names, ["a.seg.png", "b.seg.png"]);

        let job =
            &jobs(std::slice::from_ref(&one), Some(&dir.join("x.png")), Some(&dir.join("l.npy"))).unwrap()[0];
        assert_eq!(job.map, dir.join("x.png"));
        assert_eq!(job.overlay, dir.join("x.overlay.png"));
        assert_eq!(job.logits, Some(dir.join("l.npy")));

        let out = dir.join("new/folder");
        let job = &jobs(std::slice::from_ref(&dir), Some(&out), Some(&out)).unwrap()[1];
        assert_eq!((&job.map, &job.logits), (&out.join("b.seg.png"), &Some(out.join("b.npy"))));
        assert!(out.is_dir());

        assert_eq!(jobs(&[one.clone(), one.clone()], None, None).unwrap_err().status, 2);
        assert_eq!(jobs(std::slice::from_ref(&one), Some(&one), None).unwrap_err().status, 2);
        assert_eq!(jobs(&[out], None, None).unwrap_err().status, 2, "an empty folder");
        fs::remove_dir_all(&dir).unwrap();
    }
}

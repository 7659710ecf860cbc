//! From arguments to paths: which pictures to read, and where their results go.

use crate::console::Failure;
use std::fs;
use std::path::{Path, PathBuf};

/// A picture and the files made from it.
#[derive(Debug, PartialEq)]
pub struct PictureFiles {
    /// The picture.
    pub image: PathBuf,
    /// The class map, `<stem>.seg.png` by default.
    pub map: PathBuf,
    /// The overlay, `<stem>.overlay.png` by default.
    pub overlay: PathBuf,
    /// The confidences, `<stem>.confidence.png` by default.
    pub confidence: PathBuf,
    /// The regions, `<stem>.geojson` by default.
    pub geojson: PathBuf,
    /// The logits, if requested.
    pub logits: Option<PathBuf>,
}

/// The files that are written for each picture. Logits are always written if they have a file.
#[derive(Clone, Copy, Default)]
pub struct Wanted {
    pub map: bool,
    pub overlay: bool,
    pub confidence: bool,
    pub geojson: bool,
}

/// Endings of this program's own output files, which are skipped in folders.
const OUTPUT_ENDINGS: [&str; 3] = [".seg.png", ".overlay.png", ".confidence.png"];

/// Lists the pictures of `images`, which are pictures or folders: in the given order, those of a folder by name.
///
/// # Errors
/// A folder cannot be read, or has no pictures.
pub fn pictures(images: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    Ok(found_pictures(images, false)?.into_iter().map(|found| found.image).collect())
}

/// A picture, and the folder that it lies in below the folder of the command line.
struct Found {
    image: PathBuf,
    below: PathBuf,
}

/// Lists pictures as [`pictures`] does; with `recursive`, also those of the folders in folders.
fn found_pictures(images: &[PathBuf], recursive: bool) -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    for image in images {
        if !image.is_dir() {
            found.push(Found { image: image.clone(), below: PathBuf::new() });
            continue;
        }
        let before = found.len();
        let folders = if recursive { folders_below(image)? } else { vec![image.clone()] };
        for folder in folders {
            let below = folder.strip_prefix(image).unwrap_or(Path::new("")).to_path_buf();
            let inside = own_pictures(&folder)?.into_iter();
            found.extend(inside.map(|image| Found { image, below: below.clone() }));
        }
        if found.len() == before {
            return Err(no_pictures(image));
        }
    }
    Ok(found)
}

/// A folder and all folders in it, by name. Links to folders are not followed, so that there is an end.
fn folders_below(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |e| Failure::file(folder, e);
    let mut inside = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !is_hidden && entry.file_type().map_err(failed)?.is_dir() {
            inside.push(entry.path());
        }
    }
    inside.sort();
    let mut all = vec![folder.to_path_buf()];
    for folder in inside {
        all.extend(folders_below(&folder)?);
    }
    Ok(all)
}

/// Lists the files of `images` as [`pictures`] does, with `recursive` also those of the folders in folders.
///
/// `output` and `logits` are files if there is one picture, and folders (created if missing) if there are several. Results of folders in
/// folders go to folders of the same names.
///
/// # Errors
/// A folder cannot be read, has no pictures or cannot be created.
pub fn picture_files(
    images: &[PathBuf],
    recursive: bool,
    output: Option<&Path>,
    logits: Option<&Path>,
) -> Result<Vec<PictureFiles>, Failure> {
    let pictures = found_pictures(images, recursive)?;
    let single = pictures.len() == 1 && !images[0].is_dir();
    let is_file = |path: &Path| single && !path.is_dir() && !ends_with_separator(path);
    let create = |folder: &Path| {
        fs::create_dir_all(folder).map_err(|e| {
            Failure::file(folder, format_args!("cannot create this folder for the results: {e}"))
        })
    };
    for path in [output, logits].into_iter().flatten().filter(|p| !is_file(p)) {
        create(path)?;
    }
    let mut all = Vec::new();
    for Found { image, below } in pictures {
        let folder = |path: &Path| if is_file(path) { path.to_path_buf() } else { path.join(&below) };
        let (output, logits) = (folder(output.unwrap_or(Path::new(""))), logits.map(folder));
        if !below.as_os_str().is_empty() {
            [Some(&output), logits.as_ref()].into_iter().flatten().try_for_each(|folder| create(folder))?;
        }
        all.push(with_results(image, &output, logits.as_deref(), is_file));
    }
    Ok(all)
}

/// Names the results of one picture.
fn with_results(
    image: PathBuf,
    output: &Path,
    logits: Option<&Path>,
    is_file: impl Fn(&Path) -> bool,
) -> PictureFiles {
    let stem = image.file_stem().unwrap_or(image.as_os_str()).to_os_string();
    let named = |folder: &Path, ending: &str| {
        let mut name = stem.clone();
        name.push(ending);
        folder.join(name)
    };
    // Beside the map, where that has a name of its own.
    let has_name = !output.as_os_str().is_empty() && is_file(output);
    let beside = |ending: &str| match has_name {
        true => output.with_extension(&ending[1..]),
        false => named(output, ending),
    };
    let map = if has_name { output.to_path_buf() } else { beside(".seg.png") };
    let (overlay, confidence, geojson) =
        (beside(".overlay.png"), beside(".confidence.png"), beside(".geojson"));
    let logits = logits.map(|p| if is_file(p) { p.to_path_buf() } else { named(p, ".npy") });
    PictureFiles { image, map, overlay, confidence, geojson, logits }
}

fn ends_with_separator(path: &Path) -> bool {
    path.as_os_str().to_string_lossy().ends_with(std::path::is_separator)
}

/// The pictures of a folder, sorted by name.
///
/// # Errors
/// The folder cannot be read or has no pictures.
pub fn pictures_in(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let pictures = own_pictures(folder)?;
    if pictures.is_empty() { Err(no_pictures(folder)) } else { Ok(pictures) }
}

fn no_pictures(folder: &Path) -> Failure {
    let (folder, known) = (folder.display(), beitle_pictures::decoded_extensions());
    Failure::usage(format_args!("{folder}: no pictures in this folder ({known})"))
}

/// The pictures of a folder that are no results of this program, sorted by name.
fn own_pictures(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut pictures = beitle_pictures::pictures_in(folder).map_err(|e| Failure::file(folder, e))?;
    pictures.retain(|file| {
        let name = file.to_string_lossy().to_lowercase();
        !OUTPUT_ENDINGS.iter().any(|ending| name.ends_with(ending))
    });
    Ok(pictures)
}

impl PictureFiles {
    /// The files that are written for the picture.
    fn results(&self, wanted: Wanted) -> impl Iterator<Item = &PathBuf> {
        let results = [
            (wanted.map, &self.map),
            (wanted.overlay, &self.overlay),
            (wanted.confidence, &self.confidence),
            (wanted.geojson, &self.geojson),
        ];
        let results = results.into_iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, file)| file);
        results.chain(&self.logits)
    }

    /// Whether all of them exist. They are whole then: a result appears under its name only once it is complete.
    pub fn exist(&self, wanted: Wanted) -> bool {
        self.results(wanted).all(|file| file.exists())
    }
}

/// Checks that no result overwrites a picture, another result or one of `others`: the model and what else is read.
///
/// # Errors
/// One would.
pub fn check_results<'a>(
    pictures: &'a [PictureFiles],
    wanted: Wanted,
    others: impl IntoIterator<Item = &'a Path>,
) -> Result<(), Failure> {
    let outputs = pictures.iter().flat_map(|files| files.results(wanted));
    let inputs = pictures.iter().map(|files| files.image.as_path()).chain(others);
    beitle_files::check(outputs.map(PathBuf::as_path), inputs).map_err(Failure::usage)
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
        let found = picture_files(std::slice::from_ref(&dir), false, None, None).unwrap();
        let names: Vec<_> = found.iter().map(|f| f.map.to_str().unwrap()).collect();
        assert_eq!(names, ["a.seg.png", "b.seg.png"]);

        let images = std::slice::from_ref(&one);
        let files =
            &picture_files(images, false, Some(&dir.join("x.png")), Some(&dir.join("l.npy"))).unwrap()[0];
        assert_eq!(files.map, dir.join("x.png"));
        assert_eq!(files.overlay, dir.join("x.overlay.png"));
        assert_eq!(files.logits, Some(dir.join("l.npy")));

        let out = dir.join("new/folder");
        let files = &picture_files(std::slice::from_ref(&dir), false, Some(&out), Some(&out)).unwrap()[1];
        assert_eq!((&files.map, &files.logits), (&out.join("b.seg.png"), &Some(out.join("b.npy"))));
        assert!(out.is_dir());

        let all = Wanted { map: true, overlay: true, confidence: true, geojson: true };
        let check = |images: &[PathBuf], output: Option<&Path>, logits: Option<&Path>| {
            let files = picture_files(images, false, output, logits).unwrap();
            check_results(&files, all, [dir.join("notes.txt").as_path()]).err().map(|failure| failure.status)
        };
        assert_eq!(check(images, Some(&dir.join("x.png")), None), None);
        assert_eq!(check(&[one.clone(), one.clone()], None, None), Some(2));
        assert_eq!(check(images, Some(&one), None), Some(2), "the map would overwrite the picture");
        assert_eq!(check(images, Some(&dir.join("notes.txt")), None), Some(2), "the model");
        assert_eq!(check(images, Some(&dir.join("x")), Some(&dir.join("x"))), Some(2), "map and logits");
        assert_eq!(check(&[one.clone(), dir.join("a.PNG")], Some(&dir), None), None);
        assert_eq!(picture_files(&[out], false, None, None).unwrap_err().status, 2, "an empty folder");
        fs::remove_dir_all(&dir).unwrap();
    }
}

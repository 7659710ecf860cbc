//! From arguments to paths: which pictures to read, and where their results go.

use crate::console::Failure;
use crate::naming::{Pattern, has_ending, is_standard};
use crate::png_file;
use std::ffi::{OsStr, OsString};
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
        if is_standard(image) || !image.is_dir() {
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

/// Where the results of pictures go.
#[derive(Clone, Copy, Default)]
pub struct Places<'a> {
    /// The map, if there is one picture, or a folder (created if missing) for the results. `-` is standard output, for the map alone.
    pub output: Option<&'a Path>,
    /// The logits, or a folder for them.
    pub logits: Option<&'a Path>,
    /// The names of maps in a folder, and the weight file that is part of them.
    pub names: Option<(&'a Pattern, &'a Path)>,
}

/// Lists the files of `images` as [`pictures`] does, with `recursive` also those of the folders in folders, whose results go to
/// folders of the same names.
///
/// # Errors
/// A folder cannot be read, has no pictures or cannot be created; or there is more for standard output than a map.
pub fn picture_files(
    images: &[PathBuf],
    recursive: bool,
    places: &Places<'_>,
) -> Result<Vec<PictureFiles>, Failure> {
    let pictures = found_pictures(images, recursive)?;
    let single = pictures.len() == 1 && !images[0].is_dir();
    let place = |path: Option<&Path>, may_be_file| match path {
        None => Place::Folder(PathBuf::new()),
        Some(path) if single && may_be_file && (is_standard(path) || is_no_folder(path)) => {
            Place::File(path.into())
        }
        Some(path) => Place::Folder(path.into()),
    };
    let (output, logits) = (place(places.output, places.names.is_none()), place(places.logits, true));
    if places.logits.is_some_and(is_standard) {
        return Err(Failure::usage("--logits -: logits cannot go to standard output; give a file"));
    }
    if let (Place::Folder(_), Some(path)) = (&output, places.output) {
        if is_standard(path) {
            return Err(Failure::usage("-o -: standard output can take one map; give a folder"));
        }
        check_folder("-o", path, "png")?;
    }
    if let (Place::Folder(_), Some(path)) = (&logits, places.logits) {
        check_folder("--logits", path, "npy")?;
    }
    let mut all = Vec::new();
    for Found { image, below } in pictures {
        let stem = stem(&image);
        let mut files = PictureFiles::in_folder(image, &output.folder(&below)?, &stem);
        match (&output, places.names) {
            (Place::File(map), _) if is_standard(map) => files.map.clone_from(map),
            (Place::File(map), _) => files.rename(map),
            (Place::Folder(folder), Some((pattern, model))) => {
                files.rename(&folder.join(&below).join(pattern.name(&stem, model)))
            }
            (Place::Folder(_), None) => {}
        }
        files.logits = match &logits {
            _ if places.logits.is_none() => None,
            Place::File(file) => Some(file.clone()),
            Place::Folder(_) => Some(logits.folder(&below)?.join(with_ending(&stem, ".npy"))),
        };
        all.push(files);
    }
    Ok(all)
}

/// Refuses a folder for the results that has the name of one result's file, with `ending`.
fn check_folder(option: &str, folder: &Path, ending: &str) -> Result<(), Failure> {
    if folder.is_dir() || !has_ending(folder, &[ending]) {
        return Ok(());
    }
    let folder = folder.display();
    let message = format_args!("{option} {folder}: expected a folder for the results, not a .{ending} file");
    Err(Failure::usage(message))
}

/// Where results of a kind go.
enum Place {
    File(PathBuf),
    Folder(PathBuf),
}

impl Place {
    /// The folder for the results of a folder `below` that of the command line, created if missing. For a file, and results that go
    /// elsewhere, the current folder.
    ///
    /// # Errors
    /// It cannot be created.
    fn folder(&self, below: &Path) -> Result<PathBuf, Failure> {
        let Place::Folder(folder) = self else { return Ok(PathBuf::new()) };
        let folder = folder.join(below);
        if !folder.as_os_str().is_empty() {
            fs::create_dir_all(&folder).map_err(|e| {
                Failure::file(&folder, format_args!("cannot create this folder for the results: {e}"))
            })?;
        }
        Ok(folder)
    }
}

fn with_ending(stem: &OsStr, ending: &str) -> OsString {
    let mut name = stem.to_os_string();
    name.push(ending);
    name
}

/// The name of a picture without its ending.
fn stem(image: &Path) -> OsString {
    match is_standard(image) {
        true => "stdin".into(),
        false => image.file_stem().unwrap_or(image.as_os_str()).to_os_string(),
    }
}

fn is_no_folder(path: &Path) -> bool {
    !path.is_dir() && !path.as_os_str().to_string_lossy().ends_with(std::path::is_separator)
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
    pictures.retain(|file| !png_file::is_own(file));
    Ok(pictures)
}

impl PictureFiles {
    /// Results named after the picture, in a folder; without logits.
    fn in_folder(image: PathBuf, folder: &Path, stem: &OsStr) -> Self {
        let place = |ending| folder.join(with_ending(stem, ending));
        PictureFiles {
            map: place(".seg.png"),
            overlay: place(".overlay.png"),
            confidence: place(".confidence.png"),
            geojson: place(".geojson"),
            logits: None,
            image,
        }
    }

    /// Gives the map a name of its own; the other results but the logits lie beside it.
    fn rename(&mut self, map: &Path) {
        self.map = map.to_path_buf();
        self.overlay = map.with_extension("overlay.png");
        self.confidence = map.with_extension("confidence.png");
        self.geojson = map.with_extension("geojson");
    }

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
        self.results(wanted).all(|file| file.is_file() && !is_standard(file))
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
    let is_file = |path: &&Path| !is_standard(path);
    let outputs =
        pictures.iter().flat_map(|files| files.results(wanted)).map(PathBuf::as_path).filter(is_file);
    let inputs = pictures.iter().map(|files| files.image.as_path()).chain(others).filter(is_file);
    beitle_files::check(outputs, inputs).map_err(Failure::usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_named_after_pictures() {
        let dir = std::env::temp_dir().join(format!("beitle-inputs-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let own = png_file::encode_grey(&[0], (1, 1)).unwrap();
        fs::write(dir.join("a.seg.png"), own).unwrap();
        for name in ["b.jpg", "a.PNG", "notes.txt"] {
            fs::write(dir.join(name), b"").unwrap();
        }
        let one = dir.join("b.jpg");
        let found = picture_files(std::slice::from_ref(&dir), false, &Places::default()).unwrap();
        let names: Vec<_> = found.iter().map(|f| f.map.to_str().unwrap()).collect();
        assert_eq!(names, ["a.seg.png", "b.seg.png"]);

        let images = std::slice::from_ref(&one);
        let (map, logits) = (dir.join("x.png"), dir.join("l.npy"));
        let places = Places { output: Some(&map), logits: Some(&logits), names: None };
        let files = &picture_files(images, false, &places).unwrap()[0];
        assert_eq!(files.map, dir.join("x.png"));
        assert_eq!(files.overlay, dir.join("x.overlay.png"));
        assert_eq!(files.logits, Some(dir.join("l.npy")));

        let out = dir.join("new/folder");
        let places = Places { output: Some(&out), logits: Some(&out), names: None };
        let files = &picture_files(std::slice::from_ref(&dir), false, &places).unwrap()[1];
        assert_eq!((&files.map, &files.logits), (&out.join("b.seg.png"), &Some(out.join("b.npy"))));
        assert!(out.is_dir());

        let pattern = "{stem}_{model}.png".parse().unwrap();
        let names = Some((&pattern, Path::new("m.beitle")));
        let places = Places { output: Some(&out), logits: None, names };
        let files = &picture_files(images, false, &places).unwrap()[0];
        assert_eq!((&files.map, &files.overlay), (&out.join("b_m.png"), &out.join("b_m.overlay.png")));

        let stdout = Places { output: Some(Path::new("-")), ..Places::default() };
        let files = &picture_files(&["-".into()], false, &stdout).unwrap()[0];
        assert_eq!((files.map.to_str(), files.overlay.to_str()), (Some("-"), Some("stdin.overlay.png")));
        assert_eq!(picture_files(std::slice::from_ref(&dir), false, &stdout).unwrap_err().status, 2);

        let all = Wanted { map: true, overlay: true, confidence: true, geojson: true };
        let check = |images: &[PathBuf], output: Option<&Path>, logits: Option<&Path>| {
            let files = picture_files(images, false, &Places { output, logits, names: None }).unwrap();
            check_results(&files, all, [dir.join("notes.txt").as_path()]).err().map(|failure| failure.status)
        };
        assert_eq!(check(images, Some(&dir.join("x.png")), None), None);
        assert_eq!(check(&[one.clone(), one.clone()], None, None), Some(2));
        assert_eq!(check(images, Some(&one), None), Some(2), "the map would overwrite the picture");
        assert_eq!(check(images, Some(&dir.join("notes.txt")), None), Some(2), "the model");
        assert_eq!(check(images, Some(&dir.join("x")), Some(&dir.join("x"))), Some(2), "map and logits");
        assert_eq!(check(&[one.clone(), dir.join("a.PNG")], Some(&dir), None), None);
        assert_eq!(
            picture_files(&[out], false, &Places::default()).unwrap_err().status,
            2,
            "an empty folder"
        );
        fs::remove_dir_all(&dir).unwrap();
    }
}

//! The pictures of a folder.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// Extensions of pictures that can be decoded.
const DECODED: [&str; 13] =
    ["jpg", "jpeg", "jpe", "jfif", "png", "bmp", "dib", "webp", "pnm", "ppm", "pgm", "pbm", "pam"];

/// Extensions of pictures that cannot be decoded. They are listed, so that such files are reported rather than silently
/// skipped.
const NOT_DECODED: [&str; 8] = ["tif", "tiff", "heic", "heif", "avif", "gif", "jxl", "jp2"];

/// Lists the files of a folder whose extension is that of a picture, sorted by name. Folders in it are not searched. Hidden
/// files are passed over: macOS writes `._a.png` beside `a.png` on file systems of other systems.
///
/// # Errors
/// The folder cannot be read.
pub fn pictures_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut pictures = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(is_picture) && !path.is_dir() {
            pictures.push(path);
        }
    }
    pictures.sort();
    Ok(pictures)
}

/// Whether a file's name is that of a picture that is not hidden.
fn is_picture(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_lowercase();
    let extension = Path::new(&name).extension().and_then(OsStr::to_str).unwrap_or_default();
    !name.starts_with('.') && (DECODED.contains(&extension) || NOT_DECODED.contains(&extension))
}

/// The extensions of pictures that can be decoded, for messages.
#[must_use]
pub fn decoded_extensions() -> String {
    DECODED.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_pictures_are_listed_by_name() {
        let folder = std::env::temp_dir().join(format!("beitle-folder-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("folder.png")).unwrap();
        for name in ["d.JFIF", "b.jpg", "a.PNG", "c.tif", "._a.PNG", ".png", "notes.txt", "jpg"] {
            std::fs::write(folder.join(name), b"").unwrap();
        }
        let found = pictures_in(&folder).unwrap();
        let names: Vec<_> = found.iter().map(|p| p.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.PNG", "b.jpg", "c.tif", "d.JFIF"]);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(pictures_in(&folder).is_err());
    }
}

//! The names of results: patterns such as `{stem}_{model}.png`, and `-` for standard input and output.

use std::ffi::{OsStr, OsString};
use std::path::{MAIN_SEPARATOR, Path};
use std::str::FromStr;

/// Whether a path means standard input or output.
pub fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// Endings of pictures and arrays that no map, page or report has. Maps are PNG files.
pub const OTHER_DATA: [&str; 12] =
    ["jpg", "jpeg", "bmp", "webp", "gif", "tif", "tiff", "pnm", "ppm", "pgm", "pbm", "npy"];

/// Whether a file's name has one of these endings, in capitals or not.
pub fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension().is_some_and(|ending| endings.iter().any(|other| ending.eq_ignore_ascii_case(other)))
}

/// A pattern for the names of maps.
#[derive(Clone, Debug)]
pub struct Pattern(String);

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.replace("{stem}", "x").replace("{model}", "x");
        if rest.contains(['{', '}']) {
            return Err("expected {stem} and {model} as the only words in braces".into());
        }
        if rest.contains(['/', MAIN_SEPARATOR]) {
            return Err("expected a name without folders; -o names the folder".into());
        }
        if !rest.to_lowercase().ends_with(".png") {
            return Err("expected a name that ends in .png".into());
        }
        Ok(Pattern(text.into()))
    }
}

impl Pattern {
    /// The name of a map: of a picture with this name (without its ending), by the model in this file.
    pub fn name(&self, stem: &OsStr, model: &Path) -> OsString {
        let mut name = OsString::new();
        for part in self.0.split_inclusive('}') {
            let (text, word) = part.split_once('{').unwrap_or((part, ""));
            name.push(text);
            match word {
                "stem}" => name.push(stem),
                "model}" => name.push(model.file_stem().unwrap_or_default()),
                _ => {}
            }
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_maps() {
        let pattern: Pattern = "{model}-{stem}.seg.PNG".parse().unwrap();
        let name = |stem: &str, model: &str| pattern.name(OsStr::new(stem), Path::new(model));
        assert_eq!(name("a.b", "models/base.beitle"), "base-a.b.seg.PNG");
        assert_eq!(name("{model}", "{stem}.beitle"), "{stem}-{model}.seg.PNG");
        for wrong in ["{name}.png", "{stem.png", "a/{stem}.png", "{stem}", "{stem}.jpg", ""] {
            assert!(wrong.parse::<Pattern>().is_err(), "{wrong}");
        }
    }
}

//! The names of results: patterns such as `{stem}_{model}.png`, and `-` for standard input and output.

use std::ffi::OsStr;
use std::path::{MAIN_SEPARATOR, Path};
use std::str::FromStr;

/// Whether a path means standard input or output.
pub fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
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
    /// The pattern with the name of a weight file in the place of `{model}`.
    pub fn for_model(&self, path: &Path) -> Pattern {
        let model = path.file_stem().unwrap_or_default().to_string_lossy();
        Pattern(self.0.replace("{model}", &model))
    }

    /// The name for a picture.
    pub fn name(&self, stem: &OsStr) -> String {
        self.0.replace("{stem}", &stem.to_string_lossy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_maps() {
        let pattern: Pattern = "{model}-{stem}.seg.PNG".parse().unwrap();
        let name = pattern.for_model(Path::new("models/base.beitle")).name(OsStr::new("a.b"));
        assert_eq!(name, "base-a.b.seg.PNG");
        for wrong in ["{name}.png", "{stem.png", "a/{stem}.png", "{stem}", "{stem}.jpg", ""] {
            assert!(wrong.parse::<Pattern>().is_err(), "{wrong}");
        }
    }
}

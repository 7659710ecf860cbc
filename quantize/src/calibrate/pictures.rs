//! The pictures to calibrate with: the user's, or generated scenes.

use super::samples::ROWS;
use crate::error::Error;
use beitle_pictures::{Limits, Picture, brightness};
use beitle_scenes::Scene;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// The fewest and the most generated scenes; their seeds count from 1. Any scenes do: what matters is which channels are correlated.
const SCENES: RangeInclusive<usize> = 4..=16;

/// A set of pictures.
pub enum Pictures {
    /// This many scenes, drawn by the converter.
    Generated(usize),
    /// The user's picture files.
    Files(Vec<PathBuf>),
}

impl Pictures {
    /// The pictures of a folder, sorted by name; without a folder, four generated scenes.
    ///
    /// # Errors
    /// The folder cannot be read or holds no pictures.
    pub fn find(folder: Option<&Path>) -> Result<Pictures, Error> {
        let Some(folder) = folder else { return Ok(Pictures::Generated(*SCENES.start())) };
        let files = beitle_pictures::pictures_in(folder).map_err(|e| Error::io(folder, "cannot read", e))?;
        if files.is_empty() {
            let known = beitle_pictures::decoded_extensions();
            return Err(Error::new(folder, format!("holds no pictures to calibrate with ({known})")));
        }
        Ok(Pictures::Files(files))
    }

    /// The user's pictures as they are; of generated scenes, as many as a map of `pixels` pixels needs to give [`ROWS`] rows, at
    /// least 4 and at most 16.
    pub fn enough_for(self, pixels: usize) -> Pictures {
        match self {
            Pictures::Generated(_) => {
                let scenes = ROWS.div_ceil(pixels.max(1));
                Pictures::Generated(scenes.clamp(*SCENES.start(), *SCENES.end()))
            }
            files => files,
        }
    }

    /// The picture files; none for generated scenes.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let files = match self {
            Pictures::Generated(_) => &[][..],
            Pictures::Files(files) => files,
        };
        files.iter().map(PathBuf::as_path)
    }

    /// Number of pictures.
    pub fn count(&self) -> usize {
        match self {
            Pictures::Generated(scenes) => *scenes,
            Pictures::Files(files) => files.len(),
        }
    }

    /// What the weight file's report calls them.
    pub fn name(&self) -> &'static str {
        match self {
            Pictures::Generated(_) => "drawn scenes",
            Pictures::Files(_) => "given pictures",
        }
    }

    /// Picture `i`. Generated scenes have the given size, files their own.
    ///
    /// # Errors
    /// The file cannot be decoded.
    pub fn get(&self, i: usize, size: (usize, usize)) -> Result<Picture, Error> {
        match self {
            Pictures::Generated(_) => {
                let rgb = Scene::new(i as u64 + 1).render(size.0, size.1).rgb;
                // Models for two or four channels read one of them from here; nothing is known of it.
                let alpha = Some(rgb.as_chunks::<3>().0.iter().map(|rgb| brightness(*rgb)).collect());
                Ok(Picture { width: size.0, height: size.1, rgb, alpha })
            }
            Pictures::Files(files) => beitle_pictures::load(&files[i], &Limits::default())
                .map_err(|e| Error::new(&files[i], e.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_a_folder_are_read_by_content() {
        let folder = std::env::temp_dir().join(format!("beitle-calibrate-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let cut = include_bytes!("../../../tests/data/jpeg/refused-end-of-image.jpg");
        for (name, content) in [
            ("a.jpg", &b"P6 2 1 255\nabcdef"[..]),
            ("._a.jpg", b"hidden"),
            ("b.jpg", cut),
            ("notes.txt", b""),
        ] {
            std::fs::write(folder.join(name), content).unwrap();
        }
        let pictures = Pictures::find(Some(&folder)).unwrap();
        assert_eq!(pictures.count(), 2);
        let first = pictures.get(0, (9, 9)).unwrap();
        assert_eq!((first.width, first.height, &first.rgb[..]), (2, 1, &b"abcdef"[..]));
        let message = pictures.get(1, (9, 9)).err().unwrap().to_string();
        assert!(message.contains("b.jpg") && message.contains("truncated"), "{message}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

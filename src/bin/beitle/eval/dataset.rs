//! Data sets: which pictures to run, and which label file belongs to each.

use crate::console::Failure;
use crate::inputs;
use std::path::{Path, PathBuf};

/// A picture and its labels.
pub struct Sample {
    /// The picture.
    pub image: PathBuf,
    /// Its label file, if the data set has labels.
    pub labels: Option<PathBuf>,
}

/// Folders of pictures and labels below a data set's root: ADE20K's, and a plain layout.
const LAYOUTS: [(&str, &str); 2] = [("images/validation", "annotations/validation"), ("images", "labels")];

/// Lists the first `limit` pictures of a data set, by name. `labels` overrides the layout's folder of label files.
///
/// # Errors
/// There are no pictures, or a picture has no label file in the folder of labels.
pub fn find(data: &Path, labels: Option<&Path>, limit: usize) -> Result<Vec<Sample>, Failure> {
    let known = LAYOUTS.iter().map(|(i, l)| (data.join(i), data.join(l))).find(|(i, _)| i.is_dir());
    let (images, found) = match known {
        Some((images, labels)) => (images, labels.is_dir().then_some(labels)),
        None => (data.to_path_buf(), None),
    };
    let labels = labels.map(Path::to_path_buf).or(found);
    let pictures = inputs::pictures_in(&images)?;
    let pictures = pictures.into_iter().take(limit);
    pictures
        .map(|image| {
            let file = labels.as_ref().map(|folder| {
                // Not by `with_extension`, which would cut off the end of a name with dots.
                let mut name = image.file_stem().unwrap_or(image.as_os_str()).to_os_string();
                name.push(".png");
                folder.join(name)
            });
            match file {
                Some(file) if !file.is_file() => {
                    let image = image.display();
                    Err(Failure::file(&file, format_args!("not found; expected the labels of {image} here")))
                }
                labels => Ok(Sample { image, labels }),
            }
        })
        .collect()
}

//! Data sets of pictures with one class each: a folder for each class.

use crate::console::{Failure, warn};
use crate::inputs;
use beitle::Model;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A picture and its class.
pub struct Sample {
    /// The picture.
    pub image: PathBuf,
    /// Its class; `None` if the data set has no folders of classes.
    pub class: Option<usize>,
}

/// Lists the pictures of a data set: the first `limit`, taking one of each class in turn. Pictures beside the folders of classes are
/// left out. The folders must be the same classes of all models.
///
/// # Errors
/// A folder cannot be read, has no pictures, or is no class.
pub fn find(data: &Path, models: &[(&Path, &Model<'_>)], limit: usize) -> Result<Vec<Sample>, Failure> {
    let entries =
        std::fs::read_dir(data).map_err(|e| Failure::file(data, format_args!("cannot read: {e}")))?;
    let mut folders: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect();
    folders.retain(|path| !name(path).starts_with('.'));
    folders.sort();
    if folders.is_empty() {
        let pictures = inputs::pictures_in(data)?.into_iter().take(limit);
        return Ok(pictures.map(|image| Sample { image, class: None }).collect());
    }
    let classes = classes_for_all(data, &folders, models)?;
    let lists = folders.iter().map(|folder| inputs::pictures_in(folder)).collect::<Result<Vec<_>, _>>()?;
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    let samples = (0..longest).flat_map(|i| {
        lists.iter().zip(&classes).filter_map(move |(list, class)| {
            Some(Sample { image: list.get(i)?.clone(), class: Some(*class) })
        })
    });
    Ok(samples.take(limit).collect())
}

fn name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The class of each folder, which must be the same for every model.
fn classes_for_all(
    data: &Path,
    folders: &[PathBuf],
    models: &[(&Path, &Model<'_>)],
) -> Result<Vec<usize>, Failure> {
    let names: Vec<_> = folders.iter().map(|folder| name(folder)).collect();
    let mut all = models.iter().map(|(path, model)| {
        let class_names: Vec<_> = model.class_names().collect();
        let classes = classes_of(&names, &class_names, model.facts().classes);
        classes.map(|classes| (*path, classes)).map_err(|(folder, what)| {
            Failure::file(&folders[folder], format_args!("{what} of {}", path.display()))
        })
    });
    let Some(first) = all.next() else { return Ok(Vec::new()) };
    let (first_path, first) = first?;
    for other in all {
        let (path, other) = other?;
        if let Some(folder) = (0..folders.len()).find(|&i| first.classes[i] != other.classes[i]) {
            let (a, b) = (first_path.display(), path.display());
            let (class_a, class_b) = (first.classes[folder], other.classes[folder]);
            return Err(Failure::file(
                &folders[folder],
                format_args!("is class {class_a} of {a}, but {class_b} of {b}: evaluate one at a time"),
            ));
        }
    }
    if first.by_order {
        let last = folders.len() - 1;
        warn(&format!(
            "{}: the folders do not have the names of the model's classes: in the order of their names they are taken as \
             classes 0 to {last}",
            data.display()
        ));
    }
    Ok(first.classes)
}

/// The classes of folders.
#[derive(Debug, PartialEq)]
struct Classes {
    classes: Vec<usize>,
    /// By the order of the folders alone.
    by_order: bool,
}

/// The class of each folder: by name, by number, or, if no folder has either and there is one for each class, by their order, which
/// is that of ImageNet. Of several classes of one name, only the number tells which is meant.
///
/// # Errors
/// The number of a folder and what it is instead of a class.
fn classes_of(folders: &[String], names: &[&str], count: usize) -> Result<Classes, (usize, String)> {
    let by_name = ByName::new(names);
    let mut found = folders.iter().map(|folder| by_name.get(folder)).collect::<Vec<_>>();
    if let Some(folder) = found.iter().position(|class| *class == Found::Several) {
        return Err((folder, "has the name of several classes; expected the number of one".into()));
    }
    let is_named = found.iter().any(|class| *class != Found::None);
    for (class, folder) in found.iter_mut().zip(folders).filter(|(class, _)| **class == Found::None) {
        if let Some(number) = folder.parse().ok().filter(|number| *number < count) {
            *class = Found::One(number);
        }
    }
    let unknown = found.iter().filter(|class| **class == Found::None).count();
    if unknown == folders.len() && folders.len() == count && !is_named {
        return Ok(Classes { classes: (0..count).collect(), by_order: true });
    }
    let mut classes = Vec::new();
    for (folder, class) in found.iter().enumerate() {
        let Found::One(class) = *class else {
            return Err((folder, format!("is not the name or number of one of the {count} classes")));
        };
        if let Some(other) = classes.iter().position(|other| *other == class) {
            return Err((
                folder,
                format!("is the same class as the folder {}, class {class}", folders[other]),
            ));
        }
        classes.push(class);
    }
    Ok(Classes { classes, by_order: false })
}

/// Classes by their names, and by the synonyms that commas separate in a name.
struct ByName {
    names: HashMap<String, Found>,
    synonyms: HashMap<String, Found>,
}

/// The classes that have a name.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Found {
    None,
    One(usize),
    Several,
}

impl ByName {
    fn new(names: &[&str]) -> Self {
        let mut by_name = ByName { names: HashMap::new(), synonyms: HashMap::new() };
        let add = |map: &mut HashMap<String, Found>, name: &str, class: usize| {
            let found = map.entry(plain(name)).or_insert(Found::One(class));
            if *found != Found::One(class) {
                *found = Found::Several;
            }
        };
        for (class, name) in names.iter().enumerate() {
            add(&mut by_name.names, name, class);
            name.split(',').for_each(|synonym| add(&mut by_name.synonyms, synonym, class));
        }
        by_name
    }

    fn get(&self, folder: &str) -> Found {
        let folder = plain(folder);
        *self.names.get(&folder).or_else(|| self.synonyms.get(&folder)).unwrap_or(&Found::None)
    }
}

/// A name as it is compared: folders often have `_` or `-` for a space, and other capitals.
fn plain(name: &str) -> String {
    name.trim().replace(['_', ' '], "-").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] =
        ["tench, Tinca tinca", "Cardigan, Cardigan Welsh corgi", "cardigan", "crane", "crane"];

    fn classes(folders: &[&str]) -> Result<Classes, (usize, String)> {
        let folders: Vec<_> = folders.iter().map(|folder| folder.to_string()).collect();
        classes_of(&folders, &NAMES, NAMES.len())
    }

    fn in_order(classes: Vec<usize>, by_order: bool) -> Result<Classes, (usize, String)> {
        Ok(Classes { classes, by_order })
    }

    #[test]
    fn folders_are_named_like_classes_or_numbered() {
        assert_eq!(
            classes(&["tinca_tinca", "Cardigan", "Cardigan-Welsh-corgi"]),
            in_order(vec![0, 2, 1], false)
        );
        assert_eq!(classes(&["Tench,_Tinca_tinca", "3", "4"]), in_order(vec![0, 3, 4], false));
        assert_eq!(classes(&["n1", "n2", "n3", "n4", "n5"]), in_order((0..5).collect(), true));
    }

    #[test]
    fn unclear_folders_are_refused() {
        let refused = |folders: &[&str], part: &str| {
            let (folder, what) = classes(folders).unwrap_err();
            assert!(what.contains(part), "{what}");
            folder
        };
        assert_eq!(refused(&["tench", "crane"], "several"), 1);
        assert_eq!(refused(&["tench", "tenhc"], "not the name"), 1);
        assert_eq!(refused(&["n1", "n2"], "not the name"), 0);
        assert_eq!(refused(&["5"], "not the name"), 0);
        assert_eq!(refused(&["cardigan", "tench", "tinca tinca"], "the same class as the folder tench"), 2);
        // A typing error must not make the order decide.
        assert_eq!(refused(&["cardigan", "n2", "n3", "n4", "n5"], "not the name"), 1);
    }
}

//! Class names and palette: names from the checkpoint, those of ADE20K for models with its 150 classes, generated colours for
//! all others.

/// ADE20K's 150 classes in mmsegmentation's order: `red green blue name` on each line.
const ADE20K: &str = include_str!("ade20k.txt");

/// Without names of their own, models with this many classes are taken for ADE20K models.
const ADE20K_CLASSES: usize = 150;

fn ade20k_names() -> impl Iterator<Item = &'static str> {
    ADE20K.lines().filter_map(|line| line.splitn(4, ' ').nth(3))
}

/// transformers' name of a class that has none.
fn is_placeholder(name: &str) -> bool {
    name.starts_with("LABEL_")
}

/// Whether the classes are those of ADE20K: most names agree, or there are 150 classes without names.
fn is_ade20k(classes: usize, names: Option<&[String]>) -> bool {
    let mostly_equal = |names: &[String]| {
        let own = names.iter().map(|n| n.to_lowercase());
        own.zip(ade20k_names()).filter(|(a, b)| a.starts_with(b) || b.starts_with(a.as_str())).count() > 100
    };
    classes == ADE20K_CLASSES
        && names.is_none_or(|names| mostly_equal(names) || names.iter().all(|name| is_placeholder(name)))
}

/// The weight file's class names, one per line. Line breaks within a name become spaces.
pub fn names(classes: usize, names: Option<&[String]>) -> String {
    let own = |i: usize| names.and_then(|n| n.get(i)).map(|n| n.replace(['\n', '\r'], " "));
    let use_ade20k = is_ade20k(classes, names) && own(0).is_none_or(|name| is_placeholder(&name));
    let mut known = ade20k_names();
    let all: Vec<String> = (0..classes)
        .map(|i| match known.next().filter(|_| use_ade20k) {
            Some(name) => name.to_owned(),
            None => own(i).unwrap_or_else(|| format!("class {i}")),
        })
        .collect();
    all.join("\n")
}

/// Red, green and blue of each class.
pub fn palette(classes: usize, names: Option<&[String]>) -> Vec<u8> {
    if is_ade20k(classes, names) {
        let components = ADE20K.lines().flat_map(|line| line.splitn(4, ' ').take(3));
        return components.filter_map(|component| component.parse().ok()).collect();
    }
    (0..classes).flat_map(colour).collect()
}

/// The colour map of PASCAL VOC: the bits of the class number go to the three channels in turn, high bits first. Numbers are
/// shifted by one because VOC's colour 0 is black.
fn colour(class: usize) -> [u8; 3] {
    let mut rgb = [0u8; 3];
    let mut bits = class + 1;
    for shift in (0..8).rev() {
        for channel in &mut rgb {
            *channel |= ((bits & 1) as u8) << shift;
            bits >>= 1;
        }
    }
    rgb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ade20k_has_150_names_and_colours() {
        assert_eq!(palette(150, None).len(), 450);
        assert_eq!(names(150, None).lines().count(), 150);
        assert_eq!(names(150, None).lines().nth(149), Some("flag"));
    }

    #[test]
    fn generated_colours_are_distinct() {
        let p = palette(256, None);
        let mut all: Vec<_> = p.as_chunks::<3>().0.iter().collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 256);
        assert_eq!(names(2, Some(&["a\nb".into()])), "a b\nclass 1");
    }
}

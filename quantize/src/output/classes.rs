//! Class names and palette: names from the checkpoint, those of ADE20K for models with its 150 classes, the colours of
//! Cityscapes for street classes, generated colours for all others.

use crate::text;

/// ADE20K's 150 classes in mmsegmentation's order: `red green blue name` on each line.
const ADE20K: &str = include_str!("ade20k.txt");

/// Without names of their own, models with this many classes are taken for ADE20K models.
const ADE20K_CLASSES: usize = 150;

/// Upper bound on the length of a class name, in bytes of UTF-8. Longer ones are cut.
const MAX_NAME: usize = 255;

pub(super) fn ade20k_names() -> impl Iterator<Item = &'static str> {
    ADE20K.lines().filter_map(|line| line.splitn(4, ' ').nth(3))
}

pub(super) fn ade20k_colours() -> impl Iterator<Item = [u8; 3]> {
    ADE20K.lines().filter_map(|line| {
        let mut parts = line.splitn(4, ' ');
        let mut component = || parts.next()?.parse().ok();
        Some([component()?, component()?, component()?])
    })
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

/// The weight file's class names, one per line: each is a line of at most [`MAX_NAME`] bytes without control characters.
pub fn names(classes: usize, names: Option<&[String]>) -> String {
    let own = |i: usize| {
        names.and_then(|n| n.get(i)).map(|n| text::start(&text::printable(n), MAX_NAME).to_owned())
    };
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
        return ade20k_colours().flatten().collect();
    }
    let colours = street_colours(classes, names).unwrap_or_else(|| (0..classes).map(colour).collect());
    colours.concat()
}

/// Colours of street classes by name: Cityscapes' (<https://github.com/mcordts/cityscapesScripts>, `helpers/labels.py`) and,
/// for water, which Cityscapes lacks, ADE20K's.
const STREET: &[(&[&str], [u8; 3])] = &[
    (&["road", "street"], [128, 64, 128]),
    (&["sidewalk", "pavement"], [244, 35, 232]),
    (&["building", "house"], [70, 70, 70]),
    (&["wall"], [102, 102, 156]),
    (&["fence"], [190, 153, 153]),
    (&["pole"], [153, 153, 153]),
    (&["traffic light"], [250, 170, 30]),
    (&["traffic sign", "sign"], [220, 220, 0]),
    (&["vegetation", "tree"], [107, 142, 35]),
    (&["terrain", "grass"], [152, 251, 152]),
    (&["sky"], [70, 130, 180]),
    (&["person", "pedestrian"], [220, 20, 60]),
    (&["rider"], [255, 0, 0]),
    (&["car"], [0, 0, 142]),
    (&["truck"], [0, 0, 70]),
    (&["bus"], [0, 60, 100]),
    (&["train"], [0, 80, 100]),
    (&["motorcycle"], [0, 0, 230]),
    (&["bicycle"], [119, 11, 32]),
    (&["water"], [61, 230, 250]),
];

/// The colour of every class, if all have the names of street classes.
fn street_colours(classes: usize, names: Option<&[String]>) -> Option<Vec<[u8; 3]>> {
    let names = names.filter(|names| names.len() == classes)?;
    let colour = |name: &String| {
        let name = name.to_lowercase();
        STREET.iter().find(|(known, _)| known.contains(&name.as_str())).map(|(_, colour)| *colour)
    };
    names.iter().map(colour).collect()
}

/// A colour for a class without one: that of PASCAL VOC for the next number, because VOC's colour 0 is black.
fn colour(class: usize) -> [u8; 3] {
    voc_colour(class + 1)
}

/// The colour map of PASCAL VOC: the bits of the class number go to the three channels in turn, high bits first.
pub(super) fn voc_colour(class: usize) -> [u8; 3] {
    let mut rgb = [0u8; 3];
    let mut bits = class;
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
    fn street_classes_have_the_colours_of_cityscapes() {
        let named = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        let street = named(&["Road", "car"]);
        assert_eq!(palette(2, Some(&street)), [128, 64, 128, 0, 0, 142]);
        // One unknown name: all colours are generated, so that no two are equal by chance.
        let mixed = named(&["road", "unicorn"]);
        assert_eq!(palette(2, Some(&mixed)), [colour(0), colour(1)].concat());
    }

    #[test]
    fn generated_colours_are_distinct() {
        let p = palette(256, None);
        let mut all: Vec<_> = p.as_chunks::<3>().0.iter().collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 256);
    }

    #[test]
    fn names_are_printable_lines_of_limited_length() {
        let one = |name: &str| names(1, Some(&[name.to_owned()]));
        assert_eq!(names(2, Some(&["a\nb".into()])), "a b\nclass 1");
        assert_eq!(one("\u{1b}[31mred\u{7}\r\n\u{2028}"), " [31mred    ");
        assert_eq!(one(&"n".repeat(255)), "n".repeat(255));
        assert_eq!(one(&"n".repeat(256)), "n".repeat(255));
        // 127 characters of two bytes are 254 bytes; half a character is not written.
        assert_eq!(one(&"ß".repeat(200)), "ß".repeat(127));
        // A control character of two bytes becomes a space of one before the name is cut.
        assert_eq!(one(&"\u{9b}".repeat(300)), " ".repeat(255));
    }
}

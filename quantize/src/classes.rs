//! Class names and colours: the checkpoint's own names, ADE20K's where a checkpoint has its 150 classes, and a palette
//! for everybody else.

/// ADE20K's 150 classes as mmsegmentation lists them: `red green blue name` on each line.
const ADE20K: &str = include_str!("ade20k.txt");

/// Whether these are (or, without names, may be) ADE20K's classes: then its palette is the one people know.
fn is_ade20k(classes: usize, names: Option<&[String]>) -> bool {
    let same = |names: &[String]| {
        let own = names.iter().map(|n| n.to_lowercase());
        let theirs = ADE20K.lines().filter_map(|l| l.splitn(4, ' ').nth(3));
        own.zip(theirs).filter(|(a, b)| a.starts_with(b) || b.starts_with(a.as_str())).count() > 100
    };
    classes == 150 && names.is_none_or(|n| same(n) || n.iter().all(|n| n.starts_with("LABEL_")))
}

/// One name a line, without line breaks inside.
pub fn names(classes: usize, names: Option<&[String]>) -> String {
    let own = |i: usize| names.and_then(|n| n.get(i)).map(|n| n.replace(['\n', '\r'], " "));
    let ade = is_ade20k(classes, names) && own(0).is_none_or(|n| n.starts_with("LABEL_"));
    let mut known = ADE20K.lines().filter_map(|l| l.splitn(4, ' ').nth(3));
    let all: Vec<String> = (0..classes)
        .map(|i| match known.next().filter(|_| ade) {
            Some(name) => name.to_owned(),
            None => own(i).unwrap_or_else(|| format!("class {i}")),
        })
        .collect();
    all.join("\n")
}

/// R, G, B of each class.
pub fn palette(classes: usize, names: Option<&[String]>) -> Vec<u8> {
    if is_ade20k(classes, names) {
        let numbers = ADE20K.lines().flat_map(|l| l.splitn(4, ' ').take(3));
        return numbers.filter_map(|n| n.parse().ok()).collect();
    }
    (0..classes).flat_map(colour).collect()
}

/// Colours as the PASCAL VOC palette makes them: the bits of the number dealt out to the three channels, high bits first.
/// Class 0 would be black, so the numbers start at 1.
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
    fn ade20k_is_complete() {
        assert_eq!(palette(150, None).len(), 450);
        assert_eq!(names(150, None).lines().count(), 150);
        assert_eq!(names(150, None).lines().nth(149), Some("flag"));
    }

    #[test]
    fn other_palettes_differ_class_by_class() {
        let p = palette(256, None);
        let mut all: Vec<_> = p.as_chunks::<3>().0.iter().collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 256);
        assert_eq!(names(2, Some(&["a\nb".into()])), "a b\nclass 1");
    }
}

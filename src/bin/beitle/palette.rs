//! Colours for the values of a map, in place of those in the weight file.

use std::path::Path;

/// The eight colours of Okabe and Ito ("Color Universal Design", 2008, <https://jfly.uni-koeln.de/color>), which people with any
/// form of colour blindness can tell apart.
const OKABE_ITO: [[u8; 3]; 8] = [
    [230, 159, 0],
    [86, 180, 233],
    [0, 158, 115],
    [240, 228, 66],
    [0, 114, 178],
    [213, 94, 0],
    [204, 121, 167],
    [0, 0, 0],
];

/// The colours that `--palette` names, one for each of `count` values: a file of colours, or the name of a palette.
///
/// # Errors
/// The file is invalid, there are too few colours, or `name` is neither a file nor a palette.
pub fn load(name: &Path, count: usize) -> Result<Vec<[u8; 3]>, String> {
    let colours = if name.as_os_str() == "okabe-ito" {
        OKABE_ITO.to_vec()
    } else if name.exists() {
        let file = beitle_files::read(name, 1 << 20).map_err(|e| e.to_string())?;
        parse(&String::from_utf8_lossy(&file))?
    } else {
        return Err("neither a file of colours nor the name of a palette (okabe-ito)".into());
    };
    match colours.get(..count) {
        Some(colours) => Ok(colours.to_vec()),
        None => Err(format!("{} colours; the map has {count} classes or labels", colours.len())),
    }
}

/// A colour in each line, as `#rrggbb` or as red, green and blue from 0 to 255. What follows them is a name. Empty lines and comments,
/// which begin with "# " or ";", are skipped, and so are the first lines of GIMP's palettes (.gpl).
fn parse(text: &str) -> Result<Vec<[u8; 3]>, String> {
    let mut colours = Vec::new();
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        let skipped = ["# ", ";", "GIMP Palette", "Name:", "Columns:", "Channels:"];
        if line.is_empty() || line == "#" || skipped.iter().any(|start| line.starts_with(start)) {
            continue;
        }
        let colour = hexadecimal(line)
            .or_else(|| decimal(line))
            .ok_or_else(|| format!("line {}: expected a colour such as #ff8000 or 255 128 0", number + 1))?;
        colours.push(colour);
    }
    Ok(colours)
}

fn hexadecimal(line: &str) -> Option<[u8; 3]> {
    let digits = line.strip_prefix('#')?.split([' ', '\t', ',']).next()?;
    if digits.len() != 6 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let value = u32::from_str_radix(digits, 16).ok()?;
    let [_, r, g, b] = value.to_be_bytes();
    Some([r, g, b])
}

fn decimal(line: &str) -> Option<[u8; 3]> {
    let mut numbers = line.split([' ', '\t', ',']).filter(|part| !part.is_empty()).map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some([next()?, next()?, next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_in_every_notation() {
        let text = "GIMP Palette\nName: streets\nColumns: 3\n#\n# a comment\n255 128   0\tRoad surface\n1,2,3\n\n#0A0b0C,sky\n; end\n";
        assert_eq!(parse(text), Ok(vec![[255, 128, 0], [1, 2, 3], [10, 11, 12]]));
        for wrong in ["256 0 0", "1 2", "#12345", "#+12345", "red"] {
            let error = parse(&format!("0 0 0\n{wrong}\n")).unwrap_err();
            assert!(error.starts_with("line 2: expected a colour"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_palette_has_a_colour_for_every_value() {
        assert_eq!(load(Path::new("okabe-ito"), 3).unwrap(), OKABE_ITO[..3]);
        assert_eq!(
            load(Path::new("okabe-ito"), 9).unwrap_err(),
            "8 colours; the map has 9 classes or labels"
        );
        let error = load(Path::new("no-such-palette"), 3).unwrap_err();
        assert!(error.contains("okabe-ito"), "{error}");
    }
}

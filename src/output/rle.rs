//! Masks in the run-length encoding of COCO's annotations.

use super::area::check_map;
use super::class_map::ClassMap;
use crate::error::Error;

/// Encodes the mask of a class: the lengths of the runs of pixels outside and inside the mask, in turn, column by column from the left
/// and each from top to bottom. The first run is outside and may have length 0. Writes as many lengths as fit to `counts` and returns
/// their number. `class` is a value of the map.
///
/// # Errors
/// [`Error::Image`] if the size is invalid, [`Error::Buffer`] if the map has fewer than width · height pixels, [`Error::TooLarge`] if it
/// has more than 2³² − 1.
pub fn rle(map: ClassMap, size: (usize, usize), class: u16, counts: &mut [u32]) -> Result<usize, Error> {
    check_map(map, size)?;
    let (width, height) = size;
    u32::try_from(width * height).map_err(|_| Error::TooLarge)?;
    let (mut count, mut run, mut inside) = (0, 0, false);
    let mut end_run = |run| {
        if let Some(place) = counts.get_mut(count) {
            *place = run;
        }
        count += 1;
    };
    for x in 0..width {
        for y in 0..height {
            if (map.get(y * width + x) == Some(class)) != inside {
                end_run(run);
                (run, inside) = (0, !inside);
            }
            run += 1;
        }
    }
    end_run(run);
    Ok(count)
}

/// Writes run lengths as the text of `counts` in COCO's compressed masks. Each count from the fourth on is stored as the difference to the
/// one two before it, in groups of five bits, the lowest first and the last one with the sign. A sixth bit says that another group
/// follows, and the character is `'0'` plus these six bits. Returns the length of the text, of which `text` receives as much as
/// fits.
pub fn rle_text(counts: &[u32], text: &mut [u8]) -> usize {
    let mut len = 0;
    for (i, &count) in counts.iter().enumerate() {
        let before = if i > 2 { counts[i - 2] } else { 0 };
        let mut rest = i64::from(count) - i64::from(before);
        loop {
            let digit = (rest & 31) as u8;
            rest >>= 5;
            // The highest bit of the last digit is the sign.
            let is_last = rest == if digit & 16 == 0 { 0 } else { -1 };
            if let Some(place) = text.get_mut(len) {
                *place = b'0' + digit + if is_last { 0 } else { 32 };
            }
            len += 1;
            if is_last {
                break;
            }
        }
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_encoded_by_columns() {
        let map = [7, 0, 7, 7, 7, 0];
        let mut counts = [0; 8];
        let mut run = |class| {
            let n = rle(ClassMap::U8(&map), (3, 2), class, &mut counts).unwrap();
            counts[..n].to_vec()
        };
        assert_eq!(run(7), [0, 2, 1, 2, 1]);
        assert_eq!(run(0), [2, 1, 2, 1]);
        assert_eq!(run(9), [6]);
        assert_eq!(rle(ClassMap::U8(&map), (3, 2), 7, &mut []), Ok(5));
        assert!(rle(ClassMap::U8(&map), (4, 2), 7, &mut []).is_err());
    }
}

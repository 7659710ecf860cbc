//! Class maps in the caller's memory, and what they say: how many pixels each class has.

use crate::error::Error;

/// A class map to be written: one class number for each pixel, row by row without gaps.
#[derive(Debug)]
pub enum ClassMapMut<'a> {
    /// One byte a pixel, for models of at most 256 classes.
    U8(&'a mut [u8]),
    /// Two bytes a pixel, for any model.
    U16(&'a mut [u16]),
}

/// A class map to be read.
#[derive(Clone, Copy, Debug)]
pub enum ClassMap<'a> {
    /// One byte a pixel.
    U8(&'a [u8]),
    /// Two bytes a pixel.
    U16(&'a [u16]),
}

impl<'a> ClassMapMut<'a> {
    /// Pixels there is room for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_map().len()
    }

    /// Whether there is room for no pixel at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same memory, to be read.
    #[must_use]
    pub fn as_map(&self) -> ClassMap<'_> {
        match self {
            ClassMapMut::U8(m) => ClassMap::U8(m),
            ClassMapMut::U16(m) => ClassMap::U16(m),
        }
    }

    /// The same memory, lent on.
    pub fn reborrow(&mut self) -> ClassMapMut<'_> {
        match self {
            ClassMapMut::U8(m) => ClassMapMut::U8(m),
            ClassMapMut::U16(m) => ClassMapMut::U16(m),
        }
    }

    /// The pixels before `at` and those from `at` on (none, if there are fewer).
    #[must_use]
    pub fn split_at(self, at: usize) -> (ClassMapMut<'a>, ClassMapMut<'a>) {
        match self {
            ClassMapMut::U8(m) => {
                let (head, tail) = m.split_at_mut(at.min(m.len()));
                (ClassMapMut::U8(head), ClassMapMut::U8(tail))
            }
            ClassMapMut::U16(m) => {
                let (head, tail) = m.split_at_mut(at.min(m.len()));
                (ClassMapMut::U16(head), ClassMapMut::U16(tail))
            }
        }
    }

    /// Gives pixel `at` its class; nothing happens outside the map. `class` must fit the map's type, which
    /// [`ClassMapMut::check`] makes sure of for all classes at once.
    #[inline]
    pub fn set(&mut self, at: usize, class: u16) {
        match self {
            ClassMapMut::U8(m) => {
                if let Some(p) = m.get_mut(at) {
                    *p = class as u8;
                }
            }
            ClassMapMut::U16(m) => {
                if let Some(p) = m.get_mut(at) {
                    *p = class;
                }
            }
        }
    }

    /// Whether a map of `pixels` pixels and `classes` classes fits.
    ///
    /// # Errors
    /// [`Error::Buffer`] if there is too little room, [`Error::Image`] if the classes need two bytes.
    pub fn check(&self, pixels: usize, classes: usize) -> Result<(), Error> {
        if matches!(self, ClassMapMut::U8(_)) && classes > 256 {
            return Err(Error::Image { what: "a map of more than 256 classes needs two bytes a pixel" });
        }
        if self.len() < pixels {
            return Err(Error::Buffer { what: "the class map (pixels)", needed: pixels, found: self.len() });
        }
        Ok(())
    }
}

impl ClassMap<'_> {
    /// Pixels.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            ClassMap::U8(m) => m.len(),
            ClassMap::U16(m) => m.len(),
        }
    }

    /// Whether there is no pixel.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The class of pixel `at`.
    #[inline]
    #[must_use]
    pub fn get(&self, at: usize) -> Option<u16> {
        match self {
            ClassMap::U8(m) => m.get(at).map(|&c| c.into()),
            ClassMap::U16(m) => m.get(at).copied(),
        }
    }

    /// Adds each class's pixels to `counts`, and returns how many pixels are of a class `counts` has no place for.
    ///
    /// `counts` is added to, so that the maps of many pictures can be summed: start with zeros.
    pub fn count(&self, counts: &mut [u64]) -> u64 {
        match self {
            ClassMap::U8(m) => count(m.iter().map(|&c| c.into()), counts),
            ClassMap::U16(m) => count(m.iter().map(|&c| c.into()), counts),
        }
    }
}

fn count(classes: impl Iterator<Item = usize>, counts: &mut [u64]) -> u64 {
    let mut outside = 0;
    for class in classes {
        *counts.get_mut(class).unwrap_or(&mut outside) += 1;
    }
    outside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up() {
        let mut counts = [0; 3];
        assert_eq!(ClassMap::U8(&[0, 2, 2, 7]).count(&mut counts), 1);
        assert_eq!(ClassMap::U16(&[1, 2, 300]).count(&mut counts), 1);
        assert_eq!(counts, [1, 1, 3]);
    }

    #[test]
    fn maps_are_written_and_split() {
        let mut data = [0u8; 5];
        let mut map = ClassMapMut::U8(&mut data);
        map.set(4, 9);
        map.set(5, 9);
        assert!(map.check(5, 256).is_ok() && map.check(6, 2).is_err() && map.check(5, 257).is_err());
        let (mut head, mut tail) = map.reborrow().split_at(3);
        head.set(3, 1);
        tail.set(0, 7);
        assert_eq!((head.len(), tail.len()), (3, 2));
        assert_eq!(map.split_at(99).1.len(), 0);
        assert_eq!(data, [0, 0, 0, 7, 9]);
        let mut wide = [0u16; 2];
        let mut map = ClassMapMut::U16(&mut wide);
        map.set(1, 40_000);
        assert!(map.check(2, 65_535).is_ok());
        assert_eq!(map.as_map().get(1), Some(40_000));
    }
}

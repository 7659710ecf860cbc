//! Class maps in the memory of the caller: one class number per pixel, in one or two bytes. The engine writes them; callers read
//! classes and count pixels.

use crate::error::Error;

/// A writable class map: one class number per pixel, row by row without gaps.
#[derive(Debug)]
pub enum ClassMapMut<'a> {
    /// One byte per pixel, for classes or labels up to 255.
    U8(&'a mut [u8]),
    /// Two bytes per pixel, for any model.
    U16(&'a mut [u16]),
}

/// A read-only class map, in the layout of [`ClassMapMut`].
#[derive(Clone, Copy, Debug)]
pub enum ClassMap<'a> {
    /// One byte per pixel.
    U8(&'a [u8]),
    /// Two bytes per pixel.
    U16(&'a [u16]),
}

impl<'a> ClassMapMut<'a> {
    /// The number of pixels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_map().len()
    }

    /// Whether the map has no pixels.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A read-only view of the map.
    #[must_use]
    pub fn as_map(&self) -> ClassMap<'_> {
        match self {
            ClassMapMut::U8(m) => ClassMap::U8(m),
            ClassMapMut::U16(m) => ClassMap::U16(m),
        }
    }

    /// A shorter borrow of the map.
    pub fn reborrow(&mut self) -> ClassMapMut<'_> {
        match self {
            ClassMapMut::U8(m) => ClassMapMut::U8(m),
            ClassMapMut::U16(m) => ClassMapMut::U16(m),
        }
    }

    /// Splits the map before pixel `at`. If the map is shorter, the second part is empty.
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

    /// Writes the class of pixel `at`; does nothing outside the map. A one-byte map keeps the low byte of `class`
    /// ([`ClassMapMut::check`] rules out larger classes).
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

    /// Checks that the map can hold `pixels` pixels of a model with `classes` classes.
    ///
    /// # Errors
    /// [`Error::Buffer`] if the map is too short, [`Error::Image`] if it has one byte per pixel and the class numbers need two.
    pub fn check(&self, pixels: usize, classes: usize) -> Result<(), Error> {
        if matches!(self, ClassMapMut::U8(_)) && classes > 256 {
            return Err(Error::Image {
                what: "classes or labels above 255 need a class map of two bytes per pixel",
            });
        }
        if self.len() < pixels {
            return Err(Error::Buffer { what: "the class map (pixels)", needed: pixels, found: self.len() });
        }
        Ok(())
    }
}

impl ClassMap<'_> {
    /// The value of pixels whose confidence is below [`Output::min_confidence`](super::Output::min_confidence), unless they have one
    /// byte: then it is 255.
    pub const UNKNOWN: u16 = u16::MAX;

    /// The number of pixels.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            ClassMap::U8(m) => m.len(),
            ClassMap::U16(m) => m.len(),
        }
    }

    /// Whether the map has no pixels.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The class of pixel `at`; `None` outside the map.
    #[inline]
    #[must_use]
    pub fn get(&self, at: usize) -> Option<u16> {
        match self {
            ClassMap::U8(m) => m.get(at).map(|&c| c.into()),
            ClassMap::U16(m) => m.get(at).copied(),
        }
    }

    /// Adds the number of pixels of class i to `counts[i]`. Returns the number of pixels whose class is not below
    /// `counts.len()`.
    ///
    /// Start with zeros; counts of several maps add up.
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

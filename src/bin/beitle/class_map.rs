//! An owned class map, one class number per pixel: the engine writes it, the commands read it.

use beitle::output::{ClassMap, ClassMapMut};
use beitle_pictures::zeroed;

/// A class map in memory, row by row.
pub enum ClassMapBuf {
    /// Models of at most 256 classes.
    U8(Vec<u8>),
    /// Models of more classes.
    U16(Vec<u16>),
}

impl ClassMapBuf {
    /// A map of zeros, of the narrower type that holds `classes` classes; `None` if there is not enough memory.
    pub fn new(pixels: usize, classes: usize) -> Option<Self> {
        if classes > 256 {
            zeroed(pixels).ok().map(ClassMapBuf::U16)
        } else {
            zeroed(pixels).ok().map(ClassMapBuf::U8)
        }
    }

    /// A view for the library to read.
    pub fn view(&self) -> ClassMap<'_> {
        match self {
            ClassMapBuf::U8(m) => ClassMap::U8(m),
            ClassMapBuf::U16(m) => ClassMap::U16(m),
        }
    }

    /// A view for the engine to write.
    pub fn view_mut(&mut self) -> ClassMapMut<'_> {
        match self {
            ClassMapBuf::U8(m) => ClassMapMut::U8(m),
            ClassMapBuf::U16(m) => ClassMapMut::U16(m),
        }
    }

    /// The class of a pixel, `None` outside the map.
    pub fn get(&self, pixel: usize) -> Option<u16> {
        self.view().get(pixel)
    }

    /// The class of every pixel.
    pub fn classes(&self) -> impl Iterator<Item = u16> {
        let view = self.view();
        (0..view.len()).map_while(move |pixel| view.get(pixel))
    }
}

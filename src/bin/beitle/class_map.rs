//! An owned class map, one class number per pixel: the engine writes it, the commands read it.

use beitle::output::{ClassMap, ClassMapMut};
use beitle_pictures::zeroed;

/// A class map in memory, row by row.
pub enum ClassMapBuf {
    /// Values up to 255.
    U8(Vec<u8>),
    /// Larger values.
    U16(Vec<u16>),
}

impl ClassMapBuf {
    /// A map of zeros, of the narrower type that holds `values` values; `None` if there is not enough memory.
    pub fn new(pixels: usize, values: usize) -> Option<Self> {
        if values > 256 {
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

    /// Turns 1 into 255 and all other values into 0.
    pub fn turn_into_mask(&mut self) {
        if let ClassMapBuf::U8(map) = self {
            map.iter_mut().for_each(|value| *value = if *value == 1 { 255 } else { 0 });
        }
    }

    /// The value of unknown pixels in a map of this type.
    pub fn unknown(&self) -> u16 {
        match self {
            ClassMapBuf::U8(_) => u8::MAX.into(),
            ClassMapBuf::U16(_) => ClassMap::UNKNOWN,
        }
    }

    /// The map of a size, stretched to another one: each pixel takes the number of the nearest. `None` if there is not enough memory.
    pub fn scaled(&self, from: (usize, usize), to: (usize, usize)) -> Option<Self> {
        let mut scaled = match self {
            ClassMapBuf::U8(_) => ClassMapBuf::new(to.0 * to.1, 0),
            ClassMapBuf::U16(_) => ClassMapBuf::new(to.0 * to.1, usize::MAX),
        }?;
        let mut out = scaled.view_mut();
        for y in 0..to.1 {
            let row = nearest(y, to.1, from.1) * from.0;
            for x in 0..to.0 {
                out.set(y * to.0 + x, self.get(row + nearest(x, to.0, from.0)).unwrap_or(0));
            }
        }
        Some(scaled)
    }

    /// The class of every pixel.
    pub fn classes(&self) -> impl Iterator<Item = u16> {
        let view = self.view();
        (0..view.len()).map_while(move |pixel| view.get(pixel))
    }
}

/// Pixel `at` of a side of `to` pixels, on a side of `from` pixels. In u64, since the product of two sides may be large.
fn nearest(at: usize, to: usize, from: usize) -> usize {
    (at as u64 * from as u64 / to as u64) as usize
}

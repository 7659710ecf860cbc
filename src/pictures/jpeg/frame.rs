//! The picture that a frame header announces, and the decoded parts of it: one plane for each component.

use super::idct::{Block, idct};
use crate::error::Error;
use crate::memory::zeroed;

/// A component: grey, or one of the three or four channels.
pub struct Component {
    /// The identifier, by which scan headers name it.
    pub id: u8,
    /// Sampling factor of columns.
    pub h: usize,
    /// Sampling factor of rows.
    pub v: usize,
    /// Which quantisation table it uses.
    pub quantisation: usize,
    /// Samples in a row.
    pub width: usize,
    /// Rows of samples.
    pub height: usize,
    /// Blocks in a row, and rows of blocks, rounded up to whole minimum coded units (MCUs).
    pub padded: (usize, usize),
}

impl Component {
    /// Blocks in a row, and rows of blocks.
    pub fn blocks(&self) -> (usize, usize) {
        (self.width.div_ceil(8), self.height.div_ceil(8))
    }

    /// Bytes from one row of samples to the next.
    pub fn stride(&self) -> usize {
        self.padded.0 * 8
    }
}

/// A frame header.
pub struct Frame {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Whether coefficients arrive in several scans.
    pub is_progressive: bool,
    /// The components: 1, 3 or 4.
    pub components: Vec<Component>,
    /// The largest sampling factor of columns.
    pub h_max: usize,
    /// The largest sampling factor of rows.
    pub v_max: usize,
    /// MCUs in a row, and rows of MCUs, of a scan of several components.
    pub mcus: (usize, usize),
}

impl Frame {
    /// Reads the content of a frame header's segment.
    pub fn new(content: &[u8], is_progressive: bool) -> Result<Self, Error> {
        let [precision, h1, h0, w1, w0, count, parts @ ..] = content else {
            return Err(Error::content("damaged: the frame header of the JPEG file is too short"));
        };
        if *precision != 8 {
            return Err(Error::content(format!(
                "JPEG with {precision} bits per sample is not supported, only 8"
            )));
        }
        let [width, height] = [[*w1, *w0], [*h1, *h0]].map(|side| usize::from(u16::from_be_bytes(side)));
        let parts = parts.as_chunks::<3>().0;
        if parts.len() != usize::from(*count) || ![1, 3, 4].contains(count) {
            return Err(Error::content(format!(
                "JPEG with {count} components is not supported, only 1, 3 or 4"
            )));
        }
        let factors = |byte: u8| (usize::from(byte >> 4), usize::from(byte & 15));
        if parts.iter().any(|[_, f, q]| {
            let (h, v) = factors(*f);
            !(1..=4).contains(&h) || !(1..=4).contains(&v) || *q > 3
        }) {
            return Err(Error::content(
                "damaged: the frame header of the JPEG file has invalid sampling factors",
            ));
        }
        let h_max = parts.iter().map(|part| factors(part[1]).0).max().unwrap_or(1);
        let v_max = parts.iter().map(|part| factors(part[1]).1).max().unwrap_or(1);
        let mcus = (width.div_ceil(8 * h_max), height.div_ceil(8 * v_max));
        let component = |[id, byte, quantisation]: &[u8; 3]| {
            let (h, v) = factors(*byte);
            let (width, height) = ((width * h).div_ceil(h_max), (height * v).div_ceil(v_max));
            let padded = (mcus.0 * h, mcus.1 * v);
            Component { id: *id, h, v, quantisation: usize::from(*quantisation), width, height, padded }
        };
        let components = parts.iter().map(component).collect();
        Ok(Frame { width, height, is_progressive, components, h_max, v_max, mcus })
    }

    /// The least number of bits that the compressed data can have. A block of a sequential file takes a code for its DC
    /// coefficient and one for the end of the block; in progressive files one code may end thousands of blocks.
    fn least_bits(&self) -> usize {
        let blocks: usize = self.components.iter().map(|c| c.blocks().0 * c.blocks().1).sum();
        if self.is_progressive { blocks } else { 2 * blocks }
    }
}

/// The decoded data of a component.
pub struct Plane {
    /// The quantisation table at the component's first scan.
    pub quantisation: Option<[u16; 64]>,
    /// Rows of samples, [`Component::stride`] bytes each.
    pub samples: Vec<u8>,
    /// In progressive files: the blocks, row by row, until all scans are read.
    pub coefficients: Vec<Block>,
    /// In progressive files: for each coefficient in zigzag order how many low bits are still missing; `None` before its
    /// first scan.
    pub missing_bits: [Option<u8>; 64],
}

/// The planes of all components.
pub struct Planes(pub Vec<Plane>);

impl Planes {
    /// Planes without data.
    ///
    /// # Errors
    /// `bytes`, the rest of the file, cannot hold so many pixels.
    pub fn new(frame: &Frame, bytes: usize) -> Result<Self, Error> {
        if frame.least_bits() > bytes.saturating_mul(8) {
            let (width, height) = (frame.width, frame.height);
            return Err(Error::content(format!(
                "truncated or damaged: {bytes} bytes of JPEG data cannot hold {width}x{height} pixels"
            )));
        }
        let empty = |_: &Component| Plane {
            quantisation: None,
            samples: Vec::new(),
            coefficients: Vec::new(),
            missing_bits: [None; 64],
        };
        Ok(Planes(frame.components.iter().map(empty).collect()))
    }

    /// Prepares a component for a scan: allocates it and takes its quantisation table if this is its first scan.
    pub fn start(&mut self, frame: &Frame, index: usize, table: Option<&[u16; 64]>) -> Result<(), Error> {
        let (plane, component) = (&mut self.0[index], &frame.components[index]);
        if plane.quantisation.is_some() {
            return Ok(());
        }
        let missing = || Error::content("damaged: a quantisation table of the JPEG file is missing");
        plane.quantisation = Some(*table.ok_or_else(missing)?);
        let blocks = component.padded.0 * component.padded.1;
        if frame.is_progressive {
            plane
                .coefficients
                .try_reserve_exact(blocks)
                .map_err(|_| Error::OutOfMemory { bytes: blocks * 128 })?;
            plane.coefficients.resize(blocks, [0; 64]);
        } else {
            plane.samples = zeroed(blocks * 64)?;
        }
        Ok(())
    }

    /// Turns the coefficients of progressive files into samples.
    ///
    /// # Errors
    /// A component has no data or, in a progressive file, lacks bits of its coefficients.
    pub fn finish(&mut self, frame: &Frame) -> Result<(), Error> {
        for (plane, component) in self.0.iter_mut().zip(&frame.components) {
            let is_complete = !frame.is_progressive || plane.missing_bits.iter().all(|n| *n == Some(0));
            let Some(quantisation) = plane.quantisation.filter(|_| is_complete) else {
                return Err(Error::content("truncated: scans of the JPEG file are missing"));
            };
            if !frame.is_progressive {
                continue;
            }
            plane.samples = zeroed(plane.coefficients.len() * 64)?;
            let (columns, stride) = (component.padded.0, component.stride());
            for (i, block) in plane.coefficients.iter().enumerate() {
                let at = i / columns * 8 * stride + i % columns * 8;
                idct(block, &quantisation, &mut plane.samples[at..], stride);
            }
            plane.coefficients = Vec::new();
        }
        Ok(())
    }
}

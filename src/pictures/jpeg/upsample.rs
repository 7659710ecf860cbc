//! From rows of a component of lower resolution to rows of the picture: libjpeg's "fancy" upsampling (`jdsample.c`). It is
//! linear interpolation whose roundings alternate; samples outside the component repeat its border.

use super::frame::{Component, Frame};
use crate::error::Error;

/// How rows of a component become rows of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Upsampling {
    /// Half the columns.
    Columns,
    /// Half the rows.
    Rows,
    /// Half the columns and half the rows.
    Both,
    /// Every sample is repeated.
    Repeat {
        /// Columns of the picture for each sample.
        columns: usize,
        /// Rows of the picture for each sample.
        rows: usize,
    },
}

impl Upsampling {
    /// The method for a component. libjpeg interpolates columns only if there are more than two.
    pub fn of(component: &Component, frame: &Frame) -> Result<Self, Error> {
        let (h, v) = (frame.h_max / component.h, frame.v_max / component.v);
        if h * component.h != frame.h_max || v * component.v != frame.v_max {
            return Err(Error::content(
                "JPEG: sampling factors that do not divide one another are not supported",
            ));
        }
        Ok(match (h, v) {
            (2, 1) if component.width > 2 => Upsampling::Columns,
            (1, 2) => Upsampling::Rows,
            (2, 2) if component.width > 2 => Upsampling::Both,
            (columns, rows) => Upsampling::Repeat { columns, rows },
        })
    }

    /// Writes row `y` of the picture. `row` returns the rows of the component's samples; `output` has room for all columns that
    /// the component covers, `scratch` for all of its samples in a row.
    pub fn row<'a>(
        self,
        row: impl Fn(usize) -> &'a [u8],
        rows: usize,
        y: usize,
        scratch: &mut [u16],
        output: &mut [u8],
    ) {
        // The nearest row, and the second nearest: above it for even rows of the picture, below for odd ones.
        let near = || row(y / 2);
        let far =
            || row(if y.is_multiple_of(2) { (y / 2).saturating_sub(1) } else { (y / 2 + 1).min(rows - 1) });
        match self {
            Upsampling::Repeat { columns, rows } => repeat(row(y / rows), columns, output),
            Upsampling::Columns => {
                scratch.iter_mut().zip(row(y)).for_each(|(to, sample)| *to = u16::from(*sample));
                interpolate(scratch, output, [1, 2], 2);
            }
            Upsampling::Rows => {
                weigh(near(), far(), scratch);
                let bias = 1 + y as u16 % 2;
                output.iter_mut().zip(scratch).for_each(|(to, sum)| *to = ((*sum + bias) >> 2) as u8);
            }
            Upsampling::Both => {
                weigh(near(), far(), scratch);
                interpolate(scratch, output, [8, 7], 4);
            }
        }
    }
}

fn repeat(samples: &[u8], columns: usize, output: &mut [u8]) {
    if columns == 1 {
        output[..samples.len()].copy_from_slice(samples);
        return;
    }
    for (to, sample) in output.chunks_exact_mut(columns).zip(samples) {
        to.fill(*sample);
    }
}

/// Three times the nearer sample plus the farther one.
fn weigh(near: &[u8], far: &[u8], sums: &mut [u16]) {
    for ((to, near), far) in sums.iter_mut().zip(near).zip(far) {
        *to = 3 * u16::from(*near) + u16::from(*far);
    }
}

/// Interpolates columns: left and right of each value, three quarters of it and a quarter of its neighbour on that side, plus
/// the bias of that side, shifted right by `shift`. There are at least two values.
fn interpolate(values: &[u16], output: &mut [u8], bias: [u16; 2], shift: u32) {
    let pair = |left: u16, value: u16, right: u16| {
        [((3 * value + left + bias[0]) >> shift) as u8, ((3 * value + right + bias[1]) >> shift) as u8]
    };
    let ([first, second, ..], [.., before, last]) = (values, values) else { return };
    let pairs = output.as_chunks_mut::<2>().0;
    pairs[0] = pair(*first, *first, *second);
    for (to, around) in pairs[1..].iter_mut().zip(values.windows(3)) {
        *to = pair(around[0], around[1], around[2]);
    }
    pairs[values.len() - 1] = pair(*before, *last, *last);
}

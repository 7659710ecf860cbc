//! Runs of the conversion and resizing of pictures.

use super::inputs::{KernelRun, Size, Source, prepare};
use crate::image::resize::{Filter, Part, Resizer, part_scratch_bytes};
use crate::image::yuv::{Coefficients, Samples, YuvRow};
use crate::image::{ImageView, PixelFormat, YuvMatrix, YuvRange};
use std::boxed::Box;

/// A row of `n` pixels of YUV: the samples of three planes in, of which a format may use fewer; red, green, blue and 0 out.
pub(super) fn yuv_row(
    size: Size,
    mut source: Source,
    samples: for<'a> fn([&'a [u8]; 3]) -> Samples<'a>,
) -> Box<dyn KernelRun> {
    let planes = [0; 3].map(|_| source.bytes(2 * size.n + 2));
    let coefficients = Coefficients::new(YuvMatrix::Bt709, YuvRange::Limited);
    prepare(planes, std::vec![0u8; 4 * size.n], move |isa, [a, b, c], out| {
        isa.yuv_row(&YuvRow { coefficients, samples: samples([a, b, c]) }, out);
    })
}

/// A picture of `n` x `rows` pixels, resized to `k` x `k`.
pub(super) fn resize(
    size: Size,
    mut source: Source,
    format: PixelFormat,
    filter: Filter,
) -> Box<dyn KernelRun> {
    let (src, dst) = ((size.n, size.rows), (size.k, size.k));
    let planes = (0..format.planes()).map(|plane| format.plane_size(plane, src.0, src.1));
    let data = source.bytes(planes.map(|(row, rows)| row * rows).sum());
    let part = Part { left: 0, top: 0, width: dst.0, height: dst.1 };
    prepare(data, std::vec![0u8; dst.0 * dst.1 * 3], move |isa, data, out| {
        let view = ImageView::packed(data, src.0, src.1, format).expect("the data have the picture's size");
        let mut scratch = std::vec![0; part_scratch_bytes(src, dst, (dst.0, 3), filter)];
        let convert = |row: &YuvRow, out: &mut [u8]| isa.yuv_row(row, out);
        let mut rows = Resizer::part(&view, filter, dst, part, (3, &convert), &mut scratch)
            .expect("the scratch memory suffices");
        out.chunks_mut(3 * dst.0).for_each(|row| {
            rows.next_row(row).expect("a row of the result");
        });
    })
}

//! Pictures of any size, stride and format, rotated or mirrored, and their resizing. The result depends only on the pixels: not on stride,
//! format, the contents of the scratch memory or where the picture was cut out. Filters without negative weights stay in the range of
//! the pixels.

use crate::formats::FORMATS;
use crate::input::Input;
use beitle::Error;
use beitle::image::resize::{Filter, Resizer, resize, scratch_bytes};
use beitle::image::{ImageView, PixelFormat};

const FILTERS: [Filter; 7] = [
    Filter::Nearest,
    Filter::Lanczos,
    Filter::Bilinear,
    Filter::Bicubic,
    Filter::Box,
    Filter::Hamming,
    Filter::LinearCv,
];

/// Two sides with a product of at most 512.
fn sides(input: &mut Input) -> (usize, usize) {
    let width = 1 + input.below(512);
    let height = 1 + input.below(512 / width);
    if input.u8() & 1 == 0 { (width, height) } else { (height, width) }
}

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let (format, filter) = (input.pick(&FORMATS), input.pick(&FILTERS));
    if input.u8() < 64 {
        any_sizes(&mut input, format, filter);
    } else {
        valid_sizes(&mut input, format, filter);
    }
}

/// Sizes of every kind: whatever is accepted can be read.
fn any_sizes(input: &mut Input, format: PixelFormat, filter: Filter) {
    let [width, height, stride, x, y] = [(); 5].map(|()| input.wild());
    let (to_width, to_height) = (input.wild(), input.wild());
    let mut scratch = vec![0; input.below(4096)];
    let mut out = vec![0; input.below(4096)];
    let _ = scratch_bytes(width, height, to_width, to_height, filter);
    let _ = ImageView::packed(input.0, width, height, format);
    let Ok(view) = ImageView::new(input.0, width, height, stride, format) else { return };
    let row = view.row(height - 1).len();
    assert!((row == width * format.bytes() || row == 0) && view.row(height).is_empty());
    assert!(view.rgb(width - 1, height - 1).is_some() && view.rgb(width, 0).is_none());
    assert_eq!(view.rgb(x, y).is_some(), x < width && y < height);
    let _ = view.crop(x, y, to_width, to_height).map(|crop| crop.row(to_height - 1));
    if let Ok(mut rows) = Resizer::new(&view, filter, to_width, to_height, &mut scratch) {
        // A row of more pixels than fit is an error, and too many rows would take too long.
        (0..8).for_each(|_| {
            let _ = rows.next_row(&mut out);
        });
    }
}

fn valid_sizes(input: &mut Input, format: PixelFormat, filter: Filter) {
    let ((width, height), to) = (sides(input), sides(input));
    let size = |plane| format.plane_size(plane, width, height);
    let stride = size(0).0.max(if format == PixelFormat::I420 { 0 } else { size(format.planes() - 1).0 })
        + usize::from(input.u8());
    // Planes behind each other; the last row needs no padding.
    let length = match format {
        PixelFormat::I420 => stride * height + stride.div_ceil(2) * (2 * size(1).1 - 1) + size(1).0,
        _ => {
            stride * ((0..format.planes()).map(|plane| size(plane).1).sum::<usize>() - 1)
                + size(format.planes() - 1).0
        }
    };
    let (contrast, misalignment) = (input.u8(), usize::from(input.u8() & 3));
    let (x, y) = (input.below(width), input.below(height));
    let part = (1 + input.below(width - x), 1 + input.below(height - y));
    let pixels: Vec<u8> = {
        let pattern = |i: usize| (i.wrapping_mul(0x9E37_79B9) >> 7) as u8 & contrast;
        let mut given = input.0.iter().copied();
        // Exactly as long as necessary.
        (0..length).map(|i| given.next().unwrap_or_else(|| pattern(i))).collect()
    };
    assert!(ImageView::new(&pixels[1..], width, height, stride, format).is_err());
    let view = ImageView::new(&pixels, width, height, stride, format).expect("a valid picture");
    let crop = view.crop(x, y, part.0, part.1).expect("a part of the picture");
    let turned = usize::from(misalignment == 3);
    let [view, crop] = [view, crop].map(|view| {
        let view = view.rotated((turned * to.0) as u32);
        if turned * to.1 % 2 == 1 { view.mirrored() } else { view }
    });

    let needed = scratch_bytes(view.width(), view.height(), to.0, to.1, filter);
    assert!(needed <= 64 << 20, "{needed} bytes of scratch memory");
    let mut scratch = vec![0xC3; misalignment + needed];
    // Memory for a picture is enough for any part of it.
    for view in [view, crop] {
        let mut out = vec![0x55; 3 * to.0 * to.1];
        resize(&view, filter, to.0, to.1, &mut out, &mut scratch[misalignment..]).expect("enough memory");
        check(&view, filter, to, &out);
    }
    let mut out = vec![0; 3 * to.0 * to.1 - 1];
    let short = resize(&view, filter, to.0, to.1, &mut out, &mut scratch);
    assert!(matches!(short, Err(Error::Buffer { .. })));
    assert!(Resizer::new(&view, filter, to.0, to.1, &mut scratch[..needed - 1]).is_err());
}

/// Compares a resized picture with that of a packed copy, and with the range of the picture's values.
fn check(view: &ImageView, filter: Filter, to: (usize, usize), out: &[u8]) {
    let mut copy = vec![0; 3 * view.width() * view.height()];
    for (y, row) in copy.chunks_exact_mut(3 * view.width()).enumerate() {
        view.rgb_row(y, row);
    }
    let packed = ImageView::packed(&copy, view.width(), view.height(), PixelFormat::Rgb8).expect("a picture");
    let mut scratch = vec![0; scratch_bytes(view.width(), view.height(), to.0, to.1, filter)];
    let mut expected = vec![0; out.len()];
    resize(&packed, filter, to.0, to.1, &mut expected, &mut scratch).expect("enough memory");
    assert!(out == expected, "{view:?} to {to:?}, {filter:?}");
    if !matches!(filter, Filter::Lanczos | Filter::Bicubic) {
        let (low, high) = (copy.iter().min().expect("a pixel"), copy.iter().max().expect("a pixel"));
        assert!(
            out.iter().all(|v| (low..=high).contains(&v)),
            "{view:?} to {to:?}, {filter:?}: out of range"
        );
    }
}

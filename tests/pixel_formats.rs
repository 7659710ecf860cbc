//! Frames of cameras: every pixel format against its definition in real numbers, turned and cropped views against the same on
//! packed RGB, and the recorded bits of frames through a model.

mod common;
#[path = "common/formats.rs"]
mod formats;

use beitle::Isa;
use beitle::engine::{Engine, Output};
use beitle::file::crc::crc32;
use beitle::file::format::Precision;
use beitle::image::resize::{Filter, resize, scratch_bytes};
use beitle::image::{ImageView, PixelFormat, Plane, YuvMatrix, YuvRange};
use beitle::memory::{Arena, FileBytes};
use beitle::parallel::{Parallel, ThreadPool};
use beitle::plan::Plan;
use beitle::{Error, Model};
use common::Case;
use formats::FORMATS;
use proptest::prelude::*;

const COLOURS: [(YuvMatrix, YuvRange); 4] = [
    (YuvMatrix::Bt601, YuvRange::Limited),
    (YuvMatrix::Bt601, YuvRange::Full),
    (YuvMatrix::Bt709, YuvRange::Limited),
    (YuvMatrix::Bt709, YuvRange::Full),
];
const RANGE16: (u16, u16) = (1_000, 50_000);

/// A frame in memory of its own, filled from a seed.
struct Frame {
    format: PixelFormat,
    width: usize,
    height: usize,
    colours: (YuvMatrix, YuvRange),
    planes: Vec<(Vec<u8>, usize)>,
}

impl Frame {
    /// `padding` bytes follow each row, and the last row ends with its last pixel.
    fn new(format: PixelFormat, (width, height): (usize, usize), padding: usize, mut seed: u64) -> Frame {
        let colours = COLOURS[seed as usize % 4];
        let mut byte = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 40) as u8
        };
        let planes = (0..format.planes()).map(|plane| {
            let (row, rows) = format.plane_size(plane, width, height);
            let stride = row + padding * (plane + 1);
            ((0..(rows - 1) * stride + row).map(|_| byte()).collect(), stride)
        });
        Frame { format, width, height, colours, planes: planes.collect() }
    }

    fn view(&self) -> ImageView<'_> {
        let planes: Vec<_> =
            self.planes.iter().map(|(data, stride)| Plane { data, stride: *stride }).collect();
        let view = ImageView::planar(&planes, self.width, self.height, self.format).unwrap();
        view.with_colours(self.colours.0, self.colours.1).with_range16(RANGE16.0, RANGE16.1).unwrap()
    }

    /// A byte of a plane.
    fn at(&self, plane: usize, x: usize, y: usize) -> f64 {
        let (data, stride) = &self.planes[plane];
        data[y * stride + x].into()
    }

    /// Red, green and blue of a pixel by the definition of the format, in real numbers.
    fn real(&self, x: usize, y: usize) -> [f64; 3] {
        let bytes = self.format.bytes();
        let c = |i: usize| self.at(0, x * bytes + i, y);
        let bits16 = c(0) + if bytes == 2 { 256.0 * c(1) } else { 0.0 };
        let (pair, chroma) = (x / 2, y / 2);
        match self.format {
            PixelFormat::Rgb8 | PixelFormat::Rgba8 => [c(0), c(1), c(2)],
            PixelFormat::Bgr8 | PixelFormat::Bgra8 => [c(2), c(1), c(0)],
            PixelFormat::Gray8 => [c(0); 3],
            PixelFormat::Rgb565 => {
                let bits = bits16 as u32;
                [(bits >> 11, 31.0), (bits >> 5 & 63, 63.0), (bits & 31, 31.0)]
                    .map(|(v, most)| f64::from(v) / most * 255.0)
            }
            PixelFormat::Gray16 => {
                let (low, high) = (f64::from(RANGE16.0), f64::from(RANGE16.1));
                [((bits16 - low) / (high - low) * 255.0).clamp(0.0, 255.0); 3]
            }
            PixelFormat::Yuyv => {
                self.rgb_of_yuv(c(0), self.at(0, 4 * pair + 1, y), self.at(0, 4 * pair + 3, y))
            }
            PixelFormat::Uyvy => self.rgb_of_yuv(c(1), self.at(0, 4 * pair, y), self.at(0, 4 * pair + 2, y)),
            PixelFormat::Nv12 => {
                self.rgb_of_yuv(c(0), self.at(1, 2 * pair, chroma), self.at(1, 2 * pair + 1, chroma))
            }
            PixelFormat::Nv21 => {
                self.rgb_of_yuv(c(0), self.at(1, 2 * pair + 1, chroma), self.at(1, 2 * pair, chroma))
            }
            _ => self.rgb_of_yuv(c(0), self.at(1, pair, chroma), self.at(2, pair, chroma)),
        }
    }

    /// The matrices of ITU-R BT.601 and BT.709, inverted.
    fn rgb_of_yuv(&self, y: f64, u: f64, v: f64) -> [f64; 3] {
        let (kr, kb) = if self.colours.0 == YuvMatrix::Bt601 { (0.299, 0.114) } else { (0.2126, 0.0722) };
        let (y, pb, pr) = match self.colours.1 {
            YuvRange::Limited => ((y - 16.0) / 219.0, (u - 128.0) / 224.0, (v - 128.0) / 224.0),
            YuvRange::Full => (y / 255.0, (u - 128.0) / 255.0, (v - 128.0) / 255.0),
        };
        let (r, b) = (y + 2.0 * (1.0 - kr) * pr, y + 2.0 * (1.0 - kb) * pb);
        [r, (y - kr * r - kb * b) / (1.0 - kr - kb), b].map(|x| (255.0 * x).clamp(0.0, 255.0))
    }
}

/// The pixels of a view, row by row.
fn pixels(view: &ImageView) -> Vec<[u8; 3]> {
    (0..view.height()).flat_map(|y| (0..view.width()).map(move |x| view.rgb(x, y).unwrap())).collect()
}

/// Resizes to packed RGB; the scratch memory is exactly as long as promised and not cleared.
fn resized(view: &ImageView, filter: Filter, (width, height): (usize, usize)) -> Vec<u8> {
    let mut scratch = vec![0xEE; scratch_bytes(view.width(), view.height(), width, height, filter)];
    let mut out = vec![0; width * height * 3];
    resize(view, filter, width, height, &mut out, &mut scratch).unwrap();
    out
}

/// A way to see a picture, on the view and on its pixels.
#[derive(Clone, Copy, Debug)]
enum Step {
    Rotate(u32),
    Mirror,
    /// Borders to cut off, in quarters of what is possible.
    Crop([usize; 4]),
}

impl Step {
    fn of_view<'a>(&self, view: ImageView<'a>) -> ImageView<'a> {
        match *self {
            Step::Rotate(quarters) => view.rotated(quarters),
            Step::Mirror => view.mirrored(),
            Step::Crop(borders) => {
                let [x, y, w, h] = cut((view.width(), view.height()), borders);
                view.crop(x, y, w, h).unwrap()
            }
        }
    }

    /// Pixels and width of the result.
    fn of_pixels(&self, (from, width): (Vec<[u8; 3]>, usize)) -> (Vec<[u8; 3]>, usize) {
        let height = from.len() / width;
        let rows = || from.chunks(width);
        match *self {
            Step::Rotate(quarters) => (0..quarters % 4).fold((from.clone(), width), |(from, width), _| {
                let height = from.len() / width;
                // Clockwise: the lowest row becomes the left column.
                let turned = (0..width).flat_map(|x| (0..height).rev().map(move |y| (x, y)));
                (turned.map(|(x, y)| from[y * width + x]).collect(), height)
            }),
            Step::Mirror => (rows().flat_map(|row| row.iter().rev().copied()).collect(), width),
            Step::Crop(borders) => {
                let [x, y, w, h] = cut((width, height), borders);
                (rows().skip(y).take(h).flat_map(|row| row[x..x + w].to_vec()).collect(), w)
            }
        }
    }
}

/// The rectangle that remains of a picture: left, top, width and height.
fn cut((width, height): (usize, usize), [left, top, right, bottom]: [usize; 4]) -> [usize; 4] {
    let axis = |size: usize, before: usize, after: usize| {
        let before = (size - 1) * before / 4;
        (before, size - before - (size - before - 1) * after / 4)
    };
    let ((x, w), (y, h)) = (axis(width, left, right), axis(height, top, bottom));
    [x, y, w, h]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1u32..6).prop_map(Step::Rotate),
        Just(Step::Mirror),
        [0usize..4, 0usize..4, 0usize..4, 0usize..4].prop_map(Step::Crop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 300 }, failure_persistence: None, ..Default::default() })]

    #[test]
    fn pixels_are_within_one_level_of_the_definition(
        format in 0..FORMATS.len(), width in 1usize..40, height in 1usize..12, padding in 0usize..9, seed: u64,
    ) {
        let frame = Frame::new(FORMATS[format], (width, height), padding, seed);
        let view = frame.view();
        let mut row = vec![0; 3 * width];
        for y in 0..height {
            view.rgb_row(y, &mut row);
            for x in 0..width {
                let (got, want) = (view.rgb(x, y).unwrap(), frame.real(x, y));
                prop_assert_eq!(&got[..], &row[3 * x..3 * x + 3]);
                for (got, want) in got.into_iter().zip(want) {
                    prop_assert!((f64::from(got) - want).abs() <= 1.0, "{:?} ({x}, {y}): {got} for {want}", frame.format);
                }
            }
        }
    }

    #[test]
    fn views_are_resized_like_the_same_packed_pixels(
        format in 0..FORMATS.len(), width in 1usize..100, height in 1usize..60, padding in 0usize..9, seed: u64,
        steps in prop::collection::vec(step(), 0..4), filter in prop::sample::select(vec![0u32, 1, 2, 3, 4, 5, 16]),
        dst in (1usize..40, 1usize..40), halves: bool,
    ) {
        let frame = Frame::new(FORMATS[format], (width, height), padding, seed);
        let (view, want) = steps.iter().fold(
            (frame.view(), (pixels(&frame.view()), width)),
            |(view, pixels), step| (step.of_view(view), step.of_pixels(pixels)),
        );
        prop_assert_eq!((view.width(), view.height()), (want.1, want.0.len() / want.1));
        prop_assert_eq!(&pixels(&view), &want.0);
        let packed = want.0.concat();
        let same = ImageView::packed(&packed, view.width(), view.height(), PixelFormat::Rgb8).unwrap();
        let filter = Filter::from_code(filter).unwrap();
        // OpenCV halves a picture in a way of its own.
        let dst = if halves && view.width() > 1 && view.height() > 1 { (view.width() / 2, view.height() / 2) } else { dst };
        prop_assert_eq!(resized(&view, filter, dst), resized(&same, filter, dst), "{:?} {:?}", FORMATS[format], filter);
    }
}

#[test]
fn planes_that_do_not_fit_are_refused() {
    let data = [0; 64];
    let planar = |lens: &[(usize, usize)], format| {
        let planes: Vec<_> = lens.iter().map(|&(len, stride)| Plane { data: &data[..len], stride }).collect();
        ImageView::planar(&planes, 5, 3, format).map(|_| ())
    };
    assert!(planar(&[(15, 5), (12, 6)], PixelFormat::Nv12).is_ok());
    assert!(planar(&[(25, 10), (14, 8)], PixelFormat::Nv12).is_ok(), "the last rows need no padding");
    assert!(matches!(planar(&[(15, 5), (11, 6)], PixelFormat::Nv12), Err(Error::Buffer { needed: 12, .. })));
    assert!(matches!(planar(&[(15, 5), (12, 5)], PixelFormat::Nv12), Err(Error::Image { .. })));
    assert!(matches!(planar(&[(15, 5)], PixelFormat::Nv12), Err(Error::Image { .. })));
    assert!(matches!(planar(&[(15, 5), (6, 3), (5, 3)], PixelFormat::I420), Err(Error::Buffer { .. })));
    assert!(matches!(planar(&[(64, usize::MAX / 2 + 1)], PixelFormat::Gray8), Err(Error::TooLarge)));
    let view = |bytes, format| ImageView::packed(&data[..bytes], 5, 3, format);
    assert!(view(15 + 6 + 6, PixelFormat::I420).is_ok() && view(26, PixelFormat::I420).is_err());
    assert!(view(36, PixelFormat::Yuyv).is_ok() && view(35, PixelFormat::Yuyv).is_err());
    // Planes behind each other, with padding between the rows.
    let strided = |bytes, stride, format| ImageView::new(&data[..bytes], 5, 3, stride, format);
    assert!(
        strided(8 * 3 + 8 + 6, 8, PixelFormat::Nv12).is_ok() && strided(37, 8, PixelFormat::Nv12).is_err()
    );
    assert!(strided(7 * 3 + 4 * 2 + 4 + 3, 7, PixelFormat::I420).is_ok());
    assert!(strided(35, 7, PixelFormat::I420).is_err());
    let counted: Vec<u8> = (0..64).collect();
    let view_of = |stride, format| ImageView::new(&counted, 4, 3, stride, format).unwrap();
    let at = |first: usize, stride| Plane { data: &counted[first..], stride };
    assert_eq!(
        pixels(&view_of(7, PixelFormat::I420)),
        pixels(&ImageView::planar(&[at(0, 7), at(21, 4), at(29, 4)], 4, 3, PixelFormat::I420).unwrap())
    );
    assert!(view(30, PixelFormat::Gray16).unwrap().with_range16(7, 7).is_err());
}

/// The logits of a frame, which must be the same on every instruction set and for any number of threads.
fn logits(model: &Model, view: &ImageView) -> Vec<f32> {
    let f = model.facts();
    let (w, h) = f.level(0);
    let mut all =
        Isa::available().flat_map(|isa| [1, 3].map(|threads| (isa, threads))).map(|(isa, threads)| {
            let threads = ThreadPool::new(threads).unwrap();
            let plan = Plan::new(model, threads.workers(), (view.width(), view.height())).unwrap();
            let mut arena = Arena::new(plan.bytes()).unwrap();
            let mut logits = vec![f32::NAN; f.classes * w * h];
            Engine::new(model, &plan, isa, arena.bytes_mut())
                .and_then(|mut engine| engine.run(&threads, view, &mut Output::logits(&mut logits), &mut ()))
                .unwrap();
            logits
        });
    let first = all.next().unwrap();
    assert!(all.all(|other| other == first));
    first
}

#[test]
fn frames_have_the_recorded_bits_on_every_instruction_set() {
    let path = Case::open("relative").convert(Precision::Int8);
    let file = FileBytes::read(&path).unwrap();
    let model = Model::new(file.bytes()).unwrap();
    let recorded = [
        (PixelFormat::Nv12, 0, "0d31f625 49213ae4"),
        (PixelFormat::Yuyv, 1, "055c44a0 39fcf732"),
        (PixelFormat::I420, 2, "514a921d a104bf18"),
    ];
    for (format, quarters, recorded) in recorded {
        let frame = Frame::new(format, (161, 93), 3, 1 + u64::from(quarters));
        let view = frame.view().rotated(quarters);
        let rgb = pixels(&view).concat();
        let logits_of_frame = logits(&model, &view);
        let same = ImageView::packed(&rgb, view.width(), view.height(), PixelFormat::Rgb8).unwrap();
        assert_eq!(logits_of_frame, logits(&model, &same), "{format:?}: as the same pixels in RGB");
        let found = format!("{:08x} {:08x}", crc32(&rgb), crc32(bytemuck::cast_slice(&logits_of_frame)));
        assert_eq!(found, recorded, "{format:?}");
    }
}

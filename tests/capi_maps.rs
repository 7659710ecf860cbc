//! The C functions that evaluate class maps, called from Rust: they give the results of the Rust interface, and report invalid
//! arguments before anything is written.

use beitle::output::{
    Area, ClassMap, Connectivity, Region, areas, contour, regions, rle, rle_text, scratch_len,
};
use beitle_ffi::*;
use std::ffi::{CStr, c_char, c_void};
use std::ptr::{null, null_mut};

const WIDTH: usize = 7;
const HEIGHT: usize = 5;

/// A region with a hole, one at the border, and single pixels.
const PIXELS: [u8; WIDTH * HEIGHT] = [
    1, 1, 1, 1, 0, 0, 2, //
    1, 0, 0, 1, 0, 2, 0, //
    1, 0, 3, 1, 0, 0, 2, //
    1, 1, 1, 1, 0, 0, 0, //
    4, 4, 4, 4, 4, 4, 9,
];

fn map(pixels: &[u8]) -> CClassMap {
    CClassMap {
        data: pixels.as_ptr().cast_mut().cast(),
        bytes: pixels.len(),
        width: WIDTH,
        height: HEIGHT,
        pixel_bytes: 1,
    }
}

#[test]
fn results_are_those_of_the_rust_interface() {
    let (c_map, rust_map, size) = (map(&PIXELS), ClassMap::U8(&PIXELS), (WIDTH, HEIGHT));
    let mut message = [0x7F as c_char; 100];
    let (m, n) = (message.as_mut_ptr(), message.len());

    let (mut got, mut want) = ([Area::default(); 5], [Area::default(); 5]);
    let mut outside = 0;
    // SAFETY (all blocks): pointers refer to memory of this test.
    let status = unsafe { beitle_areas(&c_map, got.as_mut_ptr(), got.len(), &mut outside, m, n) };
    assert_eq!((status, areas(rust_map, size, &mut want)), (Status::Ok, Ok(outside)));
    assert_eq!((got, outside), (want, 1));
    assert_eq!(unsafe { beitle_areas(&c_map, null_mut(), 0, null_mut(), m, n) }, Status::Ok);

    assert_eq!(beitle_regions_scratch(WIDTH), scratch_len(WIDTH));
    let mut scratch = vec![0; scratch_len(WIDTH)];
    for (number, connectivity) in [(4, Connectivity::Four), (8, Connectivity::Eight)] {
        let mut found = 0;
        let (mut got, mut want) = ([Region::default(); 8], [Region::default(); 8]);
        let status = unsafe {
            let (s, r) = (scratch.as_mut_ptr(), got.as_mut_ptr());
            beitle_regions(&c_map, number, 2, 0, s, scratch.len(), r, 8, &mut found, m, n)
        };
        assert_eq!(status, Status::Ok);
        assert_eq!(regions(rust_map, size, connectivity, (2, Some(0)), &mut scratch, &mut want), Ok(found));
        assert_eq!(got, want);
        for region in &got[..found] {
            let [x, y] = region.first;
            let (mut got, mut want) = ([[0; 2]; 40], [[0; 2]; 40]);
            let mut found = 0;
            let corners = got.as_mut_ptr();
            let status = unsafe { beitle_contour(&c_map, number, x, y, corners, 40, &mut found, m, n) };
            assert_eq!(status, Status::Ok);
            assert_eq!(contour(rust_map, size, connectivity, region.first, &mut want), Ok(found));
            assert_eq!(got, want);
        }
    }

    let (mut got, mut want, mut found) = ([0u32; 36], [0u32; 36], 0);
    let status = unsafe { beitle_rle(&c_map, 1, got.as_mut_ptr(), got.len(), &mut found, m, n) };
    assert_eq!((status, rle(rust_map, size, 1, &mut want)), (Status::Ok, Ok(found)));
    assert_eq!(got, want);
    let (mut text, mut length) = ([b'x'; 60], 0);
    let t = text.as_mut_ptr().cast::<c_char>();
    let status = unsafe { beitle_rle_text(got.as_ptr(), found, t, text.len(), &mut length, m, n) };
    let mut want = [b'x'; 60];
    assert_eq!((status, rle_text(&got[..found], &mut want)), (Status::Ok, length));
    assert_eq!(text[length], 0);
    assert_eq!(text[..length], want[..length]);
    // Too little room: the text is truncated and terminated.
    let status = unsafe { beitle_rle_text(got.as_ptr(), found, t, 4, &mut length, m, n) };
    assert_eq!(status, Status::Ok);
    assert_eq!((&text[..3], text[3]), (&want[..3], 0));
    assert_eq!(unsafe { CStr::from_ptr(m) }, c"");
}

#[test]
fn invalid_arguments_are_rejected() {
    let mut message = [0 as c_char; 100];
    let (m, n) = (message.as_mut_ptr(), message.len());
    let (mut found, mut counts) = (0usize, [0u32; 8]);
    let counts = counts.as_mut_ptr();
    let good = map(&PIXELS);
    type Change = fn(&mut CClassMap);
    let bad_maps: [(Status, Change); 7] = [
        (Status::InvalidImage, |map| map.width = 0),
        (Status::InvalidImage, |map| map.height = usize::MAX),
        (Status::BufferTooSmall, |map| map.height += 1),
        (Status::InvalidArgument, |map| map.pixel_bytes = 3),
        (Status::BufferTooSmall, |map| map.pixel_bytes = 2),
        (Status::InvalidArgument, |map| map.data = null_mut()),
        (Status::InvalidArgument, |map| map.bytes = usize::MAX),
    ];
    // Two bytes per pixel need an even address.
    #[repr(align(2))]
    struct Aligned([u8; WIDTH * HEIGHT]);
    let aligned = Aligned(PIXELS);
    // SAFETY (all blocks): pointers refer to memory of this test, or must be rejected without an access.
    for (want, change) in bad_maps {
        let mut bad = map(&aligned.0);
        change(&mut bad);
        assert_eq!(unsafe { beitle_rle(&bad, 1, counts, 8, &mut found, m, n) }, want);
        assert_eq!(unsafe { beitle_areas(&bad, null_mut(), 0, null_mut(), m, n) }, want);
        assert!(unsafe { CStr::from_ptr(m) } != c"");
    }
    let invalid = Status::InvalidArgument;
    let mut scratch = [0u64; 18 * WIDTH];
    let s = scratch.as_mut_ptr();
    unsafe {
        assert_eq!(beitle_rle(null(), 1, counts, 8, &mut found, m, n), invalid);
        assert_eq!(beitle_rle(&good, 65536, counts, 8, &mut found, m, n), invalid);
        assert_eq!(beitle_rle(&good, 1, null_mut(), 8, &mut found, m, n), invalid);
        assert_eq!(beitle_rle(&good, 1, counts, 8, null_mut(), m, n), invalid);
        assert_eq!(
            beitle_rle(&good, 1, counts.wrapping_byte_add(1), 4, &mut found, m, n),
            Status::Misaligned
        );
        assert_eq!(beitle_contour(&good, 4, 1, 1, null_mut(), 0, &mut found, m, n), Status::Ok);
        assert_eq!(beitle_contour(&good, 4, 7, 1, null_mut(), 0, &mut found, m, n), invalid);
        assert_eq!(beitle_contour(&good, 4, 0, 1, null_mut(), 0, &mut found, m, n), invalid);
        assert_eq!(beitle_contour(&good, 5, 0, 0, null_mut(), 0, &mut found, m, n), invalid);
        let r = null_mut();
        assert_eq!(beitle_regions(&good, 6, 0, u32::MAX, s, 18 * WIDTH, r, 0, &mut found, m, n), invalid);
        assert_eq!(
            beitle_regions(&good, 4, 0, u32::MAX, s, 18 * WIDTH - 1, r, 0, &mut found, m, n),
            Status::BufferTooSmall
        );
        assert_eq!(beitle_regions(&good, 4, 0, u32::MAX, s, 18 * WIDTH, r, 0, &mut found, m, n), Status::Ok);
        assert_eq!(beitle_rle_text(null(), 3, null_mut(), 0, &mut found, m, n), invalid);
        assert_eq!(beitle_rle_text(null(), 0, null_mut(), 0, &mut found, m, n), Status::Ok);
        assert_eq!(beitle_rle_text(null(), 0, null_mut(), 0, &mut found, null_mut(), 9), Status::Ok);
    }
}

/// Memory with room for all arguments of a call, each in a place of its own.
#[repr(C, align(64))]
struct Memory([u8; 8 << 10]);

impl Memory {
    fn place<T>(&mut self, i: usize) -> *mut T {
        self.0.as_mut_ptr().wrapping_add(i << 10).cast()
    }
}

/// Calls `call` with places of their own, then with every pair of arguments at the same place, which must be rejected. Places 0 and 1
/// are the structure and the data of a map.
fn check_pairs(count: usize, call: impl Fn(&mut Memory, &[usize]) -> Status) {
    let own: Vec<usize> = (0..count).collect();
    let run = |places: &[usize]| {
        let mut memory = Box::new(Memory([0; 8 << 10]));
        // SAFETY: the places have room for a map and its data.
        unsafe {
            let data = memory.place::<u8>(places[1]);
            data.copy_from_nonoverlapping(PIXELS.as_ptr(), PIXELS.len());
            let map = CClassMap { data: data.cast::<c_void>(), ..map(&PIXELS) };
            memory.place::<CClassMap>(places[0]).write(map);
        }
        call(&mut memory, places)
    };
    assert_eq!(run(&own), Status::Ok);
    for (a, b) in (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b))).skip(1) {
        let mut places = own.clone();
        places[b] = a;
        assert_eq!(run(&places), Status::InvalidArgument, "arguments {a} and {b} overlap");
    }
}

#[test]
fn overlapping_arguments_are_rejected() {
    // SAFETY (all blocks): every place has room for its argument.
    check_pairs(5, |m, p| unsafe {
        beitle_areas(m.place(p[0]), m.place(p[2]), 5, m.place(p[3]), m.place(p[4]), 100)
    });
    check_pairs(6, |m, p| unsafe {
        let (scratch, out, found) = (m.place(p[2]), m.place(p[3]), m.place(p[4]));
        beitle_regions(m.place(p[0]), 8, 0, u32::MAX, scratch, 126, out, 8, found, m.place(p[5]), 100)
    });
    check_pairs(5, |m, p| unsafe {
        beitle_contour(m.place(p[0]), 4, 0, 0, m.place(p[2]), 8, m.place(p[3]), m.place(p[4]), 100)
    });
    check_pairs(5, |m, p| unsafe {
        beitle_rle(m.place(p[0]), 1, m.place(p[2]), 8, m.place(p[3]), m.place(p[4]), 100)
    });
    for (a, b) in (0..4).flat_map(|a| (a..4).map(move |b| (a, b))) {
        let mut p = [0, 1, 2, 3];
        p[b] = a;
        let mut m = Box::new(Memory([0; 8 << 10]));
        // SAFETY: every place has room for its argument.
        let status =
            unsafe { beitle_rle_text(m.place(p[0]), 3, m.place(p[1]), 8, m.place(p[2]), m.place(p[3]), 100) };
        assert_eq!(status, if a == b { Status::Ok } else { Status::InvalidArgument }, "{a} and {b}");
    }
}

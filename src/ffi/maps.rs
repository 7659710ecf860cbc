//! The functions that evaluate class maps: areas, regions, contours and masks.
//!
//! Their safety requirement is that of `exports`.

use crate::call::call;
use crate::pointers::{ByteRange, check_disjoint, read, slice, slice_mut, write};
use crate::status::{CallError, Status};
use crate::types::CClassMap;
use beitle::output::{self, Area, ClassMap, Connectivity, Region};
use core::ffi::c_char;

// Names of arguments in messages.
const AREAS: &str = "areas";
const CORNERS: &str = "corners";
const COUNTS: &str = "counts";
const FOUND: &str = "found";
const MAP: &str = "map";
const DATA: &str = "map.data";
const OUTSIDE: &str = "outside";
const REGIONS: &str = "regions";
const SCRATCH: &str = "scratch";
const TEXT: &str = "text";

/// A class map that is read, and its size.
struct Map<'a> {
    map: ClassMap<'a>,
    size: (usize, usize),
}

impl Map<'_> {
    /// The class map of a call that writes to `written`, the message first. Nothing of that may overlap the map.
    ///
    /// # Safety
    /// If `map` is non-null and aligned, it points to a [`CClassMap`], and its data to as many bytes as stated there; nothing writes to
    /// them during `'a`.
    unsafe fn at<'a>(map: *const CClassMap, written: &[ByteRange]) -> Result<Map<'a>, CallError> {
        check_disjoint(written, &[ByteRange::of(map, 1, MAP)])?;
        // SAFETY: nothing writes to the structure.
        let &CClassMap { data, bytes, width, height, pixel_bytes } = unsafe { read(map, MAP)? };
        check_disjoint(written, &[ByteRange::of(data.cast::<u8>(), bytes, DATA)])?;
        // SAFETY: the data are `bytes` bytes, to which nothing writes.
        let map = unsafe {
            match pixel_bytes {
                1 => ClassMap::U8(slice(data.cast::<u8>(), bytes, DATA)?),
                2 => ClassMap::U16(slice(data.cast::<u16>(), bytes / 2, DATA)?),
                _ => return Err(CallError::Argument("map.pixel_bytes", "is neither 1 nor 2")),
            }
        };
        Ok(Map { map, size: (width, height) })
    }
}

fn connectivity_of(number: u32) -> Result<Connectivity, CallError> {
    match number {
        4 => Ok(Connectivity::Four),
        8 => Ok(Connectivity::Eight),
        _ => Err(CallError::Argument("connectivity", "is neither 4 nor 8")),
    }
}

/// Writes the area of each class.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn beitle_areas(
    map: *const CClassMap,
    areas: *mut Area,
    areas_count: usize,
    outside: *mut u64,
    message: *mut c_char,
    message_bytes: usize,
) -> Status {
    let body = |text: ByteRange| {
        let written = [text, ByteRange::of(areas, areas_count, AREAS), ByteRange::of(outside, 1, OUTSIDE)];
        // SAFETY: nothing else writes to the map, nothing else uses the outputs, and none overlap.
        unsafe {
            let Map { map, size } = Map::at(map, &written)?;
            let count = output::areas(map, size, slice_mut(areas, areas_count, AREAS)?)?;
            if outside.is_null() { Ok(()) } else { write(outside, count, OUTSIDE) }
        }
    };
    // SAFETY: nothing else uses the memory at `message`.
    unsafe { call(message, message_bytes, body) }
}

/// Returns the number of 64-bit words of scratch memory that `beitle_regions` needs for a map of this width.
#[unsafe(no_mangle)]
pub extern "C" fn beitle_regions_scratch(width: usize) -> usize {
    output::scratch_len(width)
}

/// Writes the regions of a class map.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn beitle_regions(
    map: *const CClassMap,
    connectivity: u32,
    min_pixels: u64,
    background: u32,
    scratch: *mut u64,
    scratch_count: usize,
    regions: *mut Region,
    regions_count: usize,
    found: *mut usize,
    message: *mut c_char,
    message_bytes: usize,
) -> Status {
    let body = |text: ByteRange| {
        let written = [
            text,
            ByteRange::of(scratch, scratch_count, SCRATCH),
            ByteRange::of(regions, regions_count, REGIONS),
            ByteRange::of(found, 1, FOUND),
        ];
        // SAFETY: nothing else writes to the map, nothing else uses scratch and outputs, and none overlap.
        unsafe {
            let Map { map, size } = Map::at(map, &written)?;
            let scratch = slice_mut(scratch, scratch_count, SCRATCH)?;
            let regions = slice_mut(regions, regions_count, REGIONS)?;
            let connectivity = connectivity_of(connectivity)?;
            let reported = (min_pixels, u16::try_from(background).ok());
            let count = output::regions(map, size, connectivity, reported, scratch, regions)?;
            write(found, count, FOUND)
        }
    };
    // SAFETY: nothing else uses the memory at `message`.
    unsafe { call(message, message_bytes, body) }
}

/// Writes the corners of a contour.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn beitle_contour(
    map: *const CClassMap,
    connectivity: u32,
    x: u32,
    y: u32,
    corners: *mut [u32; 2],
    corners_count: usize,
    found: *mut usize,
    message: *mut c_char,
    message_bytes: usize,
) -> Status {
    let body = |text: ByteRange| {
        let written = [text, ByteRange::of(corners, corners_count, CORNERS), ByteRange::of(found, 1, FOUND)];
        // SAFETY: nothing else writes to the map, nothing else uses the outputs, and none overlap.
        unsafe {
            let Map { map, size } = Map::at(map, &written)?;
            let corners = slice_mut(corners, corners_count, CORNERS)?;
            let count = output::contour(map, size, connectivity_of(connectivity)?, [x, y], corners)?;
            write(found, count, FOUND)
        }
    };
    // SAFETY: nothing else uses the memory at `message`.
    unsafe { call(message, message_bytes, body) }
}

/// Writes the run lengths of the mask of a class.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn beitle_rle(
    map: *const CClassMap,
    class_index: u32,
    counts: *mut u32,
    counts_count: usize,
    found: *mut usize,
    message: *mut c_char,
    message_bytes: usize,
) -> Status {
    let body = |text: ByteRange| {
        let written = [text, ByteRange::of(counts, counts_count, COUNTS), ByteRange::of(found, 1, FOUND)];
        let class = u16::try_from(class_index)
            .map_err(|_| CallError::Argument("class_index", "is greater than 65535"));
        // SAFETY: nothing else writes to the map, nothing else uses the outputs, and none overlap.
        unsafe {
            let Map { map, size } = Map::at(map, &written)?;
            let count = output::rle(map, size, class?, slice_mut(counts, counts_count, COUNTS)?)?;
            write(found, count, FOUND)
        }
    };
    // SAFETY: nothing else uses the memory at `message`.
    unsafe { call(message, message_bytes, body) }
}

/// Writes run lengths as text, with a terminating zero.
///
/// # Safety
/// See the module.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn beitle_rle_text(
    counts: *const u32,
    counts_count: usize,
    text: *mut c_char,
    text_bytes: usize,
    length: *mut usize,
    message: *mut c_char,
    message_bytes: usize,
) -> Status {
    let body = |message: ByteRange| {
        let written = [message, ByteRange::of(text, text_bytes, TEXT), ByteRange::of(length, 1, "length")];
        check_disjoint(&written, &[ByteRange::of(counts, counts_count, COUNTS)])?;
        // SAFETY: nothing else writes to the counts, nothing else uses the outputs, and none overlap.
        unsafe {
            let counts = slice(counts, counts_count, COUNTS)?;
            let text = slice_mut(text.cast::<u8>(), text_bytes, TEXT)?;
            let room = text.len().saturating_sub(1);
            let len = output::rle_text(counts, &mut text[..room]);
            if let Some(end) = text.get_mut(len.min(room)) {
                *end = 0;
            }
            write(length, len, "length")
        }
    };
    // SAFETY: nothing else uses the memory at `message`.
    unsafe { call(message, message_bytes, body) }
}

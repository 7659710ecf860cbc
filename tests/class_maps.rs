//! Regions, contours and masks of class maps, against plain implementations.

#[path = "common/coco.rs"]
mod coco;

use beitle::output::{
    Area, ClassMap, Connectivity, Region, areas, contour, regions, rle, rle_text, scratch_len,
};
use proptest::prelude::*;
use std::collections::HashMap;

type Size = (usize, usize);

fn find(map: &[u8], size: Size, connectivity: Connectivity, least: u64, room: usize) -> (usize, Vec<Region>) {
    let mut scratch = vec![u64::MAX; scratch_len(size.0)];
    let mut out = vec![Region::default(); room];
    let count =
        regions(ClassMap::U8(map), size, connectivity, (least, None), &mut scratch, &mut out).unwrap();
    out.truncate(count);
    (count, out)
}

/// The index of the region of each pixel, found by flooding one region after another in the order of their first pixels.
fn flooded(map: &[u8], (width, height): Size, connectivity: Connectivity) -> Vec<usize> {
    let mut found = vec![usize::MAX; map.len()];
    let mut count = 0;
    for start in 0..map.len() {
        if found[start] != usize::MAX {
            continue;
        }
        let mut open = vec![start];
        found[start] = count;
        while let Some(at) = open.pop() {
            let (x, y) = ((at % width) as i64, (at / width) as i64);
            for (dx, dy) in (-1..=1).flat_map(|dx| (-1..=1).map(move |dy| (dx, dy))) {
                let (x, y) = (x + dx, y + dy);
                let is_neighbour = connectivity == Connectivity::Eight || dx == 0 || dy == 0;
                if is_neighbour && (0..width as i64).contains(&x) && (0..height as i64).contains(&y) {
                    let next = y as usize * width + x as usize;
                    if found[next] == usize::MAX && map[next] == map[at] {
                        found[next] = count;
                        open.push(next);
                    }
                }
            }
        }
        count += 1;
    }
    found
}

/// The area of some pixels.
fn area_of(pixels: &[usize], width: usize) -> Area {
    let (xs, ys) = (pixels.iter().map(|p| p % width), pixels.iter().map(|p| p / width));
    Area {
        pixels: pixels.len() as u64,
        sum_x: xs.clone().sum::<usize>() as u64,
        sum_y: ys.clone().sum::<usize>() as u64,
        left: xs.clone().min().unwrap_or(0) as u32,
        top: ys.clone().min().unwrap_or(0) as u32,
        right: xs.max().map_or(0, |x| x as u32 + 1),
        bottom: ys.max().map_or(0, |y| y as u32 + 1),
    }
}

/// Maps of a few classes and any size. Some consist of blocks of 2x2 pixels, so that regions have holes.
fn maps() -> impl Strategy<Value = (Vec<u8>, Size)> {
    (1..24usize, 1..24usize, 1..4u8, 1..3usize).prop_flat_map(|(width, height, classes, block)| {
        let cells = prop::collection::vec(0..classes, width * height);
        cells.prop_map(move |cells| {
            let pixel = |at: usize| cells[(at / width / block) * width + at % width / block];
            ((0..width * height).map(pixel).collect(), (width, height))
        })
    })
}

fn connectivity() -> impl Strategy<Value = Connectivity> {
    prop_oneof![Just(Connectivity::Four), Just(Connectivity::Eight)]
}

/// The corners of a contour.
fn corners(map: &[u8], size: Size, connectivity: Connectivity, pixel: [u32; 2]) -> Vec<[u32; 2]> {
    let map = ClassMap::U8(map);
    let count = contour(map, size, connectivity, pixel, &mut []).unwrap();
    let mut corners = vec![[u32::MAX; 2]; count];
    assert_eq!(contour(map, size, connectivity, pixel, &mut corners), Ok(count));
    corners
}

/// Fills the polygon by the even-odd rule and returns the pixels inside.
fn inside(corners: &[[u32; 2]], (width, height): Size) -> Vec<usize> {
    // For each row, how often a vertical edge to the left of the pixel is crossed.
    let mut crossed = vec![0; width * height];
    for (i, &[x, y]) in corners.iter().enumerate() {
        let [next_x, next_y] = corners[(i + 1) % corners.len()];
        assert!((x == next_x) != (y == next_y), "edges are horizontal or vertical, in turn");
        if x == next_x {
            for row in y.min(next_y)..y.max(next_y) {
                (x as usize..width).for_each(|column| crossed[row as usize * width + column] += 1);
            }
        }
    }
    (0..width * height).filter(|&at| crossed[at] % 2 == 1).collect()
}

proptest! {
    #[test]
    fn regions_are_those_of_a_flood_fill((map, size) in maps(), connectivity in connectivity(), least in 0..5u64) {
        let labels = flooded(&map, size, connectivity);
        let mut pixels: HashMap<usize, Vec<usize>> = HashMap::new();
        labels.iter().enumerate().for_each(|(at, &label)| pixels.entry(label).or_default().push(at));
        let mut want: Vec<_> = pixels.values().map(|pixels| Region {
            area: area_of(pixels, size.0),
            first: [pixels[0] % size.0, pixels[0] / size.0].map(|side| side as u32),
            class: map[pixels[0]].into(),
            connectivity: if connectivity == Connectivity::Four { 4 } else { 8 },
        }).filter(|region| region.area.pixels >= least).collect();
        want.sort_by_key(|region| (region.first[1], region.first[0]));
        let (count, all) = find(&map, size, connectivity, least, map.len());
        prop_assert_eq!(count, want.len());
        prop_assert_eq!(&all, &want);
        // Too little room: the largest.
        for room in [0, 1, 3] {
            let (count, some) = find(&map, size, connectivity, least, room);
            prop_assert_eq!(count, want.len());
            let mut largest = want.clone();
            // The sort is stable: of equally large regions the first ones come first.
            largest.sort_by_key(|region| std::cmp::Reverse(region.area.pixels));
            largest.truncate(room);
            largest.sort_by_key(|region| (region.first[1], region.first[0]));
            prop_assert_eq!(some, largest);
        }
    }

    #[test]
    fn regions_of_the_background_are_left_out((map, size) in maps(), connectivity in connectivity(), background in 0..4u16) {
        let (_, all) = find(&map, size, connectivity, 0, map.len());
        let (mut scratch, mut out) = (vec![7; scratch_len(size.0)], vec![Region::default(); map.len()]);
        let reported = (0, Some(background));
        let count = regions(ClassMap::U8(&map), size, connectivity, reported, &mut scratch, &mut out).unwrap();
        let want: Vec<_> = all.into_iter().filter(|region| region.class != background.into()).collect();
        prop_assert_eq!(&out[..count], &want);
    }

    /// The outer contour encloses the region and its holes; with the contours of the holes, the pixels of the region alone.
    #[test]
    fn contours_enclose_regions((map, size) in maps(), connectivity in connectivity()) {
        let labels = flooded(&map, size, connectivity);
        let (_, all) = find(&map, size, connectivity, 0, map.len());
        for (label, region) in all.iter().enumerate() {
            let outer = corners(&map, size, connectivity, region.first);
            prop_assert_eq!(outer.last(), Some(&region.first));
            let own: Vec<_> = (0..map.len()).filter(|&at| labels[at] == label).collect();
            let enclosed = inside(&outer, size);
            prop_assert!(own.iter().all(|at| enclosed.contains(at)));
            // The contours on which the top edges of the region's pixels lie, each once.
            let mut rings: Vec<Vec<[u32; 2]>> = Vec::new();
            for &at in &own {
                if at >= size.0 && map[at - size.0] == map[at] {
                    continue;
                }
                let mut ring = corners(&map, size, connectivity, [at % size.0, at / size.0].map(|side| side as u32));
                let smallest = (0..ring.len()).min_by_key(|&i| ring[i]).unwrap();
                ring.rotate_left(smallest);
                if !rings.iter().any(|other| other.len() == ring.len() && inside(other, size) == inside(&ring, size)) {
                    rings.push(ring);
                }
            }
            let mut covered = vec![0; map.len()];
            rings.iter().flat_map(|ring| inside(ring, size)).for_each(|at| covered[at] += 1);
            let inside_all: Vec<_> = (0..map.len()).filter(|&at| covered[at] % 2 == 1).collect();
            prop_assert_eq!(inside_all, own);
        }
    }

    #[test]
    fn masks_are_those_of_the_class((map, size) in maps()) {
        for class in 0..4u8 {
            let mut counts = vec![0; map.len() + 1];
            let count = rle(ClassMap::U8(&map), size, class.into(), &mut counts).unwrap();
            counts.truncate(count);
            let mut mask = vec![false; 0];
            for (i, &count) in counts.iter().enumerate() {
                prop_assert!(count > 0 || i == 0);
                mask.extend(std::iter::repeat_n(i % 2 == 1, count as usize));
            }
            let want = (0..map.len()).map(|at| map[at % size.1 * size.0 + at / size.1] == class);
            prop_assert_eq!(mask, want.collect::<Vec<_>>());
        }
    }

    #[test]
    fn areas_are_those_of_the_classes((map, size) in maps()) {
        let mut found = [Area::default(); 4];
        prop_assert_eq!(areas(ClassMap::U8(&map), size, &mut found), Ok(0));
        for (class, area) in found.iter().enumerate() {
            let pixels: Vec<_> = (0..map.len()).filter(|&at| usize::from(map[at]) == class).collect();
            prop_assert_eq!(*area, area_of(&pixels, size.0));
        }
    }

    #[test]
    fn texts_of_masks_can_be_read_back(counts in prop::collection::vec(any::<u32>(), 0..20)) {
        let mut text = vec![0; 8 * counts.len()];
        let len = rle_text(&counts, &mut text);
        prop_assert_eq!(len, rle_text(&counts, &mut []));
        prop_assert_eq!(coco::counts(&text[..len]), counts.into_iter().map(i64::from).collect::<Vec<_>>());
    }
}

/// What `mask.encode` of pycocotools 2.0.11 makes of these masks.
#[test]
fn texts_are_those_of_pycocotools() {
    let text_of = |size: Size, is_in: &dyn Fn(usize, usize) -> bool| {
        let map: Vec<u8> = (0..size.0 * size.1).map(|at| is_in(at % size.0, at / size.0).into()).collect();
        let mut counts = vec![0; map.len() + 1];
        let count = rle(ClassMap::U8(&map), size, 1, &mut counts).unwrap();
        let mut text = vec![0; 8 * count];
        let len = rle_text(&counts[..count], &mut text);
        String::from_utf8(text[..len].to_vec()).unwrap()
    };
    assert_eq!(text_of((5, 4), &|x, y| (x * 7 + y * 3) % 5 < 2), PYCOCOTOOLS[0]);
    assert_eq!(
        text_of((64, 48), &|x, y| (x as i64 - 30).pow(2) + (y as i64 - 20).pow(2) < 200),
        PYCOCOTOOLS[1]
    );
    assert_eq!(text_of((1, 1), &|_, _| true), PYCOCOTOOLS[2]);
}

const PYCOCOTOOLS: [&str; 3] =
    ["011010O010O010O01", "ch03Y18J4M2N2N2N2N2O0O2O00000O2O0001N1000001N101N2N2N2N2N3L6HQl0", "01"];

#[test]
fn bad_arguments_are_refused() {
    let map = [1u8, 1, 1, 1];
    let map = ClassMap::U8(&map);
    let mut scratch = vec![0; scratch_len(2)];
    let four = Connectivity::Four;
    assert!(regions(map, (2, 3), four, (0, None), &mut scratch, &mut []).is_err());
    assert!(regions(map, (2, 2), four, (0, None), &mut scratch[1..], &mut []).is_err());
    assert!(regions(map, (0, 2), four, (0, None), &mut scratch, &mut []).is_err());
    assert_eq!(regions(map, (2, 2), four, (0, None), &mut scratch, &mut []), Ok(1));
    assert!(contour(map, (2, 2), four, [0, 1], &mut []).is_err());
    assert!(contour(map, (2, 2), four, [2, 0], &mut []).is_err());
    assert!(contour(map, (2, 2), four, [0, u32::MAX], &mut []).is_err());
    assert_eq!(contour(map, (2, 2), four, [1, 0], &mut []), Ok(4));
}

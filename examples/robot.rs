//! From pictures to a steering decision: where is the ground that the robot may drive on?
//!
//!     cargo run --release --example robot -- models/demo.beitle models/sample.png
//!
//! The 150 classes of a model are more than a robot needs. Here the engine writes a map of three labels, at the size of the
//! logits, and leaves out what it is not sure of. The largest drivable region that reaches the robot decides.

use beitle::engine::{Engine, Output};
use beitle::image::{ImageView, PixelFormat};
use beitle::memory::{Arena, FileBytes};
use beitle::output::{ClassMap, ClassMapMut, Connectivity, Region, regions, scratch_len};
use beitle::parallel::{Parallel, ThreadPool};
use beitle::plan::Plan;
use beitle::{Isa, Model};
use std::error::Error;

// The labels of the map.
const OTHER: u16 = 0;
const DRIVABLE: u16 = 1;
const OBSTACLE: u16 = 2;

/// Words in class names, in data sets of streets and of rooms. Whole words: a railroad is not a road, and a carpet is not a car.
const DRIVABLE_WORDS: [&str; 3] = ["road", "path", "floor"];
const OBSTACLE_WORDS: [&str; 6] = ["person", "car", "bicycle", "bicyclist", "chair", "animal"];

/// Pixels below 60 % are unknown: better to stop than to guess.
const MIN_CONFIDENCE: u8 = 153;

/// What the robot does next.
#[derive(Debug, PartialEq)]
enum Decision {
    /// There is no drivable ground in front of the robot.
    Stop,
    /// Drive, and turn: −1 is sharply left, 0 straight on, 1 sharply right.
    Drive(f64),
}

/// Decides from the regions of a map of `size` (width, height) pixels.
fn decide(regions: &[Region], size: (usize, usize)) -> Decision {
    let [width, height] = [size.0, size.1].map(|side| side as f64);
    let reaches_robot = |region: &Region| f64::from(region.area.bottom) > 0.95 * height;
    let drivable = regions.iter().filter(|region| region.class == DRIVABLE.into() && reaches_robot(region));
    let Some(ground) = drivable.max_by_key(|region| region.area.pixels) else { return Decision::Stop };
    // Obstacles whose foot is in the lower third are close. The ground region may already exclude them.
    let is_close = |region: &&Region| f64::from(region.area.bottom) > 0.67 * height;
    let is_ahead = |region: &&Region| {
        f64::from(region.area.left) < 0.6 * width && f64::from(region.area.right) > 0.4 * width
    };
    let mut obstacles = regions.iter().filter(|region| region.class == OBSTACLE.into());
    if ground.area.pixels < (0.03 * width * height) as u64
        || obstacles.any(|region| is_close(&region) && is_ahead(&region))
    {
        return Decision::Stop;
    }
    match ground.area.centroid() {
        Some((x, _)) => Decision::Drive((x / width * 2.0 - 1.0).clamp(-1.0, 1.0)),
        None => Decision::Stop,
    }
}

/// The label of a class of the model.
fn label(name: &str) -> u16 {
    let name = name.to_lowercase();
    let has_one_of =
        |words: &[&str]| name.split(|c: char| !c.is_alphanumeric()).any(|word| words.contains(&word));
    match () {
        () if has_one_of(&DRIVABLE_WORDS) => DRIVABLE,
        () if has_one_of(&OBSTACLE_WORDS) => OBSTACLE,
        () => OTHER,
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (weights, pictures) = (args.next(), args.collect::<Vec<_>>());
    let Some(weights) = weights.filter(|_| !pictures.is_empty()) else {
        return Err("expected a weight file and pictures".into());
    };

    // Once: the model, its labels and all memory, for pictures of up to 1920x1080 pixels.
    let file = FileBytes::read(&weights)?;
    let model = Model::new(file.bytes())?;
    let labels: Vec<u16> = model.class_names().map(label).collect();
    let threads = ThreadPool::new(0)?;
    let plan = Plan::new(&model, threads.workers(), (1920, 1080))?;
    let mut arena = Arena::new(plan.bytes())?;
    let mut engine = Engine::new(&model, &plan, Isa::detect(), arena.bytes_mut())?;
    let size = model.facts().level(0);
    let mut map = vec![0u8; size.0 * size.1];
    let mut scratch = vec![0; scratch_len(size.0)];
    let mut found = [Region::default(); 64];

    for path in pictures {
        let picture = image::open(&path)?.to_rgb8();
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let view = ImageView::packed(&picture, width, height, PixelFormat::Rgb8)?;

        // For each picture. Nothing is allocated from here to the decision.
        let mut output = Output::map(size, ClassMapMut::U8(&mut map));
        output.labels = &labels;
        output.min_confidence = MIN_CONFIDENCE;
        engine.run(&threads, &view, &mut output, &mut ())?;
        let count =
            regions(ClassMap::U8(&map), size, Connectivity::Four, (8, None), &mut scratch, &mut found)?;
        let regions = &found[..count.min(found.len())];
        let decision = decide(regions, size);

        let unknown = map.iter().filter(|&&number| number == 255).count() * 100 / map.len();
        println!("{path}: {decision:?}, {count} regions, {unknown} % unknown");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The decision on a map of 12x8 pixels, a character each: `.` drivable, `#` an obstacle, others neither.
    fn decision(rows: [&str; 8]) -> Decision {
        let number = |c| match c {
            b'.' => DRIVABLE as u8,
            b'#' => OBSTACLE as u8,
            _ => OTHER as u8,
        };
        let map: Vec<u8> = rows.iter().flat_map(|row| row.bytes().map(number)).collect();
        let (size, mut scratch, mut found) = ((12, 8), vec![0; scratch_len(12)], [Region::default(); 20]);
        let map = ClassMap::U8(&map);
        let count = regions(map, size, Connectivity::Four, (1, None), &mut scratch, &mut found).unwrap();
        decide(&found[..count], size)
    }

    #[test]
    fn names_are_matched_by_words() {
        for (name, want) in [
            ("road", DRIVABLE),
            ("dirt-path;trail", DRIVABLE),
            ("railroad", OTHER),
            ("carpet", OTHER),
            ("Car", OBSTACLE),
        ] {
            assert_eq!(label(name), want, "{name}");
        }
    }

    const SKY: &str = "~~~~~~~~~~~~";

    #[test]
    fn the_robot_follows_the_ground_and_stops_where_there_is_none() {
        assert_eq!(decision([SKY; 8]), Decision::Stop);
        let ahead = decision([
            SKY,
            SKY,
            SKY,
            "~~~~....~~~~",
            "~~~~....~~~~",
            "~~~......~~~",
            "~~~......~~~",
            "~~........~~",
        ]);
        assert!(matches!(ahead, Decision::Drive(turn) if turn.abs() < 0.1), "{ahead:?}");
        let left = decision([
            SKY,
            SKY,
            SKY,
            "..~~~~~~~~~~",
            "...~~~~~~~~~",
            "....~~~~~~~~",
            ".....~~~~~~~",
            "......~~~~~~",
        ]);
        assert!(matches!(left, Decision::Drive(turn) if turn < -0.3), "{left:?}");
        // Ground that does not reach the robot, and somebody in front of it.
        assert_eq!(decision([SKY, SKY, "....~~~~....", SKY, SKY, SKY, SKY, SKY]), Decision::Stop);
        let blocked = decision([
            SKY,
            SKY,
            SKY,
            "~~~~....~~~~",
            "~~~~.#..~~~~",
            "~~~..#...~~~",
            "~~~..#...~~~",
            "~~........~~",
        ]);
        assert_eq!(blocked, Decision::Stop);
    }
}

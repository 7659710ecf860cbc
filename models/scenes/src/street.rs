//! What stands where: the plan of a street, drawn by lot.

use crate::building::Building;
use crate::colour::{Colour, near};
use crate::rng::Rng;
use crate::things::{Thing, fence::Fence};

/// What lies between the pavement and the houses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Yard {
    Lawn,
    Water,
    Paved,
}

/// One side of the street. Distances count outwards from the edge of the road.
pub(crate) struct Side {
    /// Grass between road and pavement.
    pub verge: f32,
    pub pavement: f32,
    pub yard: Yard,
    pub depth: f32,
    pub fence: Option<Fence>,
    pub buildings: Vec<Building>,
    /// Trees of the yard, far to near.
    pub trees: Vec<Thing>,
}

impl Side {
    /// Where the houses begin.
    pub fn line(&self) -> f32 {
        self.verge + self.pavement + self.depth
    }
}

/// Ground colours.
pub(crate) struct Ground {
    pub road: Colour,
    pub paint: Colour,
    pub pavement: Colour,
    pub tile: f32,
    pub grass: Colour,
    pub water: Colour,
    pub seed: u32,
}

pub(crate) struct Street {
    /// Middle of the road, relative to the camera.
    pub middle: f32,
    pub half: f32,
    /// Where another road crosses, from and to.
    pub crossing: Option<(f32, f32)>,
    /// Where the zebra is, from and to.
    pub zebra: Option<(f32, f32)>,
    pub dashes: f32,
    pub edge_lines: bool,
    pub ground: Ground,
    pub sides: [Side; 2],
    /// Everything between the yards, far to near.
    pub things: Vec<Thing>,
    pub backdrop: u32,
    pub skyline: f32,
}

/// -1 to the left, 1 to the right.
pub(crate) fn sign(side: usize) -> f32 {
    if side == 0 { -1.0 } else { 1.0 }
}

impl Street {
    pub fn new(rng: &mut Rng) -> Self {
        let half = rng.range(2.8, 5.2);
        // Most pictures are taken from a lane, some from a pavement.
        let middle = if rng.chance(0.75) { rng.range(-0.6, 0.6) * half } else { rng.range(-1.3, 1.3) * half };
        let crossing = rng.chance(0.3).then(|| {
            let from = rng.range(9.0, 30.0);
            (from, from + rng.range(6.0, 9.0))
        });
        let zebra = match crossing {
            Some((from, _)) if rng.chance(0.6) => Some((from - 4.0, from - 1.0)),
            None if rng.chance(0.15) => {
                let from = rng.range(6.0, 16.0);
                Some((from, from + 3.0))
            }
            _ => None,
        };
        let ground = Self::ground(rng);
        let sides = [0, 1].map(|s| Self::side(rng, middle + sign(s) * half, sign(s), crossing));
        let mut street = Street {
            middle,
            half,
            crossing,
            zebra,
            dashes: rng.range(3.0, 6.0),
            edge_lines: rng.chance(0.4),
            ground,
            sides,
            things: Vec::new(),
            backdrop: rng.seed(),
            skyline: rng.range(4.0, 22.0),
        };
        street.furnish(rng);
        street
    }

    fn ground(rng: &mut Rng) -> Ground {
        let roads = [[0.26, 0.26, 0.27], [0.34, 0.34, 0.35], [0.42, 0.41, 0.40], [0.36, 0.33, 0.30]];
        let pavements = [[0.66, 0.63, 0.58], [0.62, 0.60, 0.58], [0.70, 0.60, 0.46], [0.60, 0.40, 0.33]];
        let grasses = [[0.25, 0.42, 0.14], [0.36, 0.45, 0.18], [0.42, 0.46, 0.20], [0.20, 0.36, 0.12]];
        let waters = [[0.14, 0.30, 0.46], [0.12, 0.36, 0.42], [0.20, 0.34, 0.52]];
        let lot = (rng.pick(&roads), rng.pick(&pavements), rng.pick(&grasses), rng.pick(&waters));
        Ground {
            road: near(rng, lot.0, 0.12),
            paint: near(rng, [0.85, 0.85, 0.82], 0.1),
            pavement: near(rng, lot.1, 0.12),
            tile: rng.range(0.4, 1.2),
            grass: near(rng, lot.2, 0.15),
            water: near(rng, lot.3, 0.15),
            seed: rng.seed(),
        }
    }

    fn side(rng: &mut Rng, edge: f32, out: f32, crossing: Option<(f32, f32)>) -> Side {
        let verge = if rng.chance(0.3) { rng.range(1.2, 2.5) } else { 0.0 };
        let pavement = rng.range(2.4, 4.4);
        let (yard, depth) = match rng.below(10) {
            0..3 => (Yard::Paved, 0.0),
            3..6 => (Yard::Lawn, rng.range(3.0, 9.0)),
            _ => (Yard::Water, rng.range(10.0, 20.0)),
        };
        let park = yard == Yard::Lawn && rng.chance(0.4);
        let depth = if park { depth + 12.0 } else { depth };
        // The camera must not stand in a house.
        let inside = -(edge + out * (verge + pavement)) * out;
        let pavement = if inside > -1.0 { pavement + inside + 1.0 } else { pavement };
        let line = edge + out * (verge + pavement + depth);
        let buildings = if park { Vec::new() } else { Building::row(rng, line, out, crossing) };
        let fence =
            (yard != Yard::Paved && rng.chance(if yard == Yard::Water { 0.5 } else { 0.75 })).then(|| {
                let start = rng.range(-10.0, 10.0);
                let end = start + rng.range(15.0, 60.0);
                Fence::along(rng, edge + out * (verge + pavement), (start, end), crossing)
            });
        let mut trees = Vec::new();
        if yard == Yard::Lawn {
            let step = if park { 5.0 } else { rng.range(7.0, 16.0) };
            let mut z = rng.range(4.0, 4.0 + step);
            while z < 70.0 {
                let out_by = verge + pavement + 1.5 + rng.unit() * (depth - 2.0);
                if !within(crossing, z, 2.0) {
                    trees.push(Thing::tree(rng, edge + out * out_by, z));
                }
                z += step * rng.range(0.6, 1.4);
            }
            trees.reverse();
        }
        Side { verge, pavement, yard, depth, fence, buildings, trees }
    }

    fn furnish(&mut self, rng: &mut Rng) {
        let mut things = Vec::new();
        for s in 0..2 {
            let out = sign(s);
            let edge = self.middle + out * self.half;
            let (verge, pavement) = (self.sides[s].verge, self.sides[s].pavement);
            let clear =
                |z: f32, x: f32, margin: f32| !within(self.crossing, z, margin) && (x.abs() > 0.8 || z > 5.0);
            if rng.chance(0.45) {
                let mut z = rng.range(4.0, 14.0);
                while z < 28.0 {
                    if rng.chance(0.7)
                        && !within(self.crossing, z + 2.0, 4.0)
                        && !within(self.zebra, z + 2.0, 3.0)
                    {
                        things.push(Thing::car(rng, edge - out * 1.1, z, out > 0.0));
                    }
                    z += rng.range(5.8, 7.5);
                }
            }
            let mut z = rng.range(4.0, 14.0);
            let step = rng.range(9.0, 18.0);
            while rng.chance(0.85) && z < 24.0 {
                let x = edge + out * 0.5;
                if clear(z, x, 0.0) {
                    things.push(Thing::lamp(rng, x, z, out));
                }
                z += step;
            }
            for _ in 0..rng.below(3) {
                let (x, z) = (edge + out * rng.range(0.5, 1.0), rng.range(4.0, 12.0));
                if clear(z, x, -1.0) {
                    things.push(Thing::sign(rng, x, z));
                }
            }
            for _ in 0..rng.below(5) {
                let (x, z) = (edge + out * (verge + rng.range(0.4, pavement - 0.4)), rng.range(3.0, 8.0));
                things.push(Thing::person(rng, x, z));
            }
            if rng.chance(0.35) {
                let step = rng.range(6.0, 11.0);
                let mut z = rng.range(5.0, 12.0);
                let by = if verge > 0.0 { 0.5 * verge } else { 0.9 };
                while z < 60.0 {
                    if clear(z, edge + out * by, 1.0) {
                        things.push(Thing::tree(rng, edge + out * by, z));
                    }
                    z += step;
                }
            }
            if rng.chance(0.25) {
                let z = rng.range(5.0, 14.0);
                things.push(Thing::barrier(rng, edge + out * (verge + 0.5 * pavement), z));
            }
            // Traffic: ahead on the right, towards us on the left.
            if rng.chance(0.55) {
                let x = self.middle + out * self.half * rng.range(0.35, 0.5);
                let mut z = rng.range(5.0, 18.0);
                for _ in 0..1 + rng.below(2) {
                    things.push(Thing::car(rng, x, z, out > 0.0));
                    z += rng.range(8.0, 20.0);
                }
            }
        }
        if rng.chance(0.2) {
            let z = self.zebra.map_or(rng.range(4.0, 10.0), |(a, b)| 0.5 * (a + b));
            for _ in 0..1 + rng.below(3) {
                let x = self.middle + self.half * rng.range(-0.9, 0.9);
                let z = z + rng.range(-0.7, 0.7);
                things.push(Thing::person(rng, x, z));
            }
        }
        things.sort_by(|a, b| b.z.total_cmp(&a.z));
        self.things = things;
    }
}

/// Whether `z` lies in a stretch widened by `margin`.
pub(crate) fn within(stretch: Option<(f32, f32)>, z: f32, margin: f32) -> bool {
    stretch.is_some_and(|(from, to)| z > from - margin && z < to + margin)
}

//! One side of the street: verge, pavement, yard, and what stands in the yard.

use crate::building::Building;
use crate::objects::fence::Fence;
use crate::objects::object::Object;
use crate::objects::tree::Tree;
use crate::rng::Rng;
use crate::road::{Stretch, within};

/// The ground between the pavement and the houses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Yard {
    Lawn,
    Water,
    Paved,
}

/// One side of the street. Widths in metres, from the edge of the road outwards.
pub(crate) struct Side {
    /// Grass between road and pavement, 0 where there is none.
    pub verge: f32,
    pub pavement: f32,
    pub yard: Yard,
    pub yard_depth: f32,
    pub fence: Option<Fence>,
    /// From far to near; empty in a park.
    pub buildings: Vec<Building>,
    /// Trees in the yard, from far to near.
    pub trees: Vec<Object>,
}

impl Side {
    /// A side of the road with this edge; `out` is its outward direction.
    pub fn new(rng: &mut Rng, edge: f32, out: f32, crossing: Option<Stretch>) -> Self {
        let verge = if rng.chance(0.3) { rng.range(1.2, 2.5) } else { 0.0 };
        let pavement = rng.range(2.4, 4.4);
        let (yard, depth) = match rng.below(10) {
            0..3 => (Yard::Paved, 0.0),
            3..6 => (Yard::Lawn, rng.range(3.0, 9.0)),
            _ => (Yard::Water, rng.range(10.0, 20.0)),
        };
        let park = yard == Yard::Lawn && rng.chance(0.4);
        let depth = if park { depth + 12.0 } else { depth };
        // A wider pavement keeps the camera out of the houses.
        let inside = -(edge + out * (verge + pavement)) * out;
        let pavement = if inside > -1.0 { pavement + inside + 1.0 } else { pavement };
        let building_line = edge + out * (verge + pavement + depth);
        let buildings = if park { Vec::new() } else { Building::row(rng, building_line, out, crossing) };
        let fence =
            (yard != Yard::Paved && rng.chance(if yard == Yard::Water { 0.5 } else { 0.75 })).then(|| {
                let start = rng.range(-10.0, 10.0);
                let end = start + rng.range(15.0, 60.0);
                Fence::new(rng, edge + out * (verge + pavement), (start, end), crossing)
            });
        let mut side = Side { verge, pavement, yard, yard_depth: depth, fence, buildings, trees: Vec::new() };
        if yard == Yard::Lawn {
            side.plant_trees(rng, edge, out, park, crossing);
        }
        side
    }

    fn plant_trees(&mut self, rng: &mut Rng, edge: f32, out: f32, park: bool, crossing: Option<Stretch>) {
        let step = if park { 5.0 } else { rng.range(7.0, 16.0) };
        let mut z = rng.range(4.0, 4.0 + step);
        while z < 70.0 {
            let distance = self.verge + self.pavement + 1.5 + rng.unit() * (self.yard_depth - 2.0);
            if !within(crossing, z, 2.0) {
                self.trees.push(Object::new(edge + out * distance, z, Tree::new(rng)));
            }
            z += step * rng.range(0.6, 1.4);
        }
        self.trees.reverse();
    }

    /// Distance of the houses from the edge of the road.
    pub fn building_line(&self) -> f32 {
        self.verge + self.pavement + self.yard_depth
    }
}

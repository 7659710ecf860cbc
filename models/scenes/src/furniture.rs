//! What stands and moves between the yards: cars, posts, signs, people, street trees and barriers.
//!
//! In: the road and its sides. Out: objects, sorted from far to near.

use crate::objects::car::Car;
use crate::objects::fence::Barrier;
use crate::objects::object::Object;
use crate::objects::person::Person;
use crate::objects::post::{Lamp, TrafficSign};
use crate::objects::tree::Tree;
use crate::rng::Rng;
use crate::road::{Road, outward, within};
use crate::side::Side;

/// Places the objects of a street at random.
pub(crate) fn furnish(rng: &mut Rng, road: &Road, sides: &[Side; 2]) -> Vec<Object> {
    let mut objects = Vec::new();
    for (s, side) in sides.iter().enumerate() {
        Kerb { road, side, out: outward(s), edge: road.edge(s) }.furnish(rng, &mut objects);
    }
    if rng.chance(0.2) {
        people_on_the_road(rng, road, &mut objects);
    }
    objects.sort_by(|a, b| b.z.total_cmp(&a.z));
    objects
}

fn people_on_the_road(rng: &mut Rng, road: &Road, objects: &mut Vec<Object>) {
    let z = road.zebra.map_or(rng.range(4.0, 10.0), |(from, to)| 0.5 * (from + to));
    for _ in 0..1 + rng.below(3) {
        let x = road.middle + road.half * rng.range(-0.9, 0.9);
        let z = z + rng.range(-0.7, 0.7);
        objects.push(Object::new(x, z, Person::new(rng)));
    }
}

/// One side of the road, seen from its edge.
struct Kerb<'a> {
    road: &'a Road,
    side: &'a Side,
    /// The direction away from the road, -1 or 1.
    out: f32,
    /// x of the road's edge.
    edge: f32,
}

impl Kerb<'_> {
    fn furnish(&self, rng: &mut Rng, objects: &mut Vec<Object>) {
        if rng.chance(0.45) {
            self.parked_cars(rng, objects);
        }
        self.lamps(rng, objects);
        self.signs(rng, objects);
        self.people(rng, objects);
        if rng.chance(0.35) {
            self.street_trees(rng, objects);
        }
        if rng.chance(0.25) {
            self.barrier(rng, objects);
        }
        if rng.chance(0.55) {
            self.traffic(rng, objects);
        }
    }

    /// Whether an object may stand here: off the crossing road, and not right in front of the camera.
    fn is_clear(&self, x: f32, z: f32, margin: f32) -> bool {
        !within(self.road.crossing, z, margin) && (x.abs() > 0.8 || z > 5.0)
    }

    fn parked_cars(&self, rng: &mut Rng, objects: &mut Vec<Object>) {
        let mut z = rng.range(4.0, 14.0);
        while z < 28.0 {
            if rng.chance(0.7)
                && !within(self.road.crossing, z + 2.0, 4.0)
                && !within(self.road.zebra, z + 2.0, 3.0)
            {
                objects.push(Object::new(self.edge - self.out * 1.1, z, Car::new(rng, self.out > 0.0)));
            }
            z += rng.range(5.8, 7.5);
        }
    }

    fn lamps(&self, rng: &mut Rng, objects: &mut Vec<Object>) {
        let mut z = rng.range(4.0, 14.0);
        let step = rng.range(9.0, 18.0);
        while rng.chance(0.85) && z < 24.0 {
            let x = self.edge + self.out * 0.5;
            if self.is_clear(x, z, 0.0) {
                objects.push(Object::new(x, z, Lamp::new(rng, z, -self.out)));
            }
            z += step;
        }
    }

    fn signs(&self, rng: &mut Rng, objects: &mut Vec<Object>) {
        for _ in 0..rng.below(3) {
            let (x, z) = (self.edge + self.out * rng.range(0.5, 1.0), rng.range(4.0, 12.0));
            if self.is_clear(x, z, -1.0) {
                objects.push(Object::new(x, z, TrafficSign::new(rng, z)));
            }
        }
    }

    fn people(&self, rng: &mut Rng, objects: &mut Vec<Object>) {
        let Side { verge, pavement, .. } = self.side;
        for _ in 0..rng.below(5) {
            let x = self.edge + self.out * (verge + rng.range(0.4, pavement - 0.4));
            let z = rng.range(3.0, 8.0);
            objects.push(Object::new(x, z, Person::new(rng)));
        }
    }

    fn street_trees(&self, rng: &mut Rng, objects: &mut Vec<Object>) {
        let step = rng.range(6.0, 11.0);
        let mut z = rng.range(5.0, 12.0);
        let distance = if self.side.verge > 0.0 { 0.5 * self.side.verge } else { 0.9 };
        while z < 60.0 {
            let x = self.edge + self.out * distance;
            if self.is_clear(x, z, 1.0) {
                objects.push(Object::new(x, z, Tree::new(rng)));
            }
            z += step;
        }
    }

    fn barrier(&self, rng: &mut Rng, objects: &mut Vec<Object>) {
        let z = rng.range(5.0, 14.0);
        let x = self.edge + self.out * (self.side.verge + 0.5 * self.side.pavement);
        objects.push(Object::new(x, z, Barrier::new(rng)));
    }

    /// Moving cars: they drive away from the camera on the right and towards it on the left.
    fn traffic(&self, rng: &mut Rng, objects: &mut Vec<Object>) {
        let x = self.road.middle + self.out * self.road.half * rng.range(0.35, 0.5);
        let mut z = rng.range(5.0, 18.0);
        for _ in 0..1 + rng.below(2) {
            objects.push(Object::new(x, z, Car::new(rng, self.out > 0.0)));
            z += rng.range(8.0, 20.0);
        }
    }
}

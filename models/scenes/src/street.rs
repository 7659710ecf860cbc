//! The plan of a street, drawn at random: the road, its two sides, and the objects on them.

use crate::furniture::furnish;
use crate::ground::{Ground, Markings};
use crate::light::Light;
use crate::objects::object::Object;
use crate::rng::Rng;
use crate::road::{Road, outward};
use crate::side::Side;

pub(crate) struct Street {
    pub road: Road,
    pub ground: Ground,
    pub sides: [Side; 2],
    pub markings: Markings,
    /// Seed of the sky and the skyline.
    pub backdrop_seed: u32,
    /// Height of the skyline in metres.
    pub skyline: f32,
    /// Everything between the yards, from far to near.
    pub objects: Vec<Object>,
}

impl Street {
    pub fn new(rng: &mut Rng) -> Self {
        let road = Road::new(rng);
        let ground = Ground::new(rng);
        let sides = [0, 1].map(|s| Side::new(rng, road.edge(s), outward(s), road.crossing));
        let markings = Markings::new(rng);
        let backdrop_seed = rng.seed();
        let skyline = rng.range(4.0, 22.0);
        let objects = furnish(rng, &road, &sides);
        Street { road, ground, sides, markings, backdrop_seed, skyline, objects }
    }

    /// Whether a house stands between the sun and the point (`x`, `y`, `z`).
    pub fn in_shadow(&self, x: f32, z: f32, y: f32, light: &Light) -> bool {
        let (along_x, along_z) = light.shadow_offset();
        let side = usize::from(along_x < 0.0);
        let wall = self.road.middle + outward(side) * (self.road.half + self.sides[side].building_line());
        // The height at which the ray towards the sun meets the wall, above the point's own.
        let rise = (x - wall) / along_x;
        if rise < 0.0 {
            return false;
        }
        let from = z - rise * along_z;
        self.sides[side].buildings.iter().any(|b| (b.near..b.far).contains(&from) && b.top() > rise + y)
    }
}

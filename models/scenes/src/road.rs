//! The road: where it lies, and where another road and a zebra cross it.
//!
//! Positions on a scene's ground are x, in metres to the right of the camera, and z, in metres ahead.

use crate::rng::Rng;

/// An interval of z.
pub(crate) type Stretch = (f32, f32);

pub(crate) struct Road {
    /// x of the road's middle.
    pub middle: f32,
    /// Half the road's width.
    pub half: f32,
    /// Where another road crosses.
    pub crossing: Option<Stretch>,
    /// Where the zebra is.
    pub zebra: Option<Stretch>,
}

impl Road {
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
        Road { middle, half, crossing, zebra }
    }

    /// x of the road's edge on a side.
    pub fn edge(&self, side: usize) -> f32 {
        self.middle + outward(side) * self.half
    }
}

/// The direction away from the road: -1 on side 0, the left, and 1 on side 1.
pub(crate) fn outward(side: usize) -> f32 {
    if side == 0 { -1.0 } else { 1.0 }
}

/// Whether `z` lies in a stretch widened by `margin` at both ends.
pub(crate) fn within(stretch: Option<Stretch>, z: f32, margin: f32) -> bool {
    stretch.is_some_and(|(from, to)| z > from - margin && z < to + margin)
}

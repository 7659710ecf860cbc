//! Colours as three display values in `0..1`.

use crate::rng::Rng;

pub(crate) type Colour = [f32; 3];

#[inline]
pub(crate) fn scale(c: Colour, k: f32) -> Colour {
    [c[0] * k, c[1] * k, c[2] * k]
}

#[inline]
pub(crate) fn times(a: Colour, b: Colour) -> Colour {
    [a[0] * b[0], a[1] * b[1], a[2] * b[2]]
}

#[inline]
pub(crate) fn mix(a: Colour, b: Colour, t: f32) -> Colour {
    [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t]
}

pub(crate) fn grey(v: f32) -> Colour {
    [v, v, v]
}

/// A colour near `c`: its brightness and every channel drift a little.
pub(crate) fn near(rng: &mut Rng, c: Colour, spread: f32) -> Colour {
    let gain = 1.0 + rng.range(-spread, spread);
    c.map(|v| (v * gain * (1.0 + rng.range(-spread, spread) * 0.5)).clamp(0.02, 1.0))
}

/// Any paint or cloth: greys as often as strong colours.
pub(crate) fn any(rng: &mut Rng) -> Colour {
    if rng.chance(0.45) {
        let v = rng.range(0.06, 0.92);
        return near(rng, grey(v), 0.08);
    }
    strong(rng)
}

/// Any paint or cloth that is not grey.
pub(crate) fn strong(rng: &mut Rng) -> Colour {
    let strong = [
        [0.65, 0.10, 0.10],
        [0.10, 0.20, 0.55],
        [0.10, 0.40, 0.20],
        [0.75, 0.60, 0.12],
        [0.45, 0.62, 0.80],
        [0.40, 0.25, 0.15],
        [0.55, 0.20, 0.45],
        [0.80, 0.42, 0.12],
    ];
    let c = rng.pick(&strong);
    near(rng, c, 0.3)
}

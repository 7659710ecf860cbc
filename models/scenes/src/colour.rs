//! Colours as display values of red, green and blue in `0..1`.

use crate::rng::Rng;

pub(crate) type Colour = [f32; 3];

#[inline]
pub(crate) fn scale(c: Colour, k: f32) -> Colour {
    [c[0] * k, c[1] * k, c[2] * k]
}

#[inline]
pub(crate) fn multiply(a: Colour, b: Colour) -> Colour {
    [a[0] * b[0], a[1] * b[1], a[2] * b[2]]
}

/// Linear interpolation: `a` at `t = 0`, `b` at `t = 1`.
#[inline]
pub(crate) fn mix(a: Colour, b: Colour, t: f32) -> Colour {
    [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t]
}

pub(crate) fn grey(v: f32) -> Colour {
    [v, v, v]
}

/// A random variation of `c`: brightness by up to `amount`, each channel by up to half of it.
pub(crate) fn vary(rng: &mut Rng, c: Colour, amount: f32) -> Colour {
    let gain = 1.0 + rng.range(-amount, amount);
    c.map(|v| (v * gain * (1.0 + rng.range(-amount, amount) * 0.5)).clamp(0.02, 1.0))
}

/// A random colour of paint or cloth: a grey or a saturated colour, about equally often.
pub(crate) fn any_colour(rng: &mut Rng) -> Colour {
    if rng.chance(0.45) {
        let v = rng.range(0.06, 0.92);
        return vary(rng, grey(v), 0.08);
    }
    saturated_colour(rng)
}

/// A random colour of paint or cloth that is not grey.
pub(crate) fn saturated_colour(rng: &mut Rng) -> Colour {
    let colours = [
        [0.65, 0.10, 0.10],
        [0.10, 0.20, 0.55],
        [0.10, 0.40, 0.20],
        [0.75, 0.60, 0.12],
        [0.45, 0.62, 0.80],
        [0.40, 0.25, 0.15],
        [0.55, 0.20, 0.45],
        [0.80, 0.42, 0.12],
    ];
    let c = rng.pick(&colours);
    vary(rng, c, 0.3)
}

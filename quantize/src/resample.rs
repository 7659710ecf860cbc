//! Position tables and embeddings for another grid, as PyTorch's `interpolate` computes them (`align_corners = false`).

/// Where output `at` of `to` reads an input of `from`, before clamping.
fn source(at: usize, from: usize, to: usize) -> f64 {
    from as f64 / to as f64 * (at as f64 + 0.5) - 0.5
}

/// Resamples along one axis: `data` is `[outer][from][inner]`, `taps(source)` gives inputs and weights.
fn along(
    data: &[f64],
    inner: usize,
    from: usize,
    to: usize,
    taps: &dyn Fn(f64) -> Vec<(isize, f64)>,
) -> Vec<f64> {
    let mut out = Vec::with_capacity(data.len() / from * to);
    for block in data.chunks(from * inner) {
        for at in 0..to {
            let start = out.len();
            out.resize(start + inner, 0.0);
            for (i, w) in taps(source(at, from, to)) {
                let i = i.clamp(0, from as isize - 1) as usize;
                out[start..].iter_mut().zip(&block[i * inner..]).for_each(|(o, x)| *o += w * x);
            }
        }
    }
    out
}

fn resample(
    data: &[f32],
    inner: usize,
    from: (usize, usize),
    to: (usize, usize),
    taps: &dyn Fn(f64) -> Vec<(isize, f64)>,
) -> Vec<f32> {
    let wide: Vec<f64> = data.iter().map(|&x| f64::from(x)).collect();
    let rows = along(&wide, inner, from.0, to.0, taps);
    let all = along(&rows, inner * to.0, from.1, to.1, taps);
    all.into_iter().map(|x| x as f32).collect()
}

/// Bilinear: `[height][width][inner]`, sizes as (width, height).
pub fn bilinear(data: &[f32], inner: usize, from: (usize, usize), to: (usize, usize)) -> Vec<f32> {
    resample(data, inner, from, to, &|x| {
        let x = x.max(0.0);
        let low = x.floor();
        vec![(low as isize, 1.0 - (x - low)), (low as isize + 1, x - low)]
    })
}

/// Bicubic with a = −0.75 (Keys 1981 with PyTorch's constant), sizes as (width, height).
pub fn bicubic(data: &[f32], inner: usize, from: (usize, usize), to: (usize, usize)) -> Vec<f32> {
    const A: f64 = -0.75;
    let near = |t: f64| ((A + 2.0) * t - (A + 3.0)) * t * t + 1.0;
    let far = |t: f64| ((A * t - 5.0 * A) * t + 8.0 * A) * t - 4.0 * A;
    resample(data, inner, from, to, &|x| {
        let low = x.floor();
        let (i, t) = (low as isize, x - low);
        vec![(i - 1, far(t + 1.0)), (i, near(t)), (i + 1, near(1.0 - t)), (i + 2, far(2.0 - t))]
    })
}

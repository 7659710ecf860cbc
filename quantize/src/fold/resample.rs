//! Separable resampling of position tables and embeddings to another grid, as PyTorch's `interpolate` computes it
//! (`align_corners = false`, no antialiasing).

/// The filter at a position along an axis: input indices, which may lie outside the input, and their weights.
type Filter<'a> = &'a dyn Fn(f64) -> Vec<(isize, f64)>;

/// The input position that output `index` reads, where `from` inputs become `to` outputs.
fn source_position(index: usize, from: usize, to: usize) -> f64 {
    from as f64 / to as f64 * (index as f64 + 0.5) - 0.5
}

/// Resamples one axis: `[outer][from][inner]` to `[outer][to][inner]`. Indices outside the input are clamped to it.
fn resample_axis(data: &[f64], inner: usize, from: usize, to: usize, filter: Filter) -> Vec<f64> {
    let mut out = Vec::with_capacity(data.len() / from * to);
    for block in data.chunks(from * inner) {
        for index in 0..to {
            let start = out.len();
            out.resize(start + inner, 0.0);
            for (i, w) in filter(source_position(index, from, to)) {
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
    filter: Filter,
) -> Vec<f32> {
    let data: Vec<f64> = data.iter().map(|&x| f64::from(x)).collect();
    let rows = resample_axis(&data, inner, from.0, to.0, filter);
    let all = resample_axis(&rows, inner * to.0, from.1, to.1, filter);
    all.into_iter().map(|x| x as f32).collect()
}

/// Bilinear resampling of `[height][width][inner]`. Sizes are (width, height).
pub(super) fn bilinear(data: &[f32], inner: usize, from: (usize, usize), to: (usize, usize)) -> Vec<f32> {
    resample(data, inner, from, to, &|x| {
        let x = x.max(0.0);
        let low = x.floor();
        vec![(low as isize, 1.0 - (x - low)), (low as isize + 1, x - low)]
    })
}

/// Bicubic resampling (Keys 1981, with PyTorch's a = −0.75) of `[height][width][inner]`. Sizes are (width, height).
pub(super) fn bicubic(data: &[f32], inner: usize, from: (usize, usize), to: (usize, usize)) -> Vec<f32> {
    const A: f64 = -0.75;
    let near = |t: f64| ((A + 2.0) * t - (A + 3.0)) * t * t + 1.0;
    let far = |t: f64| ((A * t - 5.0 * A) * t + 8.0 * A) * t - 4.0 * A;
    resample(data, inner, from, to, &|x| {
        let low = x.floor();
        let (i, t) = (low as isize, x - low);
        vec![(i - 1, far(t + 1.0)), (i, near(t)), (i + 1, near(1.0 - t)), (i + 2, far(2.0 - t))]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: [f32; 9] = [1.0, 2.0, 4.0, 3.0, -1.0, 0.5, 7.0, 2.0, -2.0];

    fn assert_close(got: &[f32], want: &[f32]) {
        assert_eq!(got.len(), want.len());
        assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 2e-6), "got {got:?}, want {want:?}");
    }

    /// `torch.nn.functional.interpolate(table, size=(5, 4), mode="bilinear")`, torch 2.15.
    #[test]
    fn bilinear_equals_torch() {
        let want = [
            1.0, 1.625, 2.75, 4.0, 1.8, 1.175, 1.475, 2.6, 3.0, 0.5, -0.4375, 0.5, 5.4, 2.525, 0.125, -1.0,
            7.0, 3.875, 0.5, -2.0,
        ];
        assert_close(&bilinear(&TABLE, 1, (3, 3), (4, 5)), &want);
        assert_eq!(bilinear(&TABLE, 1, (3, 3), (3, 3)), TABLE);
    }

    /// `torch.nn.functional.interpolate(table, size=(2, 4), mode="bicubic", align_corners=False)`, torch 2.15.
    #[test]
    fn bicubic_equals_torch() {
        let want = [
            1.319_509_5,
            1.021_510_1,
            1.953_674_3,
            3.444_224_4,
            6.519_304_3,
            3.302_786_8,
            -0.327_602_4,
            -1.755_570_4,
        ];
        assert_close(&bicubic(&TABLE, 1, (3, 3), (4, 2)), &want);
    }
}

//! int4: weights in groups along the inputs, each group a whole multiple of its output's scale.
//!
//! A weight is stored as q in −8 ..= 7 and runs as the byte q · m, m its group's multiplier in −15 ..= 15: |q · m| ≤ 120, so
//! the int8 kernels take it as it is, and nothing is rounded a second time. Negative multipliers let a group's largest
//! weight, whatever its sign, be the one that −8 stands for.

use beitle::format::GROUP;

/// The largest multiplier.
const MOST: i32 = 15;
/// Scales that are tried for an output, of the one at which its largest weight just fits.
const SCALES: [f32; 8] = [1.0, 0.93, 0.86, 0.79, 0.72, 0.65, 0.58, 0.5];
/// The least part of a group's largest weight that its range may end at.
const CLIP: f32 = 0.6;

/// How a row of weights is stored.
pub struct Grid {
    /// What 1 stands for.
    pub scale: f32,
    /// Of each group.
    pub multipliers: Vec<i8>,
}

impl Grid {
    /// The grid that loses the least of a row.
    pub fn new(row: &[f32]) -> Grid {
        let most = row.iter().fold(0f32, |m, w| m.max(w.abs()));
        let fits = most / (8 * MOST) as f32;
        let scales = SCALES.iter().map(|s| s * fits).filter(|s| s.is_normal());
        let all = scales.map(|scale| {
            let mut loss = 0.0;
            let multipliers = row.chunks(GROUP).map(|group| {
                let (m, lost) = multiplier(group, scale);
                loss += f64::from(lost);
                m
            });
            let multipliers = multipliers.collect();
            (Grid { scale, multipliers }, loss)
        });
        let best = all.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(grid, _)| grid);
        best.unwrap_or(Grid { scale: 0.0, multipliers: vec![1; row.len().div_ceil(GROUP)] })
    }

    /// The nearest value for input i: q, and the byte it runs as.
    pub fn round(&self, i: usize, w: f32) -> (i8, i8) {
        let m = self.multipliers[i / GROUP];
        let step = self.scale * f32::from(m);
        let q = if step == 0.0 { 0.0 } else { (w / step).round_ties_even().clamp(-8.0, 7.0) };
        (q as i8, q as i8 * m)
    }
}

/// The multiplier at which a group loses the least, and the squares of what it loses.
fn multiplier(group: &[f32], scale: f32) -> (i8, f32) {
    let most = group.iter().fold(0f32, |m, w| m.max(w.abs()));
    let fits = (most / (8.0 * scale)).ceil().clamp(1.0, MOST as f32);
    let least = (fits * CLIP).floor().max(1.0);
    let mut best = (1, f32::INFINITY);
    for m in least as i32..=fits as i32 {
        for m in [m, -m] {
            let step = scale * m as f32;
            let inverse = 1.0 / step;
            let mut sums = [0f32; 8];
            for eight in group.chunks(8) {
                for (s, w) in sums.iter_mut().zip(eight) {
                    let q = ((w * inverse + ROUND) - ROUND).clamp(-8.0, 7.0);
                    *s += (w - q * step) * (w - q * step);
                }
            }
            let lost = sums.iter().sum();
            if lost < best.1 {
                best = (m as i8, lost);
            }
        }
    }
    best
}

/// Adding and subtracting it rounds |x| < 2²² to the nearest integer, ties to even.
const ROUND: f32 = 12_582_912.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_the_range_it_needs() {
        // One group a sixteenth as large as the other, and the largest weight of each of either sign.
        let row: Vec<f32> = (0..2 * GROUP)
            .map(|i| {
                let w = ((i * 29 % 64) as f32 - 31.0) / 32.0;
                if i < GROUP { w } else { -w / 12.0 }
            })
            .collect();
        let grid = Grid::new(&row);
        for (i, w) in row.iter().enumerate() {
            let (q, byte) = grid.round(i, *w);
            assert!((-8..=7).contains(&q) && byte == q * grid.multipliers[i / GROUP] && byte.abs() <= 120);
            let most = if i < GROUP { 1.0 } else { 1.0 / 12.0 };
            assert!((f32::from(byte) * grid.scale - w).abs() <= 0.12 * most, "{i}: {byte} for {w}");
        }
    }

    #[test]
    fn no_weights_no_scale() {
        let grid = Grid::new(&[0.0; 40]);
        assert_eq!((grid.scale, grid.round(39, 0.0)), (0.0, (0, 0)));
    }
}

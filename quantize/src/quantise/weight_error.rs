//! How much of the weights quantisation loses.

/// Energy of some weights and of their quantisation errors.
#[derive(Clone, Copy, Default)]
pub(super) struct WeightError {
    signal: f64,
    noise: f64,
}

impl WeightError {
    pub(super) fn of(exact: &[f32], stored: impl Iterator<Item = f32>) -> WeightError {
        let mut error = WeightError::default();
        exact.iter().zip(stored).for_each(|(x, y)| error.add(*x, y));
        error
    }

    /// Adds one weight.
    pub(super) fn add(&mut self, exact: f32, stored: f32) {
        self.signal += f64::from(exact) * f64::from(exact);
        self.noise += (f64::from(exact) - f64::from(stored)).powi(2);
    }

    /// Signal-to-noise ratio of all together in dB; infinite without noise.
    pub(super) fn sqnr(all: impl Iterator<Item = WeightError>) -> f64 {
        let sum = all.fold(WeightError::default(), |a, b| WeightError {
            signal: a.signal + b.signal,
            noise: a.noise + b.noise,
        });
        if sum.noise > 0.0 { 10.0 * (sum.signal / sum.noise).log10() } else { f64::INFINITY }
    }
}

//! Scores of label maps as mmsegmentation defines them: areas summed over the whole data set, then divided.

/// Areas of each class over all pictures, in pixels.
#[derive(Clone, Debug)]
pub struct Scores {
    /// Said and true.
    both: Vec<u64>,
    said: Vec<u64>,
    truth: Vec<u64>,
}

impl Scores {
    /// Nothing counted yet.
    pub fn new(classes: usize) -> Self {
        Scores { both: vec![0; classes], said: vec![0; classes], truth: vec![0; classes] }
    }

    /// Counts pixels: the class that was said and the true one, `None` where it is to be ignored.
    pub fn add(&mut self, pixels: impl Iterator<Item = (u16, Option<u16>)>) {
        for (said, truth) in pixels {
            let Some(truth) = truth else { continue };
            self.said[usize::from(said)] += 1;
            self.truth[usize::from(truth)] += 1;
            self.both[usize::from(said)] += u64::from(said == truth);
        }
    }

    /// Adds another's areas.
    pub fn join(&mut self, other: &Scores) {
        let pairs =
            [(&mut self.both, &other.both), (&mut self.said, &other.said), (&mut self.truth, &other.truth)];
        for (mine, theirs) in pairs {
            mine.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
        }
    }

    /// Intersection over union of a class; `None` where it is neither said nor true anywhere.
    pub fn iou(&self, class: usize) -> Option<f64> {
        let union = self.said[class] + self.truth[class] - self.both[class];
        (union > 0).then(|| self.both[class] as f64 / union as f64)
    }

    /// Share of a class's true pixels that are said; `None` where it is nowhere.
    pub fn accuracy(&self, class: usize) -> Option<f64> {
        (self.truth[class] > 0).then(|| self.both[class] as f64 / self.truth[class] as f64)
    }

    /// True pixels of a class.
    pub fn area(&self, class: usize) -> u64 {
        self.truth[class]
    }

    /// mIoU: the mean over the classes that have one.
    pub fn mean_iou(&self) -> f64 {
        mean((0..self.both.len()).filter_map(|c| self.iou(c)))
    }

    /// mAcc.
    pub fn mean_accuracy(&self) -> f64 {
        mean((0..self.both.len()).filter_map(|c| self.accuracy(c)))
    }

    /// aAcc: the share of all pixels.
    pub fn pixel_accuracy(&self) -> f64 {
        self.both.iter().sum::<u64>() as f64 / self.truth.iter().sum::<u64>().max(1) as f64
    }

    /// Pixels counted.
    pub fn pixels(&self) -> u64 {
        self.truth.iter().sum()
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0), |(sum, n), v| (sum + v, n + 1));
    if n == 0 { 0.0 } else { sum / f64::from(n) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_counted() {
        let mut s = Scores::new(4);
        // Class 0: 2 right, 1 said 1. Class 1: 1 right, 1 said 0. Class 2 only said. One pixel ignored. Class 3 nowhere.
        let first = [(0, Some(0)), (0, Some(0)), (1, Some(0)), (2, None)];
        s.add(first.into_iter());
        let mut other = Scores::new(4);
        other.add([(1, Some(1)), (0, Some(1)), (2, Some(1))].into_iter());
        s.join(&other);
        assert_eq!(s.pixels(), 6);
        assert_eq!(s.iou(0), Some(2.0 / 4.0));
        assert_eq!(s.iou(1), Some(1.0 / 4.0));
        assert_eq!(s.iou(2), Some(0.0));
        assert_eq!(s.iou(3), None);
        assert_eq!(s.accuracy(0), Some(2.0 / 3.0));
        assert_eq!(s.accuracy(2), None);
        assert!((s.mean_iou() - 0.25).abs() < 1e-12);
        assert!((s.mean_accuracy() - 0.5).abs() < 1e-12);
        assert!((s.pixel_accuracy() - 0.5).abs() < 1e-12);
        assert_eq!(s.area(1), 3);
    }
}

//! Scores of class maps as mmsegmentation defines them: the areas of each class are summed over the data set, then
//! divided.

/// Areas of each class over all pictures, in pixels.
#[derive(Clone, Debug)]
pub struct Scores {
    /// Pixels whose predicted and true class are both this one.
    intersection: Vec<u64>,
    predicted: Vec<u64>,
    truth: Vec<u64>,
    /// Pixels by true and predicted class, `[true][predicted]`; empty if there are more than [`MAX_CONFUSION`] classes.
    confusion: Vec<u64>,
}

/// The most classes for which pixels are counted by true and predicted class.
const MAX_CONFUSION: usize = 1024;

impl Scores {
    /// Areas of zero.
    pub fn new(classes: usize) -> Self {
        let cells = if classes <= MAX_CONFUSION { classes * classes } else { 0 };
        Scores {
            intersection: vec![0; classes],
            predicted: vec![0; classes],
            truth: vec![0; classes],
            confusion: vec![0; cells],
        }
    }

    /// Counts pixels, given as predicted and true class; `None` marks an ignored pixel.
    pub fn add(&mut self, pixels: impl Iterator<Item = (u16, Option<u16>)>) {
        for (predicted, truth) in pixels {
            let Some(truth) = truth else { continue };
            self.predicted[usize::from(predicted)] += 1;
            self.truth[usize::from(truth)] += 1;
            self.intersection[usize::from(predicted)] += u64::from(predicted == truth);
            let cell = usize::from(truth) * self.truth.len() + usize::from(predicted);
            if let Some(cell) = self.confusion.get_mut(cell) {
                *cell += 1;
            }
        }
    }

    /// Adds the areas of `other`.
    pub fn join(&mut self, other: &Scores) {
        let pairs = [
            (&mut self.intersection, &other.intersection),
            (&mut self.predicted, &other.predicted),
            (&mut self.truth, &other.truth),
            (&mut self.confusion, &other.confusion),
        ];
        for (mine, theirs) in pairs {
            mine.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
        }
    }

    /// Pixels by predicted class, a row for each true class. Without rows if there are too many classes.
    pub fn confusion(&self) -> impl Iterator<Item = &[u64]> {
        self.confusion.chunks(self.truth.len().max(1))
    }

    /// Intersection over union of a class; `None` if the class is neither predicted nor true anywhere.
    pub fn iou(&self, class: usize) -> Option<f64> {
        let union = self.predicted[class] + self.truth[class] - self.intersection[class];
        (union > 0).then(|| self.intersection[class] as f64 / union as f64)
    }

    /// Share of a class's true pixels that are predicted as this class; `None` if there are no such pixels.
    pub fn accuracy(&self, class: usize) -> Option<f64> {
        (self.truth[class] > 0).then(|| self.intersection[class] as f64 / self.truth[class] as f64)
    }

    /// Number of pixels whose true class is this one.
    pub fn area(&self, class: usize) -> u64 {
        self.truth[class]
    }

    /// mIoU: the mean over the classes that have an IoU; `None` if none has.
    pub fn mean_iou(&self) -> Option<f64> {
        mean((0..self.truth.len()).filter_map(|c| self.iou(c)))
    }

    /// mAcc: the mean over the classes that have an accuracy; `None` if none has.
    pub fn mean_accuracy(&self) -> Option<f64> {
        mean((0..self.truth.len()).filter_map(|c| self.accuracy(c)))
    }

    /// aAcc: the share of all counted pixels whose predicted class is the true one; `None` if no pixel was counted.
    pub fn pixel_accuracy(&self) -> Option<f64> {
        let right = self.intersection.iter().sum::<u64>() as f64;
        (self.pixels() > 0).then(|| right / self.pixels() as f64)
    }

    /// Number of counted pixels.
    pub fn pixels(&self) -> u64 {
        self.truth.iter().sum()
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0), |(sum, n), v| (sum + v, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_match_hand_counted_areas() {
        let mut s = Scores::new(4);
        // Class 0: 2 right, 1 predicted as 1. Class 1: 1 right, 1 predicted as 0, 1 as 2. Class 2: predicted only.
        // Class 3: absent. One pixel is ignored.
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
        let near = |found: Option<f64>, want: f64| (found.unwrap() - want).abs() < 1e-12;
        assert!(near(s.mean_iou(), 0.25) && near(s.mean_accuracy(), 0.5) && near(s.pixel_accuracy(), 0.5));
        let nothing = Scores::new(4);
        assert_eq!([nothing.mean_iou(), nothing.mean_accuracy(), nothing.pixel_accuracy()], [None; 3]);
        assert_eq!(s.area(1), 3);
        let confusion: Vec<_> = s.confusion().collect();
        assert_eq!(confusion, [[2, 1, 0, 0], [1, 1, 1, 0], [0; 4], [0; 4]]);
        assert_eq!(Scores::new(1025).confusion().count(), 0);
    }
}

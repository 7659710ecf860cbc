//! Sets of CPUs: those that this process may use, the fast ones among them, and the pinning of threads to a set.
//!
//! In: the process's affinity mask, and the folder in which Linux describes the CPUs. Out: a set for [`ThreadPool`](super::ThreadPool).
//!
//! A step of a run ends when its last task does, so a core that is much slower than the others adds little, and its last task may
//! hold all of them up. Which CPUs are fast is decided in [`fast_among`]; where the system does not say, all of them are.

use super::scheduler;
use std::fmt;
use std::io;
use std::path::Path;
use std::vec::Vec;

/// The folder with a folder for each CPU.
const CPUS: &str = "/sys/devices/system/cpu";

/// Per-CPU files that state a speed, in order of preference, and the percentage of the largest value from which a CPU counts as fast.
///
/// `cpu_capacity`: 50% keeps a phone's big cores (about 80% of the prime core) and excludes its little ones (20 to 40%).
///
/// `cpuinfo_max_freq`: 85% keeps equal cores only, because a frequency ignores work per cycle. Turbo limits of equal cores differ by
/// about 10%; other kinds of core run at 60 to 80%.
const SPEED_FILES: [(&str, u64); 2] = [("cpu_capacity", 50), ("cpufreq/cpuinfo_max_freq", 85)];

/// A set of CPUs, by the operating system's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores(Vec<usize>);

impl Cores {
    /// The CPUs with these numbers.
    pub fn new(cpus: impl IntoIterator<Item = usize>) -> Cores {
        let mut cpus: Vec<usize> = cpus.into_iter().collect();
        cpus.sort_unstable();
        cpus.dedup();
        Cores(cpus)
    }

    /// The CPUs on which the calling thread may run.
    ///
    /// # Errors
    /// [`Unsupported`](io::ErrorKind::Unsupported) on systems other than Linux and Android; there, the system's error.
    pub fn usable() -> io::Result<Cores> {
        scheduler::cpus().map(Cores)
    }

    /// The fast ones of the CPUs on which the calling thread may run; `None` if all are, or if the system does not say.
    ///
    /// Fast are CPUs with at least half the capacity of the fastest one (`cpu_capacity`). Where the system gives all CPUs the same
    /// capacity or none, those with at least 85% of its highest frequency (`cpufreq/cpuinfo_max_freq`).
    pub fn fast() -> Option<Cores> {
        let usable = Cores::usable().ok()?;
        let fast = fast_among(&usable.0, Path::new(CPUS));
        (fast.len() < usable.len()).then_some(Cores(fast))
    }

    /// The number of CPUs.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Checks that the calling thread may run on all of these CPUs.
    ///
    /// # Errors
    /// As [`usable`](Cores::usable); [`InvalidInput`](io::ErrorKind::InvalidInput) for an empty set, and for a CPU that does not
    /// exist or that the process may not use.
    pub(super) fn check(&self) -> io::Result<()> {
        let usable = Cores::usable()?;
        let invalid = |what: std::string::String| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        if self.0.is_empty() {
            return invalid("no CPU is given".into());
        }
        match self.0.iter().find(|cpu| !usable.0.contains(cpu)) {
            Some(cpu) => invalid(std::format!("this process can use the CPUs {usable}, but not {cpu}")),
            None => Ok(()),
        }
    }

    /// Restricts the calling thread, worker `worker` of `workers`, to these CPUs; to a single one of them if there are as many CPUs as
    /// workers.
    ///
    /// Otherwise, if another program keeps a CPU busy, the operating system often runs two workers on one CPU and leaves the busy one to
    /// that program. This is fair to all three threads, but gives the workers one CPU instead of one and a half.
    pub(super) fn pin(&self, worker: usize, workers: usize) -> io::Result<()> {
        scheduler::set_cpus(if self.len() == workers { &self.0[worker..][..1] } else { &self.0 })
    }
}

/// As a list of numbers and ranges: `0,2,4-7`.
impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.0.chunk_by(|a, b| a + 1 == *b).enumerate() {
            let comma = if i > 0 { "," } else { "" };
            match *range {
                [cpu] => write!(f, "{comma}{cpu}")?,
                [first, .., last] => write!(f, "{comma}{first}-{last}")?,
                [] => {}
            }
        }
        Ok(())
    }
}

/// The fast ones of `cpus`, by what `folder` says of them.
fn fast_among(cpus: &[usize], folder: &Path) -> Vec<usize> {
    for (file, percent) in SPEED_FILES {
        let speed = |cpu: &usize| read_number(&folder.join(std::format!("cpu{cpu}")).join(file));
        // If one of them is unknown, they cannot be compared.
        let Some(speeds) = cpus.iter().map(speed).collect::<Option<Vec<u64>>>() else { continue };
        let fastest = speeds.iter().copied().max().unwrap_or(0);
        // A device tree that does not state capacities gives all CPUs the same.
        if speeds.iter().any(|speed| *speed < fastest) {
            let all = cpus.iter().zip(speeds);
            return all.filter(|(_, speed)| speed * 100 >= fastest * percent).map(|(cpu, _)| *cpu).collect();
        }
    }
    cpus.to_vec()
}

/// The positive number in a file.
fn read_number(path: &Path) -> Option<u64> {
    let number: u32 = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
    (number > 0).then_some(number.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Range;
    use std::path::PathBuf;
    use std::string::ToString;
    use std::vec;

    /// A folder like that of Linux, deleted at the end.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Tree {
            let root = std::env::temp_dir().join(std::format!("beitle-cores-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&root).unwrap();
            Tree(root)
        }

        /// The contents of a file of each of these CPUs.
        fn with(self, cpus: Range<usize>, file: &str, contents: &str) -> Tree {
            for cpu in cpus {
                let path = self.0.join(std::format!("cpu{cpu}")).join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, contents).unwrap();
            }
            self
        }

        fn capacity(self, cpus: Range<usize>, capacity: u32) -> Tree {
            self.with(cpus, "cpu_capacity", &std::format!("{capacity}\n"))
        }

        fn khz(self, cpus: Range<usize>, khz: u32) -> Tree {
            self.with(cpus, "cpufreq/cpuinfo_max_freq", &std::format!("{khz}\n"))
        }

        fn fast(&self, cpus: Range<usize>) -> Vec<usize> {
            fast_among(&cpus.collect::<Vec<_>>(), &self.0)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn numbers(range: Range<usize>) -> Vec<usize> {
        range.collect()
    }

    #[test]
    #[cfg_attr(miri, ignore = "files")]
    fn boards_with_equal_cores_use_all() {
        let pi5 = Tree::new("pi5").capacity(0..4, 1024).khz(0..4, 2_400_000);
        assert_eq!(pi5.fast(0..4), [0, 1, 2, 3]);
        let imx8m = Tree::new("imx8m").khz(0..4, 1_800_000);
        assert_eq!(imx8m.fast(0..4), [0, 1, 2, 3]);
        assert_eq!(Tree::new("empty").fast(0..4), [0, 1, 2, 3]);
        assert_eq!(Tree::new("no-cpu").fast(0..0), [0; 0]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "files")]
    fn boards_with_big_and_little_cores_use_the_big_ones() {
        let rk3588 = Tree::new("rk3588").capacity(0..4, 414).capacity(4..8, 1024);
        let rk3588 = rk3588.khz(0..4, 1_800_000).khz(4..6, 2_256_000).khz(6..8, 2_304_000);
        assert_eq!(rk3588.fast(0..8), [4, 5, 6, 7]);
        // Those that the process may use are compared with one another.
        assert_eq!(rk3588.fast(0..4), [0, 1, 2, 3]);
        assert_eq!(rk3588.fast(3..5), [4]);
        // The little cores of the Amlogic S922X have the higher frequency.
        let s922x = Tree::new("s922x").capacity(0..2, 445).capacity(2..6, 1024);
        assert_eq!(s922x.khz(0..2, 1_908_000).khz(2..6, 1_800_000).fast(0..6), [2, 3, 4, 5]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "files")]
    fn a_prime_core_is_not_alone() {
        let phone = Tree::new("phone").capacity(0..4, 325).capacity(4..7, 818).capacity(7..8, 1024);
        assert_eq!(phone.fast(0..8), [4, 5, 6, 7]);
        let half = Tree::new("half").capacity(0..2, 512).capacity(2..4, 511).capacity(4..5, 1024);
        assert_eq!(half.fast(0..5), [0, 1, 4]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "files")]
    fn without_capacities_frequencies_decide() {
        // Turbo frequencies of equal cores, and efficient cores.
        let hybrid = Tree::new("hybrid").khz(0..4, 5_000_000).khz(4..8, 5_200_000).khz(8..16, 3_900_000);
        assert_eq!(hybrid.fast(0..16), numbers(0..8));
        let preferred = Tree::new("preferred").khz(0..8, 5_759_000).khz(8..16, 5_252_000);
        assert_eq!(preferred.fast(0..16), numbers(0..16));
        // A device tree that does not state capacities.
        let same = Tree::new("same").capacity(0..8, 1024).khz(0..4, 1_800_000).khz(4..8, 2_400_000);
        assert_eq!(same.fast(0..8), [4, 5, 6, 7]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "files")]
    fn what_cannot_be_read_restricts_nothing() {
        for contents in ["", "\n", "fast", "-1", "0", "1.5", "1024 1024", "99999999999999999999", "\0"] {
            let tree = Tree::new("garbage").capacity(0..3, 1024).with(3..4, "cpu_capacity", contents);
            assert_eq!(tree.fast(0..4), [0, 1, 2, 3], "{contents:?}");
            let tree = tree.khz(0..2, 1_000_000).khz(2..4, 2_000_000);
            assert_eq!(tree.fast(0..4), [2, 3], "{contents:?}");
        }
        // The largest number, and a CPU that is offline: it has no frequency, and no process may use it.
        let tree = Tree::new("largest").capacity(0..1, u32::MAX).capacity(1..2, 1);
        assert_eq!(tree.fast(0..2), [0]);
        let tree = Tree::new("offline").khz(0..2, 1_000_000).khz(2..3, 2_000_000).with(3..4, "online", "0\n");
        assert_eq!(tree.fast(0..3), [2]);
        assert_eq!(tree.fast(0..4), [0, 1, 2, 3]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "files")]
    fn there_may_be_more_than_64_cpus() {
        let tree = Tree::new("many").capacity(0..100, 300).capacity(100..200, 1024);
        assert_eq!(tree.fast(0..200), numbers(100..200));
    }

    #[test]
    fn sets_are_shown_as_ranges() {
        assert_eq!(Cores::new([3, 0, 2, 2, 7]).to_string(), "0,2-3,7");
        assert_eq!(Cores::new([5]).to_string(), "5");
        assert_eq!(Cores::new(4..8).to_string(), "4-7");
        assert_eq!(Cores::new(vec![]).to_string(), "");
    }

    #[test]
    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[cfg_attr(miri, ignore = "affects threads")]
    fn a_thread_can_be_pinned() {
        let usable = Cores::usable().unwrap();
        assert!(usable.len() > 0 && usable.check().is_ok());
        let last = Cores::new(usable.0.last().copied());
        let pinned = std::thread::spawn({
            let last = last.clone();
            move || last.pin(0, 2).and_then(|()| Cores::usable())
        });
        assert_eq!(pinned.join().unwrap().unwrap(), last);
        assert_eq!(Cores::usable().unwrap(), usable);
        for cpus in [vec![], vec![8191], vec![8192], vec![usize::MAX, usable.0[0]]] {
            let error = Cores::new(cpus.clone()).check().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{cpus:?}");
        }
        assert!(Cores::new([usize::MAX]).pin(0, 1).is_err());
    }
}

//! The scheduling of the calling thread: the CPUs on which it may run, and its time slice. Linux and Android only. On other systems
//! the CPUs are [`Unsupported`](std::io::ErrorKind::Unsupported), and the time slice stays as it is.

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub use other::{cpus, set_cpus, shorten_slice};
#[cfg(any(target_os = "linux", target_os = "android"))]
pub use system::{cpus, set_cpus, shorten_slice};

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use std::io;
    use std::vec::Vec;

    const BITS: usize = libc::c_ulong::BITS as usize;
    /// A bit for each CPU. 8192 are the most that Linux can be built for; `cpu_set_t` has 1024.
    type Mask = [libc::c_ulong; 8192 / BITS];

    /// The CPUs on which the calling thread may run.
    pub fn cpus() -> io::Result<Vec<usize>> {
        let mut mask: Mask = [0; 8192 / BITS];
        // SAFETY: the system writes at most the stated size, which is that of the mask.
        check(0 == unsafe { libc::sched_getaffinity(0, size_of::<Mask>(), mask.as_mut_ptr().cast()) })?;
        Ok((0..mask.len() * BITS).filter(|cpu| mask[cpu / BITS] >> (cpu % BITS) & 1 == 1).collect())
    }

    /// Lets the calling thread run on these CPUs only.
    pub fn set_cpus(cpus: &[usize]) -> io::Result<()> {
        let mut mask: Mask = [0; 8192 / BITS];
        for cpu in cpus {
            let word = mask.get_mut(cpu / BITS).ok_or(io::ErrorKind::InvalidInput)?;
            *word |= 1 << (cpu % BITS);
        }
        // SAFETY: the system reads at most the stated size, which is that of the mask.
        check(0 == unsafe { libc::sched_setaffinity(0, size_of::<Mask>(), mask.as_ptr().cast()) })
    }

    /// The error of the system call that has just failed, if it has.
    fn check(succeeded: bool) -> io::Result<()> {
        if succeeded { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Linux's `struct sched_attr`, in its first version.
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        /// The time slice in nanoseconds, for threads with the normal policy.
        runtime: u64,
        deadline: u64,
        period: u64,
    }

    /// Asks for the shortest time slice for the calling thread, if it has the normal policy. It then runs sooner after it is woken, and
    /// takes turns with other threads more often; its share of the CPU is the same. It is a hint: Linux before 6.12 ignores it, and a
    /// sandbox may forbid it.
    pub fn shorten_slice() {
        const SIZE: u32 = size_of::<Attributes>() as u32;
        /// `SCHED_OTHER`, which libc does not name on Android.
        const NORMAL: u32 = 0;
        /// In nanoseconds. Linux rounds shorter ones up to this.
        const SHORTEST: u64 = 100_000;
        let mut attributes = Attributes::default();
        // SAFETY: the system writes at most SIZE bytes, which is the size of the attributes. 0 stands for the calling thread.
        let known = 0 == unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, SIZE, 0) };
        if known && attributes.policy == NORMAL {
            (attributes.size, attributes.runtime) = (SIZE, SHORTEST);
            // SAFETY: the system reads as many bytes as `size` states, which is the size of the attributes.
            unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod other {
    use std::io;
    use std::vec::Vec;

    fn unsupported<T>() -> io::Result<T> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "CPUs can be chosen on Linux and Android only"))
    }

    pub fn cpus() -> io::Result<Vec<usize>> {
        unsupported()
    }

    pub fn set_cpus(_: &[usize]) -> io::Result<()> {
        unsupported()
    }

    pub fn shorten_slice() {}
}

#[cfg(test)]
#[cfg(any(target_os = "linux", target_os = "android"))]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no scheduler")]
    fn a_shorter_slice_leaves_the_priority_as_it_is() {
        // SAFETY: no memory is passed. The kernel's numbers: 20 − the nice value.
        let priority = || unsafe { libc::syscall(libc::SYS_getpriority, libc::PRIO_PROCESS, 0) };
        let thread = std::thread::spawn(move || {
            // SAFETY: as above. To lower one's own priority is always allowed, and concerns this thread only.
            assert_eq!(unsafe { libc::syscall(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, 19) }, 0);
            let before = priority();
            shorten_slice();
            assert_eq!((before, priority()), (1, 1));
        });
        thread.join().unwrap();
    }
}

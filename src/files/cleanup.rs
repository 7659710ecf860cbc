//! What a program sets up when it starts: handlers for the signals that end it, which remove temporary files first (except for SIGBUS),
//! and behaviour at the limits of the process.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Temporary files that exist now. Whoever creates, renames or removes one holds the lock, so that a signal never falls between
/// the change and its entry here.
static TEMPORARY: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

pub(crate) fn lock() -> MutexGuard<'static, Vec<PathBuf>> {
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes a path from the list.
pub(crate) fn forget(list: &mut Vec<PathBuf>, path: &Path) {
    list.retain(|other| other != path);
}

/// Prepares the process. Call it once, at the start of a program. Does nothing on platforms without these signals.
///
/// - SIGINT, SIGTERM and SIGHUP, unless they are ignored, remove all temporary files, then end the program as they do by default.
/// - SIGABRT does the same. If the program itself has raised it, as it does when memory is used up, the exit status is 1.
/// - SIGBUS, which the operating system raises when a mapped file has become shorter or cannot be read, ends the program with a
///   message.
/// - SIGXFSZ is ignored, so that writing beyond the limit of `ulimit -f` fails with an ordinary error.
/// - All threads share one heap. By default glibc reserves 64 MiB of address space for each thread, which soon exceeds a limit set by
///   `ulimit -v`.
pub fn prepare_process() {
    #[cfg(unix)]
    unix::prepare_process();
}

/// Whether the next interrupt sets [`INTERRUPTED`] instead of ending the program.
static CAUGHT: AtomicBool = AtomicBool::new(false);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on the first SIGINT or SIGTERM sets the flag that this returns, so that the program can end by itself. A second one ends it
/// as described at [`prepare_process`].
pub fn catch_interrupts() -> &'static AtomicBool {
    CAUGHT.store(true, Ordering::Relaxed);
    &INTERRUPTED
}

#[cfg(unix)]
mod unix {
    use super::{CAUGHT, INTERRUPTED};
    use signal_hook::consts::{SIGABRT, SIGBUS, SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook_registry::{register, register_sigaction};
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;
    use std::sync::atomic::Ordering;

    pub(super) fn prepare_process() {
        // SAFETY: it only sets an option of the allocator.
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, 1)
        };
        // SAFETY: the signal may be ignored. The handlers call only functions that are safe in a signal handler.
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            let _ = register(SIGBUS, bus_error);
            let _ = register_sigaction(SIGABRT, aborted);
        }
        handle_interrupts();
    }

    fn handle_interrupts() {
        // `nohup`, and shells for jobs in the background, start programs with signals ignored.
        let handled: Vec<_> = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|s| !is_ignored(*s)).collect();
        let Ok(mut signals) = Signals::new(&handled) else { return };
        let handle = signals.handle();
        let restored = handled.clone();
        let act = move || {
            for signal in signals.forever() {
                if signal != SIGHUP && CAUGHT.swap(false, Ordering::Relaxed) {
                    INTERRUPTED.store(true, Ordering::Relaxed);
                    continue;
                }
                // A second signal ends the program at once, should a file system hang.
                restore_default(&restored);
                // The lock is kept: no output file appears under its final name any more.
                let files = super::lock();
                for file in files.iter() {
                    let _ = std::fs::remove_file(file);
                }
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        };
        let started =
            memory_for_a_thread() && std::thread::Builder::new().name("signals".into()).spawn(act).is_ok();
        // Otherwise nothing would act on the signals.
        if !started {
            handle.close();
            restore_default(&handled);
        }
    }

    /// Whether there is memory for a thread's stack and some to spare: the process ends if a small allocation fails.
    fn memory_for_a_thread() -> bool {
        const BYTES: usize = 6 << 20;
        // Otherwise the compiler might remove the allocation, as nothing uses it.
        std::hint::black_box(Vec::<u8>::new()).try_reserve_exact(BYTES).is_ok()
    }

    fn is_ignored(signal: i32) -> bool {
        // SAFETY: all bits zero are a valid `sigaction`, and the call only writes the current action to it.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, std::ptr::null(), &mut action) == 0
                && action.sa_sigaction == libc::SIG_IGN
        }
    }

    fn restore_default(signals: &[i32]) {
        for signal in signals {
            // SAFETY: the default action is valid for these signals.
            unsafe { libc::signal(*signal, libc::SIG_DFL) };
        }
    }

    fn bus_error() {
        fail(b"error: a mapped file cannot be read: it became shorter, or the disk failed (SIGBUS)\n");
    }

    /// Removes temporary files and ends the program. `try_lock`, because the thread that aborts may hold the lock.
    fn aborted(signal: &libc::siginfo_t) {
        if let Ok(files) = super::TEMPORARY.try_lock() {
            files.iter().for_each(|file| remove(file));
            // The lock is kept: no output file appears under its final name any more.
            std::mem::forget(files);
        }
        // SAFETY: the sender is set, because this signal comes from a process, not from the kernel; both functions are safe in a signal
        // handler.
        if unsafe { signal.si_pid() == libc::getpid() } {
            fail(b"error: the program cannot go on, probably because memory is used up\n");
        }
        let _ = signal_hook::low_level::emulate_default_handler(SIGABRT);
    }

    /// Removes a file without an allocation.
    fn remove(file: &Path) {
        let mut path = [0; libc::PATH_MAX as usize];
        let bytes = file.as_os_str().as_bytes();
        if let Some(start) = path.get_mut(..bytes.len() + 1) {
            start[..bytes.len()].copy_from_slice(bytes);
            // SAFETY: the path ends with a zero.
            unsafe { libc::unlink(path.as_ptr().cast()) };
        }
    }

    /// Ends the program with a message.
    fn fail(message: &[u8]) {
        // SAFETY: both functions are safe in a signal handler; the message is valid for its length.
        unsafe {
            libc::write(2, message.as_ptr().cast(), message.len());
            libc::_exit(1);
        }
    }
}

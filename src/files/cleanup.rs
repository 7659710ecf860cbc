//! Signals that end the program: temporary files are removed before, except for SIGBUS.

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

/// Starts to handle signals: SIGINT, SIGTERM and SIGHUP, unless they are ignored, remove all temporary files, then end the
/// program as they do by default. SIGBUS, which the operating system raises when a mapped file has become shorter or cannot be
/// read, ends it with a message. Call it once, at the start of a program. Does nothing on platforms without these signals.
pub fn handle_signals() {
    #[cfg(unix)]
    unix::handle_signals();
}

/// Whether the next interrupt sets [`INTERRUPTED`] instead of ending the program.
static CAUGHT: AtomicBool = AtomicBool::new(false);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on the first SIGINT or SIGTERM sets the flag that this returns, so that the program can end by itself. A second one ends it
/// as described at [`handle_signals`].
pub fn catch_interrupts() -> &'static AtomicBool {
    CAUGHT.store(true, Ordering::Relaxed);
    &INTERRUPTED
}

#[cfg(unix)]
mod unix {
    use super::{CAUGHT, INTERRUPTED};
    use signal_hook::consts::{SIGBUS, SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use std::sync::atomic::Ordering;

    pub(super) fn handle_signals() {
        // SAFETY: `bus_error` calls only functions that are safe in a signal handler.
        let _ = unsafe { signal_hook::low_level::register(SIGBUS, bus_error) };
        // `nohup`, and shells for jobs in the background, start programs with signals ignored.
        let handled: Vec<_> = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|s| !is_ignored(*s)).collect();
        let Ok(mut signals) = Signals::new(&handled) else { return };
        let handle = signals.handle();
        let restored = handled.clone();
        let thread = std::thread::Builder::new().name("signals".into()).spawn(move || {
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
        });
        // If the thread cannot be started, nothing would act on the signals.
        if thread.is_err() {
            handle.close();
            restore_default(&handled);
        }
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
        const MESSAGE: &[u8] =
            b"error: a mapped file cannot be read: it became shorter, or the disk failed (SIGBUS)\n";
        // SAFETY: both functions are safe in a signal handler; the message is valid for its length.
        unsafe {
            libc::write(2, MESSAGE.as_ptr().cast(), MESSAGE.len());
            libc::_exit(1);
        }
    }
}

//! Signals: temporary files are removed before a signal ends the program.

use std::path::{Path, PathBuf};
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

/// Starts to handle signals: SIGINT, SIGTERM and SIGHUP remove all temporary files, then end the program as they do by default.
/// SIGBUS, which the operating system raises when a mapped file has become shorter, ends it with a message. Call it once, at
/// the start of a program. Does nothing on platforms without these signals.
pub fn handle_signals() {
    #[cfg(unix)]
    unix::handle_signals();
}

#[cfg(unix)]
mod unix {
    use signal_hook::consts::{SIGBUS, SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    pub(super) fn handle_signals() {
        // SAFETY: `bus_error` calls only functions that are safe in a signal handler.
        let _ = unsafe { signal_hook::low_level::register(SIGBUS, bus_error) };
        let Ok(mut signals) = Signals::new([SIGINT, SIGTERM, SIGHUP]) else { return };
        // Without a thread the signals are caught, but nothing would act on them: better to keep the default action.
        let handle = signals.handle();
        let thread = std::thread::Builder::new().name("signals".into()).spawn(move || {
            if let Some(signal) = signals.forever().next() {
                // The lock is kept: no output file appears under its final name any more.
                let files = super::lock();
                for file in files.iter() {
                    let _ = std::fs::remove_file(file);
                }
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        });
        if thread.is_err() {
            handle.close();
            for signal in [SIGINT, SIGTERM, SIGHUP] {
                // SAFETY: the default action is valid for these signals.
                unsafe { libc::signal(signal, libc::SIG_DFL) };
            }
        }
    }

    fn bus_error() {
        const MESSAGE: &[u8] = b"error: a file became shorter while it was used (SIGBUS)\n";
        // SAFETY: both functions are safe in a signal handler; the message is valid for its length.
        unsafe {
            libc::write(2, MESSAGE.as_ptr().cast(), MESSAGE.len());
            libc::_exit(1);
        }
    }
}

//! Files of the command-line programs.
//!
//! | file | content |
//! | --- | --- |
//! | `regular` | opening and reading regular files, within a limit |
//! | `output` | [`OutputFile`], a file that appears under its name when it is complete, and [`TemporaryFile`] |
//! | `targets` | checks, before any work, that no output is an input or another output |
//! | `terminal` | [`printable`]: text from files, without escape sequences; [`print_failure`] |
//! | `cleanup` | [`prepare_process`]: removal of temporary files when a signal ends the program, messages for what ends it by a signal |

mod cleanup;
mod output;
mod regular;
mod targets;
mod terminal;

pub use cleanup::{catch_interrupts, prepare_process};
pub use output::{OutputFile, TemporaryFile, write};
pub use regular::{open, read, read_up_to};
pub use targets::{TargetError, check};
pub use terminal::{print_failure, printable};

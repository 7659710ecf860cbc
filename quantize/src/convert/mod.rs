//! Whole conversions: options in, a weight file and a report out.

mod auto;
mod single;
mod temporary;
mod tensor;

use crate::error::Error;
use crate::options::Options;
use crate::output::Report;

/// Converts a checkpoint. `progress` receives the number of finished steps and the number of steps of the current phase.
///
/// # Errors
/// The checkpoint is damaged or not a BEiT segmentation model, an option contradicts it, or the output cannot be written. The
/// output path is then left as it was.
pub fn convert(options: &Options, progress: &mut dyn FnMut(usize, usize)) -> Result<Report, Error> {
    match options.agreement {
        Some(goal) => auto::convert(options, goal, progress),
        None => single::convert(options, progress),
    }
}

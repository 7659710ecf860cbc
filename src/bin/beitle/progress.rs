//! Progress within a picture: the windows that have run.

use crate::console::progress_bar;
use beitle::observe::{Observer, Stage};
use indicatif::ProgressBar;

/// An observer that shows how many windows of a picture have run: as a bar of its own, or next to the bar of the pictures.
pub struct WindowProgress<'a> {
    pictures: &'a ProgressBar,
    name: String,
    windows: Option<ProgressBar>,
}

impl<'a> WindowProgress<'a> {
    /// For the picture of this name; `pictures` is the bar of all pictures, hidden if there is only one.
    pub fn new(pictures: &'a ProgressBar, name: String) -> Self {
        WindowProgress { pictures, name, windows: None }
    }

    /// Removes the bar.
    pub fn finish(&mut self) {
        if let Some(bar) = self.windows.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for WindowProgress<'_> {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Observer for WindowProgress<'_> {
    fn done(&mut self, _: Stage, _: u64) -> bool {
        true
    }

    fn window(&mut self, done: usize, total: usize) {
        if total == 1 {
            return;
        }
        if !self.pictures.is_hidden() {
            self.pictures.set_message(format!("{} (window {done} of {total})", self.name));
            return;
        }
        let bar = self.windows.get_or_insert_with(|| {
            let bar = progress_bar(total);
            bar.set_message(format!("windows of {}", self.name));
            bar
        });
        bar.set_position(done as u64);
    }
}

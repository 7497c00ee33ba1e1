//! Progress of long work: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

use crate::escape;
use crate::printer::Printer;

/// Shows how far something is.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    what: String,
    printer: Printer,
    /// The last tenth that was said.
    said: AtomicU64,
}

impl Progress {
    pub(crate) fn new(what: &str, printer: &Printer) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len}");
            ProgressBar::new(0)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
                .with_message(escape::escaped(what))
        });
        Self { bar, what: what.to_owned(), printer: *printer, said: AtomicU64::new(0) }
    }

    pub(crate) fn at(&self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            return;
        }
        // Short work says nothing.
        let tenth = if total < 200 { 0 } else { done * 10 / total };
        if self.said.fetch_max(tenth, Ordering::Relaxed) < tenth {
            self.printer.note(format!("{}: {done} of {total}", self.what));
        }
    }

    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

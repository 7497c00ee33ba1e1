//! Shows the progress of long work. On a terminal, the progress is a bar. In all other cases, the
//! progress consists of lines of text.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

use crate::output::escape;
use crate::output::printer::Printer;

/// If no step ends within this time, Beadle prints the name of the vendor that does not answer.
const SILENCE: Duration = Duration::from_secs(15);

/// Shows the progress of one task.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    what: String,
    printer: Printer,
    /// The progress that was printed most recently, in tenths of the work.
    printed: AtomicU64,
    /// The number of steps that have ended.
    moves: Arc<AtomicU64>,
    silence: JoinHandle<()>,
}

impl Progress {
    pub(crate) fn new(what: &str, printer: &Printer) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len}");
            ProgressBar::new(0)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
                .with_message(escape::escaped(what))
        });
        let moves = Arc::new(AtomicU64::new(0));
        let (note, shown) = (*printer, bar.clone());
        let report = move |text: String| match &shown {
            Some(bar) => bar.suspend(|| note.note(text)),
            None => note.note(text),
        };
        let silence = tokio::spawn(watch(what.to_owned(), moves.clone(), report));
        Self { bar, what: what.to_owned(), printer: *printer, printed: AtomicU64::new(0), moves, silence }
    }

    pub(crate) fn at(&self, done: u64, total: u64) {
        self.moves.fetch_add(1, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            return;
        }
        // If the work is short, Beadle prints no progress.
        let tenth = if total < 200 { 0 } else { done * 10 / total };
        if self.printed.fetch_max(tenth, Ordering::Relaxed) < tenth {
            self.printer.note(format!("{}: {done} of {total}", self.what));
        }
    }

    pub(crate) fn end(&self) {
        self.silence.abort();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.silence.abort();
    }
}

/// If no step ends, calls `report` repeatedly, so that the user knows why Beadle waits.
async fn watch(what: String, moves: Arc<AtomicU64>, report: impl Fn(String)) {
    let (mut seen, mut waited) = (0, Duration::ZERO);
    loop {
        tokio::time::sleep(SILENCE).await;
        let now = moves.load(Ordering::Relaxed);
        waited = if now == seen { waited + SILENCE } else { Duration::ZERO };
        seen = now;
        if waited > Duration::ZERO {
            report(format!("{what}: no answer for {} s; still waiting", waited.as_secs()));
        }
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_vendor_is_reported_again_and_again() {
        let (texts, moves) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU64::new(0)));
        let heard = texts.clone();
        let report = move |text: String| heard.lock().push(text);
        let watching = tokio::spawn(watch("reading acme".to_owned(), moves.clone(), report));
        tokio::time::sleep(SILENCE * 2 + Duration::from_secs(1)).await;
        moves.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(SILENCE).await;
        watching.abort();
        let expected =
            [15, 30].map(|waited| format!("reading acme: no answer for {waited} s; still waiting"));
        assert_eq!(*texts.lock(), expected);
    }

    #[tokio::test]
    async fn ended_progress_reports_no_wait() {
        let progress = Progress::new("reading acme", &Printer::plain());
        progress.at(1, 1);
        progress.end();
        tokio::task::yield_now().await;
        assert!(progress.silence.is_finished());
        assert_eq!(progress.moves.load(Ordering::Relaxed), 1);
    }
}

//! Everything that is printed goes through here: standard output for results, standard error for the rest.

use std::fmt::Display;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use owo_colors::{OwoColorize, Style};

use crate::cli::Color;

/// Whether something could not be printed: on a full disk, most likely.
static LOST: AtomicBool = AtomicBool::new(false);

/// Owns the output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    color: bool,
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Heading,
    Faint,
    Good,
    Notice,
    Danger,
}

#[expect(clippy::unused_self, reason = "whoever prints has to be given the printer")]
impl Printer {
    pub(crate) fn new(color: Color) -> Self {
        Self { color: color.resolve() }
    }

    /// A printer for files: no colour.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { color: false }
    }

    /// A result.
    pub(crate) fn line(&self, text: impl Display) {
        let mut out = std::io::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            // A reader that has seen enough closed the pipe: there is nobody to tell.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                LOST.store(true, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    /// Whether a part of the result could not be printed.
    pub(crate) fn has_lost(&self) -> bool {
        LOST.load(Ordering::Relaxed)
    }

    /// Something beside the result.
    pub(crate) fn note(&self, text: impl Display) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// Why it did not work.
    pub(crate) fn error(&self, text: &str) {
        let label = if text.starts_with("error") {
            String::new()
        } else {
            format!("{}: ", self.paint(Tone::Danger, "error"))
        };
        self.note(format!("{label}{text}"));
    }

    /// Colours a text, where colour is wanted. Nothing is said by colour alone.
    pub(crate) fn paint(&self, tone: Tone, text: impl Display) -> String {
        if !self.color {
            return text.to_string();
        }
        let style = match tone {
            Tone::Heading => Style::new().bold(),
            Tone::Faint => Style::new().dimmed(),
            Tone::Good => Style::new().green(),
            Tone::Notice => Style::new().yellow(),
            Tone::Danger => Style::new().red().bold(),
        };
        text.style(style).to_string()
    }
}

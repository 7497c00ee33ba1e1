//! Everything that is printed goes through here: standard output for results, standard error for the rest.
//!
//! Printed values come from outside: names, descriptions, errors of vendors. So the printer escapes
//! every character that acts on a terminal, in all that it is given. Colour is asked for by
//! [`Printer::paint`], which marks its text with characters that Unicode keeps for such use inside
//! of a program; only the printer turns marks into colour.

use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use owo_colors::Style;

use crate::cli::Color;
use crate::output::escape;

/// Whether something could not be printed: on a full disk, most likely.
static LOST: AtomicBool = AtomicBool::new(false);

/// The longest line for people, in characters.
const LINE: usize = 16 * 1024;
/// Ends what a tone's mark begins. A name that has one in it can colour its own line, and nothing
/// else.
const END: char = '\u{fdd5}';
/// Ends every colour.
const RESET: &str = "\u{1b}[0m";

/// Owns the output.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    color: bool,
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// A title.
    Heading,
    /// A detail.
    Faint,
    /// A success.
    Good,
    /// Something to look at.
    Notice,
    /// A failure, or a change that takes something away.
    Danger,
}

impl Tone {
    const ALL: [Self; 5] = [Self::Heading, Self::Faint, Self::Good, Self::Notice, Self::Danger];

    /// The mark that begins a text of this tone, between `paint` and the printer.
    fn mark(self) -> char {
        match self {
            Self::Heading => '\u{fdd0}',
            Self::Faint => '\u{fdd1}',
            Self::Good => '\u{fdd2}',
            Self::Notice => '\u{fdd3}',
            Self::Danger => '\u{fdd4}',
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Heading => Style::new().bold(),
            Self::Faint => Style::new().dimmed(),
            Self::Good => Style::new().green(),
            Self::Notice => Style::new().yellow(),
            Self::Danger => Style::new().red().bold(),
        }
    }
}

impl Printer {
    /// Creates a printer that colours its text as the user asked.
    pub fn new(color: Color) -> Self {
        Self { color: color.resolve() }
    }

    /// A printer for files: no colour.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { color: false }
    }

    /// A result for people: one line, whatever is in it.
    pub fn line(&self, text: impl Display) {
        to_stdout(&self.shown(&text.to_string()));
    }

    /// A result of several lines. The breaks are the caller's: no value in it may bring its own.
    pub fn lines(&self, text: impl Display) {
        text.to_string().lines().for_each(|line| self.line(line));
    }

    /// A result for programs: JSON, whole.
    pub fn json(&self, text: &str) {
        to_stdout(&escape::json(text));
    }

    /// Text that this program makes of nothing but itself, such as completions.
    pub fn own(&self, text: &str) {
        to_stdout(text);
    }

    /// Whether a part of the result could not be printed.
    pub fn has_lost(&self) -> bool {
        LOST.load(Ordering::Relaxed)
    }

    /// Something beside the result: one line.
    pub fn note(&self, text: impl Display) {
        let _ = writeln!(std::io::stderr().lock(), "{}", self.shown(&text.to_string()));
    }

    /// A question: the answer follows on the same line.
    pub fn ask(&self, text: impl Display) {
        let _ = write!(std::io::stderr().lock(), "{} ", self.shown(&text.to_string()));
    }

    /// Why it did not work. A policy's problems are lines of their own.
    pub fn error(&self, text: &str) {
        let label = if text.starts_with("error") {
            String::new()
        } else {
            format!("{}: ", self.paint(Tone::Danger, "error"))
        };
        format!("{label}{text}").lines().for_each(|line| self.note(line));
    }

    /// Colours a text, where colour is wanted. Nothing is said by colour alone.
    pub fn paint(&self, tone: Tone, text: impl Display) -> String {
        if self.color { format!("{}{text}{END}", tone.mark()) } else { text.to_string() }
    }

    /// The text for a terminal: escaped, cut, and coloured at the marks of tones.
    fn shown(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut is_open = false;
        for c in escape::cut(text, LINE).chars() {
            let tone = Tone::ALL.into_iter().find(|tone| tone.mark() == c);
            match tone.filter(|_| self.color) {
                Some(tone) => {
                    let _ = write!(out, "{}", tone.style().prefix_formatter()); // a text takes everything
                    is_open = true;
                }
                None if c == END && self.color => {
                    out.push_str(RESET);
                    is_open = false;
                }
                None => escape::put(&mut out, c),
            }
        }
        if is_open {
            out.push_str(RESET);
        }
        out
    }
}

fn to_stdout(text: &str) {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // A reader that has seen enough closed the pipe: there is nobody to tell.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            LOST.store(true, Ordering::Relaxed);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_printer_colours() {
        let printer = Printer { color: true };
        let text = format!("{} of {}", printer.paint(Tone::Good, "1\u{1b}[5m"), "\u{1b}]0;title\u{7}");
        assert_eq!(printer.shown(&text), "\u{1b}[32m1\\u{1b}[5m\u{1b}[0m of \\u{1b}]0;title\\u{7}");
        assert_eq!(Printer::plain().shown("\u{fdd2}a\u{fdd5}\nb"), r"\u{fdd2}a\u{fdd5}\nb");
    }

    #[test]
    fn a_name_cannot_leave_a_colour_open_nor_make_a_line() {
        let printer = Printer { color: true };
        assert_eq!(printer.shown("\u{fdd4}a\nb"), "\u{1b}[31;1ma\\nb\u{1b}[0m");
        assert!(printer.shown(&"x".repeat(10_000_000)).len() < 20_000);
    }
}

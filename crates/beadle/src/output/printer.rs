//! Prints all output of the commands. Results go to standard output, and everything else goes to
//! standard error. No other code is allowed to print.
//!
//! Printed values such as names, descriptions and errors come from outside. So the printer escapes
//! every character that would control a terminal. [`Printer::paint`] marks the beginning and the
//! end of coloured text with characters that Unicode reserves for use inside a program. Only the
//! printer replaces these marks with colour codes.

use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use owo_colors::Style;

use crate::cli::Color;
use crate::output::escape;

/// True if a part of the output could not be written, for example because the disk is full.
static LOST: AtomicBool = AtomicBool::new(false);
/// True if the reader of standard output has closed the pipe. For example, `head` does this.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// The maximum length of a readable line, in characters.
const LINE: usize = 16 * 1024;
/// The mark that ends a coloured text. If a name from outside contains such a mark, the name can
/// change only the colour of its own line.
const END: char = '\u{fdd5}';
/// The terminal code that ends all colours.
const RESET: &str = "\u{1b}[0m";

/// Prints the results, notes and errors of a command.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    /// True if the printer writes colour to standard output.
    stdout: bool,
    /// True if the printer writes colour to standard error.
    stderr: bool,
    /// True if readable lines go to standard error, because standard output contains only JSON.
    is_json: bool,
}

/// The meaning of a text. The meaning decides the colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// A title.
    Heading,
    /// A detail that is less important than the text around it.
    Faint,
    /// A success.
    Good,
    /// A text that the reader should notice.
    Notice,
    /// A failure or a removal.
    Danger,
}

impl Tone {
    const ALL: [Self; 5] = [Self::Heading, Self::Faint, Self::Good, Self::Notice, Self::Danger];

    /// Returns the mark that `paint` puts before a text of this tone. The printer replaces the mark
    /// with a colour code.
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
    /// Creates a printer. The user's option decides whether the printer writes colour.
    pub fn new(color: Color) -> Self {
        Self { stdout: color.on_stdout(), stderr: color.on_stderr(), is_json: false }
    }

    /// Creates a printer that writes no colour.
    pub(crate) fn plain() -> Self {
        Self { stdout: false, stderr: false, is_json: false }
    }

    /// Returns a printer for a command whose results are JSON if `is_json` is true. The printer then
    /// writes readable lines, such as the progress, to standard error.
    #[must_use]
    pub(crate) fn beside_json(self, is_json: bool) -> Self {
        Self { is_json, ..self }
    }

    /// Prints one readable line of a result. Escapes line breaks in the text, so that the result is
    /// always one line.
    pub fn line(&self, text: impl Display) {
        if self.is_json {
            return self.note(text);
        }
        to_stdout(&self.shown(&text.to_string(), self.stdout));
    }

    /// Prints a result of several lines. The caller must make sure that the values in the text have
    /// no line breaks.
    pub fn lines(&self, text: impl Display) {
        text.to_string().lines().for_each(|line| self.line(line));
    }

    /// Prints a result for programs, as JSON.
    pub fn json(&self, text: &str) {
        to_stdout(&escape::json(text));
    }

    /// Prints text that contains no value from outside, such as the completions of a shell. Does
    /// not escape the text.
    pub fn own(&self, text: &str) {
        to_stdout(text);
    }

    /// Returns whether a part of the output could not be written, so that the command can end with
    /// an error.
    pub fn has_lost(&self) -> bool {
        LOST.load(Ordering::Relaxed)
    }

    /// Returns whether nobody reads standard output any more. A command with long output can then
    /// end early.
    pub fn is_closed(&self) -> bool {
        CLOSED.load(Ordering::Relaxed)
    }

    /// Prints one line to standard error, so that it does not become part of the result.
    pub fn note(&self, text: impl Display) {
        let _ = writeln!(std::io::stderr().lock(), "{}", self.shown(&text.to_string(), self.stderr));
    }

    /// Prints a question without a line break, so that the user types the answer on the same line.
    pub fn ask(&self, text: impl Display) {
        let _ = write!(std::io::stderr().lock(), "{} ", self.shown(&text.to_string(), self.stderr));
    }

    /// Prints an error. The hint has a separate line. Each problem of a policy also has a separate
    /// line.
    pub fn error(&self, text: &str) {
        let label = if text.starts_with("error") {
            String::new()
        } else {
            format!("{}: ", self.paint(Tone::Danger, "error"))
        };
        format!("{label}{text}").lines().for_each(|line| self.note(line));
    }

    /// Returns whether [`Self::paint`] adds marks. `paint` adds marks if standard output or
    /// standard error has colour.
    fn marks(&self) -> bool {
        self.stdout || self.stderr
    }

    /// Marks a text for colour, if colour is on. The output must also be complete without colour.
    pub fn paint(&self, tone: Tone, text: impl Display) -> String {
        if self.marks() { format!("{}{text}{END}", tone.mark()) } else { text.to_string() }
    }

    /// Escapes and cuts a text for a terminal, and replaces the marks with colour codes.
    fn shown(&self, text: &str, color: bool) -> String {
        let mut out = String::with_capacity(text.len());
        let mut is_open = false;
        for c in escape::cut(text, LINE).chars() {
            let tone = Tone::ALL.into_iter().find(|tone| tone.mark() == c);
            match tone.filter(|_| self.marks()) {
                Some(_) if !color => {}
                Some(tone) => {
                    let _ = write!(out, "{}", tone.style().prefix_formatter()); // writing to a string cannot fail
                    is_open = true;
                }
                None if c == END && self.marks() => {
                    if is_open {
                        out.push_str(RESET);
                    }
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
        // A pipe that the reader has closed is not an error.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            CLOSED.store(true, Ordering::Relaxed);
        }
        Err(_) => LOST.store(true, Ordering::Relaxed),
        Ok(()) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_printer_colours() {
        let printer = Printer { stdout: true, stderr: true, is_json: false };
        let text = format!("{} of {}", printer.paint(Tone::Good, "1\u{1b}[5m"), "\u{1b}]0;title\u{7}");
        assert_eq!(printer.shown(&text, true), "\u{1b}[32m1\\u{1b}[5m\u{1b}[0m of \\u{1b}]0;title\\u{7}");
        assert_eq!(Printer::plain().shown("\u{fdd2}a\u{fdd5}\nb", false), r"\u{fdd2}a\u{fdd5}\nb");
    }

    #[test]
    fn a_name_cannot_leave_a_colour_open_nor_make_a_line() {
        let printer = Printer { stdout: true, stderr: true, is_json: false };
        assert_eq!(printer.shown("\u{fdd4}a\nb", true), "\u{1b}[31;1ma\\nb\u{1b}[0m");
        assert!(printer.shown(&"x".repeat(10_000_000), true).len() < 20_000);
    }
    #[test]
    fn a_stream_without_colour_gets_no_mark() {
        let printer = Printer { stdout: false, stderr: true, is_json: false };
        let text = printer.paint(Tone::Danger, "error");
        assert_eq!(printer.shown(&text, printer.stdout), "error");
        assert_eq!(printer.shown(&text, printer.stderr), "\u{1b}[31;1merror\u{1b}[0m");
    }
}

//! The output of the demo: headings, text, the results of checks, and the output of commands.

use std::path::Path;

use beadle::output::{Printer, Tone};

use super::service;

/// Prints the result of each check, and remembers whether a check failed.
pub(super) struct Proof<'a> {
    pub(super) printer: &'a Printer,
    pub(super) failed: bool,
}

impl Proof<'_> {
    pub(super) fn show(&mut self, holds: bool, what: &str, otherwise: &str) {
        if holds {
            self.printer.line(format!("  {} {what}", self.printer.paint(Tone::Good, "verified:")));
        } else {
            self.failed = true;
            self.printer
                .line(format!("  {} {what}: {otherwise}", self.printer.paint(Tone::Danger, "FAILED:")));
        }
    }
}

/// Prints the heading of an act.
pub(super) fn title(printer: &Printer, text: &str) {
    printer.line("");
    printer.line(printer.paint(Tone::Heading, text));
}

/// Prints a line of text.
pub(super) fn narrate(printer: &Printer, text: &str) {
    printer.line(format!("  {text}"));
}

/// Runs this program as a child process and prints its output.
pub(super) async fn beadle(folder: &Path, printer: &Printer, args: &[&str]) -> anyhow::Result<Option<i32>> {
    let output = service::command(folder)?.args(args).output().await?;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        printer.line(format!("  {line}"));
    }
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        printer.note(format!("  {line}"));
    }
    Ok(output.status.code())
}

/// Runs this program as a child process and returns its output.
pub(super) async fn beadle_quietly(folder: &Path, args: &[&str]) -> anyhow::Result<String> {
    let output = service::command(folder)?.args(args).output().await?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

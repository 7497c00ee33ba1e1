//! Asks the operator for confirmation. Every command that asks a yes-or-no question uses this module.

use std::io::{BufRead, IsTerminal as _};

use crate::output::printer::Printer;

/// Asks a question, and returns whether the operator confirms.
pub(in crate::commands) type Ask<'a> = &'a (dyn Fn(&str) -> anyhow::Result<bool> + Sync);

/// Returns whether Beadle can ask: the operator sees the question and answers it on a terminal.
pub(in crate::commands) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks a question on the terminal. Returns whether the operator confirms.
pub(in crate::commands) fn is_confirmed(question: &str, printer: &Printer) -> anyhow::Result<bool> {
    is_confirmed_by(&mut std::io::stdin().lock(), question, printer)
}

/// Asks a question, and reads the answer from `answers`. Every answer except a clear yes declines.
fn is_confirmed_by(answers: &mut dyn BufRead, question: &str, printer: &Printer) -> anyhow::Result<bool> {
    printer.ask(format!("{question} [y/N]"));
    let mut answer = String::new();
    answers.read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_confirms() {
        for (answers, confirms) in [
            ("y\n", true),
            (" Y \r\n", true),
            ("yes", true),
            ("n\n", false),
            ("N\ny\n", false),
            ("\n", false),
            ("", false),
            ("yep\n", false),
        ] {
            let mut input = answers.as_bytes();
            let confirmed = is_confirmed_by(&mut input, "Write?", &Printer::plain()).unwrap();
            assert_eq!(confirmed, confirms, "{answers:?}");
        }
    }

    #[test]
    fn a_question_takes_one_line_of_the_input() {
        let mut answers = "y\nn\n".as_bytes();
        let printer = Printer::plain();
        assert!(is_confirmed_by(&mut answers, "Write?", &printer).unwrap());
        assert!(!is_confirmed_by(&mut answers, "Write?", &printer).unwrap());
    }
}

//! Pages in Markdown, for pull requests and job summaries.
//!
//! A [`Piece`] is either a word of this program or a value from outside, and a page takes nothing
//! else. A value becomes code: GitHub looks for mentions, references, links and HTML everywhere but
//! there.

use std::fmt::{Display, Write as _};

use crate::output::escape;

/// A piece of a page, ready to stand in a heading, a quotation or a table's cell.
pub(crate) struct Piece(String);

impl Piece {
    /// Words of this program.
    pub(crate) fn own(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// A number.
    pub(crate) fn number(number: u64) -> Self {
        Self(number.to_string())
    }

    /// A value from outside, as code: it is shown as it is, and does nothing.
    pub(crate) fn value(text: impl Display) -> Self {
        let text = escape::value(format_args!("{text}"));
        // A bar ends a cell, in code too, and a backslash before it may be one itself: it stands
        // outside.
        let parts: Vec<String> = text.split('|').map(code).collect();
        Self(parts.join("&#124;"))
    }

    /// The same, marked as grave.
    pub(crate) fn bold(self) -> Self {
        Self(format!("**{}**", self.0))
    }
}

/// Code that ends where it is meant to: its fence is longer than every row of backticks in it.
fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    // Markdown does not show one space at both ends; without the space a backtick would end the
    // fence.
    let is_padded = |c: char| c == '`' || c == ' ';
    let pad = if text.starts_with(is_padded) || text.ends_with(is_padded) { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A page.
#[derive(Default)]
pub(crate) struct Page(String);

impl Page {
    /// A heading: `##` with 2.
    pub(crate) fn heading(&mut self, level: usize, pieces: &[Piece]) {
        let _ = writeln!(self.0, "\n{} {}", "#".repeat(level), joined(pieces, " ")); // a text takes everything
    }

    /// A paragraph.
    pub(crate) fn paragraph(&mut self, pieces: &[Piece]) {
        let _ = writeln!(self.0, "\n{}", joined(pieces, " "));
    }

    /// A quotation: what has to be seen.
    pub(crate) fn quote(&mut self, pieces: &[Piece]) {
        let _ = writeln!(self.0, "\n> {}", joined(pieces, " "));
    }

    /// Begins a table.
    pub(crate) fn table(&mut self, columns: &[&'static str]) {
        let _ = writeln!(self.0, "\n| {} |\n|{}", columns.join(" | "), "---|".repeat(columns.len()));
    }

    /// A row of the table that was begun.
    pub(crate) fn row(&mut self, cells: &[Piece]) {
        let _ = writeln!(self.0, "| {} |", joined(cells, " | "));
    }

    /// All of it.
    pub(crate) fn text(&self) -> &str {
        self.0.trim_start()
    }
}

fn joined(pieces: &[Piece], between: &str) -> String {
    pieces.iter().map(|piece| piece.0.as_str()).collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> String {
        Piece::value(text).0
    }

    #[test]
    fn a_value_is_inert_in_markdown() {
        for (hostile, inert) in [
            ("@acme/security see #123", "`@acme/security see #123`"),
            ("[click](https://evil.example)", "`[click](https://evil.example)`"),
            ("<img src=x onerror=alert(1)>", "`<img src=x onerror=alert(1)>`"),
            ("a`@team`b", "``a`@team`b``"),
            ("`@team`", "`` `@team` ``"),
            ("```\n@team", r"```` ```\n@team ````"),
        ] {
            assert_eq!(encoded(hostile), inert);
        }
        assert_eq!(encoded(""), "");
    }

    #[test]
    fn no_value_leaves_its_cell() {
        assert_eq!(encoded("a|@team"), "`a`&#124;`@team`");
        assert_eq!(encoded(r"a\|b"), r"`a\`&#124;`b`");
        let mut page = Page::default();
        page.table(&["change", "result"]);
        page.row(&[Piece::value("x | y\n| z |"), Piece::own("written")]);
        let row = page.text().lines().last().unwrap();
        assert_eq!(row.matches('|').count(), 3, "{row}");
    }
}

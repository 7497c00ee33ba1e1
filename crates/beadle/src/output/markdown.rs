//! Writes pages in Markdown. Beadle uses these pages for pull requests and job summaries.
//!
//! A page consists of [`Piece`]s. A piece is either a text of this program or a value from outside.
//! Beadle always writes a value from outside as code, because GitHub does not interpret mentions,
//! references, links and HTML in code.

use std::fmt::{Display, Write as _};

use crate::output::escape;
use crate::output::plural::counted;

/// An encoded piece of a page that fits into a heading, a quotation or a table cell.
pub(crate) struct Piece(String);

impl Piece {
    /// Creates a piece from a text of this program.
    pub(crate) fn own(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// Creates a piece from a number.
    pub(crate) fn number(number: u64) -> Self {
        Self(number.to_string())
    }

    /// Creates a piece that contains a value from outside. Writes the value as code, so that GitHub
    /// does not interpret it.
    pub(crate) fn value(text: impl Display) -> Self {
        let text = escape::value(format_args!("{text}"));
        // A vertical bar ends a table cell, even in code. A backslash before the bar does not help,
        // because it is ambiguous. So this function ends the code before each bar and begins it
        // again after the bar.
        let parts: Vec<String> = text.split('|').map(code).collect();
        Self(parts.join("&#124;"))
    }

    /// Converts the piece to a link. The caller must encode the address, because a bracket or a
    /// blank would end the address.
    pub(crate) fn link(self, address: &str) -> Self {
        Self(format!("[{}]({address})", self.0))
    }

    /// Creates a piece from several values, separated by commas.
    pub(crate) fn values(texts: &[&str]) -> Self {
        let parts: Vec<String> = texts.iter().map(|text| Self::value(text).0).collect();
        Self(parts.join(", "))
    }

    /// Creates a piece from a number with its noun.
    pub(crate) fn counted(number: u64, one: &'static str, many: &'static str) -> Self {
        Self(counted(number, one, many))
    }

    /// Joins pieces into one piece, with the separator `between`.
    pub(crate) fn joined(pieces: &[Self], between: &'static str) -> Self {
        Self(joined(pieces, between))
    }

    /// Makes the piece bold.
    pub(crate) fn bold(self) -> Self {
        Self(format!("**{}**", self.0))
    }
}

/// Returns the text as Markdown code. The fence has more backticks than any sequence of backticks
/// in the text.
fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    // Markdown removes one space at each end of code. Without an added space, a backtick at the end
    // of the text would become part of the fence.
    let is_padded = |c: char| c == '`' || c == ' ';
    let pad = if text.starts_with(is_padded) || text.ends_with(is_padded) { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A page of Markdown.
#[derive(Default)]
pub(crate) struct Page(String);

impl Page {
    /// Adds a heading. Level 2 is written as `##`.
    pub(crate) fn heading(&mut self, level: usize, pieces: &[Piece]) {
        let _ = writeln!(self.0, "\n{} {}", "#".repeat(level), joined(pieces, " ")); // writing to a string cannot fail
    }

    /// Adds a paragraph.
    pub(crate) fn paragraph(&mut self, pieces: &[Piece]) {
        let _ = writeln!(self.0, "\n{}", joined(pieces, " "));
    }

    /// Adds a block quotation, so that readers notice the text.
    pub(crate) fn quote(&mut self, pieces: &[Piece]) {
        let _ = writeln!(self.0, "\n> {}", joined(pieces, " "));
    }

    /// Adds an item of a list.
    pub(crate) fn item(&mut self, pieces: &[Piece]) {
        let _ = writeln!(self.0, "- {}", joined(pieces, " "));
    }

    /// Adds a collapsed paragraph, which the reader can expand. GitHub does not interpret the text
    /// of the summary as Markdown, so the summary must be a text of this program or a number.
    pub(crate) fn folded(&mut self, summary: &Piece, content: &Piece) {
        let _ =
            writeln!(self.0, "\n<details><summary>{}</summary>\n\n{}\n\n</details>\n", summary.0, content.0);
    }

    /// Adds the content of another page at the end.
    pub(crate) fn append(&mut self, other: &Self) {
        self.0.push_str(&other.0);
    }

    /// Returns the length of the page in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.len()
    }

    /// Begins a table with these columns.
    pub(crate) fn table(&mut self, columns: &[&'static str]) {
        let _ = writeln!(self.0, "\n| {} |\n|{}", columns.join(" | "), "---|".repeat(columns.len()));
    }

    /// Adds a row to the table.
    pub(crate) fn row(&mut self, cells: &[Piece]) {
        let _ = writeln!(self.0, "| {} |", joined(cells, " | "));
    }

    /// Returns the whole page.
    pub(crate) fn text(&self) -> &str {
        self.0.trim_start()
    }
}

fn joined(pieces: &[Piece], between: &str) -> String {
    pieces.iter().map(|piece| piece.0.as_str()).collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(text: &str) -> String {
        Piece::value(text).0
    }

    /// Returns the text as a reader sees it. Returns `None` if a part of the text is not code,
    /// because GitHub would interpret this part.
    ///
    /// <https://spec.commonmark.org/0.31.2/#code-spans>
    fn shown(mut rest: &str) -> Option<String> {
        let mut out = String::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("&#124;") {
                out.push('|');
                rest = after;
                continue;
            }
            let fence = rest.len() - rest.trim_start_matches('`').len();
            if fence == 0 {
                return None;
            }
            let inner = &rest[fence..];
            // The code ends at the first sequence of backticks that is as long as the fence.
            let mut at = 0;
            let end = loop {
                let start = at + inner[at..].find('`')?;
                let length = inner[start..].len() - inner[start..].trim_start_matches('`').len();
                if length == fence {
                    break start;
                }
                at = start + length;
            };
            out.push_str(&inner[..end]);
            rest = &inner[end + fence..];
        }
        Some(out)
    }

    proptest! {
        #[test]
        fn any_value_is_code_and_one_cell(
            text in prop_oneof!["(?s).{0,80}", "[`|\\\\ @#\\[\\]()<>a\n\u{202e}]{0,40}"]
        ) {
            let encoded = encoded(&text);
            prop_assert!(!encoded.contains(['|', '\n', '\r']), "{encoded}");
            // The comparison ignores spaces, because this program and GitHub can add or remove
            // spaces at the ends of code.
            let without_spaces = |text: &str| text.replace(' ', "");
            let seen = shown(&encoded).map(|text| without_spaces(&text));
            prop_assert_eq!(seen, Some(without_spaces(&escape::value(format_args!("{text}")))));
        }
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

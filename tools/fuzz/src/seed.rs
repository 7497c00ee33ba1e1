//! The form of an input: lines `name: value`, an empty line, and the body.

use std::borrow::Cow;

/// The parts of an input.
pub(crate) struct Seed<'a> {
    head: Cow<'a, str>,
    /// Everything after the first empty line.
    pub(crate) body: &'a [u8],
}

impl<'a> Seed<'a> {
    /// Splits an input into its parts. Without an empty line, the whole input is the body.
    pub(crate) fn of(data: &'a [u8]) -> Self {
        let end = data.windows(2).position(|pair| pair == b"\n\n");
        let (head, body) = match end {
            Some(end) => (&data[..end], &data[end + 2..]),
            None => (&data[..0], data),
        };
        Self { head: String::from_utf8_lossy(head), body }
    }

    /// Returns the value of the first line with this name.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Returns the number in the first line with this name, or 0.
    pub(crate) fn number(&self, name: &str) -> usize {
        self.value(name).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Returns the body as text.
    pub(crate) fn text(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.body)
    }
}

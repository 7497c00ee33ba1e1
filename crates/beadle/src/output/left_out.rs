//! The note about the items that a list leaves out. Every command with `--limit` uses this module.

use crate::output::plural::counted;
use crate::output::printer::Printer;

/// The maximum number of left-out items that a command counts, so that a list of a large store
/// stays fast.
pub(crate) const COUNTED: u32 = 1000;

/// The items that a list leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeftOut {
    /// Exactly this number of items.
    Exactly(u64),
    /// More items than this number.
    MoreThan(u64),
    /// An unknown number of items.
    Uncounted,
}

impl LeftOut {
    /// Creates the value from the complete number of left-out items. Returns `None` if the number
    /// is 0.
    pub(crate) fn exactly(count: u64) -> Option<Self> {
        (count > 0).then_some(Self::Exactly(count))
    }

    /// Creates the value from a count of left-out items. The count stops at one item more than
    /// [`COUNTED`]. Returns `None` if the count is 0.
    pub(crate) fn counted(count: usize) -> Option<Self> {
        let (count, most) = (count as u64, u64::from(COUNTED));
        if count > most { Some(Self::MoreThan(most)) } else { Self::exactly(count) }
    }

    /// Prints how many items a list leaves out, and the option that shows them. `limit` is the
    /// number of items in the list. The note goes to standard error, so that it is not a part of
    /// the list.
    pub(crate) fn note(self, (one, many): (&str, &str), limit: u64, printer: &Printer) {
        printer.note(self.text((one, many), limit));
    }

    fn text(self, (one, many): (&str, &str), limit: u64) -> String {
        let raise = format!("to see more of them, raise `--limit` above {limit}");
        match self {
            Self::Exactly(1) => {
                format!("1 {one} is left out: to see it, use `--limit {}`", limit.saturating_add(1))
            }
            Self::Exactly(count) => {
                let count_and_noun = counted(count, one, many);
                let whole = limit.saturating_add(count);
                format!("{count_and_noun} are left out: to see them, use `--limit {whole}`")
            }
            Self::MoreThan(count) => format!("more than {count} {many} are left out: {raise}"),
            Self::Uncounted => format!("{many} are left out: {raise}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_list_says_how_many_items_are_left_out_and_which_option_shows_them() {
        let most = COUNTED as usize;
        for (left, expected) in [
            (LeftOut::counted(0), None),
            (LeftOut::exactly(0), None),
            (LeftOut::counted(1), Some("1 older delivery is left out: to see it, use `--limit 51`")),
            (LeftOut::exactly(12), Some("12 older deliveries are left out: to see them, use `--limit 62`")),
            (
                LeftOut::counted(most),
                Some("1000 older deliveries are left out: to see them, use `--limit 1050`"),
            ),
            (
                LeftOut::counted(most + 1),
                Some(
                    "more than 1000 older deliveries are left out: to see more of them, raise `--limit` above 50",
                ),
            ),
            (
                Some(LeftOut::Uncounted),
                Some("older deliveries are left out: to see more of them, raise `--limit` above 50"),
            ),
        ] {
            let text = left.map(|left| left.text(("older delivery", "older deliveries"), 50));
            assert_eq!(text.as_deref(), expected, "{left:?}");
        }
    }
}

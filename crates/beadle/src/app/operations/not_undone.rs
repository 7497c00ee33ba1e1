//! The writes that Beadle cannot undo, each with the reason.

use std::collections::HashMap;

use beadle_engine::examples;

use crate::app::operations::written_changes::Written;
use crate::output::equal_lines::{equal_lines, heading, noun};
use crate::output::plans_and_results::differences;

/// The maximum number of journal entries that a line names.
const ENTRIES: usize = 3;

/// A write that Beadle cannot undo.
#[derive(Clone, Debug)]
pub(crate) struct NotUndone {
    pub(crate) write: Written,
    /// The reason, without the number of the later write.
    why: String,
    /// The number of the later write, if a later write is the reason.
    later: Option<u64>,
}

impl NotUndone {
    pub(crate) fn new(write: Written, why: &str) -> Self {
        Self { write, why: why.to_owned(), later: None }
    }

    /// Creates the entry for a write if a later write set the same value again. `later` is the
    /// number of the later write in the journal.
    pub(crate) fn because_of(write: Written, why: String, later: u64) -> Self {
        Self { write, why, later: Some(later) }
    }

    /// Returns the reason.
    pub(crate) fn why(&self) -> String {
        let later = self.later.map(|later| format!(" (entry {later})")).unwrap_or_default();
        format!("{}{later}", self.why)
    }

    fn line(&self) -> String {
        format!("{} is not undone: {}", differences(&self.write.change), self.why)
    }
}

/// Returns one line for each kind of write that Beadle cannot undo. Identical writes to several
/// repositories share a line. `most` is the maximum number of names in a line.
pub(crate) fn lines(all: &[NotUndone], most: usize) -> Vec<String> {
    let mut later: HashMap<String, Vec<String>> = HashMap::new();
    for one in all {
        later.entry(one.line()).or_default().extend(one.later.map(|later| later.to_string()));
    }
    let named = all.iter().map(|one| (one.write.subject.as_str(), one.line()));
    let groups = equal_lines(named).into_iter();
    let lines = groups.flat_map(|group| {
        let names = heading(&group.names, noun("repository"), most);
        let later = &later;
        group.lines.into_iter().map(move |line| {
            let entries = later.get(&line).map(|later| entries(later)).unwrap_or_default();
            format!("{names}: {line}{entries}")
        })
    });
    lines.collect()
}

/// Returns the numbers of the later writes, for the end of a line.
fn entries(later: &[String]) -> String {
    let numbers: Vec<&str> = later.iter().map(String::as_str).collect();
    match numbers.as_slice() {
        [] => String::new(),
        [only] => format!(" (entry {only})"),
        several => format!(" (entries {})", examples(several, ENTRIES)),
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Key, Risk, testing};

    use super::*;

    #[test]
    fn equal_writes_to_several_repositories_share_a_line() {
        let write = |n: u64| {
            let change = testing::change("teams", "team core", &[Risk::Removes]);
            Written::example(&Key::new("repository", "acme", n), &format!("acme/r{n}"), change)
        };
        let again = "policy 0a1b2c3d4e5f changed it again";
        let mut all: Vec<NotUndone> =
            (1..=7).map(|n| NotUndone::because_of(write(n), again.to_owned(), 100 + n)).collect();
        all.push(NotUndone::new(write(8), "Beadle deletes no repository"));
        assert_eq!(
            lines(&all, 5),
            [
                "7 repositories: acme/r1, acme/r2, acme/r3, acme/r4, acme/r5 and 2 more: team core: x is not undone: \
                 policy 0a1b2c3d4e5f changed it again (entries 101, 102, 103 and 4 more)",
                "acme/r8: team core: x is not undone: Beadle deletes no repository",
            ]
        );
        assert_eq!(lines(&all[..1], 5)[0].as_str(), format!("acme/r1: {} (entry 101)", all[0].line()));
        assert_eq!(all[0].why(), format!("{again} (entry 101)"));
    }
}

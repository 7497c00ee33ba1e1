//! The rows of a report: as cells, as JSON, and as readable lines.

use std::collections::BTreeMap;

use beadle_engine::Time;
use beadle_repositories::controls::{ControlRow, ControlStatus};
use serde_json::{Value, json};

use crate::output::escape::{self, VALUE};
use crate::output::printer::{Printer, Tone};

/// The names of the columns. Auditors' programs read these names. So a name never changes, and a
/// new column comes last.
pub(super) const COLUMNS: [&str; 12] = [
    "repository",
    "control",
    "status",
    "cause",
    "since",
    "until",
    "reason",
    "owner",
    "value",
    "policy",
    "commit",
    "last_checked",
];

/// Returns the cells of a row, in the order of [`COLUMNS`].
pub(super) fn cells(row: &ControlRow) -> [String; 12] {
    let time = |time: Option<Time>| time.map(|time| time.to_string()).unwrap_or_default();
    let text = |text: Option<&String>| escape::cut(text.map_or("", String::as_str), VALUE);
    [
        text(Some(&row.repository)),
        text(Some(&row.control)),
        row.status.as_str().to_owned(),
        text(Some(&row.cause)),
        time(row.since),
        text(row.until.as_ref()),
        text(row.reason.as_ref()),
        text(row.owner.as_ref()),
        text(row.value.as_ref()),
        text(row.policy.as_ref()),
        text(row.commit.as_ref()),
        time(row.last_checked),
    ]
}

/// Returns a row as JSON, with the same names as the columns.
pub(super) fn as_json(row: &ControlRow) -> Value {
    json!({
        "repository": row.repository,
        "control": row.control,
        "status": row.status.as_str(),
        "cause": row.cause,
        "since": row.since.map(|time| time.to_string()),
        "until": row.until,
        "reason": row.reason,
        "owner": row.owner,
        "value": row.value,
        "policy": row.policy,
        "commit": row.commit,
        "last_checked": row.last_checked.map(|time| time.to_string()),
    })
}

/// Prints the rows of one repository.
pub(super) fn table(rows: &[ControlRow], printer: &Printer) {
    let Some(first) = rows.first() else { return };
    printer.line(printer.paint(Tone::Heading, escape::cut(&first.repository, VALUE)));
    let width = rows.iter().map(|row| row.control.chars().count()).max().unwrap_or_default().min(WIDEST);
    for row in rows {
        let tone = match row.status {
            ControlStatus::Met => Tone::Good,
            ControlStatus::NotMet => Tone::Danger,
            ControlStatus::Waived | ControlStatus::Unknown | ControlStatus::NotRecorded => Tone::Notice,
            ControlStatus::NotApplicable => Tone::Faint,
        };
        // The code adds the padding before the colour, because the characters of a colour code must
        // not count as width.
        let status = printer.paint(tone, format!("{:<14}", row.status.as_str()));
        let control = escape::cut(&row.control, VALUE);
        printer.line(format!("  {status}  {control:<width$}  {}", details(row)).trim_end());
    }
}

/// The maximum width of the column that shows the controls, in characters.
const WIDEST: usize = 60;

/// Returns the details of a row as one text.
fn details(row: &ControlRow) -> String {
    let cut = |text: &String| escape::one_line(&escape::cut(text, VALUE));
    let commit = row.commit.as_deref().map(|commit| format!(" at {}", short(commit))).unwrap_or_default();
    let parts = [
        row.since.map(|since| format!("since {since}")),
        row.until.as_ref().map(|until| format!("until {until}")),
        row.policy.as_ref().map(|policy| format!("{}{commit}", cut(policy))),
        Some(cut(&row.cause)).filter(|cause| !cause.is_empty()),
        row.reason.as_ref().map(|reason| match &row.owner {
            Some(owner) => format!("{} ({})", cut(reason), cut(owner)),
            None => cut(reason),
        }),
        row.last_checked.map(|time| format!("last checked {time}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// The number of characters of a commit's id that a row shows.
const DIGITS: usize = 12;

fn short(commit: &str) -> String {
    commit.chars().take(DIGITS).collect()
}

/// The number of rows for each status.
#[derive(Default)]
pub(super) struct Tally(BTreeMap<ControlStatus, usize>);

impl Tally {
    /// Counts rows.
    pub(super) fn add(&mut self, rows: &[ControlRow]) {
        for row in rows {
            *self.0.entry(row.status).or_default() += 1;
        }
    }

    /// Returns the number of rows whose status satisfies `is_meant`.
    pub(super) fn count(&self, is_meant: impl Fn(ControlStatus) -> bool) -> usize {
        self.0.iter().filter(|(status, _)| is_meant(**status)).map(|(_, count)| count).sum()
    }

    /// Returns the summary of a report. `at` is the moment of the report.
    pub(super) fn text(&self, at: Time) -> String {
        let counts: Vec<String> =
            self.0.iter().map(|(status, count)| format!("{count} {}", status.as_str())).collect();
        let counts = if counts.is_empty() { "no rows".to_owned() } else { counts.join(", ") };
        format!("at {at}: {counts}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> ControlRow {
        ControlRow {
            repository: "acme/shop".into(),
            control: "branches[main].protection.enforce_admins".into(),
            status: ControlStatus::Waived,
            cause: String::new(),
            since: Some(Time(1000)),
            until: Some("2026-12-01T00:00:00Z".into()),
            reason: Some("=release\nof 2.0".into()),
            owner: Some("mona".into()),
            value: Some("true".into()),
            policy: Some("waivers.yml:3".into()),
            commit: Some("0123456789abcdef".into()),
            last_checked: Some(Time(2000)),
        }
    }

    #[test]
    fn the_columns_are_those_of_the_documentation() {
        let documented = include_str!("../../../../../docs/how-to/report-to-auditors.md");
        let rows = documented.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        let names: Vec<&str> = rows.map(|(name, _)| name).filter(|name| COLUMNS.contains(name)).collect();
        assert_eq!(names, COLUMNS);
        let json = as_json(&row());
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), COLUMNS.len());
        assert!(COLUMNS.iter().all(|name| json.get(name).is_some()), "{json}");
    }

    #[test]
    fn the_cells_and_the_line_have_everything() {
        let expected = [
            "acme/shop",
            "branches[main].protection.enforce_admins",
            "waived",
            "",
            "1970-01-01T00:00:01Z",
            "2026-12-01T00:00:00Z",
            "=release\nof 2.0",
            "mona",
            "true",
            "waivers.yml:3",
            "0123456789abcdef",
            "1970-01-01T00:00:02Z",
        ];
        assert_eq!(cells(&row()), expected);
        assert_eq!(
            details(&row()),
            "since 1970-01-01T00:00:01Z; until 2026-12-01T00:00:00Z; waivers.yml:3 at 0123456789ab; \
             =release\\nof 2.0 (mona); last checked 1970-01-01T00:00:02Z"
        );
    }

    #[test]
    fn the_summary_counts_each_status() {
        let mut tally = Tally::default();
        assert_eq!(tally.text(Time(0)), "at 1970-01-01T00:00:00Z: no rows");
        let not_met = ControlRow { status: ControlStatus::NotMet, ..row() };
        tally.add(&[row(), not_met, row()]);
        assert_eq!(tally.text(Time(0)), "at 1970-01-01T00:00:00Z: 1 not met, 2 waived");
        assert_eq!((tally.count(ControlStatus::is_fine), tally.count(|_| true)), (2, 3));
    }
}

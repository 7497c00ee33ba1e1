//! `/journal`: the changes that Beadle wrote, held or refused.

use std::collections::BTreeSet;

use beadle_engine::journal::OperatorAction;
use beadle_engine::{AuthoredPolicies, Change, Detail, Entry, EntryKind, Store, Time};
use serde::Serialize;

use crate::pages::asked::{Asked, Refused, contains, number};
use crate::pages::detail;
use crate::pages::facts::{AskedLine, Facts};
use crate::pages::html::{Html, joined, text};
use crate::pages::keys_meant::keys_meant;
use crate::pages::lines::{HasLines, Lines, changes_of_entries, of_entries};
use crate::pages::link::Link;
use crate::pages::newest::newest_of_keys;
use crate::pages::operation_forms::{undo_link, undo_policy_link, undo_start_link};
use crate::pages::parts::{choice, code, field, filter, moment, more, paragraph, subject, table};
use crate::pages::view::View;
use crate::pages::write_results::WriteResults;
use crate::sign_in::Visitor;

/// The number of entries on a page.
const ROWS: usize = 50;
/// The columns in a table of entries.
pub(in crate::pages) const COLUMNS: [&str; 5] = ["Number", "Time", "Kind", "Name", "What"];
/// The kinds of entries that a reader can choose.
const KINDS: [EntryKind; 10] = [
    EntryKind::Intent,
    EntryKind::Result,
    EntryKind::Run,
    EntryKind::Operator,
    EntryKind::Refused,
    EntryKind::Sweep,
    EntryKind::Recovery,
    EntryKind::Dispatch,
    EntryKind::Contested,
    EntryKind::Policy,
];

/// One page of the journal.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct Journal {
    /// The entries. The newest entry comes first.
    entries: Vec<Entry>,
    /// The search for older entries continues with the entries that have smaller numbers than this.
    /// `None` if there are no older entries.
    older: Option<u64>,
    #[serde(skip)]
    asked: Asked,
    /// True if Beadle did not read all policies. In that case, the page can lack a write although
    /// the name of its author contains the text.
    has_unread_policies: bool,
    /// The configured organisations.
    #[serde(skip)]
    organisations: Vec<String>,
    /// The policies behind the changes on the page.
    #[serde(skip)]
    lines: Lines,
    /// The results of the writes on the page.
    #[serde(skip)]
    results: WriteResults,
    /// The signed-in person who looks at the page.
    #[serde(skip)]
    visitor: Option<Visitor>,
}

impl HasLines for Journal {
    fn asked_lines(&self) -> BTreeSet<AskedLine> {
        of_entries(&self.entries)
    }

    fn changes(&self) -> Vec<&Change<()>> {
        changes_of_entries(&self.entries)
    }

    fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn with_lines(self, lines: Lines) -> Self {
        Self { lines, ..self }
    }
}

impl Journal {
    /// Sets the visitor of the page, and returns the page.
    pub(in crate::pages) fn for_visitor(self, visitor: Option<Visitor>) -> Self {
        Self { visitor, ..self }
    }
}

/// Reads one page of the journal.
pub(in crate::pages) async fn load(
    store: &dyn Store,
    facts: &dyn Facts,
    asked: &Asked,
) -> Result<Journal, Refused> {
    let before = number("before", &asked.before)?;
    let kind = match asked.kind.as_str() {
        "" => None,
        name => Some(KINDS.into_iter().find(|kind| kind.as_str() == name).ok_or_else(|| unknown_kind(name))?),
    };
    let wanted = asked.text.to_lowercase();
    let mut authored = AuthoredPolicies::default();
    // The entry of a write does not contain the name of the policy's author, so the search takes
    // the author from the journal entry about the policy.
    if !wanted.is_empty() && kind.is_none_or(|kind| kind == EntryKind::Intent) {
        authored.read_newer(store, &|author: &str| contains(author, &wanted)).await?;
    }
    let is_wanted = |entry: &Entry| {
        let has =
            |wanted: &str| contains(&entry.subject, wanted) || contains(&entry.detail.to_string(), wanted);
        let is_trace = || entry.trace.is_some_and(|trace| trace.to_string() == wanted);
        wanted.is_empty() || has(&wanted) || is_trace() || authored.asked_for(entry)
    };
    let keys = keys_meant(facts, &asked.key).await?;
    let found = newest_of_keys(store, kind, (&keys, before), ROWS, &is_wanted).await?;
    let (entries, older) = (found.entries, found.older);
    let results = WriteResults::of(store, &entries).await?;
    let (asked, lines, organisations) = (asked.clone(), Lines::default(), facts.names());
    let has_unread_policies = authored.has_unread();
    Ok(Journal { entries, older, asked, has_unread_policies, organisations, lines, results, visitor: None })
}

fn unknown_kind(name: &str) -> Refused {
    Refused::Invalid(format!(
        "`kind` must be one of {}, found `{name}`",
        KINDS.map(EntryKind::as_str).join(", ")
    ))
}

/// Returns the facts of an entry. If the entry has a trace, also returns the id of the trace.
fn facts(entry: &Entry, lines: &Lines) -> Html {
    let facts = match entry.begun_sweep_sentence() {
        Some(sentence) => text(sentence),
        None => detail::detail(&entry.detail, &lines.of_entry(entry)),
    };
    match entry.trace {
        Some(trace) => joined([facts, text(" trace "), code(trace)]),
        None => facts,
    }
}

/// Returns the rows for a table of entries. `lines` are the known lines of policies. The row of a
/// write has its result from `results`. If the visitor has the right to undo writes, the rows contain
/// links for this. A person can undo a sweep or an undo only if it belongs to one of `organisations`,
/// which are the configured organisations.
pub(in crate::pages) fn rows(
    (entries, lines, results): (&[Entry], &Lines, &WriteResults),
    organisations: &[String],
    now: Time,
    visitor: Option<&Visitor>,
) -> Vec<Vec<Html>> {
    let row = |entry: &Entry| {
        let number = match entry.intent {
            Some(intent) => format!("{} (of {intent})", entry.seq),
            None => entry.seq.to_string(),
        };
        let swept = entry.begun_sweep();
        vec![
            text(number),
            moment(entry.at, now),
            text(entry.kind.as_str()),
            subject(&entry.key, swept.as_deref().unwrap_or(&entry.subject)),
            joined([facts(entry, lines), results.html(entry), undo_of(entry, organisations, visitor)]),
        ]
    };
    entries.iter().map(row).collect()
}

/// An entry can describe a run or a sweep. If Beadle wrote something during this run or sweep,
/// returns how to undo these writes. If the entry is the beginning of an undo, returns how to undo
/// this undo. If the entry is about a policy that came into force, returns how to undo what this
/// policy wrote.
fn undo_of(entry: &Entry, organisations: &[String], visitor: Option<&Visitor>) -> Html {
    // Beadle does not undo writes to groups. The sweep of a directory has no other writes.
    let is_group = entry.key.starts_with("target-group:");
    let is_of_organisation = || organisations.contains(&entry.subject);
    match &entry.detail {
        Detail::Run(counts) if counts.written > 0 && !is_group => undo_link(visitor, entry.seq),
        Detail::Sweep(end) if end.summary.repaired > 0 && is_of_organisation() => {
            undo_link(visitor, entry.seq)
        }
        Detail::Operator(OperatorAction::Undid { .. }) if is_of_organisation() => {
            undo_link(visitor, entry.seq)
        }
        Detail::Policy(_) => undo_policy_link(visitor, entry.seq),
        _ => Html::default(),
    }
}

impl View for Journal {
    const PLACE: &'static str = "/journal";

    fn title(&self) -> String {
        "Journal".to_owned()
    }

    fn content(&self, now: Time) -> Vec<Html> {
        let Asked { kind, text: wanted, key, .. } = &self.asked;
        let older = self.older.map(|before| {
            let link = Link::to(Self::PLACE).with("kind", kind).with("text", wanted);
            link.with("key", key).with("before", &before.to_string())
        });
        vec![
            undo_start_link(self.visitor.as_ref()),
            filter(
                Self::PLACE,
                vec![
                    choice("kind", "Kind", KINDS.map(EntryKind::as_str), kind),
                    field("text", "Name, facts or author contain", wanted),
                    field("key", "Key or name", key),
                ],
            ),
            if self.has_unread_policies {
                let note = AuthoredPolicies::unread_note("an author with this text");
                paragraph([text(format!("{note}."))])
            } else {
                Html::default()
            },
            table(
                "The newest entries first",
                &COLUMNS,
                rows(
                    (&self.entries, &self.lines, &self.results),
                    &self.organisations,
                    now,
                    self.visitor.as_ref(),
                ),
                "No entry of this part of the journal matches.",
            ),
            more(older, "Older entries"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sign_in::Role;

    #[test]
    fn only_the_sweep_of_an_organisation_can_be_undone() {
        let summary =
            json!({ "checked": 5, "drifted": 1, "repaired": 1, "held": 0, "failed": 0, "unknown": 0 });
        let shown = |name: &str| {
            let entry = Entry {
                seq: 12,
                at: Time(1),
                kind: EntryKind::Sweep,
                key: format!("sweep:{name}"),
                subject: name.to_owned(),
                intent: None,
                trace: None,
                detail: json!({ "took_s": 3, "summary": summary }).into(),
            };
            undo_of(&entry, &["acme".to_owned()], None).as_str().to_owned()
        };
        assert!(shown("acme").contains("beadle undo 12"), "{}", shown("acme"));
        assert_eq!(shown("okta"), "");
    }

    #[test]
    fn a_sweep_that_a_person_began_has_words_and_no_key() {
        let action =
            OperatorAction::Retried { retried: true, by: "mona".into(), reason: Some("release".into()) };
        let entry = Entry::of_operator(action, ("sweep:acme:1", ""), Time(1));
        let row = rows((&[entry], &Lines::default(), &WriteResults::default()), &[], Time(1), None).remove(0);
        let shown: Vec<&str> = row.iter().map(Html::as_str).collect();
        assert!(shown[3].ends_with(">acme</a>"), "{}", shown[3]);
        assert_eq!(shown[4], "mona began a sweep of acme: release");
    }

    #[test]
    fn the_beginning_of_an_undo_leads_to_the_undo_of_the_whole_undo() {
        let action = OperatorAction::Undid { undid: "undo of 7".into(), by: "mona".into(), reason: None };
        let entry = Entry { seq: 12, ..Entry::of_operator(action, ("acme", "acme"), Time(1)) };
        let shown = |organisations: &[String]| undo_of(&entry, organisations, None).as_str().to_owned();
        let known = shown(&["acme".to_owned()]);
        assert!(known.contains("<code>beadle undo 12</code>"), "{known}");
        assert_eq!(shown(&[]), "");
    }

    #[test]
    fn a_policy_in_force_leads_to_the_undo_of_exactly_its_writes() {
        let policy = json!({
            "repository": "acme/admin", "commit": "0123456789abcdef", "author": "mona", "subject": "Add a team",
            "in_force": "0123456789ab",
        });
        let entry = Entry {
            seq: 269,
            at: Time(1),
            kind: EntryKind::Policy,
            key: "-".to_owned(),
            subject: "acme".to_owned(),
            intent: None,
            trace: None,
            detail: policy.into(),
        };
        let shown = |visitor: Option<&Visitor>| undo_of(&entry, &[], visitor).as_str().to_owned();
        assert!(shown(None).contains("beadle undo 269"), "{}", shown(None));
        let approver = Visitor::example(Role::Approver);
        assert!(shown(Some(&approver)).contains("/undo?runs=269"), "{}", shown(Some(&approver)));
    }
}

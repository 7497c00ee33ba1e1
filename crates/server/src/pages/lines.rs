//! Shows the lines of policies that asked for changes: the text of each line, and a link to the
//! line at GitHub. If a change removes an entry, also shows the list that does not have the entry,
//! and the line that last declared the entry.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::guard::is_undo;
use beadle_engine::{Change, Detail, Entry, Field, Hold, Key, PolicyLocation};

use super::facts::{AbsentFacts, AskedLine, DeclaredFacts, HoldFacts, LineFacts, WriteFacts};
use super::html::{Attribute, Html, Tag, element, joined, text};
use super::link::Link;
use super::parts::code;

/// The number of digits that a page shows of a commit's id.
const DIGITS: usize = 12;

/// Identifies one changed value by four texts: its aspect, its part, its name, and the value after
/// the change.
type ChangedValue = [String; 4];

/// What Beadle knows about the policies behind the changes of a page.
#[derive(Debug, Default)]
pub(super) struct Lines {
    known: BTreeMap<AskedLine, LineFacts>,
    /// The lists that do not have the removed entries.
    absent: BTreeMap<ChangedValue, AbsentFacts>,
    /// The policies behind the writes of the journal, by the numbers of the entries.
    writes: BTreeMap<u64, WriteFacts>,
    /// The policies that asked for the held changes, by the digests of the changes.
    holds: BTreeMap<String, HoldFacts>,
}

/// The known lines of one generation of a policy.
#[derive(Clone, Debug, Default)]
pub(super) struct LinesOf<'a> {
    /// `None` if no line is known.
    lines: Option<&'a Lines>,
    organisation: String,
    generation: String,
    /// The policies behind the write. `None` if nothing is known about them.
    write: Option<&'a WriteFacts>,
}

/// A page whose changes come from lines of policies.
pub(super) trait HasLines {
    /// Returns the lines on the page.
    fn asked_lines(&self) -> BTreeSet<AskedLine>;
    /// Returns the changes on the page.
    fn changes(&self) -> Vec<&Change<()>>;
    /// Returns the journal entries on the page.
    fn entries(&self) -> &[Entry] {
        &[]
    }
    /// Returns the held changes on the page.
    fn holds(&self) -> Vec<&Hold> {
        Vec::new()
    }
    /// Adds what Beadle knows about the lines, and returns the page.
    fn with_lines(self, lines: Lines) -> Self;
}

impl Lines {
    /// Creates the known lines.
    pub(super) fn new(known: BTreeMap<AskedLine, LineFacts>) -> Self {
        Self { known, ..Self::default() }
    }

    /// For each entry that these changes remove, adds the policy's list that does not have the
    /// entry. `find` returns the list for one value.
    pub(super) fn with_absent(
        mut self,
        changes: &[&Change<()>],
        find: impl Fn(&Change<()>, &Field) -> Option<AbsentFacts>,
    ) -> Self {
        for change in changes {
            let own =
                change.fields.iter().filter_map(|field| Some((value(change, field), find(change, field)?)));
            self.absent.extend(own);
        }
        self
    }

    /// Adds the policies behind the writes of the journal.
    pub(super) fn with_writes(self, writes: BTreeMap<u64, WriteFacts>) -> Self {
        Self { writes, ..self }
    }

    /// Adds the policies that asked for the held changes.
    pub(super) fn with_holds(self, holds: BTreeMap<String, HoldFacts>) -> Self {
        Self { holds, ..self }
    }

    /// Returns the policies that asked for a held change. Returns `None` if nothing is known about
    /// them.
    pub(super) fn asked_for(&self, hold: &Hold) -> Option<&HoldFacts> {
        self.holds.get(&hold.digest)
    }

    /// Returns the lines of the policy that planned a held change.
    pub(super) fn of_hold(&self, hold: &Hold) -> LinesOf<'_> {
        self.of(&hold.key, &hold.generation)
    }

    /// Returns the lines of the policy that asked for the change of a journal entry.
    pub(super) fn of_entry(&self, entry: &Entry) -> LinesOf<'_> {
        match (&entry.detail, entry.key.parse::<Key>()) {
            (Detail::Change(intended), Ok(key)) => {
                LinesOf { write: self.writes.get(&entry.seq), ..self.of(&key, &intended.generation) }
            }
            _ => LinesOf::default(),
        }
    }

    fn of(&self, key: &Key, generation: &str) -> LinesOf<'_> {
        if !has_policy(key) {
            return LinesOf::default();
        }
        let (organisation, generation) = (key.instance().to_owned(), generation.to_owned());
        LinesOf { lines: Some(self), organisation, generation, write: None }
    }
}

impl LinesOf<'_> {
    /// Returns the policies behind the write.
    pub(super) fn write(&self) -> Option<&WriteFacts> {
        self.write
    }

    /// If a value of a change removes an entry, returns the list that does not have the entry, and
    /// the line that last declared the entry. Otherwise, the result is empty.
    pub(super) fn absence(&self, change: &Change<()>, field: &Field) -> Html {
        // No policy asks for the changes of an undo.
        let lines = self.lines.filter(|_| !is_undo(&self.generation));
        let Some(absent) = lines.and_then(|lines| lines.absent.get(&value(change, field))) else {
            return Html::default();
        };
        let list = [text("; the list "), code(&absent.list), text(format!(" {}", absent.lacks))];
        let before = self.write.and_then(|write| write.declared.get(&field.name)).map(declared);
        joined(list.into_iter().chain(before))
    }

    /// Returns the place of a line. Adds a link to the line, and the text of the line, if Beadle
    /// knows them.
    pub(super) fn place(&self, at: &PolicyLocation) -> Html {
        let (organisation, generation) = (self.organisation.clone(), self.generation.clone());
        let asked = AskedLine { organisation, generation, at: at.clone() };
        let Some(found) = self.lines.and_then(|lines| lines.known.get(&asked)) else { return code(at) };
        let place = linked(at, found.link.as_deref());
        match &found.text {
            Some(quoted) => joined([place, text(": "), code(quoted)]),
            None => place,
        }
    }
}

/// Returns the place of a line. The place is a link if the address is known.
fn linked(at: &PolicyLocation, address: Option<&str>) -> Html {
    match address.and_then(Link::outside_line) {
        Some(link) => element(Tag::A, &[Attribute::Href(&link)], [code(at)]),
        None => code(at),
    }
}

/// Returns a text such as `; the policy of the repository last declared teams[core] in
/// settings.yml:9 at 1a2b`.
fn declared(before: &DeclaredFacts) -> Html {
    let commit: String = before.commit.chars().take(DIGITS).collect();
    joined([
        text("; the policy of the repository last declared "),
        code(&before.path),
        text(" in "),
        linked(&before.at, before.link.as_deref()),
        text(format!(" at {commit}")),
    ])
}

/// Returns the identity of a changed value. An addition and a removal of one entry differ in the
/// later value.
fn value(change: &Change<()>, field: &Field) -> ChangedValue {
    [change.aspect.clone(), change.what.clone(), field.name.clone(), field.after.to_string()]
}

/// Returns the change of each hold.
pub(super) fn changes_of_holds<'a>(holds: impl IntoIterator<Item = &'a Hold>) -> Vec<&'a Change<()>> {
    holds.into_iter().map(|hold| &hold.change).collect()
}

/// Returns the changes of the writes in the journal.
pub(super) fn changes_of_entries(entries: &[Entry]) -> Vec<&Change<()>> {
    let changes = entries.iter().filter_map(|entry| match &entry.detail {
        Detail::Change(intended) => Some(&intended.change),
        _ => None,
    });
    changes.collect()
}

/// Returns the lines that asked for held changes.
pub(super) fn of_holds<'a>(holds: impl IntoIterator<Item = &'a Hold>) -> BTreeSet<AskedLine> {
    holds.into_iter().flat_map(|hold| of_change(&hold.key, &hold.generation, &hold.change)).collect()
}

/// Returns the lines that asked for the changes of journal entries.
pub(super) fn of_entries(entries: &[Entry]) -> BTreeSet<AskedLine> {
    let of_entry = |entry: &Entry| match (&entry.detail, entry.key.parse::<Key>()) {
        (Detail::Change(intended), Ok(key)) => of_change(&key, &intended.generation, &intended.change),
        _ => Vec::new(),
    };
    entries.iter().flat_map(of_entry).collect()
}

/// Returns whether the changes of a key come from the policy of an organisation. A target of groups
/// can have the name of an organisation, but the lines of its mappings are in other files.
fn has_policy(key: &Key) -> bool {
    matches!(key.kind(), "repository" | "organisation")
}

fn of_change(key: &Key, generation: &str, change: &Change<()>) -> Vec<AskedLine> {
    if !has_policy(key) {
        return Vec::new();
    }
    let line = |at: &PolicyLocation| AskedLine {
        organisation: key.instance().to_owned(),
        generation: generation.to_owned(),
        at: at.clone(),
    };
    change.fields.iter().filter_map(|field| field.asked.as_ref()).map(line).collect()
}

#[cfg(test)]
mod tests {
    use beadle_engine::journal::{PolicyCommitted, PolicyInForce};
    use beadle_engine::{EntryKind, Time, testing};
    use serde_json::{Value, json};

    use super::*;
    use crate::pages::detail::detail;

    const HOSTILE: &str = "<img src=x onerror=alert(1)>";

    fn line(number: u32) -> PolicyLocation {
        PolicyLocation { file: "settings.yml".into(), line: number }
    }

    fn hold() -> Hold {
        let mut hold = testing::hold(1);
        hold.change.fields[0].asked = Some(line(2));
        hold
    }

    fn known(text: Option<&str>, link: Option<&str>) -> Lines {
        let asked = of_holds([&hold()]).into_iter().next().unwrap();
        let facts = LineFacts { text: text.map(str::to_owned), link: link.map(str::to_owned) };
        Lines::new(BTreeMap::from([(asked, facts)]))
    }

    #[test]
    fn a_line_has_its_text_and_its_link_and_neither_becomes_html() {
        let link = "https://github.com/acme/admin/blob/0a1b/settings.yml#L2";
        for (text, link, expected) in [
            (
                Some("teams: [<b>]"),
                Some(link),
                format!(
                    "<a href=\"{link}\"><code>settings.yml:2</code></a>: <code>teams: [&lt;b&gt;]</code>"
                ),
            ),
            (None, Some(link), format!("<a href=\"{link}\"><code>settings.yml:2</code></a>")),
            (Some("a: b"), None, "<code>settings.yml:2</code>: <code>a: b</code>".to_owned()),
            // The page shows such an address without a link.
            (None, Some("javascript:alert(1)#L2"), "<code>settings.yml:2</code>".to_owned()),
            (None, Some(HOSTILE), "<code>settings.yml:2</code>".to_owned()),
        ] {
            let lines = known(text, link);
            assert_eq!(lines.of_hold(&hold()).place(&line(2)).as_str(), expected);
        }
        let lines = known(Some(HOSTILE), None);
        let shown = lines.of_hold(&hold()).place(&line(2));
        assert!(!shown.as_str().contains("<img"), "{}", shown.as_str());
    }

    /// Returns the journal entry of a write that removes or adds a team.
    fn write(seq: u64, is_removal: bool, generation: &str) -> Entry {
        let (before, after) =
            if is_removal { (json!("push"), Value::Null) } else { (Value::Null, json!("push")) };
        let risk = if is_removal { "removes" } else { "adds" };
        let field = json!({
            "name": "permission", "before": before, "after": after,
            "asked": { "file": "settings.yml", "line": 6 }, "risk": risk,
        });
        let detail = json!({
            "aspect": "teams", "what": "team core", "fields": [field], "mode": "enforce", "after": [], "write": null,
            "generation": generation, "first_asked": "2a1b",
        });
        Entry {
            seq,
            at: Time(1),
            kind: EntryKind::Intent,
            key: "repository:acme:1".to_owned(),
            subject: "acme/r1".to_owned(),
            intent: None,
            trace: None,
            detail: detail.into(),
        }
    }

    #[test]
    fn a_removal_names_the_list_the_last_line_of_the_entry_and_the_authors() {
        let entries = [write(7, true, "3c9f"), write(8, false, "3c9f"), write(9, true, "undo of 7")];
        let policy = |author: &str| {
            let from = PolicyCommitted {
                repository: "acme/admin".into(),
                commit: "3c9f".into(),
                author: author.into(),
                subject: HOSTILE.into(),
            };
            Some(PolicyInForce { in_force: "3c9f".into(), base: Some(from.clone()), from })
        };
        let link = "https://github.com/acme/admin/blob/1a2b/settings.yml#L9";
        let declared = DeclaredFacts {
            path: "teams[core]".into(),
            at: line(9),
            commit: "1a2b3c4d5e6f7a8b".into(),
            link: Some(link.into()),
        };
        let declared = BTreeMap::from([("permission".to_owned(), declared)]);
        let facts = WriteFacts { policy: policy("zoe"), first: policy("mona"), declared };
        let lines = Lines::default()
            .with_absent(&changes_of_entries(&entries), |_, field| {
                let facts = AbsentFacts { list: "teams".into(), lacks: "does not have core".into() };
                field.after.is_null().then_some(facts)
            })
            .with_writes(BTreeMap::from([(7, facts)]));
        let shown = |entry: &Entry| detail(&entry.detail, &lines.of_entry(entry)).as_str().to_owned();
        let removal = shown(&entries[0]);
        let inert = "&lt;img src=x onerror=alert(1)&gt;";
        for part in [
            "; the list <code>teams</code> does not have core",
            &*format!(
                "; the policy of the repository last declared <code>teams[core]</code> in \
                 <a href=\"{link}\"><code>settings.yml:9</code></a> at 1a2b3c4d5e6f"
            ),
            &*format!(">3c9f</a> by zoe: {inert}, base by zoe: {inert}"),
            &*format!(">2a1b</a> by mona: {inert}"),
        ] {
            assert!(removal.contains(part), "{part} in {removal}");
        }
        for other in &entries[1..] {
            assert!(!shown(other).contains("the list"), "{}", shown(other));
        }
    }

    #[test]
    fn a_line_belongs_to_one_generation_of_one_organisation() {
        let lines = known(Some("a: b"), None);
        let plain = "<code>settings.yml:2</code>";
        let other = Hold { generation: "another".into(), ..hold() };
        assert_eq!(lines.of_hold(&other).place(&line(2)).as_str(), plain);
        let other = Hold { key: Key::new("repository", "labs", 1), ..hold() };
        assert_eq!(lines.of_hold(&other).place(&line(2)).as_str(), plain);
        assert_eq!(lines.of_hold(&hold()).place(&line(3)).as_str(), "<code>settings.yml:3</code>");
        let group = Hold { key: Key::new("target-group", "acme", 1), ..hold() };
        assert!(of_holds([&group]).is_empty(), "a target has no policy");
    }

    #[test]
    fn a_write_in_the_journal_names_its_lines() {
        let field = json!({
            "name": "x", "before": null, "after": 1, "asked": { "file": "settings.yml", "line": 2 },
            "risk": "adds",
        });
        let detail = json!({
            "aspect": "teams", "what": "", "fields": [field], "mode": "enforce", "after": [], "write": null,
            "generation": "g",
        });
        let entry = |key: &str| Entry {
            seq: 1,
            at: Time(1),
            kind: EntryKind::Intent,
            key: key.to_owned(),
            subject: "acme/r1".to_owned(),
            intent: None,
            trace: None,
            detail: detail.clone().into(),
        };
        let own = entry("repository:acme:1");
        assert_eq!(of_entries(std::slice::from_ref(&own)), of_holds([&hold()]));
        assert!(of_entries(&[entry("-")]).is_empty());
        let lines = known(Some("a: b"), None);
        assert!(lines.of_entry(&own).place(&line(2)).as_str().ends_with("<code>a: b</code>"));
    }
}

//! Shows the lines of policies that asked for changes: the text of each line, and a link to the
//! line at GitHub.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::{Change, Detail, Entry, Hold, Key, PolicyLocation};

use super::facts::{AskedLine, LineFacts};
use super::html::{Attribute, Html, Tag, element, joined, text};
use super::link::Link;
use super::parts::code;

/// The known lines of policies.
#[derive(Debug, Default)]
pub(super) struct Lines(BTreeMap<AskedLine, LineFacts>);

/// The known lines of one generation of a policy.
#[derive(Clone, Debug, Default)]
pub(super) struct LinesOf<'a> {
    /// `None` if no line is known.
    lines: Option<&'a Lines>,
    organisation: String,
    generation: String,
}

/// The values of a page that name lines of policies.
pub(super) trait HasLines {
    /// Returns the lines on the page.
    fn asked_lines(&self) -> BTreeSet<AskedLine>;
    /// Adds what Beadle knows about the lines, and returns the page.
    fn with_lines(self, lines: Lines) -> Self;
}

impl Lines {
    /// Creates the known lines.
    pub(super) fn new(known: BTreeMap<AskedLine, LineFacts>) -> Self {
        Self(known)
    }

    /// Returns the lines of the policy that planned a held change.
    pub(super) fn of_hold(&self, hold: &Hold) -> LinesOf<'_> {
        self.of(&hold.key, &hold.generation)
    }

    /// Returns the lines of the policy that asked for the change of a journal entry.
    pub(super) fn of_entry(&self, entry: &Entry) -> LinesOf<'_> {
        match (&entry.detail, entry.key.parse::<Key>()) {
            (Detail::Change(intended), Ok(key)) => self.of(&key, &intended.generation),
            _ => LinesOf::default(),
        }
    }

    fn of(&self, key: &Key, generation: &str) -> LinesOf<'_> {
        if !has_policy(key) {
            return LinesOf::default();
        }
        let (organisation, generation) = (key.instance().to_owned(), generation.to_owned());
        LinesOf { lines: Some(self), organisation, generation }
    }
}

impl LinesOf<'_> {
    /// Returns the place of a line. Adds a link to the line, and the text of the line, if Beadle
    /// knows them.
    pub(super) fn place(&self, at: &PolicyLocation) -> Html {
        let (organisation, generation) = (self.organisation.clone(), self.generation.clone());
        let asked = AskedLine { organisation, generation, at: at.clone() };
        let Some(found) = self.lines.and_then(|lines| lines.0.get(&asked)) else { return code(at) };
        let place = match found.link.as_deref().and_then(Link::outside_line) {
            Some(link) => element(Tag::A, &[Attribute::Href(&link)], [code(at)]),
            None => code(at),
        };
        match &found.text {
            Some(quoted) => joined([place, text(": "), code(quoted)]),
            None => place,
        }
    }
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
    use beadle_engine::{EntryKind, Time, testing};
    use serde_json::json;

    use super::*;

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

//! Shows the writes of the journal as sentences. A sentence contains the change, the line of the
//! policy that asked for the change, the policies behind the change, and the result of the write.

use beadle_engine::guard::is_undo;
use beadle_engine::journal::{IntendedChange, IntendedDispatch};
use beadle_engine::{Field, PolicyLocation, Risk, value_text};
use serde_json::Value;

use crate::journal::attribution::Attribution;
use crate::journal::story::{Quotes, WriteEnd};
use crate::output::escape::{self, VALUE};
use crate::output::journal_attribution::clauses;

/// The maximum number of lines of a policy that Beadle quotes for a change. More quotes would hide the
/// rest of the output.
pub(crate) const QUOTED: usize = 3;

/// Returns the sentence for a change, such as `removed team contractors (teams): permission: "admin"
/// → none; asked by settings.yml:7 at 3c9f0a1b2d4e`. If an undo added a thing, the sentence has the
/// word "restored".
pub(crate) fn change(
    intended: &IntendedChange,
    end: WriteEnd<'_>,
    (quotes, attribution): (&Quotes, &Attribution),
) -> String {
    let IntendedChange { change, generation, .. } = intended;
    let what = match change.what.as_str() {
        "" => change.aspect.clone(),
        what => format!("{what} ({})", change.aspect),
    };
    let risk = change.fields.iter().map(|field| field.risk).max().unwrap_or(Risk::Changes);
    let (past, plain) = verbs(risk, is_undo(generation));
    let fields: Vec<String> = change.fields.iter().map(field).collect();
    let fields = if fields.is_empty() { String::new() } else { format!(": {}", fields.join(", ")) };
    let text = match end {
        WriteEnd::Written => format!("{past} {what}{fields}"),
        WriteEnd::Failed(why) => format!("failed to {plain} {what}{fields}; {why}"),
        WriteEnd::Unknown("") => format!("tried to {plain} {what}{fields}; the result is unknown"),
        WriteEnd::Unknown(why) => format!("tried to {plain} {what}{fields}; the result is unknown: {why}"),
        WriteEnd::Open => format!("began to {plain} {what}{fields}; there is no result yet"),
    };
    let asked = asked_by(change.fields.iter().filter_map(|field| field.asked.as_ref()), generation, quotes);
    let clauses = clauses(intended, &change.fields, attribution);
    std::iter::once(text).chain(asked).chain(clauses).collect::<Vec<_>>().join("; ")
}

/// Returns the lines of the policy that asked for a change, and the generation of the policy, such
/// as `asked by settings.yml:7 at 3c9f0a1b2d4e`. The content of a line can differ between two
/// generations. If the text of a line is in `quotes`, this text follows the line. Returns `None` if
/// no line asked for the change.
pub(crate) fn asked_by<'a>(
    lines: impl IntoIterator<Item = &'a PolicyLocation>,
    generation: &str,
    quotes: &Quotes,
) -> Option<String> {
    let mut places: Vec<&PolicyLocation> = Vec::new();
    for line in lines {
        if !places.contains(&line) {
            places.push(line);
        }
    }
    if places.is_empty() {
        return None;
    }
    let is_quoted = places.len() <= QUOTED;
    let place = |at: &&PolicyLocation| match quotes.get(*at).filter(|_| is_quoted) {
        Some(text) => format!("{at} `{text}`"),
        None => at.to_string(),
    };
    let shown: Vec<String> = places.iter().map(place).collect();
    let at = if generation.is_empty() || is_undo(generation) {
        String::new()
    } else {
        format!(" at {generation}")
    };
    Some(format!("asked by {}{at}", shown.join(", ")))
}

/// Returns the verb for a risk, in the past tense and in the plain form.
fn verbs(risk: Risk, is_undo: bool) -> (&'static str, &'static str) {
    match risk {
        Risk::Adds if is_undo => ("restored", "restore"),
        Risk::Adds => ("added", "add"),
        Risk::Changes => ("changed", "change"),
        Risk::Weakens => ("weakened", "weaken"),
        Risk::Exposes => ("exposed", "expose"),
        Risk::Removes => ("removed", "remove"),
    }
}

/// Formats the old and the new value of a change, such as `has_wiki: true → false`.
pub(crate) fn field(field: &Field) -> String {
    format!("{}: {} → {}", field.name, value(&field.before), value(&field.after))
}

/// Formats a value of the journal as text.
pub(crate) fn value(value: &Value) -> String {
    escape::cut(&value_text(value), VALUE)
}

/// Returns the sentence for the dispatch of a workflow.
pub(crate) fn dispatch(dispatch: &IntendedDispatch, end: WriteEnd<'_>) -> String {
    let IntendedDispatch { workflow, repository, reference, again, .. } = dispatch;
    let what = format!("workflow {workflow} of {repository} on {reference}");
    let again = again.as_ref().map(|why| format!("; it is a repetition: {why}")).unwrap_or_default();
    match end {
        WriteEnd::Written => format!("started {what}{again}"),
        WriteEnd::Failed(why) => format!("failed to start {what}; {why}{again}"),
        WriteEnd::Unknown(why) => format!("tried to start {what}; the result is unknown: {why}{again}"),
        WriteEnd::Open => format!("is starting {what}; there is no result yet{again}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(what: &str, fields: &Value, generation: &str) -> IntendedChange {
        let stored = json!({
            "aspect": "teams", "what": what, "fields": fields, "mode": "enforce", "after": [], "write": null,
            "generation": generation,
        });
        serde_json::from_value(stored).unwrap()
    }

    /// Returns the sentence for a change whose policies are unknown.
    fn sentence(intended: &IntendedChange, end: WriteEnd<'_>) -> String {
        change(intended, end, (&Quotes::new(), &Attribution::default()))
    }

    #[test]
    fn a_change_is_a_sentence_with_its_line_and_its_result() {
        let line = json!({ "file": "settings.yml", "line": 7 });
        let removed = json!([{ "name": "permission", "before": "admin", "after": null, "asked": line, "risk": "removes" }]);
        let two = json!([
            { "name": "a", "before": null, "after": 1, "asked": line, "risk": "adds" },
            { "name": "b", "before": false, "after": true, "asked": line, "risk": "exposes" },
        ]);
        for (what, fields, end, expected) in [
            (
                "team contractors",
                &removed,
                WriteEnd::Written,
                "removed team contractors (teams): permission: \"admin\" → none; asked by settings.yml:7 at 3c9f; the list \
                 `teams` does not have contractors",
            ),
            (
                "team contractors",
                &removed,
                WriteEnd::Failed("403 Forbidden"),
                "failed to remove team contractors (teams): permission: \"admin\" → none; 403 Forbidden; asked by \
                 settings.yml:7 at 3c9f; the list `teams` does not have contractors",
            ),
            (
                "",
                &two,
                WriteEnd::Unknown(""),
                "tried to expose teams: a: none → 1, b: false → true; the result is unknown; asked by settings.yml:7 at 3c9f",
            ),
            ("", &json!([]), WriteEnd::Open, "began to change teams; there is no result yet"),
        ] {
            assert_eq!(sentence(&of(what, fields, "3c9f"), end), expected);
        }
        let mut late = of("team contractors", &removed, "3c9f");
        late.first_asked = Some("2a1b".to_owned());
        let late = sentence(&late, WriteEnd::Written);
        assert!(
            late.ends_with("; the list `teams` does not have contractors; policy 2a1b first asked for it"),
            "{late}"
        );
        let added =
            json!([{ "name": "permission", "before": null, "after": "push", "asked": null, "risk": "adds" }]);
        assert_eq!(
            sentence(&of("team core", &added, "undo of run 7"), WriteEnd::Written),
            "restored team core (teams): permission: none → \"push\""
        );
        let of_undo = of("team core", &removed, "undo of run 7");
        let undone = sentence(&of_undo, WriteEnd::Written);
        assert!(undone.starts_with("removed") && undone.ends_with("asked by settings.yml:7"), "{undone}");
    }

    #[test]
    fn a_few_lines_have_their_texts() {
        let at = |line: u32| PolicyLocation { file: "settings.yml".into(), line };
        let quotes: Quotes = (1..=4).map(|line| (at(line), format!("key: {line}"))).collect();
        for (lines, expected) in [
            (vec![at(2)], "asked by settings.yml:2 `key: 2` at g"),
            (vec![at(2), at(9), at(2)], "asked by settings.yml:2 `key: 2`, settings.yml:9 at g"),
            (
                vec![at(1), at(2), at(3), at(4)],
                "asked by settings.yml:1, settings.yml:2, settings.yml:3, settings.yml:4 at g",
            ),
        ] {
            assert_eq!(asked_by(&lines, "g", &quotes).as_deref(), Some(expected));
        }
        assert_eq!(asked_by(std::iter::empty(), "g", &quotes), None);
    }
}

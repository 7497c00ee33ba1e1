//! Finds the person who made a change that Beadle reverted. The person is known only if a webhook
//! or the directory reported the person.

use beadle_engine::Key;
use beadle_engine::guard::short_undo;
use beadle_engine::journal::Cause;
use beadle_repositories::events_of;

use super::approval::Approval;
use super::story::Story;

/// The maximum number of causes in a text.
const SHOWN: usize = 3;

/// Returns the possible causes for the state of an aspect. A webhook about a repository is a
/// possible cause only if the event can report changes of this aspect.
pub(crate) fn makers(story: &Story) -> Vec<&Cause> {
    let Some(change) = story.change() else { return Vec::new() };
    let is_of_vendor = is_of_vendor(story);
    let events = events_of(&change.aspect);
    let is_maker = |cause: &&Cause| {
        let event = cause.event.split('.').next().unwrap_or_default();
        cause.by.is_some() && (!is_of_vendor || events.contains(&event))
    };
    let mut found: Vec<&Cause> = Vec::new();
    for cause in story.causes.iter().filter(is_maker) {
        if !found.iter().any(|known| (&known.by, &known.event) == (&cause.by, &cause.event)) {
            found.push(cause);
        }
    }
    found
}

/// Returns whether the policy, and not a directory, is the source of the values of a key. In that
/// case, a write reverts the change that a person made to the key.
fn is_of_vendor(story: &Story) -> bool {
    let kind = story.entry.key.parse::<Key>().ok().map(|key| key.kind().to_owned());
    matches!(kind.as_deref(), Some("repository" | "organisation"))
}

/// Returns a text about the cause of a write. If a person made the change that Beadle reverted, an
/// example of the text is `reverts a change by ann (team.edited)`. If Beadle wrote to a group, the
/// person might have changed the directory. An example is then `after a change by ann
/// (group.user_membership.add)`. If an approval let the write pass, the text begins with the
/// approval. If no webhook names a person and there is no approval, the text has the webhooks that
/// made Beadle read the key. For the write of an undo, the text is the short name of the undo.
pub(crate) fn text(story: &Story) -> Option<String> {
    let approval = story.approval.as_ref().map(Approval::text);
    let other = match story.undo() {
        Some(undo) => Some(short_undo(undo).into_owned()),
        None => people(&makers(story)).map(|people| {
            let verb = if is_of_vendor(story) { "reverts" } else { "after" };
            format!("{verb} a change by {people}")
        }),
    };
    match (approval, other) {
        (Some(approval), Some(other)) => Some(format!("{approval}; {other}")),
        // A webhook that only made Beadle read the key is not the cause of an approved write.
        (Some(one), None) | (None, Some(one)) => Some(one),
        (None, None) => read_after(story),
    }
}

/// Returns the people who made a change. Each person comes with the events that name this person.
/// Returns `None` if no event names a person.
fn people(makers: &[&Cause]) -> Option<String> {
    let mut people: Vec<(&str, Vec<&str>)> = Vec::new();
    for cause in makers.iter().take(SHOWN) {
        let by = cause.by.as_deref().unwrap_or_default();
        match people.iter_mut().find(|(known, _)| *known == by) {
            Some((_, events)) => events.push(cause.event.as_str()),
            None => people.push((by, vec![cause.event.as_str()])),
        }
    }
    if people.is_empty() {
        return None;
    }
    let named: Vec<String> =
        people.iter().map(|(by, events)| format!("{by} ({})", events.join(", "))).collect();
    Some(named.join(" or "))
}

/// Returns the webhooks that made Beadle read the key.
fn read_after(story: &Story) -> Option<String> {
    if story.causes.is_empty() {
        return None;
    }
    let shown = story.causes.iter().take(SHOWN).map(|cause| match &cause.by {
        Some(by) => format!("{} by {by}", cause.event),
        None => cause.event.clone(),
    });
    Some(format!("after {}", shown.collect::<Vec<_>>().join(", ")))
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Entry, EntryKind, Time};
    use serde_json::json;

    use super::*;

    fn story(key: &str, aspect: &str, causes: &[(&str, Option<&str>)]) -> Story {
        let detail = json!({
            "aspect": aspect, "what": "", "fields": [], "mode": "enforce", "after": [], "write": null,
            "generation": "g",
        });
        let (key, kind, subject) = (key.to_owned(), EntryKind::Intent, String::new());
        let entry = Entry {
            seq: 1,
            at: Time(1),
            kind,
            key,
            subject,
            intent: None,
            trace: None,
            detail: detail.into(),
        };
        let cause = |(event, by): &(&str, Option<&str>)| Cause {
            event: (*event).to_owned(),
            by: by.map(str::to_owned),
            delivery: "d".into(),
        };
        Story { causes: causes.iter().map(cause).collect(), ..Story::of(entry) }
    }

    #[test]
    fn the_write_of_an_undo_has_a_short_text() {
        let mut story = story("repository:acme:1", "teams", &[]);
        let detail = json!({
            "aspect": "teams", "what": "", "fields": [], "mode": "enforce", "after": [], "write": null,
            "generation": "undo of 270, 271, 272, 273",
        });
        story.entry.detail = detail.into();
        assert_eq!(text(&story).as_deref(), Some("undo of 270 and 3 more"));
    }

    #[test]
    fn only_a_webhook_about_the_aspect_names_who_made_a_state() {
        let (repository, group) = ("repository:acme:1", "target-group:aws:corp/00g1");
        let (ann, bob) = (Some("ann"), Some("bob"));
        for (key, aspect, causes, expected) in [
            (
                repository,
                "labels",
                &[("label.edited", ann)][..],
                Some("reverts a change by ann (label.edited)"),
            ),
            (
                repository,
                "labels",
                &[("label.edited", ann), ("label.edited", ann), ("label.deleted", bob)],
                Some("reverts a change by ann (label.edited) or bob (label.deleted)"),
            ),
            (repository, "labels", &[("team.edited", ann)], Some("after team.edited by ann")),
            (
                repository,
                "labels",
                &[("label.edited", ann), ("label.deleted", ann)],
                Some("reverts a change by ann (label.edited, label.deleted)"),
            ),
            (repository, "labels", &[("label.edited", None)], Some("after label.edited")),
            (repository, "labels", &[], None),
            (
                group,
                "members",
                &[("group.user_membership.remove", bob)],
                Some("after a change by bob (group.user_membership.remove)"),
            ),
        ] {
            assert_eq!(text(&story(key, aspect, causes)).as_deref(), expected);
        }
    }

    #[test]
    fn an_approval_is_the_cause_of_the_write_that_it_let_pass() {
        let approval = Approval { by: "sec".into(), entry: Some((812, Time(1_000))) };
        let ann = Some("ann");
        for (event, expected) in [
            ("repository.edited", "approved by sec at 1970-01-01T00:00:01Z (entry 812)"),
            (
                "label.edited",
                "approved by sec at 1970-01-01T00:00:01Z (entry 812); reverts a change by ann (label.edited)",
            ),
        ] {
            let story = story("repository:acme:1", "labels", &[(event, ann)]);
            let approved = Story { approval: Some(approval.clone()), ..story };
            assert_eq!(text(&approved).as_deref(), Some(expected));
        }
    }
}

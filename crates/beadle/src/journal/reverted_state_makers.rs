//! Finds the person who made a change that Beadle reverted. This is possible only if a webhook or
//! the directory reported the person.

use beadle_engine::Key;
use beadle_engine::guard::short_undo;
use beadle_engine::journal::Cause;
use beadle_repositories::events_of;

use super::story::Story;

/// The maximum number of causes in a text.
const SHOWN: usize = 3;

/// Returns the possible causes for the state of an aspect. A webhook about a repository is a
/// possible cause only if the event can report changes of this aspect.
pub(crate) fn makers(story: &Story) -> Vec<&Cause> {
    let Some(change) = story.change() else { return Vec::new() };
    let kind = story.entry.key.parse::<Key>().ok().map(|key| key.kind().to_owned());
    let is_of_vendor = matches!(kind.as_deref(), Some("repository" | "organisation"));
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

/// Returns a text about the person who made the change that Beadle reverted, such as `made by ann
/// (team.edited)`. If no webhook names a person, returns the webhooks that made Beadle read the
/// key. For the write of an undo, returns the short name of the undo.
pub(crate) fn text(story: &Story) -> Option<String> {
    if let Some(undo) = story.undo() {
        return Some(short_undo(undo).into_owned());
    }
    let makers = makers(story);
    if !makers.is_empty() {
        let named = makers
            .iter()
            .take(SHOWN)
            .map(|cause| format!("{} ({})", cause.by.as_deref().unwrap_or_default(), cause.event));
        return Some(format!("made by {}", named.collect::<Vec<_>>().join(" or ")));
    }
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
            (repository, "labels", &[("label.edited", ann)][..], Some("made by ann (label.edited)")),
            (
                repository,
                "labels",
                &[("label.edited", ann), ("label.edited", ann), ("label.deleted", bob)],
                Some("made by ann (label.edited) or bob (label.deleted)"),
            ),
            (repository, "labels", &[("team.edited", ann)], Some("after team.edited by ann")),
            (repository, "labels", &[("label.edited", None)], Some("after label.edited")),
            (repository, "labels", &[], None),
            (
                group,
                "members",
                &[("group.user_membership.remove", bob)],
                Some("made by bob (group.user_membership.remove)"),
            ),
        ] {
            assert_eq!(text(&story(key, aspect, causes)).as_deref(), expected);
        }
    }
}

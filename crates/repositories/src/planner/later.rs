//! Computes the state of a repository after the writes of a plan. If the plan writes a value that
//! the selector of a layer uses, the next plan might contain additional changes.

use beadle_engine::{Change, Field, StoreError};
use beadle_github::{Known, NameKind, Names, Repository, TeamPermission, Visibility};

/// Returns the repository in the state after all changes that the modes allow. The result changes
/// only the facts that selectors use: topics, custom properties, teams and the visibility. Returns
/// `None` if no change writes one of these facts.
pub(super) async fn later<W>(
    seen: &Repository,
    changes: &[Change<W>],
    names: &Names,
) -> Result<Option<Repository>, StoreError> {
    if changes.is_empty() {
        return Ok(None);
    }
    let mut next = seen.clone();
    for change in changes.iter().filter(|change| change.mode.allows(&change.risks())) {
        let slug = change.what.strip_prefix("team ");
        for field in &change.fields {
            match (change.aspect.as_str(), slug) {
                ("topics", _) => topic(&mut next, field),
                ("custom_properties", _) => property(&mut next, field),
                ("settings", _) if field.name == "visibility" => visibility(&mut next, field),
                ("teams", Some(slug)) => {
                    let id = names.remembered(NameKind::Team, slug).await?.unwrap_or_default();
                    team(&mut next, (id, slug), field);
                }
                _ => {}
            }
        }
    }
    Ok((next != *seen).then_some(next))
}

fn topic(next: &mut Repository, field: &Field) {
    let Known::Known(topics) = &mut next.topics else { return };
    topics.retain(|topic| *topic != field.name);
    if !field.after.is_null() {
        topics.push(field.name.clone());
    }
}

fn property(next: &mut Repository, field: &Field) {
    let Known::Known(properties) = &mut next.properties else { return };
    if field.after.is_null() {
        properties.remove(&field.name);
    } else {
        properties.insert(field.name.clone(), field.after.clone());
    }
}

fn visibility(next: &mut Repository, field: &Field) {
    if let Some(Ok(visibility)) = field.after.as_str().map(str::parse::<Visibility>) {
        next.visibility = visibility;
    }
}

fn team(next: &mut Repository, (id, slug): (u64, &str), field: &Field) {
    let Known::Known(teams) = &mut next.teams else { return };
    let known = teams.iter().position(|team| team.slug.eq_ignore_ascii_case(slug));
    match (known, field.after.as_str()) {
        (Some(at), None) => {
            teams.remove(at);
        }
        (Some(at), Some(permission)) => {
            if let Some(team) = teams.get_mut(at) {
                team.permission = permission.to_owned().into();
            }
        }
        (None, Some(permission)) => {
            let permission = permission.to_owned().into();
            teams.push(TeamPermission { id, slug: slug.to_owned(), permission, parent: None });
        }
        (None, None) => {}
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Clock, Mode, Risk};
    use serde_json::{Value, json};

    use super::*;
    use crate::policy::{Node, repository};

    fn change(aspect: &str, what: &str, name: &str, after: Value, mode: Mode) -> Change<()> {
        let risk = if after.is_null() { Risk::Removes } else { Risk::Adds };
        let field = Field { name: name.into(), before: Value::Null, after, asked: None, risk };
        Change {
            aspect: aspect.into(),
            what: what.into(),
            fields: vec![field],
            mode,
            after: Vec::new(),
            stop: None,
            undone: false,
            reaches: 1,
            write: (),
        }
    }

    #[tokio::test]
    async fn a_repository_has_later_what_the_plan_writes_and_a_mode_allows() {
        let names = Names::new(None, "acme", &Clock::system());
        let text = "{ name: shop, topics: [web, old], teams: [core], visibility: private }";
        let seen = repository(&Node::parse("test", text).unwrap());
        let changes = [
            change("topics", "", "api", json!(true), Mode::AddOnly),
            change("topics", "", "web", Value::Null, Mode::AddOnly),
            change("topics", "", "old", Value::Null, Mode::Enforce),
            change("settings", "", "visibility", json!("public"), Mode::Enforce),
            change("teams", "team ops", "permission", json!("push"), Mode::Enforce),
            change("teams", "team core", "permission", Value::Null, Mode::Enforce),
        ];
        let next = later(&seen, &changes, &names).await.unwrap().unwrap();
        assert_eq!(next.topics.value().unwrap(), &["web", "api"]);
        assert_eq!(next.visibility, Visibility::Public);
        let slugs: Vec<&str> = next.teams.value().unwrap().iter().map(|team| team.slug.as_str()).collect();
        assert_eq!(slugs, ["ops"]);
        let others = [change("settings", "", "has_wiki", json!(false), Mode::Enforce)];
        assert!(later(&seen, &others, &names).await.unwrap().is_none());
    }
}

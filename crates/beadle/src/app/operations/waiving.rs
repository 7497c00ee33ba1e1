//! Checks and stores the waivers of operators. `beadle waive` and the pages use this module.

use anyhow::{anyhow, bail};
use beadle_engine::journal::OperatorAction;
use beadle_engine::{Entry, Failure, Key, Lane, Store, StoreError, Time, Waived, parse_span};
use beadle_github::IndexRow;
use beadle_repositories::policy::{Waiver, WaiverState, meant_key, parse_until};
use beadle_repositories::{RepositoryPlanner, stored_waiver};

use crate::app::operations::decided_by::DecidedBy;
use crate::app::operations::waiver_repositories::mark;
use crate::config::{OrgConfig, waiver_rules};

/// The maximum number of repositories with a separate entry in the journal. If a waiver covers more
/// repositories, the journal has one entry about the organisation.
const OWN_ENTRIES: usize = 20;

/// Parses the end of a waiver: a duration from now, a date or a time. `name` is the name of the
/// value in error texts.
pub(crate) fn until(text: &str, (now, name): (Time, &str)) -> anyhow::Result<Time> {
    if let Ok(span) = parse_span(text) {
        return Ok(now + span);
    }
    let invalid = |must: String| anyhow::anyhow!("{name} must be a duration such as `2d`, or {must}");
    parse_until(text).map_err(|must| invalid(must.replacen("be a date", "a date", 1)))
}

/// Checks a waiver against the limits of the configuration. Error texts use `name` for the end of
/// the waiver.
pub(crate) fn check(waiver: &Waiver, file: &OrgConfig, (now, name): (Time, &str)) -> anyhow::Result<()> {
    let rules = waiver_rules(file);
    match waiver.state(&rules, now) {
        WaiverState::InForce => Ok(()),
        WaiverState::Ended => bail!("{name} must be in the future, found {}", waiver.until),
        WaiverState::From(_) => {
            let latest = now + rules.longest;
            bail!("{name} must be at most {latest}\nhint: `longest` in [org.waivers] sets this limit")
        }
        WaiverState::Never(key) => {
            bail!("`{key}` must not be waived, because `never_waive` in [org.waivers] has it")
        }
    }
}

/// Returns the paths of the keys that an operator means. The operator can write a path, or the text
/// that a plan shows for a value, such as `has_wiki` or `team core`.
pub(crate) fn meant_keys(keys: &[String]) -> anyhow::Result<Vec<String>> {
    let meant = |key: &String| {
        meant_key(key).map_err(|must| {
            anyhow!(
                "`{key}` must {must}\nhint: `beadle explain OWNER/NAME` prints the keys that the policy declares for a \
                 repository"
            )
        })
    };
    keys.iter().map(meant).collect()
}

/// Stores a checked waiver that covers these repositories. Records the waiver in the journal, and
/// marks the repositories as due.
pub(crate) async fn waive(
    store: &dyn Store,
    file: &OrgConfig,
    waiver: &Waiver,
    (rows, by): (&[IndexRow], String),
    now: Time,
) -> anyhow::Result<()> {
    stored_waiver(&file.name, &waiver.id()).put(store, waiver).await?;
    let action = OperatorAction::Waived {
        waived: waiver.keys.clone(),
        repositories: waiver.repositories.clone(),
        waived_until: waiver.until.to_string(),
        reason: waiver.reason.clone(),
        owner: waiver.owner.clone(),
        by,
    };
    let subject = format!("{}/{}", file.name, waiver.repositories.join(", "));
    record(store, (file, &subject), rows, action, now).await?;
    // The next run of each repository ends the holds of the exempt keys.
    mark(store, &file.name, rows, (Lane::Manual, now)).await?;
    Ok(())
}

/// Returns the number of keys in a stored waiver that the policy does not declare for a repository.
/// The operator might have misspelled the name of an entry. Returns `None` if there is no
/// repository with this name.
pub(crate) async fn undeclared(
    planner: &RepositoryPlanner,
    repository: &str,
    waiver: &Waiver,
) -> Result<Option<usize>, Failure> {
    let Some(explained) = planner.explain(repository, "").await? else { return Ok(None) };
    Ok(Some(idle(waiver, &explained.waived, &explained.absent_waived)))
}

/// Returns the number of keys in a waiver that are not exempt in a repository. A key of an absent
/// entry also counts, although the key is exempt, because the policy does not declare the entry.
fn idle(waiver: &Waiver, exempt: &[Waived], absent: &[String]) -> usize {
    let own = exempt.iter().filter(|waived| waiver.is_source_of(waived) && !absent.contains(&waived.key));
    waiver.keys.len().saturating_sub(own.count())
}

/// Returns the stored waiver that an operator wants to end. A waiver that this version cannot read
/// stops all runs of the organisation, so an operator must be able to end the waiver. The function
/// returns an unreadable waiver as a waiver for all keys in all repositories.
pub(crate) async fn to_end(
    store: &dyn Store,
    file: &OrgConfig,
    code: &str,
) -> Result<Option<Waiver>, StoreError> {
    match stored_waiver(&file.name, code).get(store).await {
        Err(StoreError::Newer { .. }) => Ok(Some(Waiver {
            keys: vec!["*".to_owned()],
            repositories: vec!["*".to_owned()],
            until: Time(0),
            reason: String::new(),
            owner: String::new(),
            asked: None,
        })),
        stored => stored,
    }
}

/// Ends the stored waiver with this code. Records the end in the journal, and marks the covered
/// repositories as due.
pub(crate) async fn end(
    store: &dyn Store,
    file: &OrgConfig,
    (code, waiver): (&str, &Waiver),
    (rows, by): (&[IndexRow], DecidedBy),
    now: Time,
) -> anyhow::Result<()> {
    stored_waiver(&file.name, code).forget(store).await?;
    mark(store, &file.name, rows, (Lane::Manual, now)).await?;
    let action = OperatorAction::EndedWaiver {
        ended_waiver: code.to_owned(),
        waived: waiver.keys.clone(),
        repositories: waiver.repositories.clone(),
        by: by.name,
        reason: by.reason,
    };
    record(store, (file, &file.name), rows, action, now).await
}

/// Records an action about a waiver in the journal. The journal of each covered repository shows
/// the action, unless the waiver covers too many repositories. In that case, or if the waiver
/// covers no repository, the entry belongs to the organisation, and `subject` is the name of the
/// organisation.
async fn record(
    store: &dyn Store,
    (file, subject): (&OrgConfig, &str),
    rows: &[IndexRow],
    action: OperatorAction,
    at: Time,
) -> anyhow::Result<()> {
    let of_repository = |row: &IndexRow| {
        let (key, name) = (Key::new("repository", &file.name, row.id), format!("{}/{}", file.name, row.name));
        Entry::of_operator(action.clone(), (key.as_str(), &name), at)
    };
    let entries = if rows.is_empty() || rows.len() > OWN_ENTRIES {
        vec![Entry::of_operator(action, (&file.name, subject), at)]
    } else {
        rows.iter().map(of_repository).collect()
    };
    store.journal(None, entries, at).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::store;

    #[tokio::test]
    async fn an_operator_can_end_a_waiver_that_this_version_cannot_read() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let file = "name = \"acme\"\npolicy = \"policy\"\ntoken = \"env:T\"\nmode = \"enforce\"\n";
        let file: OrgConfig = toml::from_str(file).unwrap();
        assert_eq!(to_end(store, &file, "c1").await.unwrap(), None);
        store.put("waiver:acme:c1", r#"{"paths":["topics"]}"#).await.unwrap();
        let waiver = to_end(store, &file, "c1").await.unwrap().unwrap();
        assert!(waiver.covers("shop") && waiver.covers("web"), "every repository is compared again");
        let by = DecidedBy { name: "ann".to_owned(), reason: Some("released".to_owned()) };
        end(store, &file, ("c1", &waiver), (&[], by), Time(9)).await.unwrap();
        let history = beadle_engine::History { limit: 1, ..beadle_engine::History::default() };
        let ended = store.newest_entries(history).await.unwrap();
        assert_eq!(ended[0].detail.to_value()["reason"], "released");
        assert_eq!(store.get("waiver:acme:c1").await.unwrap(), None);
        assert!(beadle_repositories::stored_waivers(store, "acme").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_journal_of_a_repository_shows_its_waivers() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let file = "name = \"acme\"\npolicy = \"policy\"\ntoken = \"env:T\"\nmode = \"enforce\"\n";
        let file: OrgConfig = toml::from_str(file).unwrap();
        let waiver = Waiver {
            keys: vec!["labels".to_owned()],
            repositories: vec!["*".to_owned()],
            until: Time(1_000),
            reason: "release".to_owned(),
            owner: "mona".to_owned(),
            asked: None,
        };
        let row = |id: u64| IndexRow {
            id,
            node_id: format!("R_{id}"),
            name: format!("r{id}"),
            archived: false,
            visibility: None,
        };
        for (count, expected) in [(2, vec!["repository:acme:1", "repository:acme:2"]), (21, vec!["acme"])] {
            let rows: Vec<IndexRow> = (1..=count).map(row).collect();
            waive(store, &file, &waiver, (&rows, "ann".to_owned()), Time(9)).await.unwrap();
            let limit = u32::try_from(expected.len()).unwrap();
            let history = beadle_engine::History { limit, ..beadle_engine::History::default() };
            let entries = store.newest_entries(history).await.unwrap();
            let mut keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
            keys.sort_unstable();
            assert_eq!(keys, expected, "{count}");
        }
    }

    #[test]
    fn an_operator_can_write_a_key_as_a_plan_shows_it() {
        let keys = |keys: &[&str]| meant_keys(&keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>());
        let meant = keys(&["has_wiki", "team core", "branches.main"]).unwrap();
        assert_eq!(meant, ["repository.has_wiki", "teams[core]", "branches.main"]);
        for wrong in ["has_wikis", "wiki"] {
            let error = keys(&["labels", wrong]).unwrap_err().to_string();
            assert!(error.contains("did you mean `repository.has_wiki`?"), "{error}");
            assert!(error.contains("`beadle explain OWNER/NAME` prints the keys"), "{error}");
        }
    }

    #[test]
    fn a_key_of_the_default_branch_is_declared_under_both_names() {
        let waiver = Waiver {
            keys: vec!["branches.main.enforce_admins".to_owned(), "labels[nope]".to_owned()],
            repositories: vec!["shop".to_owned()],
            until: Time(1_000),
            reason: "release".to_owned(),
            owner: "mona".to_owned(),
            asked: None,
        };
        let exempt = Waived {
            key: "branches[default].enforce_admins".to_owned(),
            until: waiver.until.to_string(),
            reason: waiver.reason.clone(),
            owner: waiver.owner.clone(),
            asked: None,
        };
        assert_eq!(idle(&waiver, std::slice::from_ref(&exempt), &[]), 1, "only the label is not declared");
        assert_eq!(idle(&waiver, &[], &[]), 2);
        let label = Waived { key: "labels[nope]".to_owned(), ..exempt.clone() };
        let exempt = [exempt, label];
        assert_eq!(idle(&waiver, &exempt, &["labels[nope]".to_owned()]), 1, "an absent label is exempt");
        assert_eq!(idle(&waiver, &exempt, &[]), 0);
    }

    #[test]
    fn the_end_is_a_duration_a_date_or_a_time() {
        let named = (Time(5), "`--until`");
        for (text, expected) in
            [("2d", 172_800_005), ("1970-01-01", 86_400_000), ("1970-01-01T00:00:01Z", 1_000)]
        {
            assert_eq!(until(text, named).unwrap(), Time(expected), "{text}");
        }
        let error = until("soon", named).unwrap_err().to_string();
        assert!(error.starts_with("`--until` must be a duration such as `2d`, or a date such as"), "{error}");
    }
}

//! Checks and stores the waivers of operators. `beadle waive` and the pages use this module.

use anyhow::bail;
use beadle_engine::journal::OperatorAction;
use beadle_engine::{Entry, Lane, Store, StoreError, Time, parse_span};
use beadle_github::IndexRow;
use beadle_repositories::policy::{Waiver, WaiverState, check_waived_key, parse_until};
use beadle_repositories::stored_waiver;

use crate::app::operations::waiver_repositories::mark;
use crate::config::{OrgConfig, waiver_rules};

/// Parses the end of a waiver: a duration from now, a date or a time. `name` is the name of the
/// value in error texts.
pub(crate) fn until(text: &str, (now, name): (Time, &str)) -> anyhow::Result<Time> {
    if let Ok(span) = parse_span(text) {
        return Ok(now + span);
    }
    let invalid = |must: String| anyhow::anyhow!("{name} must be a duration such as `2d`, or {must}");
    parse_until(text).map_err(|must| invalid(must.replacen("be a date", "a date", 1)))
}

/// Checks a waiver against the limits of the configuration. `name` is the name of the waiver's end
/// in error texts.
pub(crate) fn check(waiver: &Waiver, file: &OrgConfig, (now, name): (Time, &str)) -> anyhow::Result<()> {
    for key in &waiver.keys {
        if let Err(must) = check_waived_key(key) {
            bail!("`{key}` must {must}\nhint: `beadle explain` shows the paths of the declared keys");
        }
    }
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
    record(store, file, &subject, action, now).await?;
    // The next run of each repository ends the holds of the exempt keys.
    mark(store, &file.name, rows, (Lane::Manual, now)).await?;
    Ok(())
}

/// Returns the stored waiver that an operator wants to end. A waiver that this version cannot read
/// stops all runs of the organisation, so an operator must be able to end the waiver. The function
/// returns such a waiver as a waiver of all keys of all repositories.
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
    (rows, by): (&[IndexRow], String),
    now: Time,
) -> anyhow::Result<()> {
    stored_waiver(&file.name, code).forget(store).await?;
    mark(store, &file.name, rows, (Lane::Manual, now)).await?;
    let action = OperatorAction::EndedWaiver {
        ended_waiver: code.to_owned(),
        waived: waiver.keys.clone(),
        repositories: waiver.repositories.clone(),
        by,
    };
    record(store, file, &file.name, action, now).await
}

/// Records an action about a waiver in the journal. `subject` contains the names of the
/// repositories.
async fn record(
    store: &dyn Store,
    file: &OrgConfig,
    subject: &str,
    action: OperatorAction,
    at: Time,
) -> anyhow::Result<()> {
    let entry = Entry::of_operator(action, (&file.name, subject), at);
    store.journal(None, vec![entry], at).await?;
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
        end(store, &file, ("c1", &waiver), (&[], "ann".to_owned()), Time(9)).await.unwrap();
        assert_eq!(store.get("waiver:acme:c1").await.unwrap(), None);
        assert!(beadle_repositories::stored_waivers(store, "acme").await.unwrap().is_empty());
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

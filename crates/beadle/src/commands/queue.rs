//! `beadle queue`: lists keys, or makes a parked key due again.

use std::sync::Arc;

use beadle_engine::{Clock, Key, Lane, Row, RowList, Store, StoreError, Time, one_line};

use crate::app::groups::directories_and_targets::group_keys;
use crate::app::operations::key_names as names;
use crate::app::operations::retrying;
use crate::app::store;
use crate::cli::{QueueArgs, Scope};
use crate::commands::shared::decided_by::decided_by;
use crate::commands::{FAILED, FINE, ago, pause};
use crate::config::Config;
use crate::output::escape::{self, VALUE};
use crate::output::left_out::LeftOut;
use crate::output::plural::counted;
use crate::output::printer::{Printer, Tone};

pub(crate) async fn run(config: &Arc<Config>, wanted: &QueueArgs, printer: &Printer) -> anyhow::Result<u8> {
    let store = store::open_existing(config).await?;
    let now = Clock::system().now();
    if let Some(name) = &wanted.retry {
        let by = decided_by(config, &wanted.decider, printer).await?;
        for key in keys_to_retry(config, &store, name).await? {
            let shown = retrying::retry(store.as_ref(), (&key, name), &by, now).await?;
            printer.line(format!("{} is due now", escape::cut(&shown, VALUE)));
        }
        return Ok(FINE);
    }
    let keys = match (&wanted.group, &wanted.repo) {
        (Some(name), _) => Some(group_keys(config, &store, name).await?),
        (None, Some(name)) => Some(names::repository_keys(config, &store, name).await?),
        (None, None) => None,
    };
    let list = match &keys {
        None => store.all_rows(wanted.limit).await?,
        Some(keys) => {
            let mut rows = Vec::new();
            for key in keys {
                rows.extend(store.row(key).await?.filter(|row| row.is_pending() || row.parked.is_some()));
            }
            RowList::new(rows, &[])
        }
    };
    let left_out = match &keys {
        None => left_out(store.as_ref(), (list.count(), wanted.limit), now).await?,
        Some(_) => None,
    };
    let RowList { rows, unreadable, .. } = list;
    for why in &unreadable {
        printer.error(&format!(
            "cannot read {why}\nhint: Beadle does not work on this key; use the newest version of Beadle that has used \
             this store"
        ));
    }
    let code = if unreadable.is_empty() { FINE } else { FAILED };
    if wanted.json {
        let shown = rows.iter().map(serde_json::to_string);
        shown.collect::<Result<Vec<_>, _>>()?.iter().for_each(|row| printer.json(row));
    } else {
        for row in &rows {
            let name = named(store.as_ref(), row.key.as_str(), printer).await?;
            printer.line(format!("{:9} {name}  {}", state(row, now, printer), detail(row, now)));
        }
    }
    if let Some(left_out) = left_out {
        left_out.note(("key", "keys"), u64::from(wanted.limit), printer);
    }
    if wanted.json {
        return Ok(code);
    }
    if keys.is_some() {
        if rows.is_empty() {
            let what = if wanted.group.is_some() { "group" } else { "repository" };
            printer.note(format!("the {what} is not due, not running and not parked"));
        }
        return Ok(code);
    }
    for pause in store.pauses(now).await? {
        let name = named(store.as_ref(), &pause.scope, printer).await?;
        printer.line(format!("paused    {name}  until {}", pause.until));
    }
    let depth = store.depth(now).await?;
    let list = store.all_holds().await?;
    let held = list.holds.len() + list.unreadable.len();
    let due: Vec<String> = Lane::ALL.iter().map(|lane| format!("{} {lane}", depth.lane(*lane))).collect();
    printer.line(format!(
        "{} due, {} running, {} parked, {} held",
        due.join(", "),
        depth.leased,
        depth.parked,
        counted(held, "change", "changes")
    ));
    Ok(code)
}

/// Returns how many keys a list with this limit leaves out. `shown` is the number of listed keys.
async fn left_out(
    store: &dyn Store,
    (shown, limit): (usize, u32),
    now: Time,
) -> Result<Option<LeftOut>, StoreError> {
    let shown = shown as u64;
    if shown < u64::from(limit) {
        return Ok(None);
    }
    Ok(LeftOut::exactly(store.depth(now).await?.total().saturating_sub(shown)))
}

/// Returns the keys that match a key or a name.
async fn keys_to_retry(config: &Arc<Config>, store: &Arc<dyn Store>, name: &str) -> anyhow::Result<Vec<Key>> {
    match retrying::keys_to_retry(config, store, name).await {
        Ok(found) => Ok(found),
        Err(unknown) => {
            // If a repository has always matched the policy, the journal has no entry about this
            // repository.
            let scope = Scope { org: None, repo: Some(name.to_owned()), target: None };
            let Ok(found) = pause::resolve(config, &scope).await else { return Err(unknown) };
            Ok(vec![found.scope.parse()?])
        }
    }
}

/// For people, returns the readable name of a key. For programs, returns the key itself.
/// Organisations, targets and keys without a journal entry have no other readable name.
async fn named(store: &dyn Store, scope: &str, printer: &Printer) -> anyhow::Result<String> {
    let name = match scope.parse::<Key>() {
        Ok(key) => names::name(store, &key).await?,
        Err(_) => None,
    };
    Ok(match name {
        Some(name) => {
            let key = printer.paint(Tone::Faint, format!("[{}]", escape::cut(scope, VALUE)));
            format!("{:30} {key}", escape::cut(&name, VALUE))
        }
        None => format!("{scope:44}"),
    })
}

fn state(row: &Row, now: Time, printer: &Printer) -> String {
    match (&row.parked, row.lease_until) {
        (Some(_), _) => printer.paint(Tone::Danger, "parked   "),
        (None, Some(until)) if until > now => printer.paint(Tone::Good, "running  "),
        _ => format!("{:9}", row.lane.as_str()),
    }
}

fn detail(row: &Row, now: Time) -> String {
    if let Some(parked) = &row.parked {
        let (reason, since) = (parked.reason.as_str(), ago(parked.since, now));
        return format!("{reason} for {since}: {}", escape::cut(&one_line(&parked.why), VALUE));
    }
    let mut text = format!("due for {}", ago(row.first_dirty, now));
    if let Some(due) = row.due_at().filter(|due| *due > now) {
        text = format!("{text}, not before {due}");
    }
    if let Some(why) = &row.last_error {
        text = format!("{text}; try {}: {}", row.attempts, escape::cut(&one_line(why), VALUE));
    }
    text
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Mark, Outcome, ParkReason};

    use super::*;

    #[tokio::test]
    async fn a_cut_queue_counts_the_keys_that_it_leaves_out() {
        let (_folder, store) = crate::app::store::temporary().unwrap();
        let store = store.as_ref();
        let now = Time(1000);
        let key = |id: u64| Key::new("repository", "acme", id);
        let marks = (0..5).map(|id| Mark::new(key(id), Lane::Event)).collect();
        store.mark(marks, now).await.unwrap();
        // One key is parked, and a worker has claimed another key.
        let parked = store.claim_key(&key(0), now).await.unwrap().unwrap();
        let outcome = Outcome::Park(ParkReason::Failed, "403".into());
        store.finish(&parked.lease, outcome, now).await.unwrap();
        store.claim_key(&key(1), now).await.unwrap().unwrap();
        for (limit, expected) in
            [(2, Some(LeftOut::Exactly(3))), (4, Some(LeftOut::Exactly(1))), (5, None), (100, None)]
        {
            let shown = store.all_rows(limit).await.unwrap().count();
            assert_eq!(left_out(store, (shown, limit), now).await.unwrap(), expected, "{limit}");
        }
    }

    #[test]
    fn each_state_of_a_key_is_one_line() {
        let now = Time(3_600_000);
        let row =
            Row { wanted: 1, first_dirty: Time(3_300_000), ..Row::new(Key::new("repository", "acme", 7)) };
        let mut parked = row.clone();
        parked.park(ParkReason::Failed, "403 Forbidden".into(), Time(0));
        let rows = [
            Row { lane: Lane::Event, ..row.clone() },
            Row { lease_until: Some(Time(3_660_000)), ..row.clone() },
            Row { run_at: Time(3_660_000), attempts: 3, last_error: Some("502 Bad Gateway".into()), ..row },
            parked,
        ];
        let printer = Printer::plain();
        let lines = rows.iter().map(|row| format!("{} {}", state(row, now, &printer), detail(row, now)));
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
    }
}

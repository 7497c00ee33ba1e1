//! `beadle queue`.

use beadle_engine::{Clock, Key, Lane, Mark, Row, Time};
use serde_json::json;

use crate::app::directories::group_keys;
use crate::app::store;
use crate::commands::{FINE, ago, named};
use crate::config::Config;
use crate::output::escape::{self, VALUE};
use crate::output::printer::{Printer, Tone};

/// What is asked.
pub(crate) struct QueueFilter {
    pub(crate) json: bool,
    pub(crate) limit: u32,
    pub(crate) retry: Option<String>,
    pub(crate) group: Option<String>,
}

pub(crate) async fn run(config: &Config, wanted: QueueFilter, printer: &Printer) -> anyhow::Result<u8> {
    let store = store::open_existing(config).await?;
    let now = Clock::system().now();
    if let Some(key) = wanted.retry {
        // A name is of what is reconciled: a dispatch of it is made again by its own key only.
        let is_meant = |found: &Key| {
            found.as_str() == key
                || ["repository", "organisation", beadle_groups::mark::KIND].contains(&found.kind())
        };
        let mut found = named::keys(config, &store, &key).await?;
        found.retain(is_meant);
        anyhow::ensure!(!found.is_empty(), "there is no repository or group `{key}`; specify the key itself");
        for key in found {
            store.mark(vec![Mark::new(key.clone(), Lane::Manual)], now).await?;
            printer.line(format!("{key} is due now"));
        }
        return Ok(FINE);
    }
    let rows = match &wanted.group {
        None => store.rows(wanted.limit).await?,
        Some(name) => {
            let mut rows = Vec::new();
            for key in group_keys(config, &store, name).await? {
                rows.extend(store.row(&key).await?.filter(|row| row.is_pending() || row.parked.is_some()));
            }
            rows
        }
    };
    if wanted.json {
        let shown = rows.iter().map(serde_json::to_string);
        shown.collect::<Result<Vec<_>, _>>()?.iter().for_each(|row| printer.json(row));
        return Ok(FINE);
    }
    for row in &rows {
        let key = row.key.as_str();
        let name = named::name(store.as_ref(), &row.key).await?;
        let name = name.map(|name| format!("{}; ", escape::cut(&name, VALUE))).unwrap_or_default();
        printer.line(format!("{:9} {key:44} {name}{}", state(row, now, printer), detail(row, now)));
    }
    if wanted.group.is_some() {
        if rows.is_empty() {
            printer.note("it does not wait, is not worked on, and is not parked");
        }
        return Ok(FINE);
    }
    for pause in store.pauses(now).await? {
        printer.line(format!("paused    {:44} until {}", pause.scope, pause.until));
    }
    let depth = store.depth(now).await?;
    let held = store.holds().await?.len();
    let due: Vec<String> = Lane::ALL.iter().map(|lane| format!("{} {lane}", depth.lane(*lane))).collect();
    let total = json!({ "leased": depth.leased, "parked": depth.parked, "held": held });
    printer.line(format!(
        "{} due, {} being worked on, {} parked, {} changes held",
        due.join(", "),
        total["leased"],
        total["parked"],
        total["held"]
    ));
    Ok(FINE)
}

fn state(row: &Row, now: Time, printer: &Printer) -> String {
    match (&row.parked, row.lease_until) {
        (Some(parked), _) => printer.paint(Tone::Danger, format!("{:9}", parked.reason.as_str())),
        (None, Some(until)) if until > now => printer.paint(Tone::Good, "running  "),
        _ => format!("{:9}", row.lane.as_str()),
    }
}

fn detail(row: &Row, now: Time) -> String {
    if let Some(parked) = &row.parked {
        return format!("for {}: {}", ago(parked.since, now), escape::cut(&parked.why, VALUE));
    }
    let mut text = format!("due for {}", ago(row.first_dirty, now));
    if let Some(due) = row.due_at().filter(|due| *due > now) {
        text = format!("{text}, not before {due}");
    }
    if let Some(why) = &row.last_error {
        text = format!("{text}; try {}: {}", row.attempts, escape::cut(why, VALUE));
    }
    text
}

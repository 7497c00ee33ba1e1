//! `beadle deliveries`.

use std::cmp::Reverse;

use anyhow::bail;
use beadle_engine::{Clock, DeliveryRow, Listing, Store};

use crate::cli::ListArgs;
use crate::commands::{FINE, named};
use crate::config::Config;
use crate::escape::{self, VALUE};
use crate::printer::{Printer, Tone};
use crate::wiring;

/// The senders of deliveries. Each sender has ids of its own.
const SOURCES: [&str; 2] = ["github", beadle_hooks::okta::SOURCE];

pub(crate) async fn run(config: &Config, args: &ListArgs, printer: &Printer) -> anyhow::Result<u8> {
    let store = wiring::existing(config).await?;
    if let Some(id) = &args.body {
        printer.json(&String::from_utf8_lossy(&body(store.as_ref(), id).await?));
        return Ok(FINE);
    }
    let since = args.since.map(|since| Clock::system().now() - since);
    let keys = match &args.key {
        Some(text) => named::keys(config, &store, text).await?,
        None => Vec::new(),
    };
    let mut rows: Vec<DeliveryRow> = Vec::new();
    for key in keys.iter().map(|key| Some(key.to_string())).chain(keys.is_empty().then_some(None)) {
        rows.extend(store.deliveries(Listing { after: 0, since, key, limit: args.limit }).await?);
    }
    if keys.len() > 1 {
        rows.sort_by_key(|row| Reverse(row.received));
        rows.dedup_by(|one, other| (&one.source, &one.id) == (&other.source, &other.id));
        rows.truncate(usize::try_from(args.limit).unwrap_or(usize::MAX));
    }
    if rows.is_empty() {
        named::ensure_known(store.as_ref(), &keys).await?;
        if args.json {
            printer.note("no deliveries");
        } else {
            printer.line("no deliveries");
        }
    }
    for row in rows {
        if args.json {
            printer.json(&serde_json::to_string(&row)?);
            continue;
        }
        let keys: Vec<&str> = row.keys.iter().map(beadle_engine::Key::as_str).collect();
        let keys = if keys.is_empty() { "nothing to look at".into() } else { keys.join(" ") };
        printer.line(format!(
            "{}  {}  {:34}  {}",
            row.received,
            row.id,
            escape::cut(&row.event, 80),
            printer.paint(Tone::Faint, escape::cut(&keys, VALUE))
        ));
    }
    Ok(FINE)
}

/// The body of a delivery of any sender.
async fn body(store: &dyn Store, id: &str) -> anyhow::Result<Vec<u8>> {
    for source in SOURCES {
        if let Some(body) = store.body(source, id).await?.filter(|body| !body.is_empty()) {
            return Ok(body);
        }
    }
    bail!(
        "the store has no body of a delivery `{id}`\nhint: bodies are kept for `retention.bodies`; an event of Okta has \
         none of its own, its delivery has it"
    )
}

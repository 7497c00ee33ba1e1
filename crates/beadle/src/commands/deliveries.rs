//! `beadle deliveries`: lists webhook deliveries, or prints the body of one delivery.

use std::cmp::Reverse;
use std::collections::HashMap;

use anyhow::bail;
use beadle_engine::{Clock, DeliveryRow, Key, Listing, Store, StoreError, Time};
use beadle_hooks::okta::{EVENTS, SOURCE};

use crate::app::operations::key_names::{self as names, PAGE};
use crate::app::store;
use crate::cli::ListArgs;
use crate::commands::FINE;
use crate::config::Config;
use crate::output::escape::{self, VALUE};
use crate::output::left_out::{COUNTED, LeftOut};
use crate::output::printer::{Printer, Tone};

/// The senders of deliveries. An id identifies a delivery only together with its sender.
const SOURCES: [&str; 2] = ["github", SOURCE];

pub(crate) async fn run(config: &Config, args: &ListArgs, printer: &Printer) -> anyhow::Result<u8> {
    let store = store::open_existing(config).await?;
    if let Some(id) = &args.body {
        printer.json(&String::from_utf8_lossy(&body(store.as_ref(), id).await?));
        return Ok(FINE);
    }
    let since = args.since.map(|since| Clock::system().now() - since);
    let keys = match (&args.key, &args.repo) {
        (Some(text), _) => names::keys(config, &store, text).await?,
        (None, Some(name)) => names::repository_keys(config, &store, name).await?,
        (None, None) => Vec::new(),
    };
    let (rows, left_out) = newest(store.as_ref(), &keys, since, args.limit).await?;
    if rows.is_empty() && left_out.is_none() {
        names::ensure_known(store.as_ref(), &keys).await?;
        if args.json {
            printer.note("no deliveries");
        } else {
            printer.line("no deliveries");
        }
    }
    let mut known: HashMap<Key, String> = HashMap::new();
    for row in rows {
        if args.json {
            printer.json(&serde_json::to_string(&row)?);
            continue;
        }
        let mut about: Vec<String> = Vec::new();
        for key in &row.keys {
            let name = if let Some(name) = known.get(key) {
                name.clone()
            } else {
                let name = names::shown(store.as_ref(), key).await?;
                known.insert(key.clone(), name.clone());
                name
            };
            about.push(name);
        }
        let about = if about.is_empty() { "no key".into() } else { about.join(" ") };
        printer.line(format!(
            "{}  {}  {:34}  {}",
            row.received,
            row.id,
            escape::cut(&row.event, 80),
            printer.paint(Tone::Faint, escape::cut(&about, VALUE))
        ));
    }
    if let Some(left_out) = left_out {
        left_out.note(("older delivery", "older deliveries"), u64::from(args.limit), printer);
    }
    Ok(FINE)
}

/// Returns the newest deliveries that concern one of the keys, and how many deliveries the list
/// leaves out. Without keys, returns the newest of all deliveries.
async fn newest(
    store: &dyn Store,
    keys: &[Key],
    since: Option<Time>,
    limit: u32,
) -> Result<(Vec<DeliveryRow>, Option<LeftOut>), StoreError> {
    let shown = usize::try_from(limit).unwrap_or(usize::MAX);
    let further = COUNTED.saturating_add(1);
    if keys.len() < 2 {
        let key = keys.first().map(ToString::to_string);
        let rows = store.deliveries(Listing { after: 0, since, key: key.clone(), limit }).await?;
        if rows.len() < shown {
            return Ok((rows, None));
        }
        let after = Listing { after: u64::from(limit), since, key, limit: further };
        let left = store.deliveries(after).await?;
        return Ok((rows, LeftOut::counted(left.len())));
    }
    // A delivery can concern several of the keys, so Beadle removes the duplicates before it counts
    // the deliveries.
    let mut rows: Vec<DeliveryRow> = Vec::new();
    for key in keys.iter().map(ToString::to_string) {
        let listing = Listing { after: 0, since, key: Some(key), limit: limit.saturating_add(further) };
        rows.extend(store.deliveries(listing).await?);
    }
    // Several deliveries can have the same time. Duplicates must be next to each other in the
    // sorted list.
    rows.sort_by_cached_key(|row| (Reverse(row.received), row.source.clone(), row.id.clone()));
    rows.dedup_by(|one, other| (&one.source, &one.id) == (&other.source, &other.id));
    let left = rows.len().saturating_sub(shown);
    rows.truncate(shown);
    Ok((rows, LeftOut::counted(left)))
}

/// Returns the body of the delivery with this id. The function searches the deliveries of all
/// senders.
async fn body(store: &dyn Store, id: &str) -> anyhow::Result<Vec<u8>> {
    for source in SOURCES {
        if let Some(body) = store.body(source, id).await?.filter(|body| !body.is_empty()) {
            return Ok(body);
        }
    }
    if let Some(body) = body_around(store, id).await? {
        return Ok(body);
    }
    bail!(
        "the store has no body of the delivery `{id}`\nhint: Beadle keeps bodies for `retention.bodies`; an event \
         from Okta's System Log has no body"
    )
}

/// Searches for the Okta delivery with this event, and returns the body of the delivery. The store
/// records the same time for an event and for its delivery. The function uses this time to find the
/// delivery.
async fn body_around(store: &dyn Store, id: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let mut event: Option<DeliveryRow> = None;
    let mut brought = Vec::new();
    let mut after = 0;
    loop {
        let rows = store.deliveries(Listing { after, since: None, key: None, limit: PAGE }).await?;
        let older = |row: &DeliveryRow| event.as_ref().is_some_and(|event| row.received < event.received);
        if rows.first().is_none_or(older) {
            break;
        }
        after += rows.len() as u64;
        for row in rows {
            match row.source.as_str() {
                SOURCE => brought.push(row),
                EVENTS if row.id == id => event = Some(row),
                _ => {}
            }
        }
    }
    let Some(event) = event else { return Ok(None) };
    brought.retain(|row| row.received == event.received && row.instance == event.instance);
    for delivery in brought {
        // If an event has no uuid, the id of the event consists of the delivery's id and the
        // event's position.
        let is_place = id.strip_prefix(&delivery.id).is_some_and(|rest| rest.starts_with('-'));
        if let Some(body) = store.body(SOURCE, &delivery.id).await?
            && !body.is_empty()
            && (is_place || String::from_utf8_lossy(&body).contains(id))
        {
            return Ok(Some(body));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use beadle_engine::store::prelude::*;
    use beadle_engine::{Delivery, Lane, Mark};
    use beadle_hooks::okta::{Sender, receive};
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn the_body_of_an_event_of_okta_is_that_of_its_delivery() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("beadle.db"), SqliteSettings::default()).unwrap();
        let sender = Sender { instance: "corp".into(), header_secrets: Vec::new() };
        let mut bodies = Vec::new();
        for n in 0..3_i64 {
            let events = json!([{ "uuid": format!("event{n}") }, { "eventType": "user.lifecycle.create" }]);
            let body = json!({ "eventId": format!("delivery{n}"), "data": { "events": events } });
            let body = body.to_string().into_bytes();
            // The last two deliveries of this test have the same time.
            let verified = receive(&sender, body.clone(), Time(1000 * n.min(1))).unwrap();
            for (event, marks) in verified.events {
                store.accept(event, marks).await.unwrap();
            }
            store.accept(verified.delivery, Vec::new()).await.unwrap();
            bodies.push(body);
        }
        for (n, found) in bodies.iter().enumerate() {
            for id in [format!("delivery{n}"), format!("event{n}"), format!("delivery{n}-1")] {
                assert_eq!(&body(&store, &id).await.unwrap(), found, "{id}");
            }
        }
        assert!(body(&store, "event7").await.is_err());
    }

    fn delivery(n: i64, received: i64) -> Delivery {
        Delivery {
            source: "github".into(),
            id: format!("d{n}"),
            instance: "acme".into(),
            event: "repository.edited".into(),
            received: Time(received),
            actor: None,
            body: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_delivery_of_two_keys_is_listed_once_although_others_have_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("beadle.db"), SqliteSettings::default()).unwrap();
        let keys = [1, 2].map(|id| Key::new("repository", "acme", id));
        for n in 0..3 {
            let marks = keys.iter().map(|key| Mark::new(key.clone(), Lane::Event)).collect();
            store.accept(delivery(n, 5000), marks).await.unwrap();
        }
        let (rows, left_out) = newest(&store, &keys, None, 9).await.unwrap();
        assert_eq!((rows.len(), left_out), (3, None), "{rows:?}");
    }

    #[tokio::test]
    async fn a_cut_list_counts_the_deliveries_that_it_leaves_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("beadle.db"), SqliteSettings::default()).unwrap();
        let [one, other] = [1, 2].map(|id| Key::new("repository", "acme", id));
        // Each third delivery concerns both keys.
        for n in 0..9_i64 {
            let delivery = delivery(n, 1000 * n);
            let keys = if n % 3 == 0 { vec![&one, &other] } else { vec![&one] };
            let marks = keys.into_iter().map(|key| Mark::new(key.clone(), Lane::Event)).collect();
            store.accept(delivery, marks).await.unwrap();
        }
        for (keys, limit, ids, left) in [
            (vec![], 2, vec!["d8", "d7"], Some(LeftOut::Exactly(7))),
            (vec![other.clone()], 2, vec!["d6", "d3"], Some(LeftOut::Exactly(1))),
            (vec![other.clone()], 3, vec!["d6", "d3", "d0"], None),
            (vec![other.clone()], 9, vec!["d6", "d3", "d0"], None),
            (vec![one.clone(), other.clone()], 2, vec!["d8", "d7"], Some(LeftOut::Exactly(7))),
            (vec![one.clone(), other], 0, vec![], Some(LeftOut::Exactly(9))),
        ] {
            let (rows, left_out) = newest(&store, &keys, None, limit).await.unwrap();
            let found: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
            assert_eq!((found, left_out), (ids, left), "{keys:?} {limit}");
        }
        let (rows, left_out) = newest(&store, &[one], Some(Time(8000)), 1).await.unwrap();
        assert_eq!((rows.len(), left_out), (1, None), "the older deliveries are before `--since`");
    }
}

//! `/deliveries`: the webhooks that Beadle accepted.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use beadle_engine::{DeliveryRow, Key, Listing, Store, Time};
use serde::Serialize;

use crate::pages::asked::{Asked, Refused, number};
use crate::pages::facts::Facts;
use crate::pages::html::{Html, text};
use crate::pages::keys_meant::keys_meant;
use crate::pages::link::Link;
use crate::pages::names::{Names, names};
use crate::pages::parts::{code, field, filter, moment, more, named, short_list, table};
use crate::pages::view::View;

/// The number of deliveries on a page.
const ROWS: u32 = 50;
/// The maximum number of rows to skip if the deliveries concern one of several keys. The page reads
/// these rows for each key.
const MERGED: u32 = 10_000;
/// The maximum number of keys that the page shows for one delivery.
const KEYS: usize = 5;

/// One page of deliveries, without their bodies.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct DeliveriesPage {
    /// The deliveries. The newest delivery comes first.
    deliveries: Vec<DeliveryRow>,
    /// The known names of the keys in the deliveries.
    names: Names,
    /// The number of deliveries to skip for the next page. `None` on the last page.
    next: Option<u64>,
    #[serde(skip)]
    asked: Asked,
}

/// Reads one page of deliveries.
pub(in crate::pages) async fn load(
    store: &dyn Store,
    facts: &dyn Facts,
    asked: &Asked,
) -> Result<DeliveriesPage, Refused> {
    let skip = number("skip", &asked.skip)?.unwrap_or(0);
    let deliveries = if asked.key.is_empty() {
        of_one(store, None, skip).await?
    } else {
        let mut keys = keys_meant(facts, &asked.key).await?;
        // A delivery contains only keys, so the text itself can find a delivery only if it is a
        // key.
        keys.retain(|key| key.parse::<Key>().is_ok());
        match keys.as_slice() {
            [key] => of_one(store, Some(key), skip).await?,
            keys => of_several(store, keys, skip).await?,
        }
    };
    let is_full = deliveries.len() >= ROWS as usize;
    let next = is_full.then(|| skip.saturating_add(u64::from(ROWS)));
    let keys: BTreeSet<&Key> = deliveries.iter().flat_map(|delivery| &delivery.keys).collect();
    let names = names(store, keys).await?;
    Ok(DeliveriesPage { deliveries, names, next, asked: asked.clone() })
}

/// Returns the deliveries of a page that concern a key. Without a key, returns deliveries of all
/// keys.
async fn of_one(store: &dyn Store, key: Option<&String>, skip: u64) -> Result<Vec<DeliveryRow>, Refused> {
    // Not every store can skip more than `u32::MAX` rows.
    check_skip(skip, u32::MAX)?;
    Ok(store.deliveries(Listing { after: skip, since: None, key: key.cloned(), limit: ROWS }).await?)
}

/// Returns the deliveries of a page that concern at least one of these keys.
async fn of_several(store: &dyn Store, keys: &[String], skip: u64) -> Result<Vec<DeliveryRow>, Refused> {
    let skip = check_skip(skip, MERGED)?;
    let mut rows: Vec<DeliveryRow> = Vec::new();
    for key in keys {
        let listing = Listing { after: 0, since: None, key: Some(key.clone()), limit: skip + ROWS };
        rows.extend(store.deliveries(listing).await?);
    }
    // A delivery can concern several of the keys. So the function first removes the duplicates, and
    // then skips rows.
    rows.sort_by_cached_key(|row| (Reverse(row.received), row.source.clone(), row.id.clone()));
    rows.dedup_by(|one, other| (&one.source, &one.id) == (&other.source, &other.id));
    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
    Ok(rows.into_iter().skip(skip).take(ROWS as usize).collect())
}

/// Checks the number of rows to skip.
fn check_skip(skip: u64, most: u32) -> Result<u32, Refused> {
    let checked = u32::try_from(skip).ok().filter(|skip| *skip <= most);
    checked.ok_or_else(|| Refused::Invalid(format!("`skip` must be at most {most}, found `{skip}`")))
}

impl View for DeliveriesPage {
    const PLACE: &'static str = "/deliveries";

    fn title(&self) -> String {
        "Deliveries".to_owned()
    }

    fn content(&self, now: Time) -> Vec<Html> {
        let key = &self.asked.key;
        let next =
            self.next.map(|next| Link::to(Self::PLACE).with("key", key).with("skip", &next.to_string()));
        let row = |delivery: &DeliveryRow| {
            let keys = delivery.keys.iter().map(|key: &Key| named(key, &self.names));
            vec![
                code(&delivery.id),
                moment(delivery.received, now),
                text(&delivery.source),
                text(&delivery.instance),
                text(&delivery.event),
                text(delivery.actor.as_deref().unwrap_or("-")),
                if delivery.keys.is_empty() { text("none") } else { short_list(keys, KEYS) },
            ]
        };
        vec![
            filter(Self::PLACE, vec![field("key", "Key or name", key)]),
            table(
                "The newest deliveries first",
                &["Id", "Received", "Sender", "Organisation or directory", "Event", "Caused by", "Keys"],
                self.deliveries.iter().map(row).collect(),
                "No delivery matches.",
            ),
            more(next, "Older deliveries"),
        ]
    }
}

//! `/deliveries`: the webhooks that Beadle accepted.

use std::collections::BTreeSet;

use beadle_engine::{DeliveryRow, Key, Listing, Store, Time};
use serde::Serialize;

use crate::pages::asked::{Asked, Refused, number};
use crate::pages::html::{Html, text};
use crate::pages::link::Link;
use crate::pages::names::{Names, names};
use crate::pages::parts::{code, field, filter, moment, more, named, short_list, table};
use crate::pages::view::View;

/// The number of deliveries on a page.
const ROWS: u32 = 50;
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
pub(in crate::pages) async fn load(store: &dyn Store, asked: &Asked) -> Result<DeliveriesPage, Refused> {
    let skip = number("skip", &asked.skip)?.unwrap_or(0);
    // Not every store can handle a greater number.
    if skip > u64::from(u32::MAX) {
        return Err(Refused::Invalid(format!("`skip` must be at most {}, found `{skip}`", u32::MAX)));
    }
    let key = Some(asked.key.clone()).filter(|key| !key.is_empty());
    let deliveries = store.deliveries(Listing { after: skip, since: None, key, limit: ROWS }).await?;
    let is_full = deliveries.len() >= ROWS as usize;
    let next = is_full.then(|| skip.saturating_add(u64::from(ROWS)));
    let keys: BTreeSet<&Key> = deliveries.iter().flat_map(|delivery| &delivery.keys).collect();
    let names = names(store, keys).await?;
    Ok(DeliveriesPage { deliveries, names, next, asked: asked.clone() })
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
            filter(Self::PLACE, vec![field("key", "Key", key)]),
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

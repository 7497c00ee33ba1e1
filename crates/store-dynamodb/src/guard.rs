//! Stores the guard's window and holds in DynamoDB. The window of an instance is one item. One
//! transaction changes the window together with its holds.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use beadle_engine::guard::window;
use beadle_engine::store::json_reason;
use beadle_engine::{
    Begun, End, GuardReservation, Hold, Intent, Key, Lease, Limits, Spent, StoreError, Time, Verdict,
};
use futures::future::try_join_all;

use crate::DynamoStore;
use crate::holds::Stored;
use crate::items::{
    Item, Range, TRIES, corrupt, failed, get_number, number, packed, pause, text, unavailable, unpacked,
};
use crate::journal::{may_try_again, refused};

/// The maximum number of holds that one transaction writes. The transaction also writes the window
/// and checks the lease.
const AT_ONCE: usize = 90;

/// The reservations in the window of an instance, in order.
type Window = Vec<GuardReservation>;

/// Reads the reservations from the item of a window.
fn given(doing: &'static str, item: &Item) -> Result<Window, StoreError> {
    let window = unpacked(doing, item, "window")?;
    serde_json::from_str(&window).map_err(|error| corrupt(doing, &json_reason(&error)))
}

fn crowded(doing: &'static str, instance: &str) -> StoreError {
    StoreError::Unavailable { doing, why: format!("other processes keep writing the window of {instance}") }
}

impl DynamoStore {
    async fn window(&self, doing: &'static str, instance: &str) -> Result<(Window, u64), StoreError> {
        match self.read(doing, "window", instance).await? {
            Some(item) => Ok((given(doing, &item)?, get_number(&item, "v").unwrap_or(0))),
            None => Ok((Window::new(), 0)),
        }
    }

    fn window_action(
        &self,
        doing: &'static str,
        instance: &str,
        window: &Window,
        version: u64,
    ) -> Result<TransactWriteItem, StoreError> {
        let told = serde_json::to_string(window).map_err(|error| unavailable(doing, &error))?;
        let item = Item::from([
            ("pk".to_owned(), text("window")),
            ("sk".to_owned(), text(instance)),
            ("window".to_owned(), packed(doing, told)?),
            ("v".to_owned(), number(version + 1)),
        ]);
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        let put = if version == 0 {
            put.condition_expression("attribute_not_exists(pk)")
        } else {
            put.condition_expression("v = :v").expression_attribute_values(":v", number(version))
        };
        let put = put.build().map_err(|error| unavailable(doing, &error))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    pub(crate) async fn ask(
        &self,
        lease: Option<&Lease>,
        limits: &Limits,
        asked: &[Hold],
        now: Time,
    ) -> Result<Option<Vec<Verdict>>, StoreError> {
        const DOING: &str = "asking the guard";
        if asked.is_empty() {
            return Ok(self.holds_lease(DOING, lease, now).await?.then(Vec::new));
        }
        // Usually all changes belong to one instance, because a run submits the changes of one key.
        // If there are several instances, the store checks them one after the other.
        let mut verdicts: BTreeMap<usize, Verdict> = BTreeMap::new();
        for (instance, places) in window::by_instance(asked) {
            let its: Vec<&Hold> = places.iter().map(|at| &asked[*at]).collect();
            let Some(judged) = self.ask_instance(DOING, &instance, lease, limits, &its, now).await? else {
                return Ok(None);
            };
            verdicts.extend(places.into_iter().zip(judged));
        }
        Ok(Some(verdicts.into_values().collect()))
    }

    async fn ask_instance(
        &self,
        doing: &'static str,
        instance: &str,
        lease: Option<&Lease>,
        limits: &Limits,
        asked: &[&Hold],
        now: Time,
    ) -> Result<Option<Vec<Verdict>>, StoreError> {
        for attempt in 0..TRIES {
            let (before, version) = self.window(doing, instance).await?;
            let stored = self.known_holds(doing, asked).await?;
            let known: BTreeMap<String, Hold> =
                stored.iter().map(|(digest, stored)| (digest.clone(), stored.hold.clone())).collect();
            let mut window = before.clone();
            let judged = window::check_guard(&mut window, &known, limits, asked, now);
            // Old and refused reservations use no room. The store deletes these reservations,
            // because an item has a maximum size.
            window.retain(|booked| booked.at > now - limits.window * 2 && booked.state != Spent::Refused);
            let mut actions = Vec::new();
            if let Some(lease) = lease {
                actions.push(self.holding(doing, lease, now)?);
            }
            actions.push(self.window_action(doing, instance, &window, version)?);
            let (with, further) = judged.held.split_at(judged.held.len().min(AT_ONCE));
            for hold in with {
                let was = stored.get(&hold.digest);
                actions.push(self.hold_action(doing, &hold.digest, was, Some(hold))?);
            }
            let sent = self.client.transact_write_items().set_transact_items(Some(actions)).send().await;
            let Err(error) = sent else {
                // If another process has stored the same hold in the meantime, that hold stays.
                let puts = further
                    .iter()
                    .map(|hold| self.change_hold(doing, &hold.digest, stored.get(&hold.digest), Some(hold)));
                try_join_all(puts).await?;
                return Ok(Some(judged.verdicts));
            };
            let service = error.as_service_error();
            match service.and_then(refused) {
                // If there is a lease, its check is the first action of the transaction.
                Some(actions) if lease.is_some() && actions.contains(&0) => return Ok(None),
                Some(_) => {}
                None if service.is_some_and(may_try_again) => {}
                None => return Err(failed(doing)(error)),
            }
            pause(attempt).await;
        }
        Err(crowded(doing, instance))
    }

    /// Begins a write. One transaction checks the pauses and the lease, marks the reserved room as
    /// used, and stores the intent.
    pub(crate) async fn begin_write(
        &self,
        lease: Option<&Lease>,
        key: &Key,
        intent: Intent,
        now: Time,
    ) -> Result<Begun, StoreError> {
        const DOING: &str = "beginning a write";
        let entry = self.numbered(DOING, intent.entry).await?;
        for attempt in 0..TRIES {
            let mut actions = self.unpaused(DOING, key, now)?;
            let lease_at = actions.len();
            if let Some(lease) = lease {
                actions.push(self.holding(DOING, lease, now)?);
            }
            if let Some((digest, length)) = &intent.spends {
                let spends = (digest.as_str(), *length);
                let spent = self.spend(DOING, key.instance(), spends, entry.seq, now).await?;
                let Some(spent) = spent else {
                    let is_stored = self.has_entry(DOING, &entry).await?;
                    return Ok(if is_stored { Begun::Yes(entry.seq) } else { Begun::Lapsed });
                };
                actions.extend(spent);
            }
            actions.push(self.entry_action(DOING, &entry)?);
            actions.push(self.open_action(DOING, &entry)?);
            let sent = self.client.transact_write_items().set_transact_items(Some(actions)).send().await;
            let Err(error) = sent else { return Ok(Begun::Yes(entry.seq)) };
            let service = error.as_service_error();
            let (places, may_retry) = (service.and_then(refused), service.is_some_and(may_try_again));
            let Some(places) = places else {
                if !may_retry {
                    return Err(failed(DOING)(error));
                }
                pause(attempt).await;
                continue;
            };
            // No other entry has the number of this entry. If the store already has this entry, an
            // earlier attempt of the transaction succeeded, and the answer to that attempt was
            // lost.
            if self.has_entry(DOING, &entry).await? {
                return Ok(Begun::Yes(entry.seq));
            }
            if places.iter().any(|place| *place < lease_at) {
                let paused = self.pauses_at(now).await?.into_iter().find(|pause| pause.covers(key));
                if let Some(paused) = paused {
                    return Ok(Begun::Paused { scope: paused.scope, until: paused.until });
                }
            } else if lease.is_some() && places.contains(&lease_at) {
                return Ok(Begun::LeaseLost);
            }
            pause(attempt).await;
        }
        Err(crowded(DOING, key.instance()))
    }

    /// Returns the actions that mark the room of a change as used. `intent` is the number of an
    /// intent. The write of this intent uses the room. Returns `None` if the change has neither
    /// room nor an approval.
    async fn spend(
        &self,
        doing: &'static str,
        instance: &str,
        (digest, length): (&str, Duration),
        intent: u64,
        now: Time,
    ) -> Result<Option<[TransactWriteItem; 2]>, StoreError> {
        let (mut window, version) = self.window(doing, instance).await?;
        let was = self.hold(doing, digest).await?;
        let mut hold = was.as_ref().map(|was| was.hold.clone());
        if !window::begin(&mut window, hold.as_mut(), digest, length, intent, now) {
            return Ok(None);
        }
        let booked = self.window_action(doing, instance, &window, version)?;
        Ok(Some([booked, self.hold_action(doing, digest, was.as_ref(), hold.as_ref())?]))
    }

    /// Records how each of these changes of the instance ended.
    pub(crate) async fn conclude_writes(
        &self,
        instance: &str,
        ends: &[(String, End)],
    ) -> Result<(), StoreError> {
        for ends in ends.chunks(AT_ONCE) {
            self.conclude_some("ending a write", instance, ends).await?;
        }
        Ok(())
    }

    async fn conclude_some(
        &self,
        doing: &'static str,
        instance: &str,
        ends: &[(String, End)],
    ) -> Result<(), StoreError> {
        for attempt in 0..TRIES {
            let (before, version) = self.window(doing, instance).await?;
            let reads = ends.iter().map(|(digest, _)| self.hold(doing, digest));
            let holds: Vec<Option<Stored>> = try_join_all(reads).await?;
            let mut window = before.clone();
            let mut actions = Vec::new();
            for ((digest, end), was) in ends.iter().zip(&holds) {
                let hold = was.as_ref().map(|was| was.hold.clone());
                let kept = window::conclude(&mut window, hold.clone(), digest, *end);
                if kept != hold {
                    actions.push(self.hold_action(doing, digest, was.as_ref(), kept.as_ref())?);
                }
            }
            if window != before {
                actions.push(self.window_action(doing, instance, &window, version)?);
            }
            if actions.is_empty() {
                return Ok(());
            }
            let sent = self.client.transact_write_items().set_transact_items(Some(actions)).send().await;
            let Err(error) = sent else { return Ok(()) };
            let service = error.as_service_error();
            if !service.is_some_and(|error| refused(error).is_some() || may_try_again(error)) {
                return Err(failed(doing)(error));
            }
            pause(attempt).await;
        }
        Err(crowded(doing, instance))
    }

    pub(crate) async fn list_bookings(&self, since: Time) -> Result<Vec<GuardReservation>, StoreError> {
        const DOING: &str = "reading the guard's windows";
        let windows = self.query(DOING, (false, "window"), &Range::default(), |_| false).await?;
        let windows: Vec<Window> = windows.iter().map(|item| given(DOING, item)).collect::<Result<_, _>>()?;
        Ok(windows.into_iter().flatten().filter(|booked| booked.at >= since).collect())
    }

    /// Stores reservations that come from another store. If this store already has the window of an
    /// instance, that window stays as it is.
    pub(crate) async fn take_bookings(
        &self,
        doing: &'static str,
        bookings: Vec<GuardReservation>,
    ) -> Result<(), StoreError> {
        let mut windows: BTreeMap<String, Window> = BTreeMap::new();
        for booking in bookings {
            windows.entry(booking.instance.clone()).or_default().push(booking);
        }
        for (instance, window) in windows {
            let action = self.window_action(doing, &instance, &window, 0)?;
            let sent = self.client.transact_write_items().transact_items(action).send().await;
            sent.map_err(failed(doing))?;
        }
        Ok(())
    }
}

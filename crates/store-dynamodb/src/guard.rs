//! The guard's window of an instance, which is one item, and its holds.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use beadle_engine::guard::window;
use beadle_engine::{
    Begun, Booking, End, Hold, Intent, Key, Lane, Lease, Limits, Mark, Spent, StoreError, Time, Verdict,
};
use futures::future::try_join_all;

use crate::DynamoStore;
use crate::items::{
    Item, Range, TRIES, corrupt, failed, get_json, get_number, json, number, packed, pause, text,
    unavailable, unpacked,
};
use crate::journal::{may_try_again, refused};

/// Holds in one transaction, beside the window and the lease.
const AT_ONCE: usize = 90;

/// What was given in an instance's window, in order.
type Window = Vec<Booking>;

/// The window in an item.
fn given(doing: &'static str, item: &Item) -> Result<Window, StoreError> {
    serde_json::from_str(&unpacked(doing, item, "window")?).map_err(|error| corrupt(doing, &error))
}

fn crowded(doing: &'static str, instance: &str) -> StoreError {
    StoreError::Unavailable { doing, why: format!("the window of {instance} is written all the time") }
}

pub(crate) fn hold_item(doing: &'static str, hold: &Hold) -> Result<Item, StoreError> {
    Ok(Item::from([
        ("pk".to_owned(), text("hold")),
        ("sk".to_owned(), text(&hold.digest)),
        ("hold".to_owned(), json(doing, hold)?),
        ("g".to_owned(), text(format!("hold#{}", hold.key))),
        ("gs".to_owned(), text(&hold.digest)),
    ]))
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

    async fn known_holds(
        &self,
        doing: &'static str,
        asked: &[&Hold],
    ) -> Result<BTreeMap<String, Hold>, StoreError> {
        let reads = asked.iter().map(|hold| self.read(doing, "hold", &hold.digest));
        let mut known = BTreeMap::new();
        for item in try_join_all(reads).await?.into_iter().flatten() {
            let hold: Hold = get_json(doing, &item, "hold")?;
            known.insert(hold.digest.clone(), hold);
        }
        Ok(known)
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
        // A run asks for one key; a caller with several keys gets them instance by instance.
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
            let known = self.known_holds(doing, asked).await?;
            let mut window = before.clone();
            let judged = window::judge(&mut window, &known, limits, asked, now);
            // What is long past, or was refused, counts for nothing: the item must not grow by it.
            window.retain(|booked| booked.at > now - limits.window * 2 && booked.state != Spent::Refused);
            let mut actions = Vec::new();
            if let Some(lease) = lease {
                actions.push(self.holding(doing, lease, now)?);
            }
            actions.push(self.window_action(doing, instance, &window, version)?);
            let (with, further) = judged.held.split_at(judged.held.len().min(AT_ONCE));
            for hold in with {
                actions.push(self.put_action(doing, hold_item(doing, hold)?)?);
            }
            let sent = self.client.transact_write_items().set_transact_items(Some(actions)).send().await;
            let Err(error) = sent else {
                let puts =
                    further.iter().map(|hold| async { self.put_item(doing, hold_item(doing, hold)?).await });
                try_join_all(puts).await?;
                return Ok(Some(judged.verdicts));
            };
            let service = error.as_service_error();
            match service.and_then(refused) {
                // The lease is the first of the actions, where there is one.
                Some(actions) if lease.is_some() && actions.contains(&0) => return Ok(None),
                Some(_) => {}
                None if service.is_some_and(may_try_again) => {}
                None => return Err(failed(doing)(error)),
            }
            pause(attempt).await;
        }
        Err(crowded(doing, instance))
    }

    pub(crate) async fn list_holds(&self) -> Result<Vec<Hold>, StoreError> {
        const DOING: &str = "listing what is held";
        let items = self.query(DOING, (false, "hold"), &Range::default(), |_| false).await?;
        let mut holds: Vec<Hold> =
            items.iter().map(|item| get_json(DOING, item, "hold")).collect::<Result<_, _>>()?;
        holds.sort_by(|one, other| (one.since, &one.digest).cmp(&(other.since, &other.digest)));
        Ok(holds)
    }

    /// The index says which there are, and each is read consistently: what was approved a moment ago has to be seen.
    pub(crate) async fn holds_of_key(&self, key: &Key) -> Result<Vec<Hold>, StoreError> {
        const DOING: &str = "listing what is held";
        let part = format!("hold#{key}");
        let items = self.query(DOING, (true, &part), &Range::default(), |_| false).await?;
        let digests = items.iter().filter_map(|item| crate::items::get(item, "sk"));
        let holds = try_join_all(digests.map(|digest| self.read(DOING, "hold", digest))).await?;
        holds.iter().flatten().map(|item| get_json(DOING, item, "hold")).collect()
    }

    pub(crate) async fn forget_digests(&self, digests: &[String]) -> Result<(), StoreError> {
        const DOING: &str = "releasing holds";
        if digests.is_empty() {
            return Ok(());
        }
        try_join_all(digests.iter().map(|digest| self.delete(DOING, "hold", digest))).await.map(drop)
    }

    /// The moment before a write. What is spent is stored first: if the intent cannot be stored
    /// then, it stays spent.
    pub(crate) async fn begin_write(
        &self,
        lease: Option<&Lease>,
        key: &Key,
        intent: Intent,
        now: Time,
    ) -> Result<Begun, StoreError> {
        const DOING: &str = "beginning a write";
        let pauses = self.pauses_at(now).await?;
        let covers = |scope: &str| scope == key.as_str() || scope == key.instance();
        if let Some(pause) = pauses.into_iter().find(|pause| covers(&pause.scope)) {
            return Ok(Begun::Paused { scope: pause.scope, until: pause.until });
        }
        if let Some((digest, length)) = &intent.spends {
            let spent = self.spend(DOING, lease, key.instance(), (digest.as_str(), *length), now).await?;
            if let Some(stopped) = spent {
                return Ok(stopped);
            }
        }
        let numbers = self.append(lease, vec![intent.entry], now).await?;
        Ok(numbers.and_then(|numbers| numbers.first().copied()).map_or(Begun::LeaseLost, Begun::Yes))
    }

    /// Spends what the guard gave to a change; or says why there is nothing to be spent.
    async fn spend(
        &self,
        doing: &'static str,
        lease: Option<&Lease>,
        instance: &str,
        (digest, length): (&str, Duration),
        now: Time,
    ) -> Result<Option<Begun>, StoreError> {
        for attempt in 0..TRIES {
            let (mut window, version) = self.window(doing, instance).await?;
            let mut hold = self.hold(doing, digest).await?;
            if !window::begin(&mut window, hold.as_mut(), digest, length, now) {
                return Ok(Some(Begun::Lapsed));
            }
            let mut actions = Vec::new();
            if let Some(lease) = lease {
                actions.push(self.holding(doing, lease, now)?);
            }
            actions.push(self.window_action(doing, instance, &window, version)?);
            if let Some(hold) = &hold {
                actions.push(self.put_action(doing, hold_item(doing, hold)?)?);
            }
            let sent = self.client.transact_write_items().set_transact_items(Some(actions)).send().await;
            let Err(error) = sent else { return Ok(None) };
            let service = error.as_service_error();
            match service.and_then(refused) {
                // The lease is the first of the actions, where there is one.
                Some(actions) if lease.is_some() && actions.contains(&0) => {
                    return Ok(Some(Begun::LeaseLost));
                }
                Some(_) => {}
                None if service.is_some_and(may_try_again) => {}
                None => return Err(failed(doing)(error)),
            }
            pause(attempt).await;
        }
        Err(crowded(doing, instance))
    }

    async fn hold(&self, doing: &'static str, digest: &str) -> Result<Option<Hold>, StoreError> {
        let item = self.read(doing, "hold", digest).await?;
        item.map(|item| get_json(doing, &item, "hold")).transpose()
    }

    /// Notes how changes of this instance ended.
    pub(crate) async fn conclude_writes(
        &self,
        instance: &str,
        ends: &[(String, End)],
    ) -> Result<(), StoreError> {
        const DOING: &str = "ending a write";
        let digests = ends.iter().map(|(digest, _)| self.hold(DOING, digest));
        let holds: Vec<Option<Hold>> = try_join_all(digests).await?;
        for attempt in 0..TRIES {
            let (before, version) = self.window(DOING, instance).await?;
            let mut window = before.clone();
            let mut kept = Vec::new();
            let mut gone = Vec::new();
            for ((digest, end), was) in ends.iter().zip(&holds) {
                match (window::conclude(&mut window, was.clone(), digest, *end), was) {
                    (Some(hold), was) if was.as_ref() != Some(&hold) => kept.push(hold),
                    (None, Some(_)) => gone.push(digest),
                    _ => {}
                }
            }
            if attempt == 0 {
                // The approval first: if the window cannot be written, the approval lets nothing
                // else pass all the same.
                try_join_all(gone.iter().map(|digest| self.delete(DOING, "hold", digest))).await?;
                for hold in &kept {
                    self.put_item(DOING, hold_item(DOING, hold)?).await?;
                }
            }
            if window == before {
                return Ok(());
            }
            let action = self.window_action(DOING, instance, &window, version)?;
            let sent = self.client.transact_write_items().transact_items(action).send().await;
            let Err(error) = sent else { return Ok(()) };
            let service = error.as_service_error();
            if !service.is_some_and(|error| refused(error).is_some() || may_try_again(error)) {
                return Err(failed(DOING)(error));
            }
            pause(attempt).await;
        }
        Err(crowded(DOING, instance))
    }

    pub(crate) async fn list_bookings(&self, since: Time) -> Result<Vec<Booking>, StoreError> {
        const DOING: &str = "reading the guard's windows";
        let windows = self.query(DOING, (false, "window"), &Range::default(), |_| false).await?;
        let windows: Vec<Window> = windows.iter().map(|item| given(DOING, item)).collect::<Result<_, _>>()?;
        Ok(windows.into_iter().flatten().filter(|booked| booked.at >= since).collect())
    }

    /// What another store had given, where nothing was given here.
    pub(crate) async fn take_bookings(
        &self,
        doing: &'static str,
        bookings: Vec<Booking>,
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

    pub(crate) async fn let_pass(
        &self,
        digest: &str,
        by: &str,
        now: Time,
    ) -> Result<Option<Hold>, StoreError> {
        const DOING: &str = "approving a change";
        let Some(item) = self.read(DOING, "hold", digest).await? else { return Ok(None) };
        let mut hold: Hold = get_json(DOING, &item, "hold")?;
        hold.approved_by = Some(by.to_owned());
        hold.spent = false;
        // One that was released meanwhile is not made again: it would let the same change pass another time.
        let put = self.client.put_item().table_name(&self.table).set_item(Some(hold_item(DOING, &hold)?));
        match put.condition_expression("attribute_exists(pk)").send().await {
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                return Ok(None);
            }
            sent => sent.map(drop).map_err(failed(DOING))?,
        }
        self.mark_all(DOING, &[Mark::new(hold.key.clone(), Lane::Manual)], now).await?;
        Ok(Some(hold))
    }

    pub(crate) async fn forget_generations(
        &self,
        instance: &str,
        generation: &str,
    ) -> Result<u64, StoreError> {
        let holds = self.list_holds().await?;
        let stale =
            holds.into_iter().filter(|hold| hold.key.instance() == instance && hold.generation != generation);
        let stale: Vec<String> = stale.map(|hold| hold.digest).collect();
        self.forget_digests(&stale).await?;
        Ok(stale.len() as u64)
    }
}

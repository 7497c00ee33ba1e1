//! The guard's window of an instance, which is one item, and its holds.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use beadle_engine::{Booking, Hold, Key, Lane, Lease, Limits, Mark, Risk, Risks, StoreError, Time, Verdict};
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

/// What is to be written once everything that was asked is judged.
#[derive(Default)]
struct Judged {
    verdicts: Vec<Verdict>,
    /// Holds that are new.
    held: Vec<Hold>,
}

fn used(window: &Window, since: Time) -> Risks {
    let mut used = Risks::default();
    for booked in window.iter().filter(|booked| booked.at > since) {
        used.add(Risk::Weakens, booked.weakens);
        used.add(Risk::Exposes, booked.exposes);
        used.add(Risk::Removes, booked.removes);
    }
    used
}

/// Books each change that fits, in order; says which holds are new.
fn judge(
    window: &mut Window,
    known: &BTreeMap<String, Hold>,
    limits: &Limits,
    asked: &[&Hold],
    now: Time,
) -> Judged {
    let mut judged = Judged::default();
    let mut new: HashMap<&str, String> = HashMap::new();
    let since = now - limits.window;
    for hold in asked {
        let before = known.get(&hold.digest);
        let verdict = if before.is_some_and(|known| known.approved_by.is_some()) {
            // It stays until it was written, so that a write that fails needs no second approval.
            Verdict::Pass
        } else if let Some(why) = before.map(|known| &known.why).or(new.get(hold.digest.as_str())) {
            Verdict::Hold(why.clone())
        } else if !hold.why.is_empty() {
            judged.held.push((*hold).clone());
            Verdict::Hold(hold.why.clone())
        } else if let Some(booked) = window
            .iter_mut()
            .find(|booked| booked.digest == hold.digest && !booked.written && booked.at > since)
        {
            // What was booked in this window, and is tried again, is booked once; it counts from when it is used.
            booked.at = booked.at.max(now);
            Verdict::Pass
        } else {
            let (used, risks) = (used(window, since), hold.change.risks());
            if let Some((risk, limit)) = limits.passed_by(&used, &risks) {
                let why = format!(
                    "it would pass the limit: what {risk} may be written {limit} times in {} min, and {} are spent",
                    limits.window.as_secs() / 60,
                    used.count(risk)
                );
                judged.held.push(Hold { why: why.clone(), ..(*hold).clone() });
                new.insert(&hold.digest, why.clone());
                Verdict::Hold(why)
            } else {
                let Risks { weakens, exposes, removes, .. } = risks;
                window.push(Booking {
                    instance: hold.key.instance().to_owned(),
                    digest: hold.digest.clone(),
                    at: now,
                    written: false,
                    weakens,
                    exposes,
                    removes,
                });
                Verdict::Pass
            }
        };
        judged.verdicts.push(verdict);
    }
    judged
}

/// The window in an item.
fn given(doing: &'static str, item: &Item) -> Result<Window, StoreError> {
    serde_json::from_str(&unpacked(doing, item, "window")?).map_err(|error| corrupt(doing, &error))
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
        // A run asks for one key; whoever asks for several gets them instance by instance.
        let mut instances: Vec<&str> = asked.iter().map(|hold| hold.key.instance()).collect();
        instances.sort_unstable();
        instances.dedup();
        if instances.is_empty() {
            return Ok(self.holds_lease(DOING, lease, now).await?.then(Vec::new));
        }
        let mut verdicts: HashMap<usize, Verdict> = HashMap::new();
        for instance in instances {
            let its: Vec<(usize, &Hold)> =
                asked.iter().enumerate().filter(|(_, hold)| hold.key.instance() == instance).collect();
            let holds: Vec<&Hold> = its.iter().map(|(_, hold)| *hold).collect();
            let Some(judged) = self.ask_instance(DOING, instance, lease, limits, &holds, now).await? else {
                return Ok(None);
            };
            verdicts.extend(its.iter().map(|(at, _)| *at).zip(judged));
        }
        Ok(Some((0..asked.len()).filter_map(|at| verdicts.remove(&at)).collect()))
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
            let judged = judge(&mut window, &known, limits, asked, now);
            // What is long past counts for nothing.
            window.retain(|booked| booked.at > now - limits.window * 2);
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
        Err(StoreError::Unavailable {
            doing,
            why: format!("the window of {instance} is written all the time"),
        })
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
        try_join_all(digests.iter().map(|digest| self.delete(DOING, "hold", digest))).await?;
        let windows = self.query(DOING, (false, "window"), &Range::default(), |_| false).await?;
        for item in windows {
            let Some(instance) = crate::items::get(&item, "sk") else { continue };
            self.mark_written(DOING, instance, digests).await?;
        }
        Ok(())
    }

    /// What was booked for these changes is used: the same change is booked anew the next time.
    async fn mark_written(
        &self,
        doing: &'static str,
        instance: &str,
        digests: &[String],
    ) -> Result<(), StoreError> {
        for attempt in 0..TRIES {
            let (mut window, version) = self.window(doing, instance).await?;
            let mut changed = false;
            for booked in
                window.iter_mut().filter(|booked| !booked.written && digests.contains(&booked.digest))
            {
                booked.written = true;
                changed = true;
            }
            if !changed {
                return Ok(());
            }
            let action = self.window_action(doing, instance, &window, version)?;
            let sent = self.client.transact_write_items().transact_items(action).send().await;
            let Err(error) = sent else { return Ok(()) };
            let service = error.as_service_error();
            if !service.is_some_and(|error| refused(error).is_some() || may_try_again(error)) {
                return Err(failed(doing)(error));
            }
            pause(attempt).await;
        }
        Err(StoreError::Unavailable {
            doing,
            why: format!("the window of {instance} is written all the time"),
        })
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

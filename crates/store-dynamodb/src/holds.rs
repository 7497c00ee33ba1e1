//! Stores each hold in a separate item. The store writes a hold only if the stored hold has not
//! changed since the read. So a write cannot replace a new approval or a new hold of another
//! process.

use std::collections::BTreeMap;
use std::fmt::Display;

use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem};
use beadle_engine::guard::{Decision, Ruling, decide, may_let_pass};
use beadle_engine::store::without_reason;
use beadle_engine::{Hold, HoldList, Key, Lane, Mark, StoreError, Time};
use futures::future::{join_all, try_join_all};

use crate::DynamoStore;
use crate::items::{Item, Range, TRIES, corrupt, failed, get, json, pause, text, unavailable};
use crate::journal::{may_try_again, refused};

/// The condition that the stored hold has not changed since the read.
const UNCHANGED: &str = "#hold = :was";
/// The number of holds that the store approves or releases at the same time.
const AT_ONCE: usize = 16;
/// The condition that no hold is stored.
const ABSENT: &str = "attribute_not_exists(pk)";

/// A hold that the store read from an item.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) hold: Hold,
    /// The attribute that contained the hold. The condition of a later write contains this
    /// attribute.
    was: AttributeValue,
}

impl Stored {
    /// Reads a hold from an item. The error names the hold. The error is for people, because it can
    /// quote a value of the hold.
    fn of(doing: &'static str, item: &Item) -> Result<Self, StoreError> {
        let named = |why: &dyn Display| {
            corrupt(doing, &format!("the hold {}: {why}", get(item, "sk").unwrap_or_default()))
        };
        let stored = get(item, "hold").ok_or_else(|| named(&"an item has no `hold`"))?;
        let hold = serde_json::from_str(stored).map_err(|error| named(&error))?;
        let was = item.get("hold").cloned();
        Ok(Self { hold, was: was.ok_or_else(|| corrupt(doing, &"an item has no `hold`"))? })
    }
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

/// Returns all holds, the oldest first. An unreadable hold does not cause an error.
fn readable(read: impl Iterator<Item = Result<Stored, StoreError>>) -> Result<HoldList, StoreError> {
    let mut list = HoldList::default();
    for stored in read {
        match stored {
            Ok(stored) => list.holds.push(stored.hold),
            Err(StoreError::Corrupt { why, .. }) => list.unreadable.push(why),
            Err(other) => return Err(other),
        }
    }
    list.holds.sort_by(|one, other| (one.since, &one.digest).cmp(&(other.since, &other.digest)));
    Ok(list)
}

impl DynamoStore {
    /// Returns the stored hold that has this digest, if there is one. The error quotes no value of
    /// the hold.
    pub(crate) async fn hold(&self, doing: &'static str, digest: &str) -> Result<Option<Stored>, StoreError> {
        self.hold_for_people(doing, digest).await.map_err(|error| match error {
            StoreError::Corrupt { doing, why } => StoreError::Corrupt { doing, why: without_reason(&why) },
            other => other,
        })
    }

    /// Returns the same hold as [`Self::hold`]. The error can quote a value of the hold.
    async fn hold_for_people(&self, doing: &'static str, digest: &str) -> Result<Option<Stored>, StoreError> {
        let item = self.read(doing, "hold", digest).await?;
        item.map(|item| Stored::of(doing, &item)).transpose()
    }

    /// Returns the stored holds of these changes. The map key is the digest.
    pub(crate) async fn known_holds(
        &self,
        doing: &'static str,
        asked: &[&Hold],
    ) -> Result<BTreeMap<String, Stored>, StoreError> {
        let reads = asked.iter().map(|hold| self.hold(doing, &hold.digest));
        let known = try_join_all(reads).await?.into_iter().flatten();
        Ok(known.map(|stored| (stored.hold.digest.clone(), stored)).collect())
    }

    /// Returns an action for a transaction. The action stores `now` as the hold of `digest`. If
    /// `now` is `None`, the action deletes the hold. The transaction fails if the stored hold has
    /// changed since the read.
    pub(crate) fn hold_action(
        &self,
        doing: &'static str,
        digest: &str,
        was: Option<&Stored>,
        now: Option<&Hold>,
    ) -> Result<TransactWriteItem, StoreError> {
        let unbuilt = |error: aws_sdk_dynamodb::error::BuildError| unavailable(doing, &error);
        let action = TransactWriteItem::builder();
        let action = match (was, now) {
            (was, Some(now)) => {
                let put = Put::builder().table_name(&self.table).set_item(Some(hold_item(doing, now)?));
                let put = match was {
                    Some(was) => put
                        .condition_expression(UNCHANGED)
                        .expression_attribute_names("#hold", "hold")
                        .expression_attribute_values(":was", was.was.clone()),
                    None => put.condition_expression(ABSENT),
                };
                action.put(put.build().map_err(unbuilt)?)
            }
            (Some(was), None) => {
                let delete = Delete::builder()
                    .table_name(&self.table)
                    .key("pk", text("hold"))
                    .key("sk", text(digest))
                    .condition_expression(UNCHANGED)
                    .expression_attribute_names("#hold", "hold")
                    .expression_attribute_values(":was", was.was.clone());
                action.delete(delete.build().map_err(unbuilt)?)
            }
            (None, None) => {
                let check = ConditionCheck::builder()
                    .table_name(&self.table)
                    .key("pk", text("hold"))
                    .key("sk", text(digest))
                    .condition_expression(ABSENT);
                action.condition_check(check.build().map_err(unbuilt)?)
            }
        };
        Ok(action.build())
    }

    /// Stores `now` as the hold of `digest`. If `now` is `None`, deletes the hold. If the stored
    /// hold has changed since the read, writes nothing and returns `false`.
    pub(crate) async fn change_hold(
        &self,
        doing: &'static str,
        digest: &str,
        was: Option<&Stored>,
        now: Option<&Hold>,
    ) -> Result<bool, StoreError> {
        let action = self.hold_action(doing, digest, was, now)?;
        for attempt in 0..TRIES {
            let sent = self.client.transact_write_items().transact_items(action.clone()).send().await;
            let Err(error) = sent else { return Ok(true) };
            let service = error.as_service_error();
            if service.is_some_and(|error| refused(error).is_some()) {
                return Ok(false);
            }
            if !service.is_some_and(may_try_again) {
                return Err(failed(doing)(error));
            }
            pause(attempt).await;
        }
        Err(busy(doing, digest))
    }

    pub(crate) async fn list_holds(&self) -> Result<HoldList, StoreError> {
        const DOING: &str = "listing holds";
        let items = self.query(DOING, (false, "hold"), &Range::default(), |_| false).await?;
        readable(items.iter().map(|item| Stored::of(DOING, item)))
    }

    /// Lists the holds of a key. The index gives only the digests. The store then reads each hold
    /// consistently, so that the list contains new approvals.
    pub(crate) async fn holds_of_key(&self, key: &Key) -> Result<HoldList, StoreError> {
        const DOING: &str = "listing holds";
        let part = format!("hold#{key}");
        let items = self.query(DOING, (true, &part), &Range::default(), |_| false).await?;
        let digests = items.iter().filter_map(|item| get(item, "sk"));
        let holds = join_all(digests.map(|digest| self.hold_for_people(DOING, digest))).await;
        readable(holds.into_iter().filter_map(Result::transpose))
    }

    /// Deletes the holds that have not changed since the caller saw them.
    pub(crate) async fn release_seen(&self, seen: &[Hold]) -> Result<(), StoreError> {
        for part in seen.chunks(AT_ONCE) {
            try_join_all(part.iter().map(|hold| self.release_one(hold))).await?;
        }
        Ok(())
    }

    async fn release_one(&self, seen: &Hold) -> Result<(), StoreError> {
        const DOING: &str = "releasing holds";
        // It is not enough to compare the stored texts, because an older version writes the same
        // hold with another text.
        let stored = self.hold(DOING, &seen.digest).await?.filter(|stored| stored.hold == *seen);
        let Some(was) = stored else { return Ok(()) };
        // If the hold changes after this read, the deletion fails and the changed hold stays.
        self.change_hold(DOING, &seen.digest, Some(&was), None).await.map(drop)
    }

    /// Stores a decision about a held change.
    pub(crate) async fn settle_hold(
        &self,
        digest: &str,
        decision: &Decision,
        now: Time,
    ) -> Result<Option<Hold>, StoreError> {
        const DOING: &str = "storing a decision";
        for attempt in 0..TRIES {
            // If another process has deleted the hold in the meantime, the decision does not create
            // it again. If the decision created the hold again, Beadle could write the same change
            // a second time.
            let Some(was) = self.hold(DOING, digest).await? else { return Ok(None) };
            if decision.ruling == Ruling::Approve {
                // An approval makes its key due. If the row of the key is unreadable, the error must
                // come before the store writes the approval.
                self.load(DOING, &was.hold.key).await?;
            }
            let (hold, is_stored) = match decide(&was.hold, decision, now) {
                Some(hold) => {
                    let is_stored = self.change_hold(DOING, digest, Some(&was), Some(&hold)).await?;
                    (hold, is_stored)
                }
                None => (was.hold, true),
            };
            if is_stored {
                if decision.ruling == Ruling::Approve {
                    let mark = Mark::new(hold.key.clone(), Lane::Manual);
                    if let Some((_, why)) = self.mark_all(DOING, &[mark], now).await?.pop() {
                        return Err(StoreError::Corrupt { doing: DOING, why });
                    }
                }
                return Ok(Some(hold));
            }
            pause(attempt).await;
        }
        Err(busy(DOING, digest))
    }

    /// Stores approved holds. The hold of a rejected change stays.
    pub(crate) async fn store_approved(&self, approved: &[Hold]) -> Result<(), StoreError> {
        for part in approved.chunks(AT_ONCE) {
            try_join_all(part.iter().map(|hold| self.store_one_approved(hold))).await?;
        }
        Ok(())
    }

    async fn store_one_approved(&self, hold: &Hold) -> Result<(), StoreError> {
        const DOING: &str = "storing approvals";
        for attempt in 0..TRIES {
            let was = self.hold(DOING, &hold.digest).await?;
            if !may_let_pass(was.as_ref().map(|was| &was.hold))
                || self.change_hold(DOING, &hold.digest, was.as_ref(), Some(hold)).await?
            {
                return Ok(());
            }
            pause(attempt).await;
        }
        Err(busy(DOING, &hold.digest))
    }

    pub(crate) async fn forget_generations(
        &self,
        instance: &str,
        generation: &str,
    ) -> Result<u64, StoreError> {
        const DOING: &str = "deleting holds of other generations";
        let mut stale = Vec::new();
        for item in self.query(DOING, (false, "hold"), &Range::default(), |_| false).await? {
            match Stored::of(DOING, &item) {
                Ok(stored) if stored.hold.is_outdated(instance, generation) => stale.push(stored),
                Ok(_) => {}
                // The generation of the hold is unknown, so the hold stays.
                Err(why) => tracing::error!(%why, "hold unreadable, keeping it"),
            }
        }
        // Another process might have stored a hold meanwhile. That hold belongs to the new
        // generation and stays.
        let gone = stale.iter().map(|was| self.change_hold(DOING, &was.hold.digest, Some(was), None));
        Ok(try_join_all(gone).await?.into_iter().filter(|gone| *gone).count() as u64)
    }
}

fn busy(doing: &'static str, digest: &str) -> StoreError {
    StoreError::Unavailable { doing, why: format!("other processes keep writing the hold {digest}") }
}

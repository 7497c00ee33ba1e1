//! Stores the queue in DynamoDB: the due keys and their leases.

use std::cmp::Ordering;
use std::collections::HashSet;

use beadle_engine::queue::oldest_share;
use beadle_engine::{
    Claim, Depth, Key, KeyScope, Lane, Lease, Mark, Outcome, Row, RowList, StoreError, Time,
};
use futures::future::{join_all, try_join_all};

use crate::items::{Item, Range, get, padded};
use crate::rows::{Sorted, due, of, parked, sort};
use crate::wake::Due;
use crate::{DynamoStore, SHARDS};

/// The number of keys that the store marks or claims at the same time.
const AT_ONCE: usize = 16;
/// The minimum number of rows in a page when the store counts waiting keys.
const COUNTED: usize = 100;

/// Compares two rows by their rank, and by their keys if the ranks are equal.
fn in_order(one: &Row, other: &Row) -> Ordering {
    (one.rank(), &one.key).cmp(&(other.rank(), &other.key))
}

fn is_paused(key: &Key, paused: &HashSet<String>) -> bool {
    paused.contains(key.as_str()) || paused.contains(key.instance())
}

impl DynamoStore {
    /// Marks keys. If several marks are for one key, the store writes them one after the other. The
    /// store writes the marks for different keys in parallel. Skips the keys of unreadable rows, and
    /// returns these keys, each with the reason.
    pub(crate) async fn mark_all(
        &self,
        doing: &'static str,
        marks: &[Mark],
        now: Time,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let mut skipped = Vec::new();
        let mut by_key: Vec<(&Key, Vec<&Mark>)> = Vec::new();
        for mark in marks {
            match by_key.iter_mut().find(|(key, _)| *key == &mark.key) {
                Some((_, its)) => its.push(mark),
                None => by_key.push((&mark.key, vec![mark])),
            }
        }
        let timing = self.settings.timing;
        for part in by_key.chunks(AT_ONCE) {
            let marked = part.iter().map(|(key, its)| {
                let mark = move |row: &mut Row| its.iter().for_each(|mark| row.mark(mark, now, &timing));
                self.change_from(doing, key, mark)
            });
            let (mut due, mut damaged, mut failure) = (Vec::new(), Vec::new(), None);
            for ((key, _), marked) in part.iter().zip(join_all(marked).await) {
                match marked {
                    Ok(((), [before, row])) => due.extend(Due::between(&before, &row, now)),
                    Err(StoreError::Corrupt { why, .. }) => damaged.push((key.to_string(), why)),
                    Err(error) => failure = Some(error),
                }
            }
            skipped.extend_from_slice(&damaged);
            self.damaged.add(damaged);
            self.send_wakes(due, now).await;
            if let Some(error) = failure {
                return Err(error);
            }
        }
        Ok(skipped)
    }

    /// Returns rows, sorted by their times. These are the rows that, according to the index, are
    /// due at `until` or earlier. From each shard, the function returns up to `some` rows, or all
    /// rows if `some` is `None`. An unreadable row does not stop the other keys.
    pub(crate) async fn due_rows(
        &self,
        doing: &'static str,
        lane: Lane,
        until: Option<Time>,
        some: Option<usize>,
        is_wanted: &(dyn Fn(&Item) -> bool + Send + Sync),
    ) -> Result<Sorted, StoreError> {
        let until = until.map(|until| padded(until.0));
        let range = &Range { until, page: some, ..Range::default() };
        let shards = (0..SHARDS).map(|shard| async move {
            let enough = |items: &[Item]| {
                some.is_some_and(|some| items.iter().filter(|item| is_wanted(item)).count() >= some)
            };
            self.query(doing, (true, &due(lane, shard)), range, enough).await
        });
        let items = try_join_all(shards).await?;
        sort(doing, items.iter().flatten().filter(|item| is_wanted(item)))
    }

    /// Claims at most `limit` due keys. Leaves out the keys of the instances in `except`.
    pub(crate) async fn claim_due(
        &self,
        limit: usize,
        except: &[String],
        now: Time,
    ) -> Result<Vec<Claim>, StoreError> {
        const DOING: &str = "claiming keys";
        let is_free = self.free(except, now).await?;
        let mut found: Vec<Row> = Vec::new();
        for lane in Lane::ALL {
            // The function reads more rows than `limit`, because other workers might already have
            // claimed some of these rows.
            let some = limit.saturating_mul(2).max(8);
            let due = self.due_rows(DOING, lane, Some(now), Some(some), &is_free).await?;
            self.damaged.add(due.damaged);
            found.extend(due.rows);
        }
        let mut wanted: Vec<Row> = Vec::with_capacity(limit);
        found.sort_by_key(|row| row.first_dirty);
        wanted.extend(found.iter().take(oldest_share(limit, now)).cloned());
        found.sort_by(in_order);
        for row in found {
            if wanted.len() < limit && !wanted.iter().any(|other| other.key == row.key) {
                wanted.push(row);
            }
        }
        wanted.sort_by(in_order);
        // The index can be out of date. So the store reads each row again, and claims the key only
        // if it is still due.
        let wanted: Vec<&Key> = wanted.iter().map(|row| &row.key).collect();
        self.claim_all(DOING, &wanted, now).await
    }

    pub(crate) async fn claim_those(&self, keys: &[Key], now: Time) -> Result<Vec<Claim>, StoreError> {
        let paused = self.paused(now).await?;
        let free: Vec<&Key> = keys.iter().filter(|key| !is_paused(key, &paused)).collect();
        self.claim_all("claiming keys by name", &free, now).await
    }

    /// Returns a filter for items. The filter accepts keys that are not paused, belong to no
    /// instance in `except`, and have a row that could be read. The store applies the filter before
    /// it counts the rows, so that rejected keys never take the place of accepted keys.
    pub(crate) async fn free(
        &self,
        except: &[String],
        now: Time,
    ) -> Result<impl Fn(&Item) -> bool + use<>, StoreError> {
        let mut paused = self.paused(now).await?;
        // A pause of an instance has the name of the instance. So one set is enough for pauses and
        // for `except`.
        paused.extend(except.iter().cloned());
        paused.extend(self.damaged.keys());
        Ok(move |item: &Item| {
            let key: Option<Key> = get(item, "pk").and_then(|pk| pk.strip_prefix("row#")?.parse().ok());
            key.is_none_or(|key| !is_paused(&key, &paused))
        })
    }

    async fn paused(&self, now: Time) -> Result<HashSet<String>, StoreError> {
        Ok(self.pauses_at(now).await?.into_iter().map(|pause| pause.scope).collect())
    }

    async fn claim_all(
        &self,
        doing: &'static str,
        keys: &[&Key],
        now: Time,
    ) -> Result<Vec<Claim>, StoreError> {
        let timing = self.settings.timing;
        let (mut claims, mut failure) = (Vec::with_capacity(keys.len()), None);
        for part in keys.chunks(AT_ONCE) {
            let claimed = part.iter().map(|key| self.change(doing, key, |row| row.claim(now, &timing)));
            for claim in join_all(claimed).await {
                match claim {
                    Ok(claim) => claims.extend(claim),
                    Err(error) => failure = Some(error),
                }
            }
        }
        match failure {
            Some(error) if claims.is_empty() => Err(error),
            // Even if some claims failed, the function returns the successful claims, because the
            // claimed keys must run.
            Some(error) => {
                tracing::warn!(%error, "some due keys cannot be claimed in the store, retrying");
                Ok(claims)
            }
            None => Ok(claims),
        }
    }

    pub(crate) async fn claim_one(&self, key: &Key, now: Time) -> Result<Option<Claim>, StoreError> {
        let timing = self.settings.timing;
        self.change("claiming a key", key, |row| {
            let before = row.clone();
            row.mark(&Mark::new(key.clone(), Lane::Manual), now, &timing);
            let claim = row.claim(now, &timing);
            if claim.is_none() {
                *row = before;
            }
            claim
        })
        .await
    }

    pub(crate) async fn renew_lease(&self, lease: &Lease, now: Time) -> Result<Option<Time>, StoreError> {
        let timing = self.settings.timing;
        self.change("renewing a lease", &lease.key, |row| row.renew(lease, now, &timing)).await
    }

    pub(crate) async fn finish_run(
        &self,
        lease: &Lease,
        outcome: &Outcome,
        now: Time,
    ) -> Result<bool, StoreError> {
        let timing = self.settings.timing;
        let finish = |row: &mut Row| row.finish(lease, outcome.clone(), now, &timing);
        let (finished, [before, row]) = self.change_from("ending a run", &lease.key, finish).await?;
        self.send_wakes(Due::between(&before, &row, now).into_iter().collect(), now).await;
        Ok(finished)
    }

    pub(crate) async fn first_due(&self) -> Result<Option<Time>, StoreError> {
        const DOING: &str = "looking for due keys";
        let range = &Range { page: Some(1), ..Range::default() };
        let parts = Lane::ALL.iter().flat_map(|lane| (0..SHARDS).map(|shard| due(*lane, shard)));
        let firsts = parts.map(|part| async move { self.first(DOING, &part, range).await });
        let firsts = try_join_all(firsts).await?;
        Ok(firsts.into_iter().flatten().min())
    }

    async fn first(
        &self,
        doing: &'static str,
        part: &str,
        range: &Range,
    ) -> Result<Option<Time>, StoreError> {
        let items = self.query(doing, (true, part), range, |_| true).await?;
        let at = items.first().and_then(|item| get(item, "gs")?.parse().ok());
        Ok(at.map(Time))
    }

    /// Returns the items of all parked keys.
    async fn parked_items(&self, doing: &'static str) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        for shard in 0..SHARDS {
            items.extend(self.query(doing, (true, &parked(shard)), &Range::default(), |_| false).await?);
        }
        Ok(items)
    }

    /// Returns all rows of keys that are due, claimed or parked. Parked rows come first. All other
    /// rows follow in the order of their rank. From now on, each claim skips the unreadable rows.
    pub(crate) async fn list_rows(&self, doing: &'static str) -> Result<RowList, StoreError> {
        let parked = self.parked_items(doing).await?;
        let mut all = sort(doing, parked.iter())?;
        for lane in Lane::ALL {
            let due = self.due_rows(doing, lane, None, None, &|_| true).await?;
            all.rows.extend(due.rows);
            all.damaged.extend(due.damaged);
        }
        all.rows.sort_by_key(|row| (row.parked.is_none(), row.rank()));
        let list = RowList::new(all.rows, &all.damaged);
        self.damaged.add(all.damaged);
        Ok(list)
    }

    /// Counts waiting keys, beginning with the keys of sweeps. As long as many of the counted keys
    /// wait, one page of each shard is enough. This costs approximately 30 read units for 400 rows
    /// of 600 bytes. When none of the counted keys waits any more, the function reads all due rows.
    /// This costs half a read unit for each 4 KB.
    pub(crate) async fn count_due(
        &self,
        scopes: &[KeyScope],
        since: Time,
        most: u32,
    ) -> Result<u64, StoreError> {
        const DOING: &str = "counting waiting keys";
        let most = most as usize;
        let is_wanted = |item: &Item| {
            of(DOING, item)
                .is_ok_and(|row| row.waits_since(since) && scopes.iter().any(|scope| scope.covers(&row.key)))
        };
        let mut count = 0;
        for lane in Lane::ALL.into_iter().rev() {
            let page = Some(most.max(COUNTED));
            count += self.due_rows(DOING, lane, None, page, &is_wanted).await?.rows.len();
            if count >= most {
                break;
            }
        }
        Ok(count.min(most) as u64)
    }

    pub(crate) async fn measure(&self, now: Time) -> Result<Depth, StoreError> {
        const DOING: &str = "measuring the queue";
        let paused = self.paused(now).await?;
        let mut depth = Depth { parked: self.parked_items(DOING).await?.len() as u64, ..Depth::default() };
        let mut due = Vec::new();
        for lane in Lane::ALL {
            let found = self.due_rows(DOING, lane, None, None, &|_| true).await?;
            // The index has the lane of an unreadable row.
            depth.due[lane as usize] += found.damaged.len() as u64;
            due.extend(found.rows);
        }
        for row in due {
            if row.lease_until.is_some_and(|until| until > now) {
                depth.leased += 1;
            } else {
                depth.due[row.lane as usize] += 1;
                let waits = (!is_paused(&row.key, &paused)).then_some(row.first_dirty);
                depth.oldest = depth.oldest.into_iter().chain(waits).min();
            }
        }
        Ok(depth)
    }

    /// Shortens the waits of rows with a time from a clock that was ahead. Returns the number of
    /// these rows. A row that is due within the longest backoff is not read, because a limit of the
    /// vendor can delay thousands of rows.
    pub(crate) async fn take_back(&self, now: Time) -> Result<u64, StoreError> {
        const DOING: &str = "taking back keys that a process with a fast clock claimed";
        let (timing, range) = (
            self.settings.timing,
            Range { after: Some(padded((now + self.settings.timing.backoff_cap).0)), ..Range::default() },
        );
        let mut count = 0;
        for lane in Lane::ALL {
            for shard in 0..SHARDS {
                let items = self.query(DOING, (true, &due(lane, shard)), &range, |_| false).await?;
                let found = sort(DOING, items.iter())?;
                self.damaged.add(found.damaged);
                for row in found.rows.into_iter().filter(|row| row.is_ahead(now)) {
                    self.change(DOING, &row.key, |row| row.clamp(now, &timing)).await?;
                    count += 1;
                }
            }
        }
        Ok(count)
    }
}

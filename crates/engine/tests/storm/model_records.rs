//! The maintenance of the store in memory: the deletion of old data, and copies.

use beadle_engine::{Retention, StoreRecord};

use crate::model::{Model, limit};

impl Model {
    pub(crate) fn prune(&mut self, retention: &Retention) -> u64 {
        let batch = limit(retention.batch);
        let mut deleted = 0;
        let before = retention.bodies_before;
        let old = self.inbox.iter_mut().filter(|(row, body)| row.received < before && body.is_some());
        for (_, body) in old.take(batch) {
            *body = None;
            deleted += 1;
        }
        deleted += cut(&mut self.inbox, batch, |(row, _)| row.received < retention.ids_before);
        self.known = self.inbox.iter().map(|(row, _)| (row.source.clone(), row.id.clone())).collect();
        deleted += cut(&mut self.journal, batch, |entry| entry.at < retention.journal_before);
        for window in self.windows.values_mut() {
            deleted += cut(window, batch, |booking| booking.at < retention.journal_before);
        }
        deleted
    }

    /// Stores a record of another store without changing the record.
    pub(crate) fn take(&mut self, record: StoreRecord) {
        match record {
            StoreRecord::Row(row) => {
                self.rows.insert(row.key.clone(), row);
            }
            StoreRecord::Delivery(row, body) => {
                self.known.insert((row.source.clone(), row.id.clone()));
                self.inbox.push((row, body));
            }
            StoreRecord::Entries(entries) => self.journal.extend(entries),
            StoreRecord::Hold(hold) => {
                self.holds.insert(hold.digest.clone(), hold);
            }
            StoreRecord::Bookings(bookings) => {
                for booking in bookings {
                    self.windows.entry(booking.instance.clone()).or_default().push(booking);
                }
            }
        }
    }
}

/// Deletes at most `most` old rows, and returns their number.
fn cut<T>(rows: &mut Vec<T>, most: usize, is_old: impl Fn(&T) -> bool) -> u64 {
    let before = rows.len();
    let mut left = most;
    rows.retain(|row| {
        let goes = left > 0 && is_old(row);
        left -= usize::from(goes);
        !goes
    });
    (before - rows.len()) as u64
}

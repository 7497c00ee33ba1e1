//! Reads the journal backwards, one page at a time, so that a long journal never has to fit into
//! memory.

use std::collections::VecDeque;
use std::sync::Arc;

use beadle_engine::{Entry, History, Key, Store, StoreError};

/// Reads the entries of the whole journal or of some keys. The newest entry comes first.
pub(crate) struct Backwards {
    store: Arc<dyn Store>,
    parts: Vec<Part>,
}

/// The entries of one key, or of the whole journal.
struct Part {
    history: History,
    page: VecDeque<Entry>,
    is_over: bool,
}

impl Backwards {
    /// Creates a reader for the entries that match `history`. Without keys, the reader returns the
    /// entries of all keys. `history.limit` is the number of entries in a page.
    pub(crate) fn new(store: &Arc<dyn Store>, keys: &[Key], history: &History) -> Self {
        let part = |key: Option<String>| {
            let history = History { key, ..history.clone() };
            Part { history, page: VecDeque::new(), is_over: false }
        };
        let mut parts: Vec<Part> = keys.iter().map(|key| part(Some(key.to_string()))).collect();
        if parts.is_empty() {
            parts.push(part(None));
        }
        Self { store: store.clone(), parts }
    }

    /// Returns the next entry, or `None` after the oldest entry.
    pub(crate) async fn next_entry(&mut self) -> Result<Option<Entry>, StoreError> {
        for part in &mut self.parts {
            if part.page.is_empty() && !part.is_over {
                part.page = self.store.newest_entries(part.history.clone()).await?.into();
                match part.page.back() {
                    Some(last) => part.history.before = Some(last.seq),
                    None => part.is_over = true,
                }
            }
        }
        let newest = self.parts.iter_mut().max_by_key(|part| part.page.front().map(|entry| entry.seq));
        Ok(newest.and_then(|part| part.page.pop_front()))
    }
}

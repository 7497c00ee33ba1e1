//! Reads the list of an organisation's repositories, page by page.

use std::collections::BTreeMap;

use beadle_engine::Failure;
use beadle_github::{Cursor, Page, Reader, Repository};

/// The list of all repositories. Only one page at a time is in memory.
pub(crate) struct Pages {
    page: Page,
    /// The names of the repositories from all pages so far. The key is the id. If a repository
    /// appears twice in the list, another repository might be missing. Each repository therefore
    /// counts only once.
    names: BTreeMap<u64, String>,
    /// The number of pages so far.
    taken: u64,
    total: u64,
    short: Option<String>,
}

impl Pages {
    /// Reads the first page.
    pub(crate) async fn first(reader: &Reader) -> Result<Self, Failure> {
        Self::at(&Cursor::default(), reader).await
    }

    /// Reads the first page. The cursor sets the page size.
    pub(crate) async fn at(cursor: &Cursor, reader: &Reader) -> Result<Self, Failure> {
        let page = reader.page(cursor).await?;
        let total = page.total;
        Ok(Self { page, names: BTreeMap::new(), taken: 0, total, short: None })
    }

    /// Returns the number of repositories in the organisation, according to GitHub.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Returns the number of repositories of all pages so far.
    pub(crate) fn seen(&self) -> u64 {
        self.names.len() as u64
    }

    /// Returns those repositories of the current page that were not on an earlier page.
    pub(crate) fn take(&mut self) -> Vec<Repository> {
        self.short = self.short.take().or(self.page.short.take());
        let mut own = std::mem::take(&mut self.page.repositories);
        let (before, came) = (self.names.len(), own.len());
        own.retain(|repository| self.names.insert(repository.id, repository.name.clone()).is_none());
        self.taken += 1;
        let is_endless =
            (came > 0 && self.names.len() == before) || self.taken > self.total.saturating_add(1);
        if self.page.next.is_some() && is_endless {
            // Without this check, Beadle could read the pages of an endless list forever.
            self.page.next = None;
            let text = "the list has no end: a page repeats the repositories of other pages";
            self.short.get_or_insert_with(|| text.to_owned());
        }
        own
    }

    /// Reads the next page. Returns `false` if there is no next page.
    pub(crate) async fn advance(&mut self, reader: &Reader) -> Result<bool, Failure> {
        let Some(cursor) = self.page.next.clone() else { return Ok(false) };
        self.page = reader.page(&cursor).await?;
        Ok(true)
    }

    /// Returns the names of all repositories, and the reason why the list is incomplete. The key of
    /// a name is the id. The reason is `None` if the list is complete.
    pub(crate) fn end(self) -> (BTreeMap<u64, String>, Option<String>) {
        let missing = || {
            let found = self.names.len() as u64;
            (found < self.total)
                .then(|| format!("the list has only some entries ({found} of {})", self.total))
        };
        let short = self.short.clone().or_else(missing);
        (self.names, short)
    }
}

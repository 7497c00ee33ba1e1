//! Adds facts about the policies behind writes to the output of the commands.

use std::sync::Arc;

use beadle_engine::{Detail, Key, Store, StoreError};

use crate::app::policy::attributions::Attributions;
use crate::app::policy::policy_lines::PolicyLines;
use crate::config::Config;
use crate::journal::story::Story;

/// Finds the lines and the authors of the policies that asked for writes.
pub(in crate::commands) struct WritePolicies {
    lines: PolicyLines,
    attributions: Attributions,
}

impl WritePolicies {
    /// Creates a search for the policies of the configured organisations.
    pub(in crate::commands) fn new(store: &Arc<dyn Store>, config: &Config) -> Self {
        Self { lines: PolicyLines::new(store, config), attributions: Attributions::new(store) }
    }

    /// Adds facts to the story of a write: the texts of the lines, the authors of the policies, and
    /// the earlier lines of removed entries. Returns any other story unchanged.
    pub(in crate::commands) async fn add_to(&mut self, story: Story) -> Result<Story, StoreError> {
        let Detail::Change(intended) = &story.entry.detail else { return Ok(story) };
        let Ok(key) = story.entry.key.parse::<Key>() else { return Ok(story) };
        let quotes = self.lines.quotes((&key, &intended.generation), &intended.change).await?;
        let attribution = self.attributions.of(&story.entry).await?;
        Ok(Story { quotes, attribution, ..story })
    }
}

//! Adds the texts of the policy's lines to what the commands show.

use beadle_engine::{Detail, Key, StoreError};

use crate::app::policy::policy_lines::PolicyLines;
use crate::journal::story::Story;

/// Adds the texts of the lines that asked for a write to the story of the write.
pub(in crate::commands) async fn quoted(lines: &mut PolicyLines, story: Story) -> Result<Story, StoreError> {
    let Detail::Change(intended) = &story.entry.detail else { return Ok(story) };
    let Ok(key) = story.entry.key.parse::<Key>() else { return Ok(story) };
    let quotes = lines.quotes((&key, &intended.generation), &intended.change).await?;
    Ok(Story { quotes, ..story })
}

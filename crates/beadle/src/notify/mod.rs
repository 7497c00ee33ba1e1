//! Notifications: the present problems, the texts of messages, and one file for each kind of
//! channel.

pub(crate) mod channel_sender;
mod email_message;
mod http_post;
mod issues;
pub(crate) mod journal_problems;
mod microsoft_teams_message;
pub(crate) mod problems;
mod reverted_changes;
mod slack_message;
mod smtp;
pub(crate) mod template;
mod text;
mod webhook_message;

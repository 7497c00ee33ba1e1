//! Notifications: the present problems, and the texts of messages. Each kind of channel has its own
//! file.

pub(crate) mod channel_sender;
mod credential_problems;
mod email_message;
mod http_post;
mod issues;
pub(crate) mod journal_problems;
mod microsoft_teams_message;
mod problem;
pub(crate) mod problems;
mod reverted_changes;
mod slack_message;
mod smtp;
pub(crate) mod template;
mod text;
mod webhook_message;

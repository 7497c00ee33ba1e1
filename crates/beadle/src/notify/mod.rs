//! Notifications: the present problems, the texts of messages, and one file for each kind of
//! channel.

pub(crate) mod channel_sender;
mod email;
mod http_post;
mod issues;
pub(crate) mod journal_problems;
mod microsoft_teams;
pub(crate) mod problems;
mod reverted_changes;
mod slack;
mod smtp;
pub(crate) mod template;
mod text;
mod webhook;

//! Notifications: the present problems, the texts of messages, and one file for each kind of
//! channel.

pub(crate) mod channels;
mod email;
mod issues;
mod post;
pub(crate) mod problems;
mod reverted;
mod slack;
mod smtp;
mod teams;
pub(crate) mod template;
mod text;
pub(crate) mod troubles;
mod webhook;

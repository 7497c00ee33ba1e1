//! A client of SCIM 2.0 (RFC 7643, RFC 7644, RFC 9865). The client reads and writes groups, their
//! members, and users. It supports several dialects of servers.
//!
//! Servers differ, and a request in a wrong dialect often causes no error. So the dialect must be
//! set in the configuration. [`Reader::probe`] compares the dialect with the server's description
//! of itself and with the server's behaviour.

mod api;
mod attribute;
mod dialect;
mod filter;
mod list;
mod model;
mod probe;
mod read;
mod write;

pub use api::Api;
pub use attribute::Attribute;
pub use dialect::{Dialect, Members, Paging, Removal};
pub use list::{Listed, Odd};
pub use model::{Group, NewUser, User};
pub use probe::{Evidence, Finding, Probed, probe_writes};
pub use read::{Answered, Member, Reader};
pub use write::{Changed, Refused, Writer};

//! SCIM 2.0 (RFC 7643, RFC 7644, RFC 9865): groups, their members, and users, in the dialects that servers speak.
//!
//! Servers disagree, and a wrong guess is silent: so the dialect is named, and [`Reader::probe`] holds it to what the
//! server says and does.

mod api;
mod dialect;
mod filter;
mod list;
mod model;
mod probe;
mod read;
mod write;

pub use api::Api;
pub use dialect::{Dialect, Members, Paging, Removal};
pub use list::{Listed, Odd};
pub use model::{Group, NewUser, User};
pub use probe::{Evidence, Finding, Probed, probe_writes};
pub use read::{Answered, Member, Reader};
pub use write::{Changed, Refused, Writer};

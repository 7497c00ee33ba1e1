//! The GitHub API: authentication, batched reads, writes.
//!
//! [`Reader`] has no method that writes, and [`Writer`] none that plans could be made with: what holds only a reader
//! cannot write, by its type.

mod api;
mod auth;
mod documents;
mod graphql;
mod loader;
mod read;
mod repository;
mod teams;
mod write;

pub use api::{Api, Endpoint};
pub use auth::{Credential, CredentialError};
pub use loader::Loader;
pub use read::{IndexRow, Listing, Reader};
pub use repository::{
    Actor, ActorKind, Allowances, Asks, Collaborator, Invitation, Part, Permission, Repository, Rule,
    StatusCheck, Visibility,
};
pub use teams::TeamPermission;
pub use write::{Named, Writer};

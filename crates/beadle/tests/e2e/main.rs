//! Tests the real binary with the simulated GitHub. At the end of a test, the simulator checks
//! every call against GitHub's published descriptions.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "the real binary runs in real time")]
#![expect(clippy::format_push_string, reason = "policies are put together line by line")]

mod contracts;
mod process;
mod world;

mod action;
mod approvals;
#[cfg(feature = "aws")]
mod aws;
mod browser;
mod careful;
mod commit_check;
mod cop;
mod creation;
mod directory;
mod dispatch;
mod doubts;
#[cfg(feature = "aws")]
mod dynamodb;
mod entries;
mod faults;
mod fidelity;
mod files;
mod gate;
mod gate_cases;
mod gate_kill;
mod gate_limits;
mod guard;
mod identity;
mod import;
mod init;
mod installations;
mod intake;
mod journal;
mod kill;
mod live;
mod mail;
mod metrics;
mod mutation;
mod notify;
mod observe;
mod operations;
mod organisation;
mod pages;
mod people;
mod policy;
mod policy_in_git;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
mod postgres_cluster;
mod pull_request;
mod reach;
mod recovery;
mod renamed;
mod repair;
mod report;
mod scale;
mod secrets;
mod settled;
mod sign_in;
mod spread;
mod status;
mod stored;
mod stores;
mod sweep;
mod taken;
mod targeting;
mod tasks;
mod told;
#[cfg(feature = "otel")]
mod traces;
mod undo;
mod upgrade;
mod waivers;
mod webhooks;
mod week;
mod work;

//! Opens and owns the parts that the configuration names: store, clients, organisations, targets
//! and reconcilers.
//!
//! [`application`] is the module to read first. Every command, `beadle serve` and the worker
//! function on AWS create one [`application::App`], and get the other parts from it.

pub(crate) mod accepted_limits;
pub(crate) mod accepted_mappings;
pub(crate) mod accepted_policy;
pub(crate) mod accepted_target;
pub(crate) mod adoption_wait;
mod affected_keys;
pub(crate) mod application;
pub(crate) mod approval_rules;
pub(crate) mod budget_share;
pub(crate) mod client_options;
pub(crate) mod command_gate;
pub(crate) mod condition;
pub(crate) mod configured_mappings;
pub(crate) mod configured_organisation;
pub(crate) mod directories_and_targets;
pub(crate) mod file_timeout;
pub(crate) mod github_clients;
pub(crate) mod github_organisation;
pub(crate) mod group_target;
pub(crate) mod guard_limits;
pub(crate) mod held_generation;
pub(crate) mod hold_decisions;
mod hold_records;
mod installation_limits;
pub(crate) mod installation_reading;
pub(crate) mod installations;
pub(crate) mod last_sweep;
pub(crate) mod limits_gate;
mod mapping_gate;
pub(crate) mod mappings_in_force;
pub(crate) mod member_file;
pub(crate) mod missed_by_targets;
mod newest_policy;
pub(crate) mod okta_client;
mod page_decisions;
pub(crate) mod page_facts;
pub(crate) mod policy_adoption;
pub(crate) mod policy_authors;
mod policy_checks;
pub(crate) mod policy_commit;
pub(crate) mod policy_groups;
mod policy_mappings;
pub(crate) mod policy_part;
pub(crate) mod policy_reading;
pub(crate) mod policy_source;
pub(crate) mod policy_store;
pub(crate) mod reconciler_registry;
pub(crate) mod refused;
pub(crate) mod senders;
pub(crate) mod service;
pub(crate) mod service_record;
pub(crate) mod sign_in;
pub(crate) mod store;
pub(crate) mod store_postgres;
mod target_connection;
pub(crate) mod target_gate;
mod team_file;
mod text_parts;
pub(crate) mod waived_repositories;
pub(crate) mod waiver_watch;
pub(crate) mod waiving;

//! The arguments of the commands that decide about held changes and generations.

use clap::Args;

use super::decider_args::DeciderArgs;

/// The help of `--reason`, if the mode decides whether a decision needs a reason.
const REASON: &str = "Reason for the journal; required in the mode `enforce`, and for a generation";

#[derive(Debug, Args)]
#[command(mut_arg("reason", |arg| arg.help(REASON)))]
pub(crate) struct DecideArgs {
    /// Limit to one change of the named groups, by its digest; repeatable, or separated by commas
    #[arg(long, value_name = "DIGEST", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Limit to the changes of a repository, such as `widgets`; repeatable
    #[arg(long, value_name = "NAME")]
    pub(crate) repo: Vec<String>,
    /// Decide without confirmation
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) decider: DeciderArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// Code of a group, digest of a change, or name of a generation, such as `8f0c1d2e3a4b`;
    /// `holds` shows it
    #[arg(required = true, value_name = "CODE")]
    pub(crate) codes: Vec<String>,
    #[command(flatten)]
    pub(crate) decide: DecideArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RejectArgs {
    /// Code of a group, or digest of a change, such as `8f0c1d2e3a4b`; `holds` shows it
    #[arg(required = true, value_name = "CODE")]
    pub(crate) codes: Vec<String>,
    #[command(flatten)]
    pub(crate) decide: DecideArgs,
}

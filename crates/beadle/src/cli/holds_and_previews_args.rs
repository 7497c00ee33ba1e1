//! The arguments of the commands that list what waits for a decision.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct HoldsArgs {
    /// Show each change of one group, by the code of the group, such as `5d0c1e2f3a4b`
    #[arg(value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// Print JSON, one change or generation a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PreviewsArgs {
    /// Limit to one organisation, such as `acme`
    #[arg(long, value_name = "ORG")]
    pub(crate) org: Option<String>,
    /// Limit to the pull requests with this number, such as `7`
    #[arg(long, value_name = "NUMBER")]
    pub(crate) pull: Option<u64>,
    /// Print JSON, one pull request a line
    #[arg(long)]
    pub(crate) json: bool,
}

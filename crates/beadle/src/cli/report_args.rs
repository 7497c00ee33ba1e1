//! The arguments of `beadle report`.

use clap::{Args, ValueEnum};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// Lines for people, grouped by repository
    Table,
    /// CSV with a header (RFC 4180), for a spreadsheet
    Csv,
    /// JSON for programs, one row a line
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Limit to a key of the policy and the keys below it, such as `branches.main.enforce_admins`
    #[arg(long, value_name = "CONTROL")]
    pub(crate) control: Option<String>,
    /// Moment of the report: a date, whose end in UTC counts, or a time such as
    /// `2026-12-01T18:00:00Z`; now by default
    #[arg(long, value_name = "DATE")]
    pub(crate) at: Option<String>,
    /// Limit to an organisation, such as `acme`
    #[arg(long, value_name = "ORG")]
    pub(crate) org: Option<String>,
    /// Format of the output
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: ReportFormat,
}

//! The person who decides with a command, and the reason. The commands with the options `--as` and
//! `--reason` use this module.

use anyhow::ensure;

use crate::app::operations::decided_by::DecidedBy;
use crate::cli::DeciderArgs;
use crate::commands::{operator, system_user};
use crate::config::Config;
use crate::output::printer::Printer;

/// Returns the name and the reason for the journal. If `--as` sets a name, the result has this
/// name, followed by the name of the system user. If the store is a table, the name of the caller
/// comes from AWS, and no option can change this name. If the name is not known, prints a note.
pub(in crate::commands) async fn decided_by(
    config: &Config,
    args: &DeciderArgs,
    printer: &Printer,
) -> anyhow::Result<DecidedBy> {
    let reason = args.reason().map(str::to_owned);
    let Some(person) = &args.person else {
        let name = operator(config, "to name the person who decides, add `--as NAME`", printer).await;
        return Ok(DecidedBy { name, reason });
    };
    ensure!(
        !config.is_at_aws(),
        "`--as` is not allowed with a store at AWS, because AWS names the caller\nhint: run the command without `--as`"
    );
    let user = system_user(config).await.unwrap_or_else(|| "unknown".to_owned());
    Ok(DecidedBy { name: format!("{person} (system user {user})"), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the person who decides, for a configuration with this store.
    async fn decided(store: &str, args: &DeciderArgs) -> anyhow::Result<DecidedBy> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("beadle.toml");
        std::fs::write(&file, "[[org]]\nname = \"acme\"\npolicy = \"p\"\ntoken = \"env:T\"\n").unwrap();
        let config = Config::load(&file).unwrap().stored_at(Some(store.parse().unwrap()));
        decided_by(&config, args, &Printer::plain()).await
    }

    #[tokio::test]
    async fn the_journal_keeps_the_system_user_beside_the_person() {
        let args = DeciderArgs { person: Some("mona".into()), reason: Some(" release ".into()) };
        let by = decided("beadle.db", &args).await.unwrap();
        assert!(by.name.starts_with("mona (system user ") && by.name.ends_with(')'), "{by:?}");
        assert_eq!(by.reason.as_deref(), Some("release"));
        let by = decided("beadle.db", &DeciderArgs::default()).await.unwrap();
        assert!(!by.name.contains("system user") && by.reason.is_none(), "{by:?}");
    }

    #[tokio::test]
    async fn no_option_changes_the_caller_that_aws_names() {
        let args = DeciderArgs { person: Some("mona".into()), reason: None };
        let error = decided("dynamodb://beadle", &args).await.unwrap_err().to_string();
        assert!(error.contains("`--as` is not allowed with a store at AWS"), "{error}");
    }
}

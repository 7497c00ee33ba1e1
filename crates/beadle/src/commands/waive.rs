//! `beadle waive`: exempts keys of repositories until a specified time. The command stores the
//! waiver.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use beadle_engine::Clock;
use beadle_repositories::policy::Waiver;

use crate::app::application::App;
use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::app::operations::decided_by::DecidedBy;
use crate::app::operations::waiver_repositories::covered;
use crate::app::operations::waiving::{check, meant_keys, undeclared, until, waive};
use crate::app::store;
use crate::cli::WaiveArgs;
use crate::commands::FINE;
use crate::commands::shared::decided_by::decided_by;
use crate::config::{Config, OrgConfig};
use crate::output::plural::counted;
use crate::output::printer::Printer;

pub(crate) async fn run(config: &Arc<Config>, args: &WaiveArgs, printer: &Printer) -> anyhow::Result<u8> {
    let clock = Clock::system();
    let now = clock.now();
    let (owner, pattern) = args.name.split_once('/').with_context(|| {
        format!("the repository must be OWNER/NAME, such as `acme/widgets`, found `{}`", args.name)
    })?;
    let file = config.orgs(Some(owner))?[0];
    let DecidedBy { name: by, reason } = decided_by(config, &args.decider, printer).await?;
    // Without `--owner`, the owner is the name in `--as`. The journal also has the name of the
    // system user.
    let owner = args.owner.clone().or_else(|| args.decider.person.clone());
    let waiver = Waiver {
        keys: meant_keys(&args.keys)?,
        repositories: vec![pattern.to_owned()],
        until: until(&args.until, (now, "`--until`"))?,
        reason: reason.context("`--reason` must not be empty")?,
        owner: owner.unwrap_or_else(|| by.clone()),
        asked: None,
    };
    check(&waiver, file, (now, "`--until`"))?;
    let store = store::open_existing(config).await?;
    let app = App::new(config, ClientOptions { store: Some(store.clone()), ..ClientOptions::PATIENT });
    let reader = app.reader(file)?;
    let rows = covered(&reader, std::slice::from_ref(&waiver)).await?;
    ensure!(!rows.is_empty(), "no repository of {} has the name `{pattern}`", file.name);
    waive(store.as_ref(), file, &waiver, (&rows, by), now).await?;
    let count = counted(rows.len() as u64, "repository", "repositories");
    printer.line(format!(
        "{} waived in {count} of {} until {} (code {})",
        waiver.keys.join(", "),
        file.name,
        waiver.until,
        waiver.id()
    ));
    if let Some(row) = rows.first() {
        // The waiver is already stored. So if Beadle cannot read the policy, the command does not
        // fail.
        let noted = Box::pin(note_idle_keys(&app, file, (row.name.as_str(), &waiver), printer)).await;
        if let Err(error) = noted {
            printer.note(format!("the keys were not compared with the policy: {error:#}"));
        }
    }
    Ok(FINE)
}

/// Prints a note if the policy does not declare some of the exempt keys for a repository. The
/// operator might have misspelled the name of an entry.
async fn note_idle_keys(
    app: &App,
    file: &Arc<OrgConfig>,
    (repository, waiver): (&str, &Waiver),
    printer: &Printer,
) -> anyhow::Result<()> {
    let planner = app.organisation(file).await?.planner(app.store()).only_looking();
    let idle = Box::pin(undeclared(&planner, repository, waiver)).await?.unwrap_or(0);
    if idle > 0 {
        let keys = counted(idle as u64, "key", "keys");
        printer.note(format!(
            "the policy does not declare {keys} of the waiver for {}/{repository}: if Beadle would remove such an \
             entry, the waiver keeps it; otherwise, check the paths with `beadle explain {0}/{repository}`",
            file.name
        ));
    }
    Ok(())
}

//! `beadle reject`: rejects changes that the guard holds, so that they stay held.

use beadle_engine::Clock;
use beadle_engine::guard::{Decision, group_holds};

use crate::app::store;
use crate::cli::RejectArgs;
use crate::commands::shared::decided_by::decided_by;
use crate::commands::shared::hold_decision::decide_changes;
use crate::config::Config;
use crate::output::printer::Printer;

pub(crate) async fn run(config: &Config, args: &RejectArgs, printer: &Printer) -> anyhow::Result<u8> {
    let now = Clock::system().now();
    let store = store::open_existing(config).await?;
    let by = decided_by(config, &args.decide.decider, printer).await?;
    let groups = group_holds(store.holds().await?);
    let codes: Vec<&String> = args.codes.iter().collect();
    let decision = Decision::reject(&by.name, by.reason.as_deref());
    decide_changes(store.as_ref(), (&groups, &codes), &args.decide, &decision, (now, printer)).await
}

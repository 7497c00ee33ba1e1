//! `beadle reject`: rejects changes that the guard holds, so that they stay held.

use beadle_engine::Clock;
use beadle_engine::guard::{Decision, group_holds};

use crate::app::store;
use crate::cli::RejectArgs;
use crate::commands::shared::confirmation::{Ask, can_ask, is_confirmed};
use crate::commands::shared::decided_by::decided_by;
use crate::commands::shared::decision_preview::{DecisionPreview, declined};
use crate::commands::shared::hold_decision::{decide_changes, name_changes};
use crate::config::Config;
use crate::output::printer::Printer;

pub(crate) async fn run(config: &Config, args: &RejectArgs, printer: &Printer) -> anyhow::Result<u8> {
    let store = store::open_existing(config).await?;
    let by = decided_by(config, &args.decide.decider, printer).await?;
    let groups = group_holds(store.holds().await?);
    let codes: Vec<&String> = args.codes.iter().collect();
    let decision = Decision::reject(&by.name, by.reason.as_deref());
    let (changes, code) = name_changes((&groups, &codes), &args.decide, &decision, printer);
    let ask =
        |question: &str| -> anyhow::Result<bool> { Ok(args.decide.yes || is_confirmed(question, printer)?) };
    let ask: Ask<'_> = &ask;
    let preview =
        DecisionPreview { ruling: decision.ruling, groups: &groups, changes: &changes, generations: &[] };
    if !preview.is_confirmed((&store, config), can_ask().then_some(ask), printer).await? {
        return Ok(declined(code));
    }
    // The operator might have taken a long time to answer, so the command reads the clock now.
    let now = Clock::system().now();
    let decided = decide_changes(store.as_ref(), &changes, &decision, (now, printer)).await?;
    Ok(code.max(decided))
}

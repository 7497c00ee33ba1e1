//! `beadle approve`: approves held changes and held generations of a policy.

use beadle_engine::Clock;
use beadle_engine::guard::{Decision, group_holds};

use crate::app::gate::held_generation::{GenerationApproval, HeldGeneration};
use crate::app::operations::decided_by::DecidedBy;
use crate::app::operations::generation_approval::{ambiguity, approve, is_named};
use crate::app::store;
use crate::cli::ApproveArgs;
use crate::commands::shared::decided_by::decided_by;
use crate::commands::shared::hold_decision::decide_changes;
use crate::commands::{FAILED, FINE};
use crate::config::Config;
use crate::output::printer::Printer;

pub(crate) async fn run(config: &Config, args: &ApproveArgs, printer: &Printer) -> anyhow::Result<u8> {
    let now = Clock::system().now();
    let store = store::open_existing(config).await?;
    let DecidedBy { name: by, reason } = decided_by(config, &args.decide.decider, printer).await?;
    let generations = HeldGeneration::all(store.as_ref()).await?;
    let groups = group_holds(store.holds().await?);
    let mut code = FINE;
    let mut changes: Vec<&String> = Vec::new();
    for name in &args.codes {
        let held: Vec<_> = generations.iter().filter(|(_, held)| is_named(held, name)).collect();
        if held.is_empty() {
            changes.push(name);
            continue;
        }
        if let Some(ambiguous) = ambiguity(&held) {
            printer.error(&format!("{name}: {ambiguous}"));
            code = FAILED;
            continue;
        }
        if !args.decide.only.is_empty() || !args.decide.repo.is_empty() {
            printer.error(&format!(
                "{name}: a generation is approved as a whole\nhint: run the command without `--only` and `--repo`"
            ));
            code = FAILED;
            continue;
        }
        let Some(reason) = &reason else {
            printer.error(&format!(
                "{name}: approving a generation needs a reason\nhint: `beadle approve {name} --reason \"TEXT\"`"
            ));
            code = FAILED;
            continue;
        };
        for (note, held) in held {
            let approval = GenerationApproval { by: by.clone(), reason: reason.clone(), at: now };
            let (generation, organisation) = (&held.generation, &held.organisation);
            printer.line(match approve(store.as_ref(), (note.as_str(), held.clone()), approval).await? {
                Some(by) => format!("{generation}: already approved for {organisation} by {by}"),
                None => format!(
                    "{generation}: approved for {organisation}; the service puts it in force if its plan is still the same"
                ),
            });
        }
    }
    if changes.is_empty() {
        return Ok(code);
    }
    let decision = Decision::approve(&by, reason.as_deref());
    let decided =
        decide_changes(store.as_ref(), (&groups, &changes), &args.decide, &decision, (now, printer)).await?;
    Ok(code.max(decided))
}

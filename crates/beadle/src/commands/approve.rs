//! `beadle approve`: approves changes that the guard holds, and generations of a policy that the gate
//! holds.

use std::collections::BTreeSet;
use std::sync::Arc;

use beadle_engine::guard::{Decision, group_holds};
use beadle_engine::journal::OperatorAction;
use beadle_engine::{Clock, Detail, Entry, EntryKind, Key, Store};

use crate::app::held_generation::{GenerationApproval, HeldGeneration};
use crate::app::store;
use crate::cli::ApproveArgs;
use crate::commands::decide::{decide_changes, decider};
use crate::commands::{FAILED, FINE};
use crate::config::Config;
use crate::output::printer::Printer;

pub(crate) async fn run(config: &Config, args: &ApproveArgs, printer: &Printer) -> anyhow::Result<u8> {
    let now = Clock::system().now();
    let store = store::open_existing(config).await?;
    let by = decider(config, &args.decide).await?;
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
        let Some(reason) = args.decide.reason() else {
            printer.error(&format!(
                "{name}: approving a generation needs a reason\nhint: `beadle approve {name} --reason TEXT`"
            ));
            code = FAILED;
            continue;
        };
        for (note, held) in held {
            let approval = GenerationApproval { by: by.clone(), reason: reason.to_owned(), at: now };
            approve_generation(&store, (note.as_str(), held.clone()), approval, printer).await?;
        }
    }
    if changes.is_empty() {
        return Ok(code);
    }
    let decision = Decision::approve(&by, args.decide.reason());
    let decided =
        decide_changes(store.as_ref(), (&groups, &changes), &args.decide, &decision, (now, printer)).await?;
    Ok(code.max(decided))
}

/// Returns whether an operator means this held generation, by its name or by the code of its plan.
fn is_named(held: &HeldGeneration, name: &str) -> bool {
    held.generation == name || held.digest == name
}

/// Returns an error if several plans wait for an approval. Organisations with the same policy have
/// the same generation, and an operator may have seen only the plan of one of them. If a service and
/// a command hold the same plan, one approval is for both.
fn ambiguity(held: &[&(String, HeldGeneration)]) -> Option<String> {
    let open: Vec<&HeldGeneration> =
        held.iter().map(|(_, held)| held).filter(|held| held.approved.is_none()).collect();
    let plans: BTreeSet<(&str, &str)> =
        open.iter().map(|held| (held.organisation.as_str(), held.digest.as_str())).collect();
    if plans.len() < 2 {
        return None;
    }
    let plans = plans.iter().map(|(organisation, digest)| format!("{organisation} (plan {digest})"));
    let plans = plans.collect::<Vec<_>>().join(", ");
    Some(format!("held for {plans}\nhint: approve each plan by its code, as `beadle holds` shows it"))
}

/// Approves a held generation, and records it in the journal.
async fn approve_generation(
    store: &Arc<dyn Store>,
    (note, held): (&str, HeldGeneration),
    approval: GenerationApproval,
    printer: &Printer,
) -> anyhow::Result<()> {
    let (organisation, generation) = (held.organisation.clone(), held.generation.clone());
    if let Some(GenerationApproval { by, .. }) = &held.approved {
        printer.line(format!("{generation}: already approved for {organisation} by {by}"));
        return Ok(());
    }
    let at = approval.at;
    let action = OperatorAction::ApprovedGeneration {
        approved_generation: generation.clone(),
        plan: held.digest.clone(),
        reason: approval.reason.clone(),
        by: approval.by.clone(),
    };
    held.approve(store.as_ref(), note, approval).await?;
    let entry = Entry {
        seq: 0,
        at,
        kind: EntryKind::Operator,
        key: Key::new("policy", &organisation, &generation).to_string(),
        subject: organisation.clone(),
        intent: None,
        trace: None,
        detail: Detail::Operator(action),
    };
    store.journal(None, vec![entry], at).await?;
    printer.line(format!(
        "{generation}: approved for {organisation}; the service puts it in force if its plan is still the same"
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use beadle_engine::Time;

    use super::*;

    fn held(organisation: &str, is_approved: bool) -> (String, HeldGeneration) {
        let held = HeldGeneration::new((organisation, "g1"), &[], 1, Time(0));
        let approval = GenerationApproval { by: "ann".into(), reason: "read it".into(), at: Time(0) };
        let digest = format!("plan-of-{organisation}");
        (
            organisation.to_owned(),
            HeldGeneration { digest, approved: is_approved.then_some(approval), ..held },
        )
    }

    #[test]
    fn a_generation_of_several_organisations_is_approved_plan_by_plan() {
        let all = [held("acme", false), held("labs", false), held("other", true)];
        let named = |name: &str| all.iter().filter(|(_, held)| is_named(held, name)).collect::<Vec<_>>();
        let error = ambiguity(&named("g1")).unwrap();
        assert!(
            error.starts_with("held for acme (plan plan-of-acme), labs (plan plan-of-labs)\n"),
            "{error}"
        );
        assert_eq!(named("plan-of-labs").len(), 1);
        assert_eq!(ambiguity(&named("plan-of-labs")), None);
        assert_eq!(ambiguity(&[&all[0], &all[2]]), None, "one of them is approved");
        let by_command = held("acme", false);
        assert_eq!(ambiguity(&[&all[0], &by_command]), None, "a command holds the same plan");
    }
}

//! `beadle holds` and `beadle approve`: list and approve the changes that the guard holds, and the
//! generations of a policy that the gate holds.

use std::collections::BTreeSet;
use std::sync::Arc;

use beadle_engine::gate::Holder;
use beadle_engine::journal::OperatorAction;
use beadle_engine::{Clock, Detail, Entry, EntryKind, Key, Store, Time};
use serde_json::json;

use crate::app::held_generation::{GenerationApproval, HeldGeneration};
use crate::app::store;
use crate::cli::ApproveArgs;
use crate::commands::{FAILED, FINE, ago, operator};
use crate::config::Config;
use crate::output::journal_sentence::commit;
use crate::output::printer::{Printer, Tone};
use crate::output::render;

pub(crate) async fn holds(config: &Config, as_json: bool, printer: &Printer) -> anyhow::Result<u8> {
    let now = Clock::system().now();
    let store = store::open_existing(config).await?;
    let (generations, holds) = (HeldGeneration::all(store.as_ref()).await?, store.holds().await?);
    if generations.is_empty() && holds.is_empty() && !as_json {
        printer.line("no held changes");
    }
    for (note, held) in generations {
        let holder = Holder::of(&note);
        if as_json {
            let mut json = serde_json::to_value(&held)?;
            json["held_by"] = json!(holder);
            printer.json(&json.to_string());
        } else {
            show_generation((holder, &held), now, printer);
        }
    }
    for hold in holds {
        if as_json {
            printer.json(&serde_json::to_string(&hold)?);
            continue;
        }
        let head = printer.paint(Tone::Heading, format!("{}  {}", hold.digest, hold.subject));
        let state = match &hold.approved_by {
            Some(by) => format!("approved by {by}, not written yet"),
            None => hold.why.clone(),
        };
        printer.line(format!("{head}  held for {}: {state}", ago(hold.since, now)));
        for line in render::change_lines(printer, &hold.change) {
            printer.line(line);
        }
    }
    Ok(FINE)
}

/// Prints a held generation: the exceeded limits, the sums, and the changes in groups.
fn show_generation((holder, held): (Holder, &HeldGeneration), now: Time, printer: &Printer) {
    let HeldGeneration { organisation, generation, digest, .. } = held;
    let head = printer.paint(Tone::Heading, format!("generation {generation}  {organisation}"));
    let state = match &held.approved {
        Some(GenerationApproval { by, reason, .. }) => {
            format!("approved by {by} ({reason}), not in force yet")
        }
        None => held.why.clone(),
    };
    printer.line(format!("{head}  held by {holder} for {}: {state}", ago(held.since, now)));
    if let Some(of) = &held.commit {
        printer.line(format!("  {}", commit(of)));
    }
    printer.line(format!("  {}; plan {digest}", held.summary()));
    for group in &held.groups {
        printer.line(format!("  {}", group.line()));
    }
    if held.more_groups > 0 {
        printer.line(format!("  and {} more", held.more_groups));
    }
    if held.approved.is_none() {
        printer.line(format!("  to approve it: `beadle approve {generation} --reason TEXT`"));
    }
}

pub(crate) async fn approve(config: &Config, args: &ApproveArgs, printer: &Printer) -> anyhow::Result<u8> {
    let clock = Clock::system();
    let store = store::open_existing(config).await?;
    let by = operator(config).await;
    let generations = HeldGeneration::all(store.as_ref()).await?;
    let mut code = FINE;
    for digest in &args.digests {
        let held: Vec<_> = generations.iter().filter(|(_, held)| is_named(held, digest)).collect();
        if !held.is_empty() {
            if let Some(ambiguous) = ambiguity(&held) {
                printer.error(&format!("{digest}: {ambiguous}"));
                code = FAILED;
                continue;
            }
            let Some(reason) = args.reason.as_ref().filter(|reason| !reason.trim().is_empty()) else {
                printer.error(&format!(
                    "{digest}: approving a generation needs a reason\nhint: `beadle approve {digest} --reason TEXT`"
                ));
                code = FAILED;
                continue;
            };
            for (note, held) in held {
                let approval = GenerationApproval { by: by.clone(), reason: reason.clone(), at: clock.now() };
                approve_generation(&store, (note.as_str(), held.clone()), approval, printer).await?;
            }
            continue;
        }
        let Some(hold) = store.approve(digest, &by, clock.now()).await? else {
            printer.error(&format!(
                "no held change has the digest `{digest}`, and no held policy has this name\nhint: see `beadle holds`"
            ));
            code = FAILED;
            continue;
        };
        match effect(hold.approved_by.as_deref(), hold.spent, &by) {
            Effect::Approved => {
                let entry = Entry {
                    seq: 0,
                    at: clock.now(),
                    kind: EntryKind::Operator,
                    key: hold.key.to_string(),
                    subject: hold.subject.clone(),
                    intent: None,
                    detail: Detail::Operator(OperatorAction::Approved {
                        approved: digest.clone(),
                        by: by.clone(),
                    }),
                };
                store.journal(None, vec![entry], clock.now()).await?;
                printer.line(format!("{digest}: approved; {} is due now", hold.subject));
            }
            Effect::ApprovedBefore(other) => {
                printer.line(format!("{digest}: already approved by {other}; {} is due now", hold.subject));
            }
            Effect::Nothing => {
                let why = "the approved write began, and its result is not known yet";
                let hint = "if Beadle holds the change again, approve it again";
                printer.error(&format!("{digest}: {why}\nhint: {hint}"));
                code = FAILED;
            }
        }
    }
    Ok(code)
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
        detail: Detail::Operator(action),
    };
    store.journal(None, vec![entry], at).await?;
    printer.line(format!(
        "{generation}: approved for {organisation}; the service puts it in force if its plan is still the same"
    ));
    Ok(())
}

/// What an approval does.
#[derive(Debug, PartialEq, Eq)]
enum Effect<'a> {
    /// The guard lets the change pass because of this approval.
    Approved,
    /// The guard lets the change pass because of an earlier approval of another operator.
    ApprovedBefore(&'a str),
    /// The approval has no effect, because the write of the change has already begun and may be
    /// complete.
    Nothing,
}

/// Returns what an approval by the operator `by` does. `approved_by` is the operator who approved
/// the hold first. `spent` is whether the write of the change has begun.
fn effect<'a>(approved_by: Option<&'a str>, spent: bool, by: &str) -> Effect<'a> {
    match approved_by {
        _ if spent => Effect::Nothing,
        Some(other) if other != by => Effect::ApprovedBefore(other),
        _ => Effect::Approved,
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn an_approval_without_an_effect_is_none() {
        assert_eq!(effect(Some("mona"), false, "mona"), Effect::Approved);
        assert_eq!(effect(Some("hubot"), false, "mona"), Effect::ApprovedBefore("hubot"));
        assert_eq!(effect(Some("mona"), true, "mona"), Effect::Nothing);
        assert_eq!(effect(Some("hubot"), true, "mona"), Effect::Nothing);
    }
}

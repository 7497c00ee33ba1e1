//! The decision of an operator about held changes. `beadle approve` and `beadle reject` use this
//! module.

use beadle_engine::guard::{Decision, HoldGroup, Ruling, is_undo, limit_holds};
use beadle_engine::{Hold, Mode, Store, Time};

use crate::app::operations::held_change_decisions::{
    Effect, NamedChange, effect, named_changes, store_decisions,
};
use crate::cli::DecideArgs;
use crate::commands::{FAILED, FINE};
use crate::output::plural::counted;
use crate::output::printer::Printer;

/// The note about approved changes of an undo.
pub(in crate::commands) const UNDO_AGAIN: &str =
    "Beadle writes approved changes of an undo when you run the same `beadle undo` again";

/// Returns the held changes whose codes are in `codes`, and the exit code. If the options do not fit
/// the changes, or if a reason is missing, returns no change.
pub(in crate::commands) fn name_changes<'a>(
    (groups, codes): (&'a [HoldGroup], &[&String]),
    args: &DecideArgs,
    decision: &Decision,
    printer: &Printer,
) -> (Vec<NamedChange<'a>>, u8) {
    let mut code = FINE;
    let mut named: Vec<NamedChange<'a>> = Vec::new();
    for name in codes {
        let found = named_changes(groups, name);
        if found.is_empty() {
            printer.error(&unknown(name, decision.ruling));
            code = FAILED;
        }
        let is_new = |one: &NamedChange<'_>| named.iter().all(|other| other.hold.digest != one.hold.digest);
        let found: Vec<NamedChange<'a>> = found.into_iter().filter(is_new).collect();
        named.extend(found);
    }
    if let Err(why) = chosen(&mut named, args, decision) {
        printer.error(&why);
        return (Vec::new(), FAILED);
    }
    (named, code)
}

/// Decides about held changes. Returns the exit code.
pub(in crate::commands) async fn decide_changes(
    store: &dyn Store,
    named: &[NamedChange<'_>],
    decision: &Decision,
    (now, printer): (Time, &Printer),
) -> anyhow::Result<u8> {
    let mut code = FINE;
    let mut done: Vec<Hold> = Vec::new();
    let decided = store_decisions(store, named, decision, now).await?;
    for (one, hold) in named.iter().zip(decided) {
        let digest = &one.hold.digest;
        match hold.as_ref().map_or(Effect::Gone, |hold| effect(hold, decision)) {
            Effect::Done => done.extend(hold),
            Effect::Before(other) => {
                printer.line(format!("{digest}: already {} by {other}", past(decision.ruling)));
            }
            Effect::Rejected(by) => {
                let hint = "to approve the change anyway, run the command again";
                printer.error(&format!("{digest}: the change was already rejected by {by}\nhint: {hint}"));
                code = FAILED;
            }
            Effect::Begun => {
                let why = "the approved write began, and its result is not known yet";
                let hint = "if Beadle holds the change again, decide again";
                printer.error(&format!("{digest}: {why}\nhint: {hint}"));
                code = FAILED;
            }
            Effect::Gone => {
                printer.error(&format!("{digest}: the change is no longer held"));
                code = FAILED;
            }
        }
    }
    if let Some(line) = summary(&done, decision.ruling) {
        printer.line(line);
    }
    if decision.ruling == Ruling::Approve && done.iter().any(|hold| is_undo(&hold.generation)) {
        printer.note(UNDO_AGAIN);
    }
    Ok(code)
}

/// Keeps only the changes that match the options. Returns an error if an option matches no change,
/// or if a reason is missing.
fn chosen(named: &mut Vec<NamedChange<'_>>, args: &DecideArgs, decision: &Decision) -> Result<(), String> {
    if named.is_empty() {
        return Ok(());
    }
    let holds: Vec<&Hold> = named.iter().map(|one| one.hold).collect();
    let kept = limit_holds(&holds, &args.only, &args.repo).map_err(|missing| {
        format!("`{missing}` is not among the named changes\nhint: see `beadle holds GROUP`")
    })?;
    if kept.is_empty() {
        return Err("`--only` and `--repo` have no change in common".to_owned());
    }
    named.retain(|one| kept.iter().any(|hold| hold.digest == one.hold.digest));
    let needs_reason = named.iter().find(|one| one.hold.change.mode == Mode::Enforce);
    if let Some(one) = needs_reason.filter(|_| decision.reason.is_none()) {
        let (what, command) = match decision.ruling {
            Ruling::Approve => ("an approval", "approve"),
            Ruling::Reject => ("a rejection", "reject"),
        };
        let name = one.group.unwrap_or(&one.hold.digest);
        return Err(format!(
            "{name}: {what} in the mode `enforce` needs a reason\nhint: `beadle {command} {name} --reason \"TEXT\"`"
        ));
    }
    Ok(())
}

fn unknown(name: &str, ruling: Ruling) -> String {
    let what = match ruling {
        Ruling::Approve => "no held change, group or policy has the code",
        Ruling::Reject => "no held change or group has the code",
    };
    format!("{what} `{name}`; a group that changes gets another code\nhint: see `beadle holds`")
}

fn past(ruling: Ruling) -> &'static str {
    match ruling {
        Ruling::Approve => "approved",
        Ruling::Reject => "rejected",
    }
}

/// Returns the line about the decision. Returns `None` if nothing was decided.
fn summary(done: &[Hold], ruling: Ruling) -> Option<String> {
    let text = match (done, ruling) {
        ([], _) => return None,
        ([hold], Ruling::Approve) if is_undo(&hold.generation) => format!("{}: approved", hold.digest),
        ([hold], Ruling::Approve) => {
            format!("{}: approved; Beadle writes the change of {} in its next run", hold.digest, hold.subject)
        }
        ([hold], Ruling::Reject) => {
            format!("{}: rejected; Beadle goes on holding the change of {}", hold.digest, hold.subject)
        }
        (holds, Ruling::Approve) => {
            let count = counted(holds.len() as u64, "change", "changes");
            // Beadle writes approved changes of an undo only when somebody runs the same undo
            // again.
            match holds.iter().filter(|hold| is_undo(&hold.generation)).count() {
                0 => format!("{count} approved; Beadle writes them in its next run"),
                of_undo if of_undo == holds.len() => format!("{count} approved"),
                _ => format!("{count} approved; Beadle writes those of the policy in its next run"),
            }
        }
        (holds, Ruling::Reject) => {
            let count = counted(holds.len() as u64, "change", "changes");
            format!("{count} rejected; Beadle goes on holding them")
        }
    };
    Some(text)
}

#[cfg(test)]
mod tests;

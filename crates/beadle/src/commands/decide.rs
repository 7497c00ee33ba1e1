//! The decision of an operator about held changes: finds the changes, stores the decision, and
//! records it in the journal. `beadle approve` and `beadle reject` use it.

use beadle_engine::guard::{Decision, HoldGroup, Ruling, limit_holds, named_holds};
use beadle_engine::journal::OperatorAction;
use beadle_engine::{Detail, Entry, EntryKind, Hold, Mode, Store, Time};
use futures::future::try_join_all;

use crate::cli::DecideArgs;
use crate::commands::{FAILED, FINE, operator};
use crate::config::Config;
use crate::output::count::counted;
use crate::output::printer::Printer;

/// The number of decisions that are stored at the same time.
const BATCH: usize = 20;

/// Returns the name of the operator for the journal. A name of `--as` does not replace the system
/// user. If the store is a table, AWS names the caller, and no option may give another name.
pub(super) async fn decider(config: &Config, args: &DecideArgs) -> anyhow::Result<String> {
    let Some(person) = &args.person else { return Ok(operator(config).await) };
    anyhow::ensure!(
        config.database().is_some(),
        "`--as` is not allowed with a store at AWS, because AWS names the caller\nhint: run the command without `--as`"
    );
    Ok(format!("{person} (system user {})", operator(config).await))
}

/// A held change that an operator named.
#[derive(Clone, Debug)]
struct NamedChange<'a> {
    hold: &'a Hold,
    /// The code of the group, if the operator named the whole group.
    group: Option<&'a str>,
}

/// Decides about the held changes that `codes` name. If the options do not fit the changes, or if a
/// reason is missing, nothing is decided. Returns the exit code.
pub(super) async fn decide_changes(
    store: &dyn Store,
    (groups, codes): (&[HoldGroup], &[&String]),
    args: &DecideArgs,
    decision: &Decision,
    (now, printer): (Time, &Printer),
) -> anyhow::Result<u8> {
    let mut code = FINE;
    let mut named: Vec<NamedChange<'_>> = Vec::new();
    for name in codes {
        let found = named_changes(groups, name);
        if found.is_empty() {
            printer.error(&unknown(name, decision.ruling));
            code = FAILED;
        }
        let is_new = |one: &NamedChange<'_>| named.iter().all(|other| other.hold.digest != one.hold.digest);
        let found: Vec<NamedChange<'_>> = found.into_iter().filter(is_new).collect();
        named.extend(found);
    }
    match chosen(&mut named, args, decision) {
        Ok(()) if named.is_empty() => return Ok(code),
        Ok(()) => {}
        Err(why) => {
            printer.error(&why);
            return Ok(FAILED);
        }
    }
    let mut done: Vec<Hold> = Vec::new();
    for batch in named.chunks(BATCH) {
        let decided = batch.iter().map(|one| store.decide(&one.hold.digest, decision, now));
        let decided = try_join_all(decided).await?;
        let mut entries = Vec::new();
        for (one, hold) in batch.iter().zip(decided) {
            let digest = &one.hold.digest;
            match hold.as_ref().map_or(Effect::Gone, |hold| effect(hold, decision)) {
                Effect::Done => {
                    entries.push(entry(one, decision, now));
                    done.extend(hold);
                }
                Effect::Before(other) => {
                    printer.line(format!("{digest}: already {} by {other}", past(decision.ruling)));
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
        if !entries.is_empty() {
            store.journal(None, entries, now).await?;
        }
    }
    if let Some(line) = summary(&done, decision.ruling) {
        printer.line(line);
    }
    Ok(code)
}

/// Returns the changes that a code or a digest names.
fn named_changes<'a>(groups: &'a [HoldGroup], name: &str) -> Vec<NamedChange<'a>> {
    let group = groups.iter().find(|group| group.code == name && group.holds.len() > 1);
    let group = group.map(|group| group.code.as_str());
    named_holds(groups, name).into_iter().map(|hold| NamedChange { hold, group }).collect()
}

/// Limits the changes by the options. Returns an error if an option names no change, or if the
/// decision needs a reason.
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
            "{name}: {what} in the mode `enforce` needs a reason\nhint: `beadle {command} {name} --reason TEXT`"
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

/// Returns the line that tells what was decided. Returns `None` if nothing was.
fn summary(done: &[Hold], ruling: Ruling) -> Option<String> {
    let text = match (done, ruling) {
        ([], _) => return None,
        ([hold], Ruling::Approve) => format!("{}: approved; {} is due now", hold.digest, hold.subject),
        ([hold], Ruling::Reject) => {
            format!("{}: rejected; Beadle goes on holding the change of {}", hold.digest, hold.subject)
        }
        (holds, Ruling::Approve) => {
            format!("{} approved; Beadle writes them now", counted(holds.len() as u64, "change", "changes"))
        }
        (holds, Ruling::Reject) => {
            let count = counted(holds.len() as u64, "change", "changes");
            format!("{count} rejected; Beadle goes on holding them")
        }
    };
    Some(text)
}

/// Returns the entry of the journal for a decision.
fn entry(one: &NamedChange<'_>, decision: &Decision, now: Time) -> Entry {
    let NamedChange { hold, group } = one;
    let (digest, by, reason) = (hold.digest.clone(), decision.by.clone(), decision.reason.clone());
    let group = group.map(str::to_owned);
    let action = match decision.ruling {
        Ruling::Approve => OperatorAction::Approved { approved: digest, by, reason, group },
        Ruling::Reject => OperatorAction::Rejected { rejected: digest, by, reason, group },
    };
    Entry {
        seq: 0,
        at: now,
        kind: EntryKind::Operator,
        key: hold.key.to_string(),
        subject: hold.subject.clone(),
        intent: None,
        detail: Detail::Operator(action),
    }
}

/// What a decision does.
#[derive(Debug, PartialEq, Eq)]
enum Effect<'a> {
    /// The decision is stored.
    Done,
    /// Another operator decided the same before, and that decision stays.
    Before(&'a str),
    /// The decision has no effect, because the approved write of the change has already begun and
    /// may be complete.
    Begun,
    /// The change is no longer held.
    Gone,
}

/// Returns what a decision did. `hold` is the stored hold after the decision.
fn effect<'a>(hold: &'a Hold, decision: &Decision) -> Effect<'a> {
    if hold.spent {
        return Effect::Begun;
    }
    let by = match decision.ruling {
        Ruling::Approve => hold.approved_by.as_deref(),
        Ruling::Reject => hold.rejected.as_ref().map(|rejection| rejection.by.as_str()),
    };
    match by {
        Some(other) if other != decision.by => Effect::Before(other),
        _ => Effect::Done,
    }
}

#[cfg(test)]
mod tests;

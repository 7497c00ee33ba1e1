//! `beadle holds` and `beadle approve`.

use beadle_engine::journal::OperatorAction;
use beadle_engine::{Clock, Detail, Entry, EntryKind};

use crate::app::store;
use crate::commands::{FAILED, FINE, ago, operator};
use crate::config::Config;
use crate::output::printer::{Printer, Tone};
use crate::output::render;

pub(crate) async fn holds(config: &Config, as_json: bool, printer: &Printer) -> anyhow::Result<u8> {
    let now = Clock::system().now();
    let holds = store::open_existing(config).await?.holds().await?;
    if holds.is_empty() && !as_json {
        printer.line("nothing is held");
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

pub(crate) async fn approve(config: &Config, digests: &[String], printer: &Printer) -> anyhow::Result<u8> {
    let clock = Clock::system();
    let store = store::open_existing(config).await?;
    let by = operator(config).await;
    let mut code = FINE;
    for digest in digests {
        let Some(hold) = store.approve(digest, &by, clock.now()).await? else {
            printer.error(&format!("nothing with the digest `{digest}` is held; see `beadle holds`"));
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
                printer.line(format!("{digest}: {other} approved it before; {} is due now", hold.subject));
            }
            Effect::Nothing => {
                let why = "the approved write began, and its result is not known yet";
                let hint = "if Beadle holds the change again, approve it again";
                printer.error(&format!("{digest}: {why}; {hint}"));
                code = FAILED;
            }
        }
    }
    Ok(code)
}

/// The effect of an approval.
#[derive(Debug, PartialEq, Eq)]
enum Effect<'a> {
    /// The change passes by this approval.
    Approved,
    /// It passes by the approval of somebody else.
    ApprovedBefore(&'a str),
    /// Its write was begun, and may have been made: this approval lets nothing pass.
    Nothing,
}

/// The effect of an approval by `by`, by who approved the hold first, and whether its write was begun.
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

    #[test]
    fn an_approval_without_an_effect_is_none() {
        assert_eq!(effect(Some("mona"), false, "mona"), Effect::Approved);
        assert_eq!(effect(Some("hubot"), false, "mona"), Effect::ApprovedBefore("hubot"));
        assert_eq!(effect(Some("mona"), true, "mona"), Effect::Nothing);
        assert_eq!(effect(Some("hubot"), true, "mona"), Effect::Nothing);
    }
}

//! `beadle holds`: lists the held changes in groups, and the held generations of a policy.

use beadle_engine::Clock;
use beadle_engine::gate::Holder;
use beadle_engine::guard::{HoldGroup, group_holds};
use serde_json::json;

use crate::app::gate::held_generation::HeldGeneration;
use crate::app::store;
use crate::cli::HoldsArgs;
use crate::commands::shared::holds_text::{HoldsText, approval_of_all};
use crate::commands::{FAILED, FINE};
use crate::config::Config;
use crate::output::printer::Printer;

pub(crate) async fn run(config: &Config, args: &HoldsArgs, printer: &Printer) -> anyhow::Result<u8> {
    let now = Clock::system().now();
    let store = store::open_existing(config).await?;
    let list = store.all_holds().await?;
    for why in &list.unreadable {
        printer.error(&format!(
            "cannot read {why}\nhint: Beadle writes nothing to the repository or group of this change; use the newest version of Beadle that has \
             used this store"
        ));
    }
    let code = if list.unreadable.is_empty() { FINE } else { FAILED };
    let groups = group_holds(list.holds);
    let mut text = HoldsText::of_list(&store, config, (now, printer));
    if let Some(wanted) = &args.group {
        let Some(group) = groups.iter().find(|group| group.code == *wanted) else {
            printer.error(&format!(
                "no group of held changes has the code `{wanted}`; a group that changes gets another code\nhint: see \
                 `beadle holds`"
            ));
            return Ok(FAILED);
        };
        if args.json {
            print_changes(group, printer)?;
        } else {
            text.each_change(group).await?;
        }
        return Ok(code);
    }
    let generations = HeldGeneration::all(store.as_ref()).await?;
    for (note, held) in &generations {
        if args.json {
            print_generation((note, held), printer)?;
        } else {
            text.generation(note, held);
        }
    }
    if generations.is_empty() && groups.is_empty() && code == FINE && !args.json {
        printer.line("no held changes");
    }
    for group in &groups {
        if args.json {
            print_changes(group, printer)?;
        } else {
            text.group(group).await?;
        }
    }
    if let Some(command) = approval_of_all(&groups).filter(|_| !args.json) {
        printer.line(command);
    }
    Ok(code)
}

/// Prints a held generation as JSON. `note` is the name of the note about the hold.
fn print_generation((note, held): (&str, &HeldGeneration), printer: &Printer) -> anyhow::Result<()> {
    let mut json = serde_json::to_value(held)?;
    json["held_by"] = json!(Holder::of(note));
    printer.json(&json.to_string());
    Ok(())
}

/// Prints each change of a group as JSON.
fn print_changes(group: &HoldGroup, printer: &Printer) -> anyhow::Result<()> {
    for hold in &group.holds {
        let mut json = serde_json::to_value(hold)?;
        json["group"] = json!(group.code);
        printer.json(&json.to_string());
    }
    Ok(())
}

//! `beadle status`: shows the state of the service, the organisations and the targets on one page.

mod model;
mod problems;
mod readiness;
mod stored_state;
mod text;

use std::io::IsTerminal as _;
use std::time::Duration;

use beadle_engine::{Clock, Store, Time};

use crate::app::organisations::installations;
use crate::app::store;
use crate::commands::FINE;
use crate::config::Config;
use crate::output::printer::Printer;

/// The time between two reads of the state with `--watch`.
const LOOK: Duration = Duration::from_secs(5);
/// The codes that clear a terminal and move the cursor to its first line.
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

pub(crate) async fn run(config: &Config, json: bool, watch: bool, printer: &Printer) -> anyhow::Result<u8> {
    let store = store::open_existing(config).await?;
    let clock = Clock::system();
    if !watch {
        let (shown, code) = look(config, store.as_ref(), json, clock.now(), printer).await?;
        print(&shown, json, printer);
        return Ok(code);
    }
    let clears = !json && std::io::stdout().is_terminal();
    let mut last = Vec::new();
    loop {
        let (shown, _) = look(config, store.as_ref(), json, clock.now(), printer).await?;
        if clears {
            printer.own(CLEAR);
        }
        // On a pipe, the command prints the state only if the state has changed since the command
        // last printed it.
        if clears || shown != last {
            print(&shown, json, printer);
        }
        // The output cannot be written, for example because the disk is full.
        if printer.has_lost() {
            return Ok(FINE);
        }
        last = shown;
        clock.sleep(LOOK).await;
    }
}

/// Reads the state. Returns its lines, and the exit code.
async fn look(
    config: &Config,
    store: &dyn Store,
    json: bool,
    now: Time,
    printer: &Printer,
) -> anyhow::Result<(Vec<String>, u8)> {
    let answer = readiness::answer(config).await;
    // With `--watch`, the service might have added organisations since the command last read the
    // state.
    let mut config = Config::clone(config);
    installations::take_in(&mut config, store).await?;
    let status = stored_state::gather(&config, store, answer, now).await?;
    let lines = if json { vec![serde_json::to_string(&status)?] } else { text::lines(&status, printer) };
    Ok((lines, status.code()))
}

fn print(lines: &[String], json: bool, printer: &Printer) {
    for line in lines {
        if json {
            printer.json(line);
        } else {
            printer.line(line);
        }
    }
}

#[cfg(test)]
mod tests;

//! `beadle report`: shows which repositories satisfied which lines of the policy at a given time.

mod csv;
mod row_formats;
mod time_argument;

use std::time::Duration;

use anyhow::anyhow;
use beadle_engine::Clock;
use beadle_repositories::controls::{ControlStatus, Timeline};
use beadle_repositories::policy::check_waived_key;

use self::row_formats::{COLUMNS, Tally, as_json, cells, table};
use self::time_argument::moment;
use crate::app::store;
use crate::cli::{ReportArgs, ReportFormat};
use crate::commands::{FINE, PENDING};
use crate::config::Config;
use crate::output::printer::Printer;

pub(crate) async fn run(config: &Config, args: &ReportArgs, printer: &Printer) -> anyhow::Result<u8> {
    let control = args.control.as_deref();
    if let Some(control) = control {
        check_waived_key(control).map_err(|must| anyhow!("invalid control `{control}`: it must {must}"))?;
    }
    let now = Clock::system().now();
    let at = match &args.at {
        Some(text) => moment(text, now).map_err(|why| anyhow!("invalid date `{text}`: {why}"))?,
        None => now,
    };
    let orgs = config.orgs(args.org.as_deref())?;
    let store = store::open_existing(config).await?;
    if args.format == ReportFormat::Csv {
        printer.line(csv::line(COLUMNS));
    }
    let mut tally = Tally::default();
    for file in orgs {
        let sweep = file.schedule().next(now).map_or(Duration::ZERO, |next| next.since(now));
        let timeline = Timeline::read(store.as_ref(), &file.name, at).await?;
        let timeline = timeline.with_oldest(file.reread() + sweep);
        if timeline.repositories().is_empty() {
            printer.note(format!("{}: the store has no record of any repository", file.name));
        }
        for repository in timeline.repositories() {
            let rows = timeline.rows(repository, control);
            tally.add(&rows);
            if args.format == ReportFormat::Table {
                table(&rows, printer);
            }
            for row in &rows {
                match args.format {
                    ReportFormat::Table => {}
                    ReportFormat::Csv => printer.line(csv::line(cells(row).iter().map(String::as_str))),
                    ReportFormat::Json => printer.json(&as_json(row).to_string()),
                }
            }
            if printer.is_closed() {
                return Ok(FINE);
            }
        }
    }
    if args.format == ReportFormat::Table {
        printer.line(tally.text(at));
    }
    let is_fine = tally.count(ControlStatus::is_fine) == tally.count(|_| true);
    Ok(if is_fine { FINE } else { PENDING })
}

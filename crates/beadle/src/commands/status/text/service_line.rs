//! Shows the state of the service as one line.

use std::time::Duration;

use beadle_engine::Time;

use super::super::model::{ServiceState, ServiceStatus, Status};
use super::{label, reason};
use crate::commands::ago;
use crate::output::printer::{Printer, Tone};

/// The time after the start of the service during which a load of the configuration counts as a
/// part of the start. The line shows only the time of a later load.
const STARTING: Duration = Duration::from_secs(60);

/// Returns the line of the service.
pub(super) fn service(status: &Status, printer: &Printer) -> String {
    let (tone, text) = match status.service.state {
        ServiceState::Up => (Tone::Good, running(status)),
        ServiceState::NotReady => {
            let why = status.service.listener.as_deref().unwrap_or_default();
            (Tone::Danger, format!("not ready: {}", reason(why)))
        }
        ServiceState::Stopped => (Tone::Danger, "stopped: start it with `beadle serve`".to_owned()),
        ServiceState::Never => (Tone::Faint, "no service has used this store".to_owned()),
    };
    format!("{} {text} (this is beadle {})", label("service", tone, printer), status.version)
}

/// Returns when the service started, when it last loaded its configuration, and its version. Leaves
/// out the time of the load if the load was part of the start.
fn running(status: &Status) -> String {
    let ServiceStatus { version, started, configured, .. } = &status.service;
    let since = started.map(|at| format!(" since {}", ago(at, status.at))).unwrap_or_default();
    let mut parts = vec![format!("running{since}")];
    let is_reloaded = |at: &Time| started.is_none_or(|started| at.since(started) >= STARTING);
    let reloaded = configured.filter(is_reloaded);
    parts.extend(reloaded.map(|at| format!("configuration loaded {} ago", ago(at, status.at))));
    parts.extend(version.as_ref().map(|version| format!("version {version}")));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_reload_does_not_change_the_time_of_the_start() {
        for (started, configured, expected) in [
            (Some(HOUR), Some(HOUR + 2_000), "running since 9 h, version 0.9.0"),
            (Some(HOUR), Some(8 * HOUR), "running since 9 h, configuration loaded 2 h ago, version 0.9.0"),
            (None, Some(8 * HOUR), "running, configuration loaded 2 h ago, version 0.9.0"),
            (None, None, "running, version 0.9.0"),
        ] {
            let status = Status {
                version: "1.0.0",
                at: Time(10 * HOUR),
                service: ServiceStatus {
                    state: ServiceState::Up,
                    version: Some("0.9.0".into()),
                    started: started.map(Time),
                    configured: configured.map(Time),
                    ..ServiceStatus::default()
                },
                ..Status::default()
            };
            let expected = format!("service   {expected} (this is beadle 1.0.0)");
            assert_eq!(service(&status, &Printer::plain()), expected);
        }
    }
}

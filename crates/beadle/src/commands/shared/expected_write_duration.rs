//! Announces how long the writes of a command will take.

use std::time::Duration;

use crate::app::organisations::open_organisation::GithubOrganisation;
use crate::commands::plan::Writable;
use crate::output::plural::counted;
use crate::output::printer::Printer;

/// The number of points that GitHub subtracts for one write. GitHub limits the points per minute.
///
/// <https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#calculating-points-for-the-secondary-rate-limit>
const WRITE_POINTS: u32 = 5;
/// The shortest expected duration of the writes that Beadle announces.
const WORTH_SAYING: Duration = Duration::from_secs(20);

/// Announces how long the writes will take, if they take long. GitHub allows only one write at a
/// time.
pub(in crate::commands) fn announce(org: &GithubOrganisation, plans: &[Writable], printer: &Printer) {
    let changes = plans.iter().flat_map(|plan| &plan.changes);
    let writes = changes.filter(|change| change.mode.allows(&change.risks())).count();
    let budget = &org.file.budget;
    let of_points = Duration::from(budget.minute) * WRITE_POINTS / budget.rest_points.max(1);
    let time = budget.write_every().max(of_points) * u32::try_from(writes).unwrap_or(u32::MAX);
    if time >= WORTH_SAYING {
        let minutes = time.as_secs().div_ceil(60);
        let writes = counted(writes, "write", "writes");
        printer.note(format!("{}: {writes}, one after another, in about {minutes} min", org.file.name));
    }
}

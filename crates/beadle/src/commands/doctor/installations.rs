//! The part of `beadle doctor` about the installations of the App.

use beadle_config::{Installed, Standing};
use beadle_engine::Clock;
use beadle_github::Installation;

use super::Doctor;
use crate::app::installations;
use crate::config::{Config, InstallationsFile};
use crate::output::count::counted;

/// Lists the installations at GitHub, and reports what Beadle does about each of them.
pub(super) async fn diagnose(
    doctor: &mut Doctor<'_>,
    config: &Config,
    from: &InstallationsFile,
    clock: &Clock,
) {
    let listed = match list(config, from, clock).await {
        Ok(listed) => listed,
        Err(error) => return doctor.wrong(&format!("[installations]: {error:#}")),
    };
    let count = counted(listed.len() as u64, "organisation", "organisations");
    doctor.fine(&format!("[installations]: the App {} is installed in {count}", from.app.id));
    if from.webhook_secrets.is_empty() {
        doctor.note(
            "[installations]: no webhook secret, so Beadle takes in an organisation up to 1 min after its installation; set `webhook_secrets`",
        );
    }
    let observed: Vec<Installed> =
        listed.iter().map(|one| installations::observed(one, clock.now())).collect();
    for (one, standing) in config.file.standings(&observed) {
        let text = format!("{}: {}", one.login, standing.describe());
        let is_known = config.file.org.iter().any(|org| org.is_taken_in && org.name == one.login);
        match standing {
            Standing::Declared => {}
            Standing::TakenIn if is_known => doctor.fine(&text),
            Standing::TakenIn => {
                doctor.note(&format!("{}: not taken in yet; is `beadle serve` running?", one.login));
            }
            _ => doctor.note(&text),
        }
    }
}

async fn list(config: &Config, from: &InstallationsFile, clock: &Clock) -> anyhow::Result<Vec<Installation>> {
    Ok(installations::reader(config, from, clock)?.installations().await?.installations)
}

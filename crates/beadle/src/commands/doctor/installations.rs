//! The part of `beadle doctor` about the installations of the App.

use beadle_config::{File, Installed, Standing};
use beadle_engine::Clock;
use beadle_github::Installation;

use super::Doctor;
use crate::app::organisations::installations;
use crate::app::service::last_sweep_generation::LastSweep;
use crate::app::store;
use crate::config::{Config, InstallationsFile};
use crate::output::plural::counted;

/// The maximum number of listed organisations that match no pattern. There can be many such
/// organisations, because anybody can install a public App.
const STRANGERS: usize = 20;

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
    let mut strangers = 0;
    for (one, standing) in config.file.standings(&observed) {
        strangers += usize::from(standing == Standing::NotAllowed);
        if standing == Standing::NotAllowed && strangers > STRANGERS {
            continue;
        }
        let text = format!("{}: {}", one.login, standing.describe());
        let is_known = config.file.org.iter().any(|org| org.is_taken_in && org.name == one.login);
        match standing {
            Standing::Declared => {
                if let Some(name) = spelled_otherwise(&config.file, &one.login)
                    && has_state(config, &one.login).await
                {
                    doctor.note(&format!(
                        "{name}: the stored state belongs to the name `{}`; write `name = \"{}\"` to keep it",
                        one.login, one.login
                    ));
                }
            }
            Standing::TakenIn if is_known => doctor.fine(&text),
            Standing::TakenIn => {
                doctor.note(&format!("{}: not taken in yet; is `beadle serve` running?", one.login));
            }
            _ => doctor.note(&text),
        }
    }
    let more = strangers.saturating_sub(STRANGERS) as u64;
    if more > 0 {
        let more = counted(more, "more organisation", "more organisations");
        doctor.note(&format!("[installations]: {more} not taken in, because no pattern matches them"));
    }
}

async fn list(config: &Config, from: &InstallationsFile, clock: &Clock) -> anyhow::Result<Vec<Installation>> {
    Ok(installations::reader(config, from, clock)?.installations().await?.installations)
}

/// Returns the name in an organisation's `[[org]]` if this name differs from the login only in
/// upper and lower case. If Beadle accepted the organisation from `[installations]` earlier, the
/// store contains the state of the organisation under its login.
fn spelled_otherwise<'a>(file: &'a File, login: &str) -> Option<&'a str> {
    let is_its = |name: &str| name.eq_ignore_ascii_case(login) && name != login;
    file.org.iter().filter(|org| !org.is_taken_in).map(|org| org.name.as_str()).find(|name| is_its(name))
}

/// Returns whether Beadle has swept an organisation that has exactly this name.
async fn has_state(config: &Config, name: &str) -> bool {
    let Some(store) = store::open_if_there(config).await.ok().flatten() else { return false };
    LastSweep::note(name).get(store.as_ref()).await.is_ok_and(|last| last.is_some())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use beadle_config::Source;

    use super::*;

    #[test]
    fn only_another_spelling_of_a_login_is_reported() {
        let text = "[[org]]\nname = \"acme-labs\"\ntoken = \"env:T\"\npolicy = \"p\"\n";
        let file = File::parse(&Source::new(Path::new("beadle.toml"), text)).unwrap();
        for (login, expected) in [("Acme-Labs", Some("acme-labs")), ("acme-labs", None), ("acme", None)] {
            assert_eq!(spelled_otherwise(&file, login), expected, "{login}");
        }
    }
}

//! `beadle init`: creates the GitHub App, writes `beadle.toml` and a first policy, waits until the
//! App is installed, and diagnoses the setup.

mod answers;
mod files;
mod registration;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use beadle_engine::Class;
use beadle_github::{Reader, RegisteredApp};
use beadle_repositories::{AppNeeds, Policy, app_needs};

use crate::app::application::App;
use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::cli::InitArgs;
use crate::commands::doctor::{Doctor, diagnose};
use crate::commands::init::answers::{Answers, collect};
use crate::commands::init::files::{Places, write_first_policy};
use crate::commands::init::registration::{installation_page, register};
use crate::commands::shared::confirmation::can_ask;
use crate::config::{Config, OrgConfig};
use crate::output::printer::{Printer, Tone};
use crate::stop_signals::StopSignals;

/// The default name of a policy's repository. The permissions of the App do not depend on this
/// name.
const HOME: &str = "admin";
/// The time between two requests that ask GitHub whether the App is installed.
const LOOK: Duration = Duration::from_secs(2);
/// The longest time that the command waits for the installation.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Creates the App and writes the files. If the configuration exists, does nothing.
pub(crate) async fn begin(path: &Path, args: &InitArgs, printer: &Printer) -> anyhow::Result<()> {
    if path.try_exists().with_context(|| format!("cannot read {}", path.display()))? {
        printer.line(format!("{} exists: continuing the setup of its App", path.display()));
        return Ok(());
    }
    let answers = collect(args, !args.yes && can_ask(), printer)?;
    set_up(path, args, &answers, printer).await
}

/// Waits until the App of the configuration is installed, and diagnoses the setup.
pub(crate) async fn finish(
    config: &Arc<Config>,
    path: &Path,
    args: &InitArgs,
    printer: &Printer,
) -> anyhow::Result<u8> {
    let file = organisation(config, path, args)?;
    let mut signals = StopSignals::catch().context("cannot catch signals")?;
    let doctor = tokio::select! {
        doctor = check(config, &file, path, printer) => doctor?,
        _ = signals.next() => bail!("interrupted\nhint: run `beadle init` again to continue"),
    };
    printer.line(printer.paint(Tone::Heading, "Next steps"));
    printer.line("  beadle plan     shows what differs from the policy, and writes nothing");
    printer.line("  beadle serve    starts the service, in mode `observe`");
    Ok(doctor.code())
}

async fn check<'a>(
    config: &Arc<Config>,
    file: &Arc<OrgConfig>,
    path: &Path,
    printer: &'a Printer,
) -> anyhow::Result<Doctor<'a>> {
    installed(config, file, path, printer).await?;
    diagnose(config, printer).await
}

/// Writes the files for a new or an existing App.
async fn set_up(path: &Path, args: &InitArgs, answers: &Answers, printer: &Printer) -> anyhow::Result<()> {
    let places = Places::new(path, &answers.policy);
    if places.has_policy() {
        printer.line(format!("The policy in {} stays as it is", places.policy.display()));
    }
    let needs = needs(&places)?;
    if let Some(app) = args.app_id {
        if !places.key.exists() {
            let key = places.key.display();
            bail!(
                "`--app-id` needs the private key of the App in {key}\nhint: save the key there, or leave `--app-id` out to create an App"
            );
        }
        places.write_rest(answers, app)?;
    } else {
        places.check_writable()?;
        let save = |app: &RegisteredApp| save(&places, answers, app);
        register(answers, &needs, args.port, &save, printer).await?;
        if answers.webhook_url.is_none() {
            printer.note(
                "webhooks are off, so only sweeps find changes: set the webhook address in the App's settings \
                 later, such as `https://beadle.example.com/hooks/github`",
            );
        }
    }
    printer.line(format!("Wrote {}", path.display()));
    Ok(())
}

/// Writes the files for a new App. If this function cannot write the configuration, the error
/// explains how to continue with the App.
fn save(places: &Places, answers: &Answers, app: &RegisteredApp) -> anyhow::Result<()> {
    places.write_secrets(&app.key, app.webhook_secret.as_ref()).with_context(|| {
        format!("the App {} was created, but its secrets are lost: delete it at {}", app.id, app.page)
    })?;
    places.write_rest(answers, app.id).with_context(|| {
        format!("the App {0} was created, to continue run `beadle init --app-id {0}`", app.id)
    })
}

/// Returns the permissions and events that the App needs for the policy in the folder. If there is
/// no policy, returns what the first policy needs.
fn needs(places: &Places) -> anyhow::Result<AppNeeds> {
    let first = tempfile::tempdir()?;
    let folder = if places.has_policy() {
        places.policy.as_path()
    } else {
        write_first_policy(first.path())?;
        first.path()
    };
    let policy = Policy::load(folder, HOME)?;
    Ok(app_needs(&policy.sections()))
}

/// Returns the organisation that the command sets up.
fn organisation(config: &Config, path: &Path, args: &InitArgs) -> anyhow::Result<Arc<OrgConfig>> {
    let taken = |why: &str| {
        let path = path.display();
        anyhow::anyhow!(
            "{path} {why}, and `beadle init` overwrites no file\n\
             hint: move the file away, or set another one with `--config`"
        )
    };
    match config.orgs(args.org.as_deref()).map_err(|_| taken("exists without this organisation"))?.as_slice()
    {
        [org] if org.app.is_some() => Ok(Arc::clone(org)),
        [_] => Err(taken("exists and names no App")),
        _ => Err(taken("exists and does not have exactly one organisation")),
    }
}

/// Waits until an owner has installed the App on the organisation.
async fn installed(
    config: &Arc<Config>,
    file: &Arc<OrgConfig>,
    path: &Path,
    printer: &Printer,
) -> anyhow::Result<()> {
    let app = App::new(config, ClientOptions::PATIENT);
    let org = app.organisation(file).await?;
    let own = org.reader.own_app().await.with_context(|| {
        format!("the App in {} does not work: check its `id` and its private key", path.display())
    })?;
    if !org.reader.is_installed().await? {
        printer.line(format!("Install the App {} on {}, for all repositories:", own.name, file.name));
        printer.line(format!("  {}", installation_page(&own.page)));
        let waited = wait(&org.reader, printer).await;
        waited.context("the App is not installed yet, run `beadle init` again to continue")?;
    }
    printer.line(format!("The App {} is installed on {}", own.name, file.name));
    Ok(())
}

/// Asks GitHub until the App is installed. If the network fails, the function asks again.
async fn wait(reader: &Reader, printer: &Printer) -> anyhow::Result<()> {
    let clock = reader.clock();
    let end = clock.now() + PATIENCE;
    let mut last_failure = String::new();
    while clock.now() < end {
        clock.sleep(LOOK).await;
        match reader.is_installed().await {
            Ok(true) => return Ok(()),
            Ok(false) => last_failure.clear(),
            Err(failure) if failure.class == Class::Rejected => return Err(failure.into()),
            Err(failure) => {
                let text = failure.to_string();
                if text != last_failure {
                    printer.note(format!("{text}; retrying"));
                    last_failure = text;
                }
            }
        }
    }
    bail!("waited {} min for the installation", PATIENCE.as_secs() / 60)
}

//! `beadle rebind`: confirms that a name in the policy means the present owner of this name.

use std::sync::Arc;

use anyhow::Context as _;
use beadle_engine::journal::OperatorAction;
use beadle_engine::{Clock, Entry, Key, Lane, Mark, Store};
use beadle_github::{Actor, ActorKind, NameKind, Names};
use beadle_repositories::overrides::Overrides;

use crate::app::application::App;
use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::app::operations::decided_by::DecidedBy;
use crate::app::store;
use crate::cli::RebindArgs;
use crate::commands::FINE;
use crate::commands::shared::decided_by::decided_by;
use crate::config::Config;
use crate::output::printer::Printer;

pub(crate) async fn run(config: &Arc<Config>, args: &RebindArgs, printer: &Printer) -> anyhow::Result<u8> {
    let clock = Clock::system();
    let by = decided_by(config, &args.decider, printer).await?;
    if let Some(name) = &args.repository {
        return self::name((config, by), &args.subject, (NameKind::Repository, name), &clock, printer).await;
    }
    match (&args.team, &args.user) {
        (Some(slug), _) => name((config, by), &args.subject, (NameKind::Team, slug), &clock, printer).await,
        (None, Some(login)) => {
            name((config, by), &args.subject, (NameKind::User, login), &clock, printer).await
        }
        (None, None) => repository((config, by), &args.subject, &clock, printer).await,
    }
}

/// Confirms that a file in repos/ belongs to the repository that has the file's name now.
async fn repository(
    (config, by): (&Arc<Config>, DecidedBy),
    repository: &str,
    clock: &Clock,
    printer: &Printer,
) -> anyhow::Result<u8> {
    let (owner, name) = repository
        .split_once('/')
        .with_context(|| {
            format!("expected a repository OWNER/NAME, found `{repository}`\nhint: for a team or user, add `--team SLUG` or `--user LOGIN`")
        })?;
    let file = config.orgs(Some(owner))?[0];
    let store = store::open_existing(config).await?;
    let org = App::new(config, ClientOptions::default()).organisation(file).await?;
    let policy = org.policy.current();
    let layer = policy.file_of(name).with_context(|| format!("the policy has no file repos/{name}.yml"))?;
    let index = org.reader.index().await?;
    let row = index.iter().find(|row| row.name.eq_ignore_ascii_case(name));
    let row = row.with_context(|| {
        format!("repository `{repository}` does not exist, or the App has no access to it")
    })?;
    Overrides::new(Some(store.clone()), &org.file.name).adopt(layer, row.id).await?;
    let key = Key::new("repository", &org.file.name, row.id);
    let DecidedBy { name: by, reason } = by;
    let action = OperatorAction::AdoptedFile { adopted: layer.file.clone(), by, reason };
    journal(&store, &key, repository, action, clock).await?;
    let mark = Mark { hint: Some(row.node_id.clone()), ..Mark::new(key, Lane::Manual) };
    store.mark(vec![mark], clock.now()).await?;
    printer.line(format!("{} now belongs to {repository} (id {})", layer.file, row.id));
    Ok(FINE)
}

/// Confirms that a name in the policy means the team or user that has this name now.
#[expect(clippy::disallowed_methods, reason = "the command asks who the new owner of the name is")]
async fn name(
    (config, by): (&Arc<Config>, DecidedBy),
    organisation: &str,
    (named, name): (NameKind, &str),
    clock: &Clock,
    printer: &Printer,
) -> anyhow::Result<u8> {
    let what = named.as_str();
    if organisation.contains('/') {
        anyhow::bail!("`--{what}` needs an organisation, such as `acme`, found `{organisation}`");
    }
    let file = config.orgs(Some(organisation))?[0];
    let store = store::open_existing(config).await?;
    // The policy is possibly invalid, or in a repository that the operator has not confirmed yet. So
    // the command does not read the policy.
    let reader = App::new(config, ClientOptions::default()).reader(file)?;
    let (found_name, found_id) = match named {
        NameKind::Repository => {
            let parts = [file.policy.repository(), file.base.as_ref()].into_iter().flatten();
            let policies = parts.map(|part| format!("{}/{}", part.owner(&file.name), part.repository));
            let workflows = file.dispatch.iter().map(|rule| format!("{}/{}", file.name, rule.repository));
            let places: Vec<String> = policies.chain(workflows).collect();
            if !places.iter().any(|place| place.eq_ignore_ascii_case(name)) {
                anyhow::bail!(
                    "the configuration of {} does not use the repository `{name}`; it uses: {}",
                    file.name,
                    places.join(", ")
                );
            }
            repository_named(config, name).await?
        }
        NameKind::Team | NameKind::User => {
            let kind = if named == NameKind::Team { ActorKind::Team } else { ActorKind::User };
            let actor = Actor { kind, name: name.to_owned(), id: None, number: None };
            let found = reader.resolve(&[actor]).await?.into_iter().next();
            let found = found.with_context(|| format!("no answer from GitHub about the {what} `{name}`"))?;
            let found = found.map_err(anyhow::Error::msg)?;
            (found.name, found.id)
        }
    };
    let (about, _) = reader.organisation_and_clock().await?;
    let id = about["id"].as_u64().context("invalid response from GitHub: the organisation has no id")?;
    let names = Names::new(Some(store.clone()), &file.name, clock);
    let before = names.remembered(named, name).await?;
    names.confirm(named, name, found_id).await?;
    let (adopted, DecidedBy { name: by, reason }) = (format!("{what} {name}"), by);
    let action = OperatorAction::AdoptedName { adopted, id: found_id, before, by, reason };
    journal(&store, &Key::new("organisation", &file.name, id), &file.name, action, clock).await?;
    let effect = match named {
        NameKind::Repository => "Beadle uses it within a minute",
        NameKind::Team | NameKind::User => "from the next sweep on",
    };
    printer.line(format!(
        "{what} `{found_name}` (id {found_id}) confirmed for the policy of {}; {effect}",
        file.name
    ));
    Ok(FINE)
}

/// Returns the name and the id of the repository that has this name now.
async fn repository_named(config: &Arc<Config>, full_name: &str) -> anyhow::Result<(String, u64)> {
    let (owner, name) = full_name.split_once('/').with_context(|| {
        format!("`--repository` needs OWNER/NAME, such as `acme/policy`, found `{full_name}`")
    })?;
    let file = config.orgs(Some(owner))?[0];
    let reader = App::new(config, ClientOptions::default()).reader(file)?;
    let found = reader.repositories_called(&[name.to_owned()]).await?.into_iter().next().flatten();
    let found = found.with_context(|| {
        format!("repository `{full_name}` does not exist, or the App has no access to it")
    })?;
    Ok((format!("{owner}/{}", found.name), found.id))
}

async fn journal(
    store: &Arc<dyn Store>,
    key: &Key,
    subject: &str,
    action: OperatorAction,
    clock: &Clock,
) -> anyhow::Result<()> {
    let now = clock.now();
    store.journal(None, vec![Entry::of_operator(action, (&key.to_string(), subject), now)], now).await?;
    Ok(())
}

//! `beadle adopt`.

use anyhow::Context as _;
use beadle_engine::{Clock, Entry, EntryKind, Key, Lane, Mark};
use beadle_repositories::overrides::Overrides;
use serde_json::json;

use crate::commands::{FINE, operator};
use crate::config::Config;
use crate::printer::Printer;
use crate::wiring::{self, Opening, Org, Ways};

pub(crate) async fn run(config: &Config, repository: &str, printer: &Printer) -> anyhow::Result<u8> {
    let clock = Clock::system();
    let (owner, name) = repository.split_once('/').context("say the repository as OWNER/NAME")?;
    let org = Org::open(config, config.orgs(Some(owner))?[0], &clock, Opening::default(), &Ways::default())?;
    let policy = org.policy.current();
    let layer =
        policy.file_of(name).with_context(|| format!("the policy has no file in repos/ for {name}"))?;
    let index = org.reader.index().await?;
    let row = index.iter().find(|row| row.name.eq_ignore_ascii_case(name));
    let row = row.with_context(|| format!("there is no repository {repository}"))?;
    let store = wiring::store(config).await?;
    Overrides::new(store.clone(), &org.file.name).adopt(layer, row.id).await?;
    let key = Key::new("repository", &org.file.name, row.id);
    let entry = Entry {
        seq: 0,
        at: clock.now(),
        kind: EntryKind::Operator,
        key: key.to_string(),
        subject: repository.to_owned(),
        intent: None,
        detail: json!({ "adopted": layer.file, "by": operator(config).await }),
    };
    store.journal(None, vec![entry], clock.now()).await?;
    store.mark(vec![Mark { key, lane: Lane::Manual, hint: Some(row.node_id.clone()) }], clock.now()).await?;
    printer.line(format!("{} is for {repository} (repository {}) now", layer.file, row.id));
    Ok(FINE)
}

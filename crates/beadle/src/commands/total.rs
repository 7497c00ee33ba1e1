//! `beadle total`: the plans of all shards added up, before any of them writes.

use std::collections::BTreeMap;

use anyhow::Context as _;
use beadle_engine::{Mode, Risk, Risks};
use beadle_repositories::Shard;
use serde::Deserialize;

use crate::cli::TotalArgs;
use crate::commands::{FAILED, FINE, PENDING};
use crate::config::Config;
use crate::printer::{Printer, Tone};

/// What `beadle plan --format json` prints, as far as it is added up.
#[derive(Deserialize)]
struct Plans {
    shard: String,
    organisations: Vec<Organisation>,
}

#[derive(Deserialize)]
struct Organisation {
    #[serde(rename = "organisation")]
    name: String,
    incomplete: Option<String>,
    repositories: Vec<Repository>,
}

#[derive(Deserialize)]
struct Repository {
    name: String,
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    digest: String,
    aspect: String,
    mode: Mode,
    risks: Risks,
}

#[derive(Default)]
struct Total {
    risks: Risks,
    incomplete: Vec<String>,
    /// What the guard looks at, to be approved one by one.
    guarded: Vec<String>,
}

pub(crate) fn run(config: &Config, args: &TotalArgs, printer: &Printer) -> anyhow::Result<u8> {
    let mut totals: BTreeMap<String, Total> = BTreeMap::new();
    let mut shards: Vec<Shard> = Vec::new();
    for path in &args.plans {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let plans: Plans = serde_json::from_str(&text)
            .with_context(|| format!("{} is not what `beadle plan --format json` prints", path.display()))?;
        let shard = plans.shard.parse::<Shard>().map_err(anyhow::Error::msg);
        shards.push(shard.with_context(|| format!("{}", path.display()))?);
        for organisation in plans.organisations {
            let total = totals.entry(organisation.name).or_default();
            total.incomplete.extend(organisation.incomplete);
            for repository in organisation.repositories {
                for change in repository.changes.iter().filter(|change| change.mode.allows(&change.risks)) {
                    if args.approve.contains(&change.digest) {
                        continue;
                    }
                    total.risks.merge(&change.risks);
                    if change.risks.is_guarded() {
                        total
                            .guarded
                            .push(format!("{}  {}  {}", change.digest, repository.name, change.aspect));
                    }
                }
            }
        }
    }
    shards.sort_by_key(|shard| shard.index());
    let of = shards.first().map_or(1, |shard| shard.of());
    let whole = shards.iter().map(|shard| (shard.index(), shard.of())).eq((1..=of).map(|index| (index, of)));
    if !whole {
        let given: Vec<String> = shards.iter().map(ToString::to_string).collect();
        anyhow::bail!("every shard has to be there once, and there are: {}", given.join(", "));
    }
    let mut code = FINE;
    for (name, total) in &totals {
        let limits = config.orgs(Some(name))?[0].limits();
        let passed = limits.passed_by(&Risks::default(), &total.risks);
        let counts = Risk::ALL.into_iter().map(|risk| format!("{} {risk}", total.risks.count(risk)));
        let counts: Vec<String> = counts.collect();
        printer.line(format!("{}: {}", printer.paint(Tone::Heading, name), counts.join(", ")));
        for why in &total.incomplete {
            printer.error(&format!("{name}: a plan is incomplete: {why}"));
            code = FAILED;
        }
        if let Some((risk, limit)) = passed {
            let text = format!(
                "{name}: over the limit: what {risk} may be written {limit} times; nothing is to be written"
            );
            printer.line(printer.paint(Tone::Danger, text));
            total.guarded.iter().for_each(|line| printer.line(format!("  {line}")));
            printer.line("approve what is meant: --approve DIGEST, here and for every shard");
            if code == FINE {
                code = PENDING;
            }
        }
    }
    Ok(code)
}

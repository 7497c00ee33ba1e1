//! `beadle directory probe`: directories and targets, tried before anything of a policy is written.

use std::sync::Arc;

use beadle_engine::{Clock, Failure, Store};
use beadle_okta::{Okta, Since};
use beadle_scim::{Finding, Probed};

use crate::app::application::App;
use crate::app::group_target::{GroupTarget, TOKEN_DAYS};
use crate::app::open_options::OpenOptions;
use crate::app::store;
use crate::commands::{FAILED, FINE};
use crate::config::Config;
use crate::output::printer::{Printer, Tone};

struct Probe<'a> {
    printer: &'a Printer,
    clock: Clock,
    /// The store that remembers the behaviour of servers, if there is one.
    store: Option<Arc<dyn Store>>,
    /// The stopped target that is written to again, whatever the probe tried.
    release: Option<&'a str>,
    failed: bool,
}

pub(crate) async fn probe(
    config: &Arc<Config>,
    release: Option<&str>,
    printer: &Printer,
) -> anyhow::Result<u8> {
    let app = App::new(config, OpenOptions::PATIENT);
    let directories = app.directories()?;
    let store = store::open_if_there(config).await?;
    if let Some(name) = release
        && !directories.targets.values().any(|target| target.file.name == name)
    {
        anyhow::bail!("the configuration has no target `{name}`");
    }
    let clock = app.clock.clone();
    let mut probe = Probe { printer, clock, store, release, failed: false };
    for (file, okta) in &directories.okta {
        printer.line(printer.paint(Tone::Heading, format!("{} ({})", file.name, file.url)));
        probe.okta(okta).await;
        probe.pushes(okta, &file.push_apps).await;
    }
    for target in directories.targets.values() {
        printer.line(printer.paint(Tone::Heading, format!("{} ({})", target.file.name, target.file.place())));
        probe.target(target).await;
    }
    Ok(if probe.failed { FAILED } else { FINE })
}

impl Probe<'_> {
    fn fine(&self, text: impl std::fmt::Display) {
        self.printer.line(format!("  {}      {text}", self.printer.paint(Tone::Good, "fine")));
    }

    fn unknown(&self, text: impl std::fmt::Display) {
        self.printer.line(format!("  {}   {text}", self.printer.paint(Tone::Notice, "unknown")));
    }

    fn wrong(&mut self, text: impl std::fmt::Display) {
        self.failed = true;
        self.printer.line(format!("  {} {text}", self.printer.paint(Tone::Danger, "not fine:")));
    }

    /// What can be read of a directory, each with the scope that it needs.
    async fn okta(&mut self, okta: &Okta) {
        let needs = |scope: &str, failure: &Failure| format!("{}; it needs the scope {scope}", failure.text);
        match okta.groups().await {
            Ok(groups) => {
                self.fine(format!("{} groups are read", groups.len()));
                if let Some(group) = groups.first() {
                    self.members(okta, &group.id, &group.name).await;
                }
            }
            Err(failure) => self.wrong(needs("okta.groups.read", &failure)),
        }
        match okta.events(&Since::Time(self.clock.now())).await {
            Ok(page) if page.next.is_some() => self.fine("the System Log is read, and says where to read on"),
            Ok(_) => self.wrong("the System Log does not say where to read on"),
            Err(failure) => self.wrong(needs("okta.logs.read", &failure)),
        }
    }

    /// What Okta pushes itself, into the applications that were named.
    async fn pushes(&mut self, okta: &Okta, apps: &[String]) {
        if apps.is_empty() {
            return self.unknown("whether Okta pushes groups itself; say push_apps");
        }
        for app in apps {
            match okta.pushed(app).await {
                Ok(pushed) if pushed.is_empty() => self.fine(format!("Okta pushes no groups into {app}")),
                Ok(pushed) => {
                    let ids = pushed.join(", ");
                    self.fine(format!(
                        "Okta pushes {} groups into {app}, which stay in observe: {ids}",
                        pushed.len()
                    ));
                }
                Err(failure) => {
                    self.unknown(format!(
                        "whether Okta pushes groups into {app}: {}; it needs the scope okta.apps.read",
                        failure.text
                    ));
                }
            }
        }
    }

    async fn members(&mut self, okta: &Okta, id: &str, name: &str) {
        let count = match okta.count(id).await {
            Ok(count) => count,
            Err(failure) => return self.wrong(failure),
        };
        match (okta.members(id).await, count) {
            (Err(failure), _) => self.wrong(failure),
            (Ok(_), None) => self.wrong(format!("Okta does not say how many members {name} has")),
            (Ok(Some(members)), Some(count)) if members.len() as u64 >= count => {
                self.fine(format!("the {count} members of {name} are read whole"));
                if let Some(member) = members.first() {
                    match okta.groups_of(&member.id).await {
                        Ok(_) => self.fine("users and their groups are read"),
                        Err(failure) => {
                            self.wrong(format!("{}; it needs the scope okta.users.read", failure.text));
                        }
                    }
                }
            }
            (Ok(members), Some(count)) => {
                let read = members.map_or(0, |members| members.len());
                self.wrong(format!("of {name} {read} of {count} members are read"));
            }
        }
    }

    /// Reports each change in the server's behaviour and remembers the new behaviour: the operator
    /// has seen it.
    async fn compare(&mut self, target: &GroupTarget, probed: &Probed) -> anyhow::Result<()> {
        let Some(store) = self.store.clone().filter(|_| target.file.scim.is_some()) else { return Ok(()) };
        let before = target.seen_before(&store).await?;
        for difference in probed.evidence.differences(&before) {
            self.unknown(format!("{difference}; Beadle expects the new behaviour from now on"));
        }
        target.remember(&probed.evidence.clone().with(before), &store).await?;
        self.release(target, probed, &store).await
    }

    /// Lets Beadle write to a stopped target again: if the probe's own writes went right, or if the
    /// operator says so.
    async fn release(
        &mut self,
        target: &GroupTarget,
        probed: &Probed,
        store: &Arc<dyn Store>,
    ) -> anyhow::Result<()> {
        let Some(why) = target.stopped(store).await? else { return Ok(()) };
        let name = &target.file.name;
        if probed.contradicts() {
            self.wrong(format!("the target stays stopped: {why}"));
        } else if probed.writes_as_asked() {
            target.release(store, self.clock.now()).await?;
            self.fine(format!(
                "the target was stopped, and the probe's own writes went right; Beadle writes to the target again \
                 ({why}); restart a service that stopped it"
            ));
        } else if self.release == Some(name.as_str()) {
            target.release(store, self.clock.now()).await?;
            self.unknown(format!(
                "whether this fault is over, as the probe tried no write: {why}; Beadle writes to the target again \
                 (--release {name}); restart a service that stopped it"
            ));
        } else {
            self.wrong(format!(
                "the target stays stopped, as the probe tried no write of members: {why}; set probe = \"write\" in \
                 [target.scim] and probe again, or run `beadle directory probe --release {name}`"
            ));
        }
        Ok(())
    }

    async fn target(&mut self, target: &GroupTarget) {
        match target.probe(true).await {
            Err(error) => self.wrong(format!("{error:#}")),
            Ok(probed) => {
                if let Err(error) = self.compare(target, &probed).await {
                    self.wrong(format!("{error:#}"));
                }
                for finding in probed.findings {
                    match finding {
                        Finding::Fine(text) => self.fine(text),
                        Finding::Unknown(text) => self.unknown(text),
                        Finding::Contradiction(text) => self.wrong(text),
                    }
                }
            }
        }
        match target.token_days(&self.clock) {
            Some(days) if days <= 0 => self.wrong("its token has ended (token_ends)"),
            Some(days) if days <= TOKEN_DAYS => {
                self.wrong(format!("its token ends in {days} days; make another"));
            }
            Some(days) => self.fine(format!("its token has {days} days left")),
            None if target.file.scim.is_none() => {}
            None => self.unknown("when its token ends; say token_ends"),
        }
    }
}

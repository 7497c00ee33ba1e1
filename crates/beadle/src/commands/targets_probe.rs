//! `beadle targets probe`: tests directories and targets, so that an operator can find errors
//! before Beadle writes.

use std::sync::Arc;

use beadle_engine::{Clock, Failure, Store, StoreError};
use beadle_okta::{Okta, Since};
use beadle_scim::{Evidence, Finding, Probed};

use crate::app::application::App;
use crate::app::connections::budget_and_cache_options::ClientOptions;
use crate::app::groups::target::{GroupTarget, TOKEN_DAYS};
use crate::app::store;
use crate::commands::{FAILED, FINE};
use crate::config::Config;
use crate::output::plural::counted;
use crate::output::printer::{Printer, Tone};

struct Probe<'a> {
    printer: &'a Printer,
    clock: Clock,
    /// The configured store, if it exists. The store contains the earlier behaviour of each server.
    store: Option<Arc<dyn Store>>,
    /// The name of a stopped target, if the operator wants Beadle to write to this target again.
    /// Beadle then writes to the target even if the probe made no test writes.
    release: Option<&'a str>,
    failed: bool,
}

pub(crate) async fn probe(
    config: &Arc<Config>,
    release: Option<&str>,
    printer: &Printer,
) -> anyhow::Result<u8> {
    let app = App::new(config, ClientOptions::PATIENT);
    let directories = app.directories()?;
    if let Some(name) = release
        && !directories.targets.values().any(|target| target.file.name == name)
    {
        anyhow::bail!("the configuration has no target `{name}`");
    }
    let store = match release {
        // The store contains the reason why Beadle stopped the target, so the store must exist.
        Some(_) => Some(store::open_existing(config).await?),
        None => store::open_if_there(config).await?,
    };
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
        self.printer.line(format!("  {}       {text}", self.printer.paint(Tone::Good, "ok")));
    }

    fn unknown(&self, text: impl std::fmt::Display) {
        self.printer.line(format!("  {}  {text}", self.printer.paint(Tone::Notice, "unknown")));
    }

    fn wrong(&mut self, text: impl std::fmt::Display) {
        self.failed = true;
        self.printer.line(format!("  {}     {text}", self.printer.paint(Tone::Danger, "FAIL")));
    }

    /// Tests each kind of read of a directory. If a read fails, the output contains the OAuth scope
    /// that is necessary for this read.
    async fn okta(&mut self, okta: &Okta) {
        let needs =
            |scope: &str, failure: &Failure| format!("{}; the scope {scope} is required", failure.text);
        match okta.groups().await {
            Ok(groups) => {
                self.fine(format!("read {}", counted(groups.len(), "group", "groups")));
                if let Some(group) = groups.first() {
                    self.members(okta, &group.id, &group.name).await;
                }
            }
            Err(failure) => self.wrong(needs("okta.groups.read", &failure)),
        }
        match okta.events(&Since::Time(self.clock.now())).await {
            Ok(page) if page.next.is_some() => {
                self.fine("read the System Log, with the position of the next page");
            }
            Ok(_) => self.wrong("Okta's System Log gave no position of the next page"),
            Err(failure) => self.wrong(needs("okta.logs.read", &failure)),
        }
    }

    /// Lists the groups that Okta itself pushes into the configured applications.
    async fn pushes(&mut self, okta: &Okta, apps: &[String]) {
        if apps.is_empty() {
            return self.unknown("groups that Okta pushes itself; set `push_apps`");
        }
        for app in apps {
            match okta.pushed(app).await {
                Ok(pushed) if pushed.is_empty() => self.fine(format!("Okta pushes 0 groups into {app}")),
                Ok(pushed) => {
                    let ids = pushed.join(", ");
                    self.fine(format!(
                        "Okta pushes {} into {app}, which Beadle only observes: {ids}",
                        counted(pushed.len(), "group", "groups")
                    ));
                }
                Err(failure) => {
                    self.unknown(format!(
                        "groups that Okta pushes into {app}: {}; the scope okta.apps.read is required",
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
            (Ok(_), None) => self.wrong(format!("Okta does not report the number of members of {name}")),
            (Ok(Some(members)), Some(count)) if members.len() as u64 >= count => {
                self.fine(format!("read all members of {name} ({count})"));
                if let Some(member) = members.first() {
                    match okta.groups_of(&member.id).await {
                        Ok(_) => self.fine("read a user with its groups"),
                        Err(failure) => {
                            self.wrong(format!("{}; the scope okta.users.read is required", failure.text));
                        }
                    }
                }
            }
            (Ok(members), Some(count)) => {
                let read = members.map_or(0, |members| members.len());
                self.wrong(format!("incomplete list of members of {name}: {read} of {count}"));
            }
        }
    }

    /// Reports each difference between the server's present and earlier behaviour. Then stores the
    /// present behaviour, because the operator has now seen the differences.
    async fn compare(&mut self, target: &GroupTarget, probed: &Probed) -> anyhow::Result<()> {
        let Some(store) = self.store.clone().filter(|_| target.file.scim.is_some()) else { return Ok(()) };
        let before = match target.seen_before(&store).await {
            Err(error @ StoreError::Newer { .. }) => {
                self.unknown(format!("{error}; Beadle expects the present behaviour from now on"));
                Evidence::default()
            }
            before => before?,
        };
        for difference in probed.evidence.differences(&before) {
            self.unknown(format!("{difference}; Beadle expects the new behaviour from now on"));
        }
        target.remember(&probed.evidence.clone().with(before), &store).await?;
        self.release(target, probed, &store).await
    }

    /// Lets Beadle write to a stopped target again. The target is released only if the test writes
    /// of the probe succeeded, or if the operator asked for the release.
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
                "the probe's own writes succeeded: Beadle writes to the stopped target again ({why}); restart the \
                 service if the service stopped the target"
            ));
        } else if self.release == Some(name.as_str()) {
            target.release(store, self.clock.now()).await?;
            self.unknown(format!(
                "the probe tested no write, so Beadle cannot tell whether the cause is corrected: {why}; Beadle writes \
                 to the target again (--release {name}); restart the service if the service stopped the target"
            ));
        } else {
            self.wrong(format!(
                "the target stays stopped, because the probe tested no write of members: {why}; set probe = \"write\" \
                 in [target.scim] and probe again, or run `beadle targets probe --release {name}`"
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
            Some(days) if days <= 0 => self.wrong("the token of the target has expired (`token_ends`)"),
            Some(days) if days <= TOKEN_DAYS => {
                let days = counted(days, "day", "days");
                self.wrong(format!("the token of the target expires in {days}; create another token"));
            }
            Some(days) => {
                let days = counted(days, "day", "days");
                self.fine(format!("the token of the target is valid for {days}"));
            }
            None if target.file.scim.is_none() => {}
            None => self.unknown("end of the target's token; set `token_ends`"),
        }
    }
}

//! The reconciler of `check` keys. A key stands for a pull request in a policy's repository. Each
//! run reads the pull request again. At the end of a run, the last commit has one concluded check
//! run, and the pull request has at most one comment.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::{
    Class, Clock, Failure, Key, Lane, LimitsInForce, Mark, Mode, Reconcile, Report, Run, Store, StoreError,
};
use beadle_github::{CheckRun, CheckWriter, Pull, Reader};
use beadle_hooks::github::CheckSubject;
use beadle_repositories::policy::Problem;
use beadle_repositories::{Policy, PolicyError, PolicyHandle, RepositoryPlanner};

use super::check_outcome::{Examined, LIMIT};
use super::check_runs::{Runs, cancelled};
use super::findings::Findings;
use super::policy_parts::{Folders, Part, Sides};
use super::pull_names::PullNames;
use super::review_approval::ByReview;
use super::stored_check_results::CheckedPull;
use super::unfinished_check::unfinished;
use super::{base_and_head, findings_markdown, policy_parts, policy_preview, rechecks};
use crate::app::groups::directories_and_targets::Directories;
use crate::app::groups::organisation_members_file;
use crate::app::policy::group_changes_between_versions;
use crate::app::policy::store as policy_store;
use crate::config::{Config, OrgConfig, RepositorySource, waiver_findings};

/// The maximum number of new commits that one run checks. After that, the run ends, so that other
/// keys can run.
const TURNS: usize = 5;

/// Checks the pull requests of a repository. The repository contains a part of one organisation's
/// policy.
pub(crate) struct PolicyCheck {
    /// The name of the organisation that uses the policy.
    pub(crate) organisation: String,
    /// The mode of this organisation.
    pub(crate) mode: Mode,
    /// The repository of the checked pull requests.
    pub(crate) source: RepositorySource,
    /// The web address of the GitHub server that hosts this repository.
    pub(crate) web: String,
    /// Reads this repository.
    pub(crate) reader: Reader,
    /// All parts of the policy. The organisation's own part comes first.
    pub(crate) parts: Vec<Part>,
    /// True if the repository contains the base of the policy and belongs to another organisation.
    /// The members of that organisation must not see private facts about the organisation that uses
    /// the policy.
    pub(crate) is_foreign: bool,
    /// Writes only check runs and comments in this repository.
    pub(crate) writer: CheckWriter,
    /// The id of the App that writes the check runs and comments.
    pub(crate) app: u64,
    /// The planner of the organisation's repositories. The planner has no secrets.
    pub(crate) planner: RepositoryPlanner,
    /// The policy in force.
    pub(crate) policy: PolicyHandle,
    /// The names of the secrets that the policy is allowed to use.
    pub(crate) secrets: BTreeSet<String>,
    /// The slug of the team that can approve a held policy by a review.
    pub(crate) approve_by_review: Option<String>,
    /// The configuration of the organisation. This configuration also sets which parts of a policy
    /// the service refuses.
    pub(crate) file: Arc<OrgConfig>,
    /// The whole configuration, with the directories and targets of the policy's mappings.
    pub(crate) config: Arc<Config>,
    /// The open directories and targets.
    pub(crate) directories: Arc<Directories>,
    /// The guard's limits that are in force.
    pub(crate) guard: LimitsInForce,
    /// The store of the keys and notes.
    pub(crate) store: Arc<dyn Store>,
    /// The clock.
    pub(crate) clock: Clock,
}

/// Returns the subject of a run's key.
pub(super) fn subject(run: &Run) -> Result<CheckSubject, Failure> {
    run.lease.key.id().parse().map_err(|text: String| Failure::new(Class::Fatal, text))
}

/// Returns the report of a run that has nothing to write.
pub(super) fn report(subject: &str, skipped: Option<&str>) -> Report {
    Report {
        subject: subject.to_owned(),
        steps: Vec::new(),
        unknowns: Vec::new(),
        skipped: skipped.map(str::to_owned),
        failure: None,
    }
}

#[async_trait]
impl Reconcile for PolicyCheck {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        match subject(run)? {
            CheckSubject::Pull { repository, number } => self.pull(run, repository, number).await,
            CheckSubject::Head { repository, commit } => self.head(run, repository, &commit).await,
        }
    }
}

impl PolicyCheck {
    /// Returns the name of the policy's repository, with the owner of the repository.
    fn repository(&self) -> String {
        format!("{}/{}", self.reader.organisation(), self.source.repository)
    }

    /// Returns whether a pull request can change a part of the policy. The part must be in the pull
    /// request's repository, and at the pull request's base branch.
    fn is_changed(&self, part: &Part, pull: &Pull) -> bool {
        self.is_in(part) && is_branch(&part.source.reference, &pull.base)
    }

    /// Returns whether this check is for the pull requests of the part's repository.
    pub(crate) fn is_in(&self, part: &Part) -> bool {
        part.reader.organisation() == self.reader.organisation()
            && part.source.repository.eq_ignore_ascii_case(&self.source.repository)
    }

    /// Returns the folder of a part, if the pull request changes this part. `of_base` selects the
    /// base or the organisation's own part.
    fn folder(&self, pull: &Pull, of_base: bool) -> Option<String> {
        let mut parts = self.parts.iter().filter(|part| part.is_base == of_base);
        let part = parts.find(|part| self.is_changed(part, pull))?;
        Some(part.source.path.clone())
    }

    fn is_its_branch(&self, pull: &Pull) -> bool {
        self.parts.iter().any(|part| self.is_changed(part, pull))
    }

    /// Returns whether the pull request of a key is in the repository of this check.
    pub(super) async fn is_about(&self, subject: &CheckSubject, lane: Lane) -> Result<bool, Failure> {
        let (reader, name) = (self.reader.in_lane(lane), &self.source.repository);
        match subject {
            CheckSubject::Pull { repository, number } => {
                let pull = reader.pull(name, *number).await?;
                Ok(pull.is_some_and(|pull| pull.repository == *repository))
            }
            CheckSubject::Head { repository, commit } => {
                let pulls = reader.open_pulls_at(name, commit).await?;
                Ok(pulls.iter().any(|pull| pull.repository == *repository))
            }
        }
    }

    /// Marks the open pull requests with this head commit as due.
    async fn head(&self, run: &Run, repository: u64, commit: &str) -> Result<Report, Failure> {
        let reader = self.reader.in_lane(run.lane);
        let pulls = reader.open_pulls_at(&self.source.repository, commit).await?;
        let pulls = pulls.iter().filter(|pull| pull.repository == repository);
        let mark = |pull: &Pull| {
            let subject = CheckSubject::Pull { repository, number: pull.number };
            Mark::new(subject.key(&self.organisation), Lane::Event)
        };
        let marks: Vec<Mark> = pulls.map(mark).collect();
        if !marks.is_empty() {
            self.store.mark(marks, self.clock.now()).await?;
        }
        Ok(report(&format!("{}@{commit}", self.repository()), None))
    }

    /// Returns the reason why a pull request needs no check. Returns `None` if the pull request
    /// needs a check.
    fn needs_none(&self, pull: &Pull, repository: u64) -> Option<&'static str> {
        if pull.repository != repository {
            Some("the repository has been replaced by another one")
        } else if pull.is_merged {
            Some("the pull request is merged")
        } else if !pull.is_open {
            Some("the pull request is closed")
        } else if !self.is_its_branch(pull) {
            Some("the pull request changes another branch than the policy's")
        } else {
            None
        }
    }

    async fn pull(&self, run: &Run, repository: u64, number: u64) -> Result<Report, Failure> {
        let subject = format!("{}#{number}", self.repository());
        let (reader, writer) = (self.reader.in_lane(run.lane), self.writer.in_lane(run.lane));
        let runs = Runs {
            reader: &reader,
            writer: &writer,
            store: self.store.as_ref(),
            key: &run.lease.key,
            repository: &self.source.repository,
            app: self.app,
        };
        let by_review = self.approve_by_review.as_deref().map(|team| ByReview {
            reader: &reader,
            store: self.store.as_ref(),
            clock: &self.clock,
            key: &run.lease.key,
            subject: &subject,
            repository: &self.source.repository,
            team,
        });
        for _ in 0..TURNS {
            let Some(pull) = reader.pull(&self.source.repository, number).await? else {
                CheckedPull::forget(&run.lease.key, self.store.as_ref()).await?;
                return Ok(report(&subject, Some("the pull request does not exist")));
            };
            if let Some(why) = self.needs_none(&pull, repository) {
                CheckedPull::forget(&run.lease.key, self.store.as_ref()).await?;
                runs.leave(None, "The pull request needs no check any more").await?;
                let is_merged_here = pull.repository == repository && self.is_its_branch(&pull);
                if let Some(by_review) = by_review.as_ref().filter(|_| pull.is_merged && is_merged_here) {
                    let in_force = self.policy.current();
                    by_review.approve(&pull, &in_force.generation, run.since).await?;
                }
                return Ok(report(&subject, Some(why)));
            }
            let (check_run, earlier) = self.begin(run, &runs, &pull.head).await?;
            fail::fail_point!("between-check-and-conclusion", |_| std::process::abort());
            let in_force = self.policy.current().generation.clone();
            let examining = Box::pin(self.examine((run.lease.key.as_str(), run.lane), &pull));
            let examined = match tokio::time::timeout(LIMIT, examining).await {
                Ok(Ok(examined)) => examined,
                Ok(Err(failure)) => {
                    if earlier.is_none() {
                        let shown = unfinished(&failure, pull.is_public || self.is_foreign);
                        runs.conclude(&check_run, &pull.head, shown).await?;
                    }
                    return Err(failure);
                }
                Err(_) => Examined::TooLong,
            };
            let Some(now) = reader.pull(&self.source.repository, number).await? else { continue };
            let outdated = if now.head == pull.head {
                self.needs_none(&now, repository).map(|_| "The pull request needs no check any more")
            } else {
                Some("A newer commit replaced this one")
            };
            if let Some(title) = outdated {
                if earlier.is_none() {
                    runs.conclude(&check_run, &pull.head, cancelled(title)).await?;
                }
                continue;
            }
            if let Some(failure) = earlier.and_then(|earlier| examined.keeps(&earlier)) {
                return Err(failure);
            }
            let output = examined.output();
            tracing::info!(
                organisation = self.organisation,
                pull_request = subject,
                conclusion = output.conclusion.as_str(),
                title = output.title,
                "pull request checked"
            );
            runs.conclude(&check_run, &pull.head, output).await?;
            self.remember(&run.lease.key, (&subject, number), &examined).await?;
            rechecks::follow_again(self.store.as_ref(), &self.organisation, &in_force).await?;
            if let (Examined::Changed(findings), Some(by_review)) = (&examined, &by_review) {
                let digest = findings.shown_plan().filter(|_| findings_markdown::shows_all_changes(findings));
                by_review.remember(&pull.head, digest).await?;
            }
            self.comment(&reader, &writer, number, &examined).await?;
            return Ok(report(&subject, None));
        }
        let text = format!("{subject}: {TURNS} new commits came while Beadle checked it");
        Err(Failure::new(Class::Conflict, text))
    }

    /// Begins the check of a commit. Returns the check run of the commit. In the lane `sweep`, a
    /// check is necessary only because another policy came into force. If the commit already has a
    /// result, the commit keeps its check run and its result until there is a new result. In this
    /// case, the function also returns the old result.
    async fn begin(
        &self,
        run: &Run,
        runs: &Runs<'_>,
        head: &str,
    ) -> Result<(CheckRun, Option<CheckedPull>), Failure> {
        let earlier = CheckedPull::of_commit(&run.lease.key, head, self.store.as_ref()).await?;
        if let Some(earlier) = earlier.filter(|_| run.lane == Lane::Sweep)
            && let Some(concluded) = runs.concluded(head).await?
        {
            return Ok((concluded, Some(earlier)));
        }
        Ok((runs.begin(head).await?, None))
    }

    /// Stores the result of a check, for the pages and for `beadle previews`.
    async fn remember(
        &self,
        key: &Key,
        (name, number): (&str, u64),
        examined: &Examined,
    ) -> Result<(), StoreError> {
        let store = self.store.as_ref();
        match examined {
            Examined::Changed(findings) => {
                let result = CheckedPull::new(key, (name, number), findings, self.clock.now());
                result.names(findings).put(key, store).await?;
                result.remember(key, store).await
            }
            Examined::Unchanged => CheckedPull::forget(key, store).await,
            Examined::TooLong => Ok(()),
        }
    }

    /// Compares the policies of the base branch and of the head.
    async fn examine(&self, (key, lane): (&str, Lane), pull: &Pull) -> Result<Examined, Failure> {
        let mut findings = Findings {
            pull: PullNames::of(pull, &self.web, &self.repository()),
            organisation: self.organisation.clone(),
            mode: self.mode,
            base: pull.base.clone(),
            head: pull.head.clone(),
            is_public: pull.is_public || self.is_foreign,
            is_foreign: self.is_foreign,
            folders: Folders { own: self.folder(pull, false), base: self.folder(pull, true) },
            is_from_fork: pull.is_from_fork,
            hides_live_values: pull.is_from_fork || pull.is_internal,
            is_base_invalid: false,
            is_hidden: false,
            refused: None,
            approving_team: self.approve_by_review.clone(),
            problems: Vec::new(),
            tests: 0,
            failures: Vec::new(),
            preview: None,
        };
        let changed: Vec<bool> = self.parts.iter().map(|part| self.is_changed(part, pull)).collect();
        let sides = match policy_parts::sides(&self.parts, &changed, lane, pull).await? {
            Ok(sides) if sides.is_changed => sides,
            Ok(_) => return Ok(Examined::Unchanged),
            Err(why) => {
                let unsaid = "Beadle cannot read the files of the policy";
                findings.refused = Some(if self.is_foreign { unsaid.to_owned() } else { why });
                return Ok(Examined::Changed(Box::new(findings)));
            }
        };
        if let Some(base) = &sides.base {
            findings.base.clone_from(base);
        }
        self.compare((key, lane), &sides, &mut findings).await?;
        if self.is_foreign {
            let own = self.parts.iter().zip(&sides.after).filter(|(part, _)| !part.is_base);
            let own: Vec<&str> = own.flat_map(|(_, side)| side.blobs.keys()).map(String::as_str).collect();
            findings.hide_own(&own);
        }
        Ok(Examined::Changed(Box::new(findings)))
    }

    /// Adds facts about the head's policy to the findings: the errors in this policy, and the
    /// changes that this policy makes.
    async fn compare(
        &self,
        (key, lane): (&str, Lane),
        sides: &Sides,
        findings: &mut Findings,
    ) -> Result<(), Failure> {
        let known = policy_store::texts(self.store.as_ref(), &self.organisation).await?;
        let texts = match policy_parts::texts(&self.parts, lane, sides, known).await {
            Err(failure) if failure.class == Class::Rejected => {
                findings.refused = Some(failure.text);
                return Ok(());
            }
            texts => texts?,
        };
        let current = self.policy.current();
        let name = |part: &Part| format!("{}/{}", part.reader.organisation(), part.source.repository);
        let places: Vec<_> =
            self.parts.iter().map(|part| (part.prefix(), name(part), part.source.path.as_str())).collect();
        let (home, of) = (current.home.as_str(), (&self.config, &self.file));
        let after = match base_and_head::parse(key, &places, &sides.after, &texts, home, of).await? {
            Ok(parsed) => {
                findings.problems.clone_from(&parsed.policy.remarks);
                let now = self.clock.now();
                findings.problems.extend(waiver_findings(&self.file, &parsed.policy, now));
                if findings.may_preview() && !self.is_foreign {
                    // Beadle does not show these errors to strangers. From such errors, a stranger
                    // could learn the names of secrets.
                    findings.problems.extend(self.undeclared(&parsed.policy));
                }
                if findings.may_preview() && !findings.is_public {
                    // These errors contain the logins of the required owners. Not everybody is
                    // allowed to see these logins.
                    findings.problems.extend(self.wrong_owners(&parsed.policy));
                }
                findings.tests = parsed.tested.count;
                findings.failures = parsed.tested.problems;
                parsed.policy
            }
            Err(PolicyError::Invalid { problems, .. }) => {
                findings.problems = problems;
                findings.hide_configuration();
                return Ok(());
            }
            Err(error) => {
                findings.refused = Some(error.to_string());
                return Ok(());
            }
        };
        if !findings.may_preview() {
            findings.is_hidden = true;
            return Ok(());
        }
        let before = match &sides.before {
            Some(before) => base_and_head::parse(key, &places, before, &texts, home, of).await?.ok(),
            None => None,
        };
        findings.is_base_invalid = before.is_none();
        // If the base has the same files as the policy in force, the check compares the head with
        // the policy in force. The commit of the base can be later than the commit of the policy in
        // force.
        let before = before.map(|parsed| parsed.policy).filter(|policy| policy.sources != current.sources);
        let before = before.map_or_else(|| current.clone(), Arc::new);
        let (opened, state) =
            ((self.config.as_ref(), self.directories.as_ref()), (Some(&self.store), &self.clock));
        let of = (&*before, &after, findings.is_from_fork);
        let groups = group_changes_between_versions::preview(opened, state, &self.file, of);
        let groups = Box::pin(groups).await?;
        let of = (self.organisation.as_str(), &self.planner);
        let limits = self.file.gate_limits_with(&self.guard.current());
        let preview = policy_preview::preview(of, &limits, (before.as_ref(), &after), groups).await?;
        findings.preview = Some(preview);
        Ok(())
    }

    /// Returns one problem for each secret that the policy uses and the configuration does not
    /// declare. The author of a pull request must not learn the names of other secrets.
    fn undeclared(&self, policy: &Policy) -> Vec<Problem> {
        let is_unknown = |name: &str| !self.secrets.contains(name);
        let named = policy.secrets().into_iter();
        let unknown = named.filter(|secret| secret.text().is_some_and(is_unknown));
        let text = "the configuration declares no secret of this name for the policy";
        unknown.map(|secret| Problem::error(secret.asked.clone(), secret.column, text)).collect()
    }

    /// Returns the mistakes in the owners that the policy declares.
    fn wrong_owners(&self, policy: &Policy) -> Vec<Problem> {
        let targets = self.config.teams_of(&self.organisation);
        let teams = targets.filter_map(|target| target.github.as_ref());
        teams.filter_map(|teams| organisation_members_file::problem(&policy.sources, teams)).collect()
    }

    /// Creates or updates the comment on the pull request. A pull request that does not change the
    /// policy gets no new comment.
    async fn comment(
        &self,
        reader: &Reader,
        writer: &CheckWriter,
        number: u64,
        examined: &Examined,
    ) -> Result<(), Failure> {
        let marker = findings_markdown::marker(&self.organisation);
        let (body, is_news) = match examined {
            Examined::Unchanged => (format!("{marker}\n{}", findings_markdown::unchanged()), false),
            Examined::Changed(findings) => (findings_markdown::comment(findings), true),
            Examined::TooLong => return Ok(()),
        };
        let own = reader.own_comment(&self.source.repository, number, self.app, &marker).await?;
        match own {
            Some(own) if own.body.trim_end() == body.trim_end() => Ok(()),
            Some(own) => writer.update_comment(own.id, &body).await,
            None if is_news => writer.comment(number, &body).await,
            None => Ok(()),
        }
    }
}

/// Returns whether the `ref` of a policy is this branch. The `ref` can also have the form
/// `refs/heads/main`.
fn is_branch(reference: &str, branch: &str) -> bool {
    let name = reference.strip_prefix("refs/").unwrap_or(reference);
    name.strip_prefix("heads/").unwrap_or(name) == branch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_found_in_each_form_of_the_reference() {
        for (reference, branch, expected) in [
            ("main", "main", true),
            ("heads/main", "main", true),
            ("refs/heads/main", "main", true),
            ("main", "feature/main", false),
            ("refs/tags/main", "main", false),
        ] {
            assert_eq!(is_branch(reference, branch), expected, "{reference} {branch}");
        }
    }
}

//! Groups of an Okta organisation.

mod catchup;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{Class, Failure, Lane, SharedRead, Time};
use beadle_okta::{Group, Okta, Status, User};
use tokio::sync::Mutex;

use super::{People, Person, Source, SourceGroup, Survey, Surveyed};

pub use catchup::{Catchup, Caught};

/// The number of groups in one page of Okta's list.
const PAGE: usize = 200;

/// Groups of an Okta organisation.
#[derive(Clone)]
pub struct OktaSource {
    okta: Okta,
    leaving: Vec<Status>,
    made: Vec<Status>,
    apps: Vec<String>,
    /// The list of all groups for the runs of sweeps.
    listed: Arc<SharedRead<Vec<SourceGroup>>>,
    /// The number of groups in the last complete list.
    count: Arc<AtomicUsize>,
    /// The number of questions for one group that are under way.
    asking: Arc<AtomicUsize>,
    /// The last surveys, newest first.
    surveyed: Arc<Mutex<Vec<Surveying>>>,
    /// The number of pages that the list of all users exceeds.
    long: Arc<AtomicUsize>,
    /// The budget windows that ended before the list of all users did.
    cut: Arc<Cuts>,
}

/// The age from which the runs of a long sweep read the directory again.
const FRESH: Duration = Duration::from_secs(900);

/// The number of surveys to keep: the sweeps of two directories may mark the groups of one union.
const HELD: usize = 3;

/// A survey and its sweep.
struct Surveying {
    /// The mark of the sweep. Only the same mark matches, because a clock may have been turned
    /// back.
    mark: Time,
    began: Time,
    /// The survey; `None` if it failed.
    survey: Option<Arc<Survey>>,
}

/// The number of windows after which a list that did not end counts as longer than a window.
const CUTS: usize = 3;

/// Budget windows that ended during a list, by their ends. Several runs may be refused in one
/// window.
#[derive(Default)]
struct Cuts(std::sync::Mutex<BTreeSet<Time>>);

impl Cuts {
    /// Notes a window. Returns whether the list may fit into the next one.
    fn may_fit_after(&self, window: Time) -> bool {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.insert(window);
        windows.len() < CUTS
    }

    /// Forgets all windows, because the list ended.
    fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A question that is under way.
struct Asking<'a>(&'a AtomicUsize);

impl<'a> Asking<'a> {
    fn new(asking: &'a AtomicUsize) -> Self {
        asking.fetch_add(1, Ordering::SeqCst);
        Self(asking)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl OktaSource {
    /// Creates a source. `leaving`: statuses of people whose access should go. `made`: statuses of
    /// people for whom Beadle may create an account. `apps`: applications into which Okta may push
    /// groups itself.
    pub fn new(okta: Okta, leaving: Vec<Status>, made: Vec<Status>, apps: Vec<String>) -> Self {
        Self {
            okta,
            leaving,
            made,
            apps,
            listed: Arc::default(),
            count: Arc::default(),
            asking: Arc::default(),
            surveyed: Arc::default(),
            long: Arc::default(),
            cut: Arc::default(),
        }
    }

    /// Returns the client.
    pub fn okta(&self) -> &Okta {
        &self.okta
    }

    /// Returns whether a list of all groups takes fewer calls than the questions for single groups
    /// that are under way.
    fn is_list_cheaper(&self) -> bool {
        let pages = self.count.load(Ordering::SeqCst).div_ceil(PAGE);
        pages > 0 && self.asking.load(Ordering::SeqCst) > pages
    }

    async fn list(&self) -> Result<Vec<SourceGroup>, Failure> {
        let groups = self.okta.groups().await?;
        self.count.store(groups.len(), Ordering::SeqCst);
        Ok(groups.into_iter().map(group).collect())
    }

    fn person(&self, user: User) -> Person {
        let profile = user.profile;
        let given = profile.first_name.unwrap_or_default();
        let family = profile.last_name.unwrap_or_default();
        let display = profile.display_name.unwrap_or_else(|| format!("{given} {family}").trim().to_owned());
        let login = if profile.login.is_empty() { user.id.clone() } else { profile.login };
        Person {
            is_leaving: self.leaving.contains(&user.status),
            may_be_made: self.made.contains(&user.status),
            status: user.status.to_string(),
            id: user.id,
            email: profile.email,
            display: if display.is_empty() { login.clone() } else { display },
            login,
            given,
            family,
        }
    }
}

fn group(group: Group) -> SourceGroup {
    SourceGroup { id: group.id, name: group.name }
}

fn unknown(group: &SourceGroup, why: &str) -> Failure {
    Failure::new(Class::Retry, format!("group {}: {why}", group.name))
}

#[async_trait]
impl Source for OktaSource {
    fn in_lane(&self, lane: Lane) -> Arc<dyn Source> {
        Arc::new(Self { okta: self.okta.in_lane(lane), ..self.clone() })
    }

    async fn groups(&self) -> Result<Vec<SourceGroup>, Failure> {
        // An event never waits for a read of a sweep.
        if self.okta.lane() == Lane::Sweep {
            return Ok(self.listed.get(self.list()).await?.to_vec());
        }
        self.list().await
    }

    async fn group(&self, id: &str) -> Result<Option<SourceGroup>, Failure> {
        // A sweep has many runs at once. One list that begins after they did gives all of them the
        // names.
        let _asking = Asking::new(&self.asking);
        if self.okta.lane() == Lane::Sweep && self.is_list_cheaper() {
            let listed = self.listed.get(self.list()).await?;
            if let Some(found) = listed.iter().find(|group| group.id == id) {
                return Ok(Some(found.clone()));
            }
        }
        // The list may lack the group, so Beadle asks for it alone.
        Ok(self.okta.group(id).await?.map(group))
    }

    async fn count(&self, group: &str) -> Result<Option<u64>, Failure> {
        self.okta.count(group).await
    }

    async fn members(&self, group: &SourceGroup) -> Result<Vec<Person>, Failure> {
        let users = self.okta.members(&group.id).await?;
        let users = users.ok_or_else(|| unknown(group, "the group was deleted during the read"))?;
        Ok(users.into_iter().map(|user| OktaSource::person(self, user)).collect())
    }

    async fn members_counted(&self, group: &SourceGroup) -> Result<Vec<Person>, Failure> {
        // The count comes first: a person who joins after it makes the list longer, and a person
        // who leaves makes it short, so that it is read again.
        let count = self.okta.count(&group.id).await?;
        let count = count.ok_or_else(|| unknown(group, "the answer of Okta has no number of members"))?;
        let members = self.members(group).await?;
        if (members.len() as u64) < count {
            let why = format!("the list of its members came back short ({} of {count})", members.len());
            return Err(unknown(group, &why));
        }
        Ok(members)
    }

    async fn people(&self) -> Result<Vec<Person>, Failure> {
        Ok(self.okta.users().await?.into_iter().map(|user| OktaSource::person(self, user)).collect())
    }

    async fn pushed(&self) -> Result<BTreeSet<String>, Failure> {
        let mut pushed = BTreeSet::new();
        for app in &self.apps {
            pushed.extend(self.okta.pushed(app).await?);
        }
        Ok(pushed)
    }

    async fn person(&self, id: &str) -> Result<Option<Person>, Failure> {
        Ok(self.okta.user(id).await?.map(|user| OktaSource::person(self, user)))
    }

    async fn survey(&self, mark: Time, now: Time) -> Result<Option<Arc<Survey>>, Failure> {
        // Other runs wait here for the run that reads.
        let mut held = self.surveyed.lock().await;
        let is_it = |one: &&Surveying| one.mark == mark && now.since(one.began) < FRESH;
        if let Some(known) = held.iter().find(is_it) {
            return Ok(known.survey.clone());
        }
        let survey = match self.okta.groups_and_clock().await {
            Ok((groups, theirs)) => {
                let shown = groups.into_iter().map(|mut shown| {
                    let changed = shown.members_changed.take();
                    Surveyed { group: group(shown), changed }
                });
                Some(Arc::new(Survey::new(now, theirs, shown.collect())))
            }
            Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => return Err(failure),
            Err(failure) => {
                tracing::warn!(why = failure.text, "list of groups failed, reading each group alone");
                None
            }
        };
        held.insert(0, Surveying { mark, began: now, survey: survey.clone() });
        held.truncate(HELD);
        Ok(survey)
    }

    async fn surveyed_people<'a>(&self, survey: &'a Survey) -> Result<Option<&'a People>, Failure> {
        let people = survey.people.get_or_try_init(|| async move {
            // The list must cost fewer calls than the groups that it saves.
            let most = survey.groups().count() / 2 + 1;
            if most <= self.long.load(Ordering::SeqCst) {
                return Ok(None);
            }
            match self.okta.users_within(most).await {
                Ok(Some(users)) => {
                    self.cut.forget();
                    let all = users.into_iter().map(|user| OktaSource::person(self, user));
                    Ok(Some(all.map(|person| (person.id.clone(), person)).collect::<People>()))
                }
                Ok(None) => {
                    self.long.store(most, Ordering::SeqCst);
                    Ok(None)
                }
                Err(failure) => {
                    if let Class::RateLimited { until, .. } = failure.class {
                        if self.cut.may_fit_after(until) {
                            return Err(failure);
                        }
                        self.long.store(most, Ordering::SeqCst);
                    }
                    tracing::warn!(why = failure.text, "list of users failed, reading each group alone");
                    Ok(None)
                }
            }
        });
        Ok(people.await?.as_ref())
    }

    async fn groups_of(&self, person: &str) -> Result<Vec<SourceGroup>, Failure> {
        Ok(self.okta.groups_of(person).await?.into_iter().map(group).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_longer_than_a_budget_window_is_not_begun_again_for_ever() {
        let cuts = Cuts::default();
        let window = |n: i64| Time::from_seconds(60 * n);
        assert!(cuts.may_fit_after(window(1)) && cuts.may_fit_after(window(2)));
        assert!(cuts.may_fit_after(window(2)), "another run in the same window");
        assert!(!cuts.may_fit_after(window(3)));
        cuts.forget();
        assert!(cuts.may_fit_after(window(4)));
    }
}

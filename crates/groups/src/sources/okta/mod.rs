//! Reads the groups and people of an Okta organisation.

mod catchup;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{Class, Failure, Lane, SharedRead, Time};
use beadle_okta::{Group, Okta, Profile, Status, User};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use super::{People, Person, Source, SourceGroup, Survey, Surveyed};

pub use catchup::{Catchup, Caught};

/// The number of groups in one page of the list from Okta.
const PAGE: usize = 200;

/// A source that reads the groups and people of an Okta organisation.
#[derive(Clone)]
pub struct OktaSource {
    okta: Okta,
    leaving: Vec<Status>,
    made: Vec<Status>,
    apps: Vec<String>,
    /// The names of the attributes that the targets use.
    uses: BTreeSet<String>,
    /// The list of all groups, which the runs of a sweep share.
    listed: Arc<SharedRead<Vec<SourceGroup>>>,
    /// The number of groups in the last complete list. From this number, Beadle estimates the pages
    /// of the next list.
    count: Arc<AtomicUsize>,
    /// The number of requests for single groups that Okta has not answered yet.
    asking: Arc<AtomicUsize>,
    /// The most recent surveys. The newest survey comes first.
    surveyed: Arc<Mutex<Vec<Surveying>>>,
    /// The largest number of pages that was not enough for the list of all users, or 0.
    long: Arc<AtomicUsize>,
    /// The rate-limit periods that ended before the list of all users was complete.
    cut: Arc<Cuts>,
}

/// The maximum age of a survey. If a sweep takes longer than this, its later runs share a new
/// survey.
const FRESH: Duration = Duration::from_secs(900);

/// The number of surveys to keep. Beadle keeps more than one survey, because the sweeps of two
/// directories can make the groups of one union due.
const HELD: usize = 3;

/// A survey, and its sweep.
struct Surveying {
    /// The time at which the sweep made its marks. Only runs with exactly this time can use the
    /// survey. Beadle does not check which of two times is later, because somebody might have
    /// turned a clock back.
    mark: Time,
    began: Time,
    /// The survey, or `None` if its read failed.
    survey: Option<Arc<Survey>>,
}

/// The number of rate-limit periods in which Beadle tries to complete the list. After that, Beadle
/// assumes that the list does not fit into one period.
const CUTS: usize = 3;

/// The rate-limit periods that ended before a list was complete. The end of a period identifies the
/// period. Okta can refuse several runs in the same period, and Beadle must count this period only
/// once.
#[derive(Default)]
struct Cuts(parking_lot::Mutex<BTreeSet<Time>>);

impl Cuts {
    /// Records that a period ended before the list was complete. Returns whether it is still
    /// possible that the list fits into one period.
    fn may_fit_after(&self, window: Time) -> bool {
        let mut windows = self.0.lock();
        windows.insert(window);
        windows.len() < CUTS
    }

    /// Forgets all recorded periods, because a list was complete.
    fn forget(&self) {
        self.0.lock().clear();
    }
}

/// A request for a single group that Okta has not answered yet. As long as this value exists,
/// [`OktaSource`] counts the request.
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
    /// Creates a source. `leaving` has the statuses of people who must lose their access. `made`
    /// has the statuses of people who can get an account from Beadle. `apps` has the applications
    /// to which Okta itself can push groups.
    pub fn new(okta: Okta, leaving: Vec<Status>, made: Vec<Status>, apps: Vec<String>) -> Self {
        Self {
            okta,
            leaving,
            made,
            apps,
            uses: BTreeSet::new(),
            listed: Arc::default(),
            count: Arc::default(),
            asking: Arc::default(),
            surveyed: Arc::default(),
            long: Arc::default(),
            cut: Arc::default(),
        }
    }

    /// Sets which attributes of people the source keeps.
    #[must_use]
    pub fn keeping(mut self, uses: BTreeSet<String>) -> Self {
        self.uses = uses;
        self
    }

    /// Returns the Okta client.
    pub fn okta(&self) -> &Okta {
        &self.okta
    }

    /// Returns whether a list of all groups needs fewer calls than the unanswered requests for
    /// single groups.
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
        let attributes = self.attributes(&user.profile);
        let profile = user.profile;
        let given = profile.first_name.unwrap_or_default();
        let family = profile.last_name.unwrap_or_default();
        let display = profile.display_name.unwrap_or_else(|| format!("{given} {family}").trim().to_owned());
        let has_login = !profile.login.is_empty();
        let login = if has_login { profile.login } else { user.id.clone() };
        Person {
            is_leaving: self.leaving.contains(&user.status),
            // If the profile is missing, Beadle creates no account, because the account would get
            // the id as its name.
            may_be_made: has_login && self.made.contains(&user.status),
            status: user.status.to_string(),
            id: user.id,
            email: profile.email,
            display: if display.is_empty() { login.clone() } else { display },
            login,
            given,
            family,
            profile: attributes,
            account: None,
            role: None,
        }
    }

    /// Returns a person's attributes that the targets use.
    fn attributes(&self, profile: &Profile) -> Map<String, Value> {
        let mut attributes = Map::new();
        for name in &self.uses {
            let value = match name.as_str() {
                "login" => json!(profile.login),
                "email" => json!(profile.email),
                "firstName" => json!(profile.first_name),
                "lastName" => json!(profile.last_name),
                "displayName" => json!(profile.display_name),
                other => profile.other.get(other).cloned().unwrap_or_default(),
            };
            attributes.insert(name.clone(), value);
        }
        attributes
    }
}

fn group(group: Group) -> SourceGroup {
    SourceGroup { id: group.id, name: group.name, ..SourceGroup::default() }
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
        // A run for an event never waits for the list that a sweep is reading.
        if self.okta.lane() == Lane::Sweep {
            return Ok(self.listed.get(self.list()).await?.to_vec());
        }
        self.list().await
    }

    async fn group(&self, id: &str) -> Result<Option<SourceGroup>, Failure> {
        // A sweep has many runs at the same time. One list is enough for all these runs if the read
        // of the list begins after the start of the runs.
        let _asking = Asking::new(&self.asking);
        if self.okta.lane() == Lane::Sweep && self.is_list_cheaper() {
            let listed = self.listed.get(self.list()).await?;
            if let Some(found) = listed.iter().find(|group| group.id == id) {
                return Ok(Some(found.clone()));
            }
        }
        // The list can lack the group, so Beadle asks Okta for this one group.
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
        // Beadle asks for the count before the list. If a person joins after the count, the list
        // can be longer than the count. If a person leaves after the count, the list is shorter,
        // and Beadle repeats both reads.
        let count = self.okta.count(&group.id).await?;
        let count =
            count.ok_or_else(|| unknown(group, "Okta's answer does not have the number of members"))?;
        let members = self.members(group).await?;
        if (members.len() as u64) < count {
            let why = format!("the list of its members has only some entries ({} of {count})", members.len());
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
        // While one run reads the survey, all other runs wait for this lock.
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
                tracing::warn!(
                    why = failure.text,
                    "list of all groups cannot be read, reading each group alone"
                );
                None
            }
        };
        held.insert(0, Surveying { mark, began: now, survey: survey.clone() });
        held.truncate(HELD);
        Ok(survey)
    }

    async fn surveyed_people<'a>(&self, survey: &'a Survey) -> Result<Option<&'a People>, Failure> {
        let people = survey.people.get_or_try_init(|| async move {
            // The list of users replaces lists of members. So the list of users is useful only if
            // it needs fewer calls than these lists.
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
                    tracing::warn!(
                        why = failure.text,
                        "list of all users cannot be read, reading each group alone"
                    );
                    Ok(None)
                }
            }
        });
        Ok(people.await?.as_ref())
    }

    async fn groups_of(&self, person: &str) -> Result<Option<Vec<SourceGroup>>, Failure> {
        let groups = self.okta.groups_of(person).await?;
        Ok(groups.map(|groups| groups.into_iter().map(group).collect()))
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

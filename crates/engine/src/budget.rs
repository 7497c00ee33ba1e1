//! Counts for each credential how many API calls the vendor still allows.

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::key::Lane;
use crate::queue::LONGEST_HOLD;

/// How long Beadle waits after the vendor denied a credential for the first time.
const DENIED: Duration = Duration::from_secs(10);

/// Returns whether `until` can be a real rate-limit time. No vendor asks for a wait of more than a
/// day. A time that is years away has another cause: milliseconds in place of seconds, a wrong
/// clock, or a proxy that changed the header.
pub fn is_credible(until: Time, now: Time) -> bool {
    until <= now + LONGEST_HOLD
}

/// One of the accounts that a vendor uses to count calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    /// The account for calls. At GitHub, these are REST calls.
    Core,
    /// The account for the points of GraphQL queries.
    GraphQl,
    /// The account for the points that calls of all kinds use in one minute.
    Secondary,
    /// The credential as a whole. This account has no count. Beadle blocks the account while the
    /// vendor denies the credential.
    Credential,
}

impl Resource {
    /// Returns the name of the account for output and for metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::GraphQl => "graphql",
            Self::Secondary => "secondary",
            Self::Credential => "credential",
        }
    }
}

/// The figures of an account from the vendor's last answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetAccount {
    /// The number of calls or points that the vendor allows in one period.
    pub limit: u64,
    /// The number of calls or points that remain in this period.
    pub remaining: u64,
    /// The end of the period, according to Beadle's clock.
    pub reset: Time,
    /// The end of the period, according to the vendor's clock, in seconds. This time identifies the
    /// period, so that Beadle recognises a late answer.
    pub period: i64,
}

/// The error for a call that has to wait for a budget.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", waits(credential, *resource, *until, *spares_events))]
pub struct Wait {
    /// The name of the credential that has no budget left.
    pub credential: String,
    /// The account that is used up or blocked.
    pub resource: Resource,
    /// The time when Beadle may make calls again.
    pub until: Time,
    /// True if only sweeps have to wait, while events and operators may still use the reserve.
    pub spares_events: bool,
    /// True if only requests that create content have to wait.
    pub spares_others: bool,
}

fn waits(credential: &str, resource: Resource, until: Time, spares_events: bool) -> String {
    if resource == Resource::Credential {
        return format!("the vendor denies the credential of {credential}, next try at {until}");
    }
    let reserve = if spares_events { " (its reserve is kept for events)" } else { "" };
    format!("the {} budget of {credential} is used up until {until}{reserve}", resource.as_str())
}

#[derive(Debug, Default)]
struct State {
    accounts: HashMap<Resource, BudgetAccount>,
    blocked: HashMap<Resource, Time>,
    /// How many times in a row each account was blocked. Each further block makes the wait longer.
    /// A successful call resets the number.
    strikes: HashMap<Resource, u32>,
    /// The calls or points that this process itself used from each account, and the period in which
    /// it used them.
    own: HashMap<Resource, (i64, u64)>,
    /// The time of the first denial since the vendor last accepted the credential.
    denied_since: Option<Time>,
}

impl State {
    /// Returns the end of an account's block, if the account is blocked. If the end is not
    /// credible, the clock was set back, and the block is ignored.
    fn blocked_until(&self, resource: Resource, now: Time) -> Option<Time> {
        self.blocked.get(&resource).copied().filter(|until| *until > now && is_credible(*until, now))
    }

    /// Blocks an account until `until`. If the account is already blocked for longer, the longer
    /// block stays. Returns the end of the block.
    fn block(&mut self, resource: Resource, until: Time, now: Time) -> Time {
        let blocked = self.blocked.entry(resource).or_insert(until);
        // If the end of the old block is not credible, a wrong clock set it, and the new block
        // replaces it.
        *blocked = if is_credible(*blocked, now) { (*blocked).max(until) } else { until };
        *blocked
    }
}

/// The budget of one credential. All users of the credential share it.
#[derive(Clone, Debug)]
pub struct Budgets {
    credential: Arc<str>,
    /// The percentage of each account that sweeps must leave to events and operators.
    reserve: u64,
    /// The number of equal parts into which the accounts are divided. The number is greater than 1
    /// if several processes use the credential, but no process knows how much the other processes
    /// use.
    parts: u64,
    state: Arc<Mutex<State>>,
}

impl Budgets {
    /// Creates the budget of a credential. `credential` is a name for people, never the secret.
    /// Sweeps must leave `reserve` percent to events and operators.
    pub fn new(credential: &str, reserve: u64) -> Self {
        Self { credential: credential.into(), reserve, parts: 1, state: Arc::default() }
    }

    /// Limits this process to one of `parts` equal parts of the budget, and returns the budget.
    #[must_use]
    pub fn divided(mut self, parts: u64) -> Self {
        self.parts = parts.max(1);
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Asks for permission to make a call. If the budget allows the call, `cost` is deducted until
    /// the vendor's answer brings exact figures.
    pub fn admit(&self, resource: Resource, cost: u64, lane: Lane, now: Time) -> Result<(), Wait> {
        let mut state = self.state();
        for blocked in [Resource::Credential, Resource::Secondary, resource] {
            if let Some(until) = state.blocked_until(blocked, now) {
                return Err(self.wait(blocked, until, false));
            }
        }
        let State { accounts, own, .. } = &mut *state;
        let Some(account) = accounts.get_mut(&resource) else { return Ok(()) };
        if account.reset <= now || !is_credible(account.reset, now) {
            return Ok(()); // a new period began, and its figures arrive with the answer
        }
        let kept = if lane == Lane::Sweep { account.limit * self.reserve / 100 } else { 0 };
        if account.remaining < kept + cost {
            return Err(self.wait(resource, account.reset, lane == Lane::Sweep && account.remaining >= cost));
        }
        let (period, spent) = own.entry(resource).or_insert((account.period, 0));
        if *period != account.period {
            (*period, *spent) = (account.period, 0);
        }
        let part = account.limit.saturating_sub(kept) / self.parts;
        if self.parts > 1 && *spent + cost > part {
            return Err(self.wait(resource, account.reset, false));
        }
        *spent += cost;
        account.remaining -= cost;
        Ok(())
    }

    /// Asks for permission to request a token. The vendor does not count these requests, so the
    /// only reason to wait is a denied credential.
    pub fn admit_token(&self, now: Time) -> Result<(), Wait> {
        let until = self.state().blocked_until(Resource::Credential, now);
        until.map_or(Ok(()), |until| Err(self.wait(Resource::Credential, until, false)))
    }

    fn wait(&self, resource: Resource, until: Time, spares_events: bool) -> Wait {
        let credential = self.credential.to_string();
        Wait { credential, resource, until, spares_events, spares_others: false }
    }

    /// Adds the cost of a call back to the budget after the answer "not modified". The vendor does
    /// not count a call with this answer. Call [`Budgets::report`] with the vendor's figures
    /// afterwards.
    pub fn give_back(&self, resource: Resource, cost: u64) {
        let State { accounts, own, .. } = &mut *self.state();
        let Some(account) = accounts.get_mut(&resource) else { return };
        account.remaining = (account.remaining + cost).min(account.limit);
        if let Some((period, spent)) = own.get_mut(&resource)
            && *period == account.period
        {
            *spent = spent.saturating_sub(cost);
        }
    }

    /// Records the figures of a vendor's answer. Answers do not always arrive in the order of their
    /// calls, so Beadle uses the lowest figure within one period. Beadle ignores figures of an
    /// earlier period, unless the known period is over, or the end of the known period is not
    /// credible. In these two cases, a clock was ahead when Beadle recorded the known period.
    pub fn report(&self, resource: Resource, reported: BudgetAccount, now: Time) {
        let mut state = self.state();
        let account = state.accounts.entry(resource).or_insert(reported);
        let is_over = account.reset <= now || !is_credible(account.reset, now);
        if reported.period > account.period || (is_over && reported.period < account.period) {
            *account = reported;
        } else if reported.period == account.period {
            account.limit = reported.limit;
            account.remaining = account.remaining.min(reported.remaining);
        }
    }

    /// Blocks an account after the vendor refused a call. The block lasts until `until`. If the
    /// vendor named no credible time, the block lasts for a minute, and longer after each further
    /// refusal. Returns the end of the block.
    pub fn refuse(&self, resource: Resource, until: Option<Time>, now: Time) -> Time {
        let mut state = self.state();
        // Many calls were in progress when the vendor refused the first one. All refusals of these
        // calls count as one refusal.
        if state.blocked.get(&resource).is_none_or(|blocked| *blocked <= now) {
            let strikes = state.strikes.entry(resource).or_insert(0);
            *strikes = (*strikes + 1).min(6);
        }
        let strikes = state.strikes.get(&resource).copied().unwrap_or(1);
        let named = until.filter(|until| is_credible(*until, now));
        if let (Some(until), None) = (until, named) {
            let credential = &*self.credential;
            tracing::warn!(credential, resource = resource.as_str(), %until, "rate limit has a reset time more than a day away, Beadle ignores this time");
        }
        let until = named.unwrap_or(now + Duration::from_secs(60 << (strikes - 1)));
        // The vendor can name a time in the past. Beadle then waits for at least a second.
        let until = until.max(now + Duration::from_secs(1));
        state.block(resource, until, now)
    }

    /// Blocks the credential after the vendor denied it. The first block lasts ten seconds, and
    /// each further block is longer. All users of the credential wait, and no key is parked.
    /// Returns the end of the block.
    pub fn deny(&self, now: Time) -> Time {
        let mut state = self.state();
        state.denied_since.get_or_insert(now);
        // Many calls were in progress when the vendor denied the first one. All denials of these
        // calls count as one denial.
        if state.blocked.get(&Resource::Credential).is_none_or(|blocked| *blocked <= now) {
            let strikes = state.strikes.entry(Resource::Credential).or_insert(0);
            *strikes = (*strikes + 1).min(6);
        }
        let strikes = state.strikes.get(&Resource::Credential).copied().unwrap_or(1);
        let until = now + DENIED * (1_u32 << (strikes - 1));
        state.block(Resource::Credential, until, now)
    }

    /// Returns since when the vendor has denied the credential. Returns `None` if the vendor does
    /// not deny the credential now.
    pub fn denied_since(&self) -> Option<Time> {
        self.state().denied_since
    }

    /// Records that the vendor accepted the credential. The block of the credential then ends.
    pub fn accepted(&self) {
        let mut state = self.state();
        state.denied_since = None;
        state.strikes.remove(&Resource::Credential);
        state.blocked.remove(&Resource::Credential);
    }

    /// Returns the blocked accounts that other processes must know of, each with the end of its
    /// block. A denied credential is not in the list, because each process has its own copy of the
    /// credential. During the replacement of a credential, one process might have the old copy and
    /// another process the new one.
    pub fn refusals(&self) -> Vec<(Resource, Time)> {
        let state = self.state();
        let shared = state.blocked.iter().filter(|(resource, _)| **resource != Resource::Credential);
        shared.map(|(resource, until)| (*resource, *until)).collect()
    }

    /// Records that the vendor refused a request of another process. Ignores the refusal if `until`
    /// is not credible. Also ignores a denied credential, because the denial concerns only the
    /// other process.
    pub fn heard_of_refusal(&self, resource: Resource, until: Time, now: Time) {
        if resource == Resource::Credential || !is_credible(until, now) {
            return;
        }
        self.state().block(resource, until, now);
    }

    /// Records that a call succeeded, so that the next refusal of this account causes a short wait
    /// again.
    pub fn went_through(&self, resource: Resource) {
        self.state().strikes.remove(&resource);
    }

    /// Returns the figures of every known account, for metrics and commands.
    pub fn accounts(&self) -> Vec<(Resource, BudgetAccount)> {
        let mut accounts: Vec<_> =
            self.state().accounts.iter().map(|(resource, account)| (*resource, *account)).collect();
        accounts.sort_by_key(|(resource, _)| *resource);
        accounts
    }

    /// Returns the name that people use for the credential.
    pub fn credential(&self) -> &str {
        &self.credential
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Time = Time(3_600_000);

    fn low() -> Budgets {
        let budgets = Budgets::new("app", 20);
        budgets.report(
            Resource::Core,
            BudgetAccount { limit: 100, remaining: 21, reset: HOUR, period: 1 },
            Time(0),
        );
        budgets
    }

    #[test]
    fn sweeps_leave_the_reserve_to_events() {
        let budgets = low();
        assert_eq!(budgets.admit(Resource::Core, 1, Lane::Sweep, Time(0)), Ok(()));
        let wait = budgets.admit(Resource::Core, 1, Lane::Sweep, Time(0)).unwrap_err();
        assert_eq!((wait.until, wait.spares_events), (HOUR, true));
        for _ in 0..20 {
            assert_eq!(budgets.admit(Resource::Core, 1, Lane::Event, Time(0)), Ok(()));
        }
        let wait = budgets.admit(Resource::Core, 1, Lane::Event, Time(0)).unwrap_err();
        assert_eq!((wait.until, wait.spares_events), (HOUR, false));
        assert_eq!(budgets.admit(Resource::Core, 1, Lane::Sweep, HOUR), Ok(()), "the reset ends the wait");
    }

    #[test]
    fn a_process_that_cannot_hear_of_the_others_uses_its_part() {
        let budgets = Budgets::new("app", 20).divided(4);
        budgets.report(
            Resource::Core,
            BudgetAccount { limit: 100, remaining: 100, reset: HOUR, period: 1 },
            Time(0),
        );
        for _ in 0..20 {
            assert_eq!(budgets.admit(Resource::Core, 1, Lane::Sweep, Time(0)), Ok(()));
        }
        assert!(
            budgets.admit(Resource::Core, 1, Lane::Sweep, Time(0)).is_err(),
            "80 for sweeps, in four parts"
        );
    }

    #[test]
    fn what_cost_nothing_is_free_again_and_never_more_than_the_vendor_says() {
        let said = BudgetAccount { limit: 100, remaining: 21, reset: HOUR, period: 1 };
        for budgets in [low(), low().divided(4)] {
            for _ in 0..1000 {
                assert_eq!(budgets.admit(Resource::Core, 1, Lane::Sweep, Time(0)), Ok(()));
                budgets.give_back(Resource::Core, 1);
                budgets.report(Resource::Core, said, Time(0));
            }
            budgets.give_back(Resource::Core, 50);
            budgets.report(Resource::Core, said, Time(0));
            assert_eq!(budgets.accounts()[0].1.remaining, 21);
        }
    }

    #[test]
    fn an_older_answer_does_not_raise_what_is_left() {
        let budgets = low();
        budgets.report(
            Resource::Core,
            BudgetAccount { limit: 100, remaining: 90, reset: HOUR, period: 1 },
            Time(0),
        );
        assert_eq!(budgets.accounts()[0].1.remaining, 21);
        budgets.report(
            Resource::Core,
            BudgetAccount { limit: 100, remaining: 90, reset: Time(7_200_000), period: 2 },
            Time(0),
        );
        assert_eq!(budgets.accounts()[0].1.remaining, 90);
    }

    #[test]
    fn figures_of_a_clock_that_was_ahead_give_way_to_those_of_the_right_one() {
        let account = |period, remaining, reset| BudgetAccount { limit: 100, remaining, reset, period };
        let remaining = |budgets: &Budgets| budgets.accounts()[0].1.remaining;
        let budgets = Budgets::new("app", 20);
        budgets.report(Resource::Core, account(1_000_000, 90, HOUR), Time(0));
        budgets.report(Resource::Core, account(1, 0, HOUR), Time(0));
        assert_eq!(remaining(&budgets), 90, "an answer that came late");
        budgets.report(Resource::Core, account(1, 0, Time(2 * HOUR.0)), HOUR);
        assert_eq!(remaining(&budgets), 0, "the period of the wrong clock is over");
        let budgets = Budgets::new("app", 20);
        budgets.report(Resource::Core, account(1_000_000, 90, Time(100 * HOUR.0)), Time(99 * HOUR.0));
        budgets.report(Resource::Core, account(1, 0, HOUR), Time(0));
        assert_eq!(remaining(&budgets), 0, "our clock was set back by days");
    }

    #[test]
    fn no_hold_is_longer_than_a_day_whoever_named_it() {
        let years = Time(10 * 365 * 24 * HOUR.0);
        let budgets = low();
        assert_eq!(
            budgets.refuse(Resource::Core, Some(years), Time(0)),
            Time(60_000),
            "as if none was named"
        );
        assert_eq!(budgets.refuse(Resource::GraphQl, Some(HOUR), Time(0)), HOUR);
        budgets.heard_of_refusal(Resource::Secondary, years, Time(0));
        assert_eq!(budgets.admit(Resource::Core, 1, Lane::Event, Time(60_000)), Ok(()));
        let budgets = Budgets::new("app", 20);
        budgets.report(
            Resource::Core,
            BudgetAccount { limit: 100, remaining: 0, reset: years, period: 1 },
            Time(0),
        );
        assert_eq!(
            budgets.admit(Resource::Core, 1, Lane::Event, Time(0)),
            Ok(()),
            "an account of a wrong clock"
        );
        // Somebody sets the clock back by a week.
        budgets.refuse(Resource::Core, Some(Time(200 * HOUR.0)), Time(199 * HOUR.0));
        assert!(budgets.admit(Resource::Core, 1, Lane::Event, Time(199 * HOUR.0)).is_err());
        assert_eq!(budgets.admit(Resource::Core, 1, Lane::Event, Time(31 * HOUR.0)), Ok(()));
    }

    #[test]
    fn a_denied_credential_makes_everybody_wait_and_is_over_when_it_is_taken_again() {
        let budgets = low();
        assert_eq!(budgets.deny(Time(0)), Time(10_000));
        assert_eq!(budgets.deny(Time(1)), Time(10_001), "many calls at once are one denial");
        let wait = budgets.admit(Resource::GraphQl, 1, Lane::Event, Time(10_000)).unwrap_err();
        assert!(wait.to_string().contains("denies the credential of app"), "{wait}");
        assert_eq!(budgets.admit_token(Time(10_000)), Err(wait));
        assert_eq!(budgets.admit_token(Time(10_001)), Ok(()));
        assert!(budgets.admit(Resource::Core, 0, Lane::Event, Time(10_001)).is_ok(), "somebody tries again");
        assert_eq!(budgets.deny(Time(10_001)), Time(30_001));
        assert_eq!(budgets.denied_since(), Some(Time(0)), "the end of a block does not end the denial");
        budgets.accepted();
        assert_eq!(budgets.denied_since(), None);
        assert!(budgets.admit(Resource::Core, 0, Lane::Sweep, Time(10_002)).is_ok());
        assert_eq!(budgets.deny(Time(40_000)), Time(50_000));
        for n in 0..20 {
            budgets.deny(Time(1_000_000 * (n + 1)));
        }
        assert_eq!(budgets.deny(Time(100_000_000)), Time(100_320_000), "a few minutes at most");
    }

    #[test]
    fn a_process_whose_credential_is_denied_stops_no_other_process() {
        let (old, new) = (low(), low());
        old.deny(Time(0));
        old.refuse(Resource::Secondary, None, Time(0));
        assert!(old.admit_token(Time(0)).is_err() && new.admit_token(Time(0)).is_ok());
        assert_eq!(old.refusals(), [(Resource::Secondary, Time(60_000))]);
        // An older version of Beadle also shared its denials with other processes.
        new.heard_of_refusal(Resource::Credential, Time(10_000), Time(0));
        assert_eq!(new.admit(Resource::Core, 1, Lane::Event, Time(0)), Ok(()));
        new.heard_of_refusal(Resource::Secondary, Time(60_000), Time(0));
        assert!(new.admit(Resource::Core, 1, Lane::Event, Time(0)).is_err());
    }

    #[test]
    fn a_secondary_limit_stops_everything_and_grows_where_no_time_was_named() {
        let budgets = low();
        assert_eq!(budgets.refuse(Resource::Secondary, None, Time(0)), Time(60_000));
        assert!(budgets.admit(Resource::GraphQl, 1, Lane::Event, Time(59_999)).is_err());
        assert!(budgets.admit(Resource::GraphQl, 1, Lane::Event, Time(60_000)).is_ok());
        assert_eq!(budgets.refuse(Resource::Secondary, None, Time(60_000)), Time(180_000));
        budgets.went_through(Resource::Secondary);
        assert_eq!(budgets.refuse(Resource::Secondary, None, Time(180_000)), Time(240_000));
    }
}

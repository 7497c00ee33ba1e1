//! The sign-in of people to the pages, and their decisions about held changes.
//!
//! A provider identifies a person and gives the person a role. Beadle then stores a session. Beadle
//! checks the session and the role at every request. If a person has lost the role, or if the role
//! is unknown, the person has no rights.

mod attempts;
mod cookies;
mod decisions;
mod limit;
mod operations;
mod person;
mod problem;
mod provider;
mod role;
mod sessions;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::guard::Ruling;
use beadle_engine::{Clock, Store, StoreError, Time};
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use tokio::sync::watch;

use attempts::Attempts;
use cookies::Cookies;
use limit::{Limit, PersonLimit};
use sessions::{Asker, Sessions};
use tokens::{are_equal, code_challenge};

pub use decisions::{
    DecisionDone, DecisionEnd, DecisionRefusal, DecisionRequest, Decisions, WaiverDone, WaiverRequest,
};
pub use operations::{
    EarlierUndo, KeyPlan, Operation, OperationDone, OperationRequest, ScopeRequest, UndoPreview, UndoRequest,
};
pub use person::{Person, Visitor};
pub(crate) use problem::Problem;
pub use provider::{Challenge, IdentityProvider, Proof, SignInFailure, Standing};
pub use role::Role;
pub(crate) use sessions::Denied;

/// The browser returns to this path after the sign-in at the provider.
pub(crate) const RETURN_PATH: &str = "/sign-in/return";
/// The name of the cookie with the id of the session.
const SESSION: &str = "beadle-session";
/// The name of the cookie for an unfinished sign-in.
const ATTEMPT: &str = "beadle-sign-in";
/// The maximum number of sign-ins in a minute, for all people together.
const MOST: usize = 60;
/// The maximum number of decisions, waivers and operations in a minute, for each person. For each
/// of these requests, Beadle asks the provider for the role.
const MOST_OF_PERSON: usize = 120;
/// The maximum length of a reason, in characters. If a decision is about a group, the journal
/// repeats the reason for every change in the group.
const LONGEST_REASON: usize = 500;

/// The maximum difference between two clocks: the clock of Beadle, and the clock of a program that
/// sends a decision of a person.
const AHEAD: Duration = Duration::from_secs(60);

/// The sign-in of the pages.
pub struct SignIn {
    /// The address of the pages, such as `https://beadle.example.com`.
    origin: String,
    cookies: Cookies,
    attempts: Attempts,
    begun: Limit,
    returned: Limit,
    asked: PersonLimit,
    sessions: Sessions,
    decisions: Arc<dyn Decisions>,
}

/// The query of the browser's request after the sign-in at the provider. Beadle ignores all other
/// values in the query.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Returned {
    code: String,
    state: String,
    error: String,
}

/// The decision of a person on a page or through the API.
#[derive(Debug)]
pub(crate) struct Ruled {
    /// The codes of the groups, or the digests of single changes.
    pub(crate) codes: Vec<String>,
    pub(crate) ruling: Ruling,
    pub(crate) reason: String,
    /// The time at which Beadle showed the page.
    pub(crate) shown: Time,
    /// True if the person confirmed the decision, or if the decision comes through the API.
    pub(crate) confirmed: bool,
    /// The token of the form.
    pub(crate) token: String,
}

/// A request of a person for a waiver. The request comes from a page or through the API.
#[derive(Debug)]
pub(crate) struct Exemption {
    /// The repository, such as `acme/widgets`.
    pub(crate) repository: String,
    pub(crate) keys: Vec<String>,
    pub(crate) until: String,
    pub(crate) reason: String,
    /// The token of the form.
    pub(crate) token: String,
}

impl SignIn {
    /// Creates the sign-in of the pages at `origin`. `origin` consists of a scheme, a host and
    /// possibly a port.
    pub fn new(
        origin: &str,
        provider: Arc<dyn IdentityProvider>,
        decisions: Arc<dyn Decisions>,
        (store, clock): (Arc<dyn Store>, Clock),
    ) -> Self {
        let minute = Duration::from_secs(60);
        Self {
            origin: origin.to_owned(),
            cookies: Cookies { is_secure: origin.starts_with("https://") },
            attempts: Attempts::new(store.clone()),
            begun: Limit::new(MOST, minute),
            returned: Limit::new(MOST, minute),
            asked: PersonLimit::new(MOST_OF_PERSON, minute),
            sessions: Sessions { store, clock, provider, ends: watch::channel(()).0 },
            decisions,
        }
    }

    /// Returns whether the request names the host of the pages as its host. Without this check, the
    /// host name of a website could resolve to the address of the listener.
    pub(crate) fn is_own_host(&self, headers: &HeaderMap) -> bool {
        let own = self.origin.split_once("://").map_or("", |(_, authority)| authority);
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        host.is_some_and(|host| host.eq_ignore_ascii_case(own))
    }

    /// Returns whether a page of this listener sent the request. A browser adds the header `Origin`
    /// to every request that can change something.
    pub(crate) fn is_own_origin(&self, headers: &HeaderMap) -> bool {
        headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes() == self.origin.as_bytes())
    }

    /// Returns the person who sent a request. Returns `None` if the request has no valid session.
    pub(crate) async fn visitor(&self, headers: &HeaderMap) -> Result<Option<Visitor>, Denied> {
        self.asking(headers, Asker::Person).await
    }

    /// Returns the person whose open page sent a request without an action of the person. Such a
    /// request does not extend the session. In contrast, [`SignIn::visitor`] extends the session.
    pub(crate) async fn onlooker(&self, headers: &HeaderMap) -> Result<Option<Visitor>, Denied> {
        self.asking(headers, Asker::OpenPage).await
    }

    async fn asking(&self, headers: &HeaderMap, asker: Asker) -> Result<Option<Visitor>, Denied> {
        match self.cookies.read(headers, SESSION) {
            Some(id) => self.sessions.visitor(id, asker).await,
            None => Ok(None),
        }
    }

    /// Returns whether the session of a visitor is still valid and the role is still the same.
    /// Returns `None` if Beadle does not know this.
    pub(crate) async fn lasts(&self, visitor: &Visitor) -> Option<bool> {
        self.sessions.lasts(visitor).await.ok()
    }

    /// Returns a receiver that reports each session that ends in this process.
    pub(crate) fn ends(&self) -> watch::Receiver<()> {
        self.sessions.ends.subscribe()
    }

    /// Begins a sign-in. Returns the address at the provider, and the header that sets the cookie.
    pub(crate) async fn begin(&self, headers: &HeaderMap) -> Result<(String, HeaderValue), Problem> {
        // Without this check, a website with 60 images could use up all sign-ins that are allowed
        // in a minute.
        if !is_opened(headers) {
            return Err(Problem::Embedded);
        }
        let now = self.sessions.clock.now();
        if !self.begun.admits(now) {
            return Err(Problem::TooMany);
        }
        let (cookie, secrets) = self.attempts.begin(now).await.map_err(|error| unavailable(&error))?;
        let challenge = Challenge {
            state: secrets.state,
            nonce: secrets.nonce,
            code_challenge: code_challenge(&secrets.verifier),
            redirect: self.redirect(),
        };
        let address = self.sessions.provider.address(&challenge).await.map_err(|failure| failed(&failure))?;
        Ok((address, self.cookies.set(ATTEMPT, &cookie, attempts::LIFE)))
    }

    fn redirect(&self) -> String {
        format!("{}{RETURN_PATH}", self.origin)
    }

    /// Ends a sign-in: identifies the person, and begins a session with a new id. Returns the
    /// headers that set cookies.
    pub(crate) async fn finish(
        &self,
        headers: &HeaderMap,
        returned: Returned,
    ) -> Result<[HeaderValue; 2], Problem> {
        let now = self.sessions.clock.now();
        let attempt = self.cookies.read(headers, ATTEMPT).unwrap_or_default();
        let finished = self.attempts.finish(attempt, &returned.state, now).await;
        let secrets = finished.map_err(|error| unavailable(&error))?.ok_or(Problem::Unexpected)?;
        if returned.code.is_empty() || !returned.error.is_empty() {
            return Err(Problem::Refused);
        }
        if !self.returned.admits(now) {
            return Err(Problem::TooMany);
        }
        let proof = Proof {
            code: returned.code,
            verifier: secrets.verifier,
            nonce: secrets.nonce,
            redirect: self.redirect(),
        };
        let identified = self.sessions.provider.identify(&proof).await;
        let (person, role) = identified.map_err(|failure| failed(&failure))?;
        let Some(role) = role else {
            tracing::warn!(person = person.name, "sign-in refused, the person has no role");
            return Err(Problem::NoRole(person.name));
        };
        tracing::info!(person = person.name, role = role.as_str(), "signed in");
        if let Some(previous) = self.cookies.read(headers, SESSION) {
            self.sessions.end(previous).await.map_err(|error| unavailable(&error))?;
        }
        let id = self.sessions.begin(person, role).await.map_err(|error| unavailable(&error))?;
        Ok([self.cookies.set(SESSION, &id, sessions::LIFE), self.cookies.clear(ATTEMPT)])
    }

    /// Signs a person out. Returns the header that deletes the cookie.
    pub(crate) async fn end(&self, visitor: &Visitor, token: &str) -> Result<HeaderValue, DecisionRefusal> {
        check_token(visitor, token)?;
        let ended = self.sessions.end_of(visitor).await;
        ended.map_err(|error| DecisionRefusal::Unavailable(error.to_string()))?;
        Ok(self.cookies.clear(SESSION))
    }

    /// Checks three conditions: the request comes from a form of the session, the person does not
    /// send too many requests, and the person has the role at this moment.
    async fn admit(&self, visitor: &Visitor, token: &str, needed: Role) -> Result<(), DecisionRefusal> {
        check_token(visitor, token)?;
        if !self.asked.admits(&visitor.person.id, self.now()) {
            let why = format!("at most {MOST_OF_PERSON} requests of a person in a minute: try again later");
            return Err(DecisionRefusal::TooMany(why));
        }
        self.sessions.authorise(visitor, needed).await.map_err(denied)
    }

    /// Confirms the present role of a person, and carries out the person's decision.
    pub(crate) async fn decide(
        &self,
        visitor: &Visitor,
        ruled: Ruled,
    ) -> Result<DecisionEnd, DecisionRefusal> {
        let needed = match ruled.ruling {
            Ruling::Approve => Role::Approver,
            Ruling::Reject => Role::Operator,
        };
        self.admit(visitor, &ruled.token, needed).await?;
        // The person cannot have seen changes in the future. If Beadle accepted such a time, it
        // would not notice changes that the guard has held again.
        if ruled.shown > self.sessions.clock.now() + AHEAD {
            return Err(DecisionRefusal::Invalid("`shown` must not be in the future".to_owned()));
        }
        let asked = DecisionRequest {
            codes: ruled.codes,
            ruling: ruled.ruling,
            reason: checked_reason(&ruled.reason)?,
            by: self.signature(visitor),
            login: visitor.person.login.clone(),
            shown: ruled.shown,
            confirmed: ruled.confirmed,
        };
        self.decisions.decide(&asked).await
    }

    /// Stores the waiver of a person. A waiver needs the role of an approver, because Beadle does
    /// not repair the exempt keys.
    pub(crate) async fn waive(
        &self,
        visitor: &Visitor,
        exemption: Exemption,
    ) -> Result<WaiverDone, DecisionRefusal> {
        self.admit(visitor, &exemption.token, Role::Approver).await?;
        let asked = WaiverRequest {
            repository: exemption.repository,
            keys: exemption.keys,
            until: exemption.until,
            reason: checked_reason(&exemption.reason)?,
            by: self.signature(visitor),
        };
        self.decisions.waive(&asked).await
    }

    /// Returns the key paths that the form of a waiver suggests in an organisation.
    pub(crate) fn waivable_keys(&self, organisation: &str) -> Vec<String> {
        self.decisions.waivable_keys(organisation)
    }

    /// Returns the path of the key that a value of a change belongs to, see
    /// [`Decisions::key_of_value`].
    pub(crate) fn key_of_value(&self, organisation: &str, value: (&str, &str, &str)) -> Option<String> {
        self.decisions.key_of_value(organisation, value)
    }

    /// Confirms the present role of a person, and carries out the person's operation.
    pub(crate) async fn operate(
        &self,
        visitor: &Visitor,
        operation: Operation,
        token: &str,
    ) -> Result<OperationDone, DecisionRefusal> {
        self.admit(visitor, token, operation.role()).await?;
        let operation = match operation {
            Operation::ApprovePolicy { plan, generation, reason } => {
                Operation::ApprovePolicy { plan, generation, reason: checked_reason(&reason)? }
            }
            Operation::Undo { request, plan, reason } => {
                check_undo(&request, self.now())?;
                let reason = reason.map(|reason| checked_reason(&reason)).transpose()?;
                Operation::Undo { request, plan, reason }
            }
            other => other,
        };
        let asked =
            OperationRequest { operation, by: self.signature(visitor), login: visitor.person.login.clone() };
        self.decisions.operate(&asked).await
    }

    /// Plans an undo for a person. The plan needs the role of an approver, because it makes many
    /// calls to GitHub.
    pub(crate) async fn plan_undo(
        &self,
        visitor: &Visitor,
        request: &UndoRequest,
        token: &str,
    ) -> Result<UndoPreview, DecisionRefusal> {
        self.admit(visitor, token, Role::Approver).await?;
        check_undo(request, self.now())?;
        self.decisions.plan_undo(request).await
    }

    /// Returns the present time.
    pub(crate) fn now(&self) -> Time {
        self.sessions.clock.now()
    }

    /// Returns the name of a person for the journal.
    fn signature(&self, visitor: &Visitor) -> String {
        format!("{} (signed in with {})", visitor.person.name, self.sessions.provider.name())
    }
}

/// Returns whether a person opened an address in a browser. Returns `false` if another page
/// contains the address, for example as an image. Programs and old browsers do not send the headers
/// that this function reads.
fn is_opened(headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &str| headers.get(name).is_none_or(|found| found == value);
    is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document")
}

/// Checks a reason. Returns the reason without spaces at its beginning and end.
fn checked_reason(text: &str) -> Result<String, DecisionRefusal> {
    let reason = text.trim();
    let length = reason.chars().count();
    if length == 0 || length > LONGEST_REASON || reason.chars().any(char::is_control) {
        let why = format!("the reason must have 1 to {LONGEST_REASON} characters, in one line");
        return Err(DecisionRefusal::Invalid(why));
    }
    Ok(reason.to_owned())
}

/// Checks that the request for an undo selects the writes in exactly one way.
fn check_undo(request: &UndoRequest, now: Time) -> Result<(), DecisionRefusal> {
    let is_later = request.since.is_some_and(|since| since > now);
    if request.runs.is_empty() == request.since.is_none() || is_later {
        let why =
            "an undo needs either runs, or a time in the past: Beadle undoes its writes since this time";
        return Err(DecisionRefusal::Invalid(why.to_owned()));
    }
    Ok(())
}

fn unavailable(error: &StoreError) -> Problem {
    Problem::Unavailable(error.to_string())
}

/// Logs why the provider did not identify a person.
fn failed(failure: &SignInFailure) -> Problem {
    tracing::warn!(error = failure.0, "sign-in failed");
    Problem::Failed
}

/// Checks that a request comes from a form of the session.
fn check_token(visitor: &Visitor, token: &str) -> Result<(), DecisionRefusal> {
    if are_equal(&visitor.token, token) {
        return Ok(());
    }
    let why = "the request is not from a page of this session: open the page again".to_owned();
    Err(DecisionRefusal::Forbidden(why))
}

fn denied(denied: Denied) -> DecisionRefusal {
    match denied {
        Denied::Ended => DecisionRefusal::Forbidden("the session ended: sign in again".to_owned()),
        Denied::Stale => DecisionRefusal::Forbidden(
            "your role was confirmed more than 10 minutes ago: sign in again to decide".to_owned(),
        ),
        Denied::Role(needed) => {
            DecisionRefusal::Forbidden(format!("this needs the role `{}`", needed.as_str()))
        }
        Denied::Unknown(why) => DecisionRefusal::Unavailable(why),
    }
}

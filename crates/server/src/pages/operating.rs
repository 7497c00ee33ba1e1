//! The operations of signed-in people: pauses, retries, sweeps, background tasks, approvals of held
//! policies, ends of waivers and undos. A form and a request to the API cause the same operation.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use beadle_engine::{Time, UndoStart};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::access::Wanted;
use super::admission::nobody;
use super::answers;
use super::html::text;
use super::operation_answers::{Read, json, operate, operate_for_program, refusal_page, span};
use super::operation_forms::{
    END_UNDO_PATH, END_WAIVER_PATH, ORGANISATION, PAUSE_PATH, POLICY_PATH, RELOAD_PATH, REPOSITORY,
    RESUME_PATH, RETRY_PATH, SWEEP_PATH, TARGET, TASK_PATH, UNDO_PATH, UNDO_PLAN_PATH, undo_form,
};
use super::parts::paragraph;
use super::requests::{Form, LARGEST, Sender, Shared, field, fields, form, invalid, status, token};
use super::undo_plan;
use crate::sign_in::{Operation, ScopeRequest, SignIn, UndoPreview, UndoRequest, Visitor};

/// The paths of the API for operations, in this order: approve a held policy, pause, end a pause,
/// retry, sweep, end a waiver, reload, run a task, plan an undo, undo, end an undo.
pub(super) const API: [&str; 11] = [
    "/api/v1/policy/{plan}/approve",
    "/api/v1/pauses",
    "/api/v1/pauses/end",
    "/api/v1/queue/retry",
    "/api/v1/sweeps",
    "/api/v1/waivers/end",
    "/api/v1/configuration/reload",
    "/api/v1/tasks/{name}/run",
    "/api/v1/undo/plan",
    "/api/v1/undo",
    "/api/v1/undo/end",
];

/// Returns the routes.
pub(super) fn router<S: Clone + Send + Sync + 'static>(sign_in: Arc<SignIn>) -> Router<S> {
    let [of_policy, of_pause, of_resume, of_retry, of_sweep, of_waiver_end, ..] = API;
    let [.., of_reload, of_task, of_undo_plan, of_undo, of_undo_end] = API;
    Router::new()
        .route(POLICY_PATH, post(approve_policy))
        .route(PAUSE_PATH, post(by_form::<PauseBody>))
        .route(RESUME_PATH, post(by_form::<ResumeBody>))
        .route(RETRY_PATH, post(by_form::<RetryBody>))
        .route(SWEEP_PATH, post(by_form::<SweepBody>))
        .route(END_WAIVER_PATH, post(by_form::<EndWaiverBody>))
        .route(RELOAD_PATH, post(reload))
        .route(TASK_PATH, post(run_task))
        .route(UNDO_PATH, get(show_undo).post(by_form::<UndoBody>))
        .route(UNDO_PLAN_PATH, post(plan_undo))
        .route(END_UNDO_PATH, post(by_form::<EndUndoBody>))
        .route(of_policy, post(approve_policy_by_program))
        .route(of_pause, post(by_program::<PauseBody>))
        .route(of_resume, post(by_program::<ResumeBody>))
        .route(of_retry, post(by_program::<RetryBody>))
        .route(of_sweep, post(by_program::<SweepBody>))
        .route(of_waiver_end, post(by_program::<EndWaiverBody>))
        .route(of_reload, post(reload_by_program))
        .route(of_task, post(run_task_by_program))
        .route(of_undo_plan, post(plan_undo_by_program))
        .route(of_undo, post(by_program::<UndoBody>))
        .route(of_undo_end, post(by_program::<EndUndoBody>))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(sign_in)
}

/// The body of a request for an operation. A form contains the same values as a JSON body.
trait Asked: DeserializeOwned {
    /// The path of a page. The answer contains a link to this page.
    const PLACE: &'static str;
    /// Describes the JSON body.
    const PARTS: &'static str;

    /// Returns the values of a form. `now` is the time at which the person sends the form.
    fn of_form(form: &Form, now: Time) -> Read<Self>;

    /// Returns the operation.
    fn operation(self) -> Read<Operation>;
}

async fn by_form<A: Asked>(State(sign_in): Shared, sender: Sender, body: Bytes) -> Response {
    let form = form(&body);
    let operation = A::of_form(&form, sign_in.now()).and_then(A::operation);
    operate(&sign_in, sender, A::PLACE, (&form, operation)).await
}

async fn by_program<A: Asked>(
    State(sign_in): Shared,
    sender: Sender,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let operation = json::<A>(&body, A::PARTS).and_then(A::operation);
    operate_for_program(&sign_in, sender, &headers, operation).await
}

/// The part of a body that contains a scope.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ScopeBody {
    organisation: Option<String>,
    repository: Option<String>,
    target: Option<String>,
}

impl ScopeBody {
    /// Describes a body that contains only a scope.
    const PARTS: &'static str = "one of `organisation`, `repository` and `target`";

    /// Returns the scope of a form. The form contains either the same fields as the API, or one
    /// field with the kind and the name.
    fn of_form(form: &Form) -> Self {
        let chosen = field(form, "scope");
        if let Some((kind, name)) = chosen.split_once('/') {
            let of = |wanted: &str| (kind == wanted).then(|| name.to_owned());
            return Self { organisation: of(ORGANISATION), repository: of(REPOSITORY), target: of(TARGET) };
        }
        let value = |name: &str| Some(field(form, name)).filter(|value| !value.is_empty());
        Self { organisation: value(ORGANISATION), repository: value(REPOSITORY), target: value(TARGET) }
    }

    fn scope(self) -> Read<ScopeRequest> {
        match (self.organisation, self.repository, self.target) {
            (Some(name), None, None) => Ok(ScopeRequest::Organisation(name)),
            (None, Some(name), None) => Ok(ScopeRequest::Repository(name)),
            (None, None, Some(name)) => Ok(ScopeRequest::Target(name)),
            _ => Err(invalid("the request needs one of `organisation`, `repository` and `target`")),
        }
    }
}

async fn approve_policy(State(sign_in): Shared, sender: Sender, body: Bytes) -> Response {
    let form = form(&body);
    let operation = Operation::ApprovePolicy {
        plan: field(&form, "plan"),
        generation: field(&form, "generation"),
        reason: field(&form, "reason"),
    };
    operate(&sign_in, sender, "/policy", (&form, Ok(operation))).await
}

/// The body of a request to approve a held policy.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyBody {
    generation: String,
    reason: String,
}

async fn approve_policy_by_program(
    State(sign_in): Shared,
    sender: Sender,
    Path(plan): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let read = json::<PolicyBody>(&body, "`generation` and `reason`");
    let operation =
        read.map(|PolicyBody { generation, reason }| Operation::ApprovePolicy { plan, generation, reason });
    operate_for_program(&sign_in, sender, &headers, operation).await
}

/// The body of a pause.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PauseBody {
    organisation: Option<String>,
    repository: Option<String>,
    target: Option<String>,
    #[serde(rename = "for")]
    time: String,
}

impl Asked for PauseBody {
    const PLACE: &'static str = "/queue";
    const PARTS: &'static str = "`for`, and one of `organisation`, `repository` and `target`";

    fn of_form(form: &Form, _: Time) -> Read<Self> {
        let ScopeBody { organisation, repository, target } = ScopeBody::of_form(form);
        Ok(Self { organisation, repository, target, time: field(form, "for") })
    }

    fn operation(self) -> Read<Operation> {
        let Self { organisation, repository, target, time } = self;
        let (scope, time) = (ScopeBody { organisation, repository, target }.scope()?, span(&time)?);
        Ok(Operation::Pause { scope, time })
    }
}

/// The body of a request to end a pause.
#[derive(Deserialize)]
struct ResumeBody(ScopeBody);

impl Asked for ResumeBody {
    const PLACE: &'static str = "/queue";
    const PARTS: &'static str = ScopeBody::PARTS;

    fn of_form(form: &Form, _: Time) -> Read<Self> {
        Ok(Self(ScopeBody::of_form(form)))
    }

    fn operation(self) -> Read<Operation> {
        Ok(Operation::Resume { scope: self.0.scope()? })
    }
}

/// The body of a request to end an undo.
#[derive(Deserialize)]
struct EndUndoBody(ScopeBody);

impl Asked for EndUndoBody {
    const PLACE: &'static str = "/repositories";
    const PARTS: &'static str = ScopeBody::PARTS;

    fn of_form(form: &Form, _: Time) -> Read<Self> {
        Ok(Self(ScopeBody::of_form(form)))
    }

    fn operation(self) -> Read<Operation> {
        Ok(Operation::EndUndo { scope: self.0.scope()? })
    }
}

/// The body of a retry.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetryBody {
    key: String,
}

impl Asked for RetryBody {
    const PLACE: &'static str = "/queue";
    const PARTS: &'static str = "`key`, a key or the name of a repository or a group";

    fn of_form(form: &Form, _: Time) -> Read<Self> {
        Ok(Self { key: field(form, "key") })
    }

    fn operation(self) -> Read<Operation> {
        Ok(Operation::Retry { name: self.key })
    }
}

/// The body of a sweep.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SweepBody {
    name: String,
}

impl Asked for SweepBody {
    const PLACE: &'static str = "/queue";
    const PARTS: &'static str = "`name`, an organisation or a directory";

    fn of_form(form: &Form, _: Time) -> Read<Self> {
        Ok(Self { name: field(form, "name") })
    }

    fn operation(self) -> Read<Operation> {
        Ok(Operation::Sweep { name: self.name })
    }
}

/// The body of a request to end a waiver.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndWaiverBody {
    code: String,
}

impl Asked for EndWaiverBody {
    const PLACE: &'static str = "/policy";
    const PARTS: &'static str = "`code`, the code of a waiver";

    fn of_form(form: &Form, _: Time) -> Read<Self> {
        Ok(Self { code: field(form, "code") })
    }

    fn operation(self) -> Read<Operation> {
        Ok(Operation::EndWaiver { code: self.code })
    }
}

async fn reload(State(sign_in): Shared, sender: Sender, body: Bytes) -> Response {
    operate(&sign_in, sender, "/tasks", (&form(&body), Ok(Operation::Reload))).await
}

async fn reload_by_program(State(sign_in): Shared, sender: Sender, headers: HeaderMap) -> Response {
    operate_for_program(&sign_in, sender, &headers, Ok(Operation::Reload)).await
}

async fn run_task(State(sign_in): Shared, sender: Sender, body: Bytes) -> Response {
    let form = form(&body);
    let operation = Operation::RunTask { name: field(&form, "name") };
    operate(&sign_in, sender, "/tasks", (&form, Ok(operation))).await
}

async fn run_task_by_program(
    State(sign_in): Shared,
    sender: Sender,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    operate_for_program(&sign_in, sender, &headers, Ok(Operation::RunTask { name })).await
}

/// Shows the form of an undo. The query contains the initial values of the form's fields.
async fn show_undo(sender: Sender, Query(asked): Query<Form>) -> Response {
    let Some(Extension(visitor)) = sender else { return nobody(Wanted::Page) };
    let first = ["runs", "repositories", "keys"].map(|name| field(&asked, name));
    let about = "Beadle first shows the plan, and writes nothing. Values that somebody changed since the \
                 write of Beadle are left alone.";
    let content = vec![paragraph([text(about)]), undo_form(&visitor, &first)];
    answers::page(StatusCode::OK, "Undo", UNDO_PATH, content)
}

/// Returns the writes that a form selects.
fn undo_of(form: &Form, now: Time) -> Read<UndoRequest> {
    let value = |name: &str| Some(field(form, name).trim().to_owned()).filter(|value| !value.is_empty());
    let since = match (value("since"), value("last")) {
        (Some(since), _) => {
            Some(Time(since.parse().map_err(|_| invalid("`since` must be a time in milliseconds"))?))
        }
        (None, Some(last)) => {
            let start = UndoStart::parse(&last).and_then(|start| start.time(now));
            Some(start.map_err(|why| invalid(&why))?)
        }
        (None, None) => None,
    };
    let [runs, repositories, keys] = ["runs", "repositories", "keys"].map(|name| fields(form, name));
    Ok(UndoRequest { runs, since, organisation: value(ORGANISATION), repositories, keys })
}

async fn plan_undo(State(sign_in): Shared, sender: Sender, body: Bytes) -> Response {
    let Some(Extension(visitor)) = sender else { return nobody(Wanted::Page) };
    let form = form(&body);
    let planned = match undo_of(&form, sign_in.now()) {
        Ok(asked) => sign_in.plan_undo(&visitor, &asked, &field(&form, "token")).await,
        Err(refusal) => Err(refusal),
    };
    match planned {
        Ok(preview) => {
            let content = undo_plan::content(&preview, &visitor);
            answers::page(StatusCode::OK, "Plan of the undo", UNDO_PATH, content)
        }
        Err(refusal) => refusal_page(&refusal, UNDO_PATH),
    }
}

/// Describes the parts of a body that selects writes.
const UNDO_PARTS: &str = "`runs`, or with `since`, a time in milliseconds; `organisation`, \
                          `repositories` and `keys` can limit the undo";

async fn plan_undo_by_program(
    State(sign_in): Shared,
    sender: Sender,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(Extension(visitor)) = sender else { return nobody(Wanted::Json) };
    match planned_for_program(&sign_in, &visitor, &headers, &body).await {
        Ok(preview) => Json(preview).into_response(),
        Err(refusal) => answers::error(status(&refusal), refusal.why()),
    }
}

async fn planned_for_program(
    sign_in: &SignIn,
    visitor: &Visitor,
    headers: &HeaderMap,
    body: &[u8],
) -> Read<UndoPreview> {
    let asked: UndoRequest = json(body, UNDO_PARTS)?;
    sign_in.plan_undo(visitor, &asked, &token(headers)).await
}

/// The body of an undo.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UndoBody {
    plan: String,
    request: UndoRequest,
    #[serde(default)]
    reason: Option<String>,
}

impl Asked for UndoBody {
    const PLACE: &'static str = "/journal";
    const PARTS: &'static str =
        "`plan` and `request`, as the plan of the undo has them; `reason` is optional";

    fn of_form(form: &Form, now: Time) -> Read<Self> {
        let (plan, reason) = (field(form, "plan"), Some(field(form, "reason")));
        Ok(Self { plan, request: undo_of(form, now)?, reason })
    }

    fn operation(self) -> Read<Operation> {
        let Self { plan, request, reason } = self;
        Ok(Operation::Undo { request, plan, reason })
    }
}

//! The routes for the sign-in, the account of the person, decisions about held changes, and
//! waivers.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use beadle_engine::Time;
use beadle_engine::guard::Ruling;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::json;

use super::access::Wanted;
use super::admission::{SIGN_IN_PATH, nobody};
use super::answers;
use super::html::{Attribute, Html, Tag, element, hidden, text};
use super::link::Link;
use super::parts::{counted, facts, link, paragraph, repository as page_of};
use super::requests::{Form, LARGEST, Sender, Shared, field, fields, form, invalid, status, token};
use super::ruling_confirmation::{self, AskedApproval};
use super::ruling_form::{CONFIRMATION_PATH, RULING_PATH, WAIVER_PATH, WaiverValues, waiver_form};
use crate::sign_in::{
    DecisionDone, DecisionEnd, DecisionRefusal, Exemption, Problem, RETURN_PATH, Returned, Ruled, SignIn,
    Visitor, WaiverDone,
};

/// The path of the page about the signed-in person.
pub(super) const ACCOUNT_PATH: &str = "/account";
/// The path for signing out.
const SIGN_OUT_PATH: &str = "/sign-out";
/// The paths of the API that need a signed-in person: the session, an approval, a rejection and a
/// waiver.
pub(super) const API: [&str; 4] =
    ["/api/v1/session", "/api/v1/holds/{code}/approve", "/api/v1/holds/{code}/reject", "/api/v1/waivers"];

/// Returns the routes.
pub(super) fn router<S: Clone + Send + Sync + 'static>(sign_in: Arc<SignIn>) -> Router<S> {
    let [of_session, of_approval, of_rejection, of_waiver] = API;
    Router::new()
        .route(SIGN_IN_PATH, get(begin))
        .route(RETURN_PATH, get(finish))
        .route(ACCOUNT_PATH, get(account))
        .route(SIGN_OUT_PATH, post(sign_out))
        .route(RULING_PATH, post(decide))
        .route(CONFIRMATION_PATH, post(confirm))
        .route(of_session, get(session))
        .route(of_approval, post(approve))
        .route(of_rejection, post(reject))
        .route(WAIVER_PATH, get(show_waiver).post(waive))
        .route(of_waiver, post(waive_by_program))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(sign_in)
}

/// Sends the browser to an address, and sets cookies. The address never comes from a request.
fn redirect(to: &str, cookies: impl IntoIterator<Item = HeaderValue>) -> Response {
    let Ok(to) = HeaderValue::from_str(to) else { return refused(&Problem::Failed) };
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(header::LOCATION, to);
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Returns the page about a failed sign-in.
fn refused(problem: &Problem) -> Response {
    let status = match problem {
        Problem::Unexpected => StatusCode::BAD_REQUEST,
        Problem::Embedded | Problem::Refused | Problem::NoRole(_) => StatusCode::FORBIDDEN,
        Problem::Failed => StatusCode::BAD_GATEWAY,
        Problem::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Problem::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let again = paragraph([link(&Link::to(SIGN_IN_PATH), "Sign in")]);
    let content = vec![paragraph([text(problem.text())]), again];
    answers::page(status, "Not signed in", SIGN_IN_PATH, content)
}

async fn begin(State(sign_in): Shared, headers: HeaderMap) -> Response {
    match sign_in.begin(&headers).await {
        Ok((address, cookie)) => redirect(&address, [cookie]),
        Err(problem) => refused(&problem),
    }
}

async fn finish(State(sign_in): Shared, headers: HeaderMap, Query(returned): Query<Returned>) -> Response {
    match sign_in.finish(&headers, returned).await {
        Ok(cookies) => redirect("/", cookies),
        Err(problem) => refused(&problem),
    }
}

async fn account(sender: Sender) -> Response {
    let Some(Extension(visitor)) = sender else { return nobody(Wanted::Page) };
    let form = element(
        Tag::Form,
        &[Attribute::Action(SIGN_OUT_PATH), Attribute::Method("post")],
        [hidden("token", &visitor.token), element(Tag::Button, &[], [text("Sign out")])],
    );
    let about = facts(vec![
        ("Name", text(&visitor.person.name)),
        ("Role", text(visitor.role.as_str())),
        ("Signed in", text(visitor.since)),
    ]);
    answers::page(StatusCode::OK, "Account", ACCOUNT_PATH, vec![about, form])
}

async fn session(sender: Sender) -> Response {
    let Some(Extension(visitor)) = sender else { return nobody(Wanted::Json) };
    let Visitor { person, role, since, token, .. } = visitor;
    Json(json!({ "name": person.name, "role": role, "since": since, "token": token })).into_response()
}

async fn sign_out(State(sign_in): Shared, sender: Sender, body: Bytes) -> Response {
    let Some(Extension(visitor)) = sender else { return nobody(Wanted::Page) };
    match sign_in.end(&visitor, &field(&form(&body), "token")).await {
        Ok(cookie) => redirect("/", [cookie]),
        Err(refusal) => refusal_page(&refusal),
    }
}

/// Handles a decision that a form sends.
async fn decide(State(sign_in): Shared, sender: Sender, body: Bytes) -> Response {
    let Some(Extension(visitor)) = sender else { return nobody(Wanted::Page) };
    let form = form(&body);
    let ruling = match field(&form, "ruling").as_str() {
        "approve" => Ruling::Approve,
        "reject" => Ruling::Reject,
        _ => return refusal_page(&invalid("`ruling` must be `approve` or `reject`")),
    };
    decide_by_form((sign_in.as_ref(), &visitor), &form, (ruling, false)).await
}

/// Handles an approval that a person confirmed.
async fn confirm(State(sign_in): Shared, sender: Sender, body: Bytes) -> Response {
    let Some(Extension(visitor)) = sender else { return nobody(Wanted::Page) };
    decide_by_form((sign_in.as_ref(), &visitor), &form(&body), (Ruling::Approve, true)).await
}

/// Carries out a decision, or shows the page on which the person confirms the decision.
async fn decide_by_form(
    (sign_in, visitor): (&SignIn, &Visitor),
    form: &Form,
    (ruling, confirmed): (Ruling, bool),
) -> Response {
    let Ok(shown) = field(form, "shown").parse().map(Time) else {
        return refusal_page(&invalid("`shown` must be a time in milliseconds"));
    };
    let (codes, reason, token) = (fields(form, "code"), field(form, "reason"), field(form, "token"));
    let asked = AskedApproval { codes: &codes, reason: &reason, shown };
    let ruled = Ruled { codes: codes.clone(), ruling, reason: reason.clone(), shown, confirmed, token };
    match sign_in.decide(visitor, ruled).await {
        Ok(DecisionEnd::Done(DecisionDone { changes })) => {
            answers::page(StatusCode::OK, "Decided", "/holds", decided(ruling, changes))
        }
        Ok(DecisionEnd::Unconfirmed(holds)) => {
            let content = ruling_confirmation::content(&holds, visitor, asked);
            answers::page(StatusCode::OK, "Confirm the approval", "/holds", content)
        }
        Err(refusal) => refusal_page(&refusal),
    }
}

/// Returns the content of the page about a stored decision: its result, and what happens next.
fn decided(ruling: Ruling, changes: usize) -> Vec<Html> {
    let what = format!("{} {}.", counted(changes, "change", "changes"), past(ruling));
    let next = match ruling {
        Ruling::Approve => "Beadle writes approved changes in its next run. The journal shows each write.",
        Ruling::Reject => "Beadle goes on holding rejected changes until somebody approves them.",
    };
    let result = element(Tag::P, &[Attribute::Class("call"), Attribute::Role("status")], [text(what)]);
    let (holds, journal) = (Link::to("/holds"), Link::to("/journal"));
    let links = [link(&holds, "All held changes"), text(" · "), link(&journal, "Journal")];
    vec![result, paragraph([text(next)]), paragraph(links)]
}

fn past(ruling: Ruling) -> &'static str {
    match ruling {
        Ruling::Approve => "approved",
        Ruling::Reject => "rejected",
    }
}

fn refusal_page(refusal: &DecisionRefusal) -> Response {
    let back = paragraph([link(&Link::to("/holds"), "All held changes")]);
    let content = vec![paragraph([text(refusal.why())]), back];
    let title = match refusal {
        DecisionRefusal::Partial(_) => "Decided in part",
        _ => "Not decided",
    };
    answers::page(status(refusal), title, "/holds", content)
}

/// The body of a decision through the API.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulingBody {
    reason: String,
    shown: Time,
}

async fn approve(
    State(sign_in): Shared,
    sender: Sender,
    Path(code): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    decide_by_program(&sign_in, sender, (code, Ruling::Approve), (&headers, &body)).await
}

async fn reject(
    State(sign_in): Shared,
    sender: Sender,
    Path(code): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    decide_by_program(&sign_in, sender, (code, Ruling::Reject), (&headers, &body)).await
}

/// Handles a decision that a program sends to the API.
async fn decide_by_program(
    sign_in: &SignIn,
    sender: Sender,
    (code, ruling): (String, Ruling),
    (headers, body): (&HeaderMap, &[u8]),
) -> Response {
    let Some(Extension(visitor)) = sender else { return nobody(Wanted::Json) };
    let Ok(RulingBody { reason, shown }) = serde_json::from_slice(body) else {
        let why = "the body must be JSON with `reason`, and with `shown`, a time in milliseconds";
        return answers::error(StatusCode::BAD_REQUEST, why);
    };
    // A program shows the changes to the person in its own way, so one request is enough.
    let ruled = Ruled { codes: vec![code], ruling, reason, shown, confirmed: true, token: token(headers) };
    match sign_in.decide(&visitor, ruled).await {
        Ok(DecisionEnd::Done(DecisionDone { changes })) => {
            Json(json!({ "decision": past(ruling), "changes": changes })).into_response()
        }
        Ok(DecisionEnd::Unconfirmed(_)) => {
            answers::error(StatusCode::CONFLICT, "the decision is not confirmed")
        }
        Err(refusal) => answers::error(status(&refusal), refusal.why()),
    }
}

/// Shows the form of a waiver. The query contains the repository and the keys.
async fn show_waiver(
    State(sign_in): Shared,
    sender: Sender,
    headers: HeaderMap,
    Query(asked): Query<Form>,
) -> Response {
    let Some(Extension(visitor)) = sender else { return nobody(Wanted::Page) };
    // The page contains the token of the session. So another website must not choose the values on
    // the page.
    let site = headers.get("sec-fetch-site");
    if site.is_some_and(|site| site != "same-origin" && site != "none") {
        let why = "open the form of a waiver from the page of the repository";
        let refusal = DecisionRefusal::Forbidden(why.to_owned());
        return not_waived((sign_in.as_ref(), &visitor), &Form::new(), &refusal);
    }
    let (repository, keys) = (field(&asked, "repository"), field(&asked, "keys"));
    let organisation = repository.split_once('/').map_or("", |(organisation, _)| organisation);
    let values = WaiverValues { repository: &repository, keys: &keys, ..WaiverValues::default() };
    let form = waiver_form(Some(&visitor), values, &sign_in.waivable_keys(organisation));
    let form =
        if form == Html::default() { paragraph([text("Only an approver can exempt keys.")]) } else { form };
    let page = page_of(&repository).map(|page| paragraph([link(&page, &repository)])).unwrap_or_default();
    let about = "Until the end of the waiver, Beadle does not compare the keys in this repository.";
    let content = vec![page, paragraph([text(about)]), form];
    answers::page(StatusCode::OK, "Waive", "/repositories", content)
}

/// Handles a request for a waiver that a form sends.
async fn waive(State(sign_in): Shared, sender: Sender, body: Bytes) -> Response {
    let Some(Extension(visitor)) = sender else { return nobody(Wanted::Page) };
    let form = form(&body);
    let exemption = Exemption {
        repository: field(&form, "repository"),
        keys: fields(&form, "keys"),
        until: field(&form, "until"),
        reason: field(&form, "reason"),
        token: field(&form, "token"),
    };
    match sign_in.waive(&visitor, exemption).await {
        Ok(WaiverDone { code, until, undeclared }) => {
            let what = paragraph([text(format!("The waiver {code} ends at {until}."))]);
            let all = paragraph([link(&Link::to("/policy"), "All waivers")]);
            answers::page(StatusCode::OK, "Waived", "/policy", vec![what, undeclared_keys(undeclared), all])
        }
        Err(refusal) => not_waived((sign_in.as_ref(), &visitor), &form, &refusal),
    }
}

/// Returns a sentence about the keys of a waiver that the policy does not declare. Returns nothing
/// if the policy declares all keys of the waiver.
fn undeclared_keys(count: Option<usize>) -> Html {
    let what = match count {
        Some(0) => return Html::default(),
        Some(count) => {
            let keys = counted(count, "key", "keys");
            format!(
                "The policy does not declare {keys} of the waiver. If Beadle would remove such an entry, the waiver keeps \
                 it. Otherwise, check the spelling."
            )
        }
        None => "Beadle could not compare the keys with the policy.".to_owned(),
    };
    element(Tag::P, &[Attribute::Role("alert")], [text(what)])
}

/// Returns the page about a refused waiver. The page shows the form again, with the values that the
/// person sent.
fn not_waived((sign_in, visitor): (&SignIn, &Visitor), sent: &Form, refusal: &DecisionRefusal) -> Response {
    let values = ["repository", "keys", "until", "reason"].map(|name| field(sent, name));
    let [repository, keys, until, reason] = values.each_ref().map(String::as_str);
    // The values might come from another website. That website does not know the token of the
    // session. So the page must not contain the token together with values from another website.
    let form = if matches!(refusal, DecisionRefusal::Forbidden(_)) {
        Html::default()
    } else {
        let values = WaiverValues { repository, keys, until, reason };
        let organisation = repository.split_once('/').map_or("", |(organisation, _)| organisation);
        waiver_form(Some(visitor), values, &sign_in.waivable_keys(organisation))
    };
    let why = element(Tag::P, &[Attribute::Role("alert")], [text(refusal.why())]);
    let back = page_of(repository).map(|page| paragraph([link(&page, repository)])).unwrap_or_default();
    answers::page(status(refusal), "Not waived", "/repositories", vec![why, form, back])
}

/// The body of a waiver through the API.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WaiverBody {
    repository: String,
    keys: Vec<String>,
    until: String,
    reason: String,
}

/// Handles a request for a waiver that a program sends to the API.
async fn waive_by_program(
    State(sign_in): Shared,
    sender: Sender,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(Extension(visitor)) = sender else { return nobody(Wanted::Json) };
    let Ok(WaiverBody { repository, keys, until, reason }) = serde_json::from_slice(&body) else {
        let why = "the body must be JSON with `repository`, `keys`, `until` and `reason`";
        return answers::error(StatusCode::BAD_REQUEST, why);
    };
    let exemption = Exemption { repository, keys, until, reason, token: token(&headers) };
    match sign_in.waive(&visitor, exemption).await {
        Ok(WaiverDone { code, until, undeclared }) => {
            Json(json!({ "code": code, "until": until, "undeclared": undeclared })).into_response()
        }
        Err(refusal) => answers::error(status(&refusal), refusal.why()),
    }
}

//! The operator listener with `/readyz`, `/metrics`, `/tasks`, `/reload` and the pages. By default,
//! the listener accepts connections only from the same machine.

use parking_lot::RwLock;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use beadle_engine::gate::{HELD_NOTE, is_of_command};
use beadle_engine::{Budgets, Clock, Depth, Driver, Store, StoreError, TaskRecord, Time, WorkerCounts, note};
use http::{HeaderMap, StatusCode, header};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::pages::{Pages, hardened};
use crate::reloads::Reloads;

/// The maximum time that the listener waits for the store. Most callers do not wait much longer
/// than this.
const PATIENCE: Duration = Duration::from_secs(2);

/// Everything that the operator listener shows.
pub struct Operator {
    /// The store, which contains the queue and the holds.
    pub store: Arc<dyn Store>,
    /// The source of the current time.
    pub clock: Clock,
    /// The metrics of this process.
    pub metrics: Arc<Metrics>,
    /// The counts of the worker's results.
    pub counts: Arc<WorkerCounts>,
    /// The budgets of all credentials that are in use.
    pub budgets: Arc<RwLock<Vec<Budgets>>>,
    /// The driver of the background tasks.
    pub driver: Driver,
    /// Ends the task runs that operators started. After a reload, a task run must not continue with
    /// the previous configuration.
    pub stop: CancellationToken,
    /// The channel for requests to read the configuration again.
    pub reloads: Reloads,
    /// The pages and the API. Their rules for callers apply to the whole listener.
    pub pages: Arc<Pages>,
}

impl Operator {
    /// Returns the routes of the operator listener.
    pub fn router(self: Arc<Self>) -> axum::Router {
        let pages = self.pages.clone().router();
        axum::Router::new()
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .route("/tasks", get(tasks))
            .route("/tasks/{name}/run", post(run_task))
            .route("/reload", post(reload))
            .route_layer(map_response(hardened))
            .with_state(self)
            .merge(pages)
    }
}

const FROM_A_PAGE: (StatusCode, &str) =
    (StatusCode::FORBIDDEN, "a web page must not run a background task: use `beadle tasks run`\n");

const STOPPING: (StatusCode, &str) = (
    StatusCode::SERVICE_UNAVAILABLE,
    "the service stops, or it reads its configuration again: run the task again\n",
);

const RELOAD_FROM_A_PAGE: (StatusCode, &str) =
    (StatusCode::FORBIDDEN, "a web page must not reload the configuration: use `beadle reload`\n");

/// Returns whether a web page in a browser sent the request. A web page in an operator's browser
/// can send requests to the operator's machine. The listener on that machine might require no
/// token.
fn is_from_a_page(headers: &HeaderMap) -> bool {
    // Not every browser sends `Origin` with every request.
    headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site")
}

async fn ready(State(operator): State<Arc<Operator>>, headers: HeaderMap) -> Response {
    if let Some(refused) = operator.pages.program_refusal(&headers) {
        return refused;
    }
    if let Err(refused) = in_time(operator.store.ready()).await {
        return refused.into_response();
    }
    // The service is ready even if a background task fails, because the service still accepts
    // webhooks. The answer only lists the failing tasks.
    let failing = operator.driver.status().into_iter().filter_map(|task| failure_line(&task));
    let lines = std::iter::once("ready".to_owned()).chain(failing);
    lines.fold(String::new(), |text, line| text + &line + "\n").into_response()
}

/// Returns the name of a failing task, and the first line of the task's error. Returns `None` if
/// the task does not fail.
fn failure_line(task: &TaskRecord) -> Option<String> {
    let why = task.failure.as_ref()?;
    Some(format!("{}: {}", task.name, why.lines().next().unwrap_or_default()))
}

/// Answers with the status of all background tasks. A browser gets a page, and a program gets JSON.
async fn tasks(State(operator): State<Arc<Operator>>, headers: HeaderMap) -> Response {
    if let Some(page) = operator.pages.tasks_page(&headers).await {
        return page;
    }
    if let Some(refused) = operator.pages.api_refusal(&headers) {
        return refused;
    }
    Json(operator.driver.status_everywhere().await).into_response()
}

/// Runs a background task now, and answers with its status after the run.
async fn run_task(
    State(operator): State<Arc<Operator>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Some(refused) = operator.pages.program_refusal(&headers) {
        return refused;
    }
    if is_from_a_page(&headers) {
        return FROM_A_PAGE.into_response();
    }
    // The run continues if the caller closes the connection.
    let run = tokio::spawn(async move {
        tokio::select! {
            ran = operator.driver.activate(&name) => match ran {
                Ok(record) => Json(record).into_response(),
                Err(unknown) => (StatusCode::NOT_FOUND, format!("{unknown}\n")).into_response(),
            },
            () = operator.stop.cancelled() => STOPPING.into_response(),
        }
    });
    run.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// Makes the service read its configuration again, and answers with the changes of the reload.
async fn reload(State(operator): State<Arc<Operator>>, headers: HeaderMap) -> Response {
    if let Some(refused) = operator.pages.program_refusal(&headers) {
        return refused;
    }
    if is_from_a_page(&headers) {
        return RELOAD_FROM_A_PAGE.into_response();
    }
    match operator.reloads.ask().await {
        Ok(done) => Json(done).into_response(),
        Err(why) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{why}\n")).into_response(),
    }
}

/// The status and the text of an answer that refuses a request.
type Refused = (StatusCode, String);

/// Waits for the answer of the store. If the answer is late or is an error, returns a refusal.
async fn in_time<T>(asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, Refused> {
    let why = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => format!("{error}\n"),
        Err(_) => format!("the store did not answer within {} s\n", PATIENCE.as_secs()),
    };
    Err((StatusCode::SERVICE_UNAVAILABLE, why))
}

/// Returns the number of keys in the queue, and the number of held changes and policies. Approved
/// and rejected changes do not count, because no operator has to decide about them. For example, a
/// pause can delay the write of an approved change for days.
async fn figures(store: &dyn Store, now: Time) -> Result<(Depth, usize), StoreError> {
    let policies = store.notes(&note(HELD_NOTE, &[""])).await?;
    let policies = policies.iter().filter(|(name, _)| !is_of_command(name)).count();
    let waiting = store.all_holds().await?.count_waiting();
    Ok((store.depth(now).await?, waiting + policies))
}

async fn metrics(State(operator): State<Arc<Operator>>, headers: HeaderMap) -> Response {
    if let Some(refused) = operator.pages.program_refusal(&headers) {
        return refused;
    }
    let now = operator.clock.now();
    let (depth, held) = match in_time(figures(operator.store.as_ref(), now)).await {
        Ok(figures) => figures,
        Err(refused) => return refused.into_response(),
    };
    let budgets = operator.budgets.read().clone();
    match operator.metrics.scrape(&depth, held, now, &operator.counts, &budgets, &operator.driver.status()) {
        Ok(text) => {
            ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
                .into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use async_trait::async_trait;
    use axum::body::Body;
    use beadle_engine::{Key, Limits, testing};
    use secrecy::SecretString;

    use super::*;
    use crate::exchange::{exchange, request, store};
    use crate::pages::{
        Access, CoveringWaivers, Facts, InstallationFacts, Live, OrganisationFacts, PullFacts, UndoneFacts,
    };

    /// A process without organisations and targets.
    struct NoFacts;

    #[async_trait]
    impl Facts for NoFacts {
        async fn organisations(&self) -> Result<Vec<OrganisationFacts>, StoreError> {
            Ok(Vec::new())
        }

        fn names(&self) -> Vec<String> {
            Vec::new()
        }

        async fn pulls(&self) -> Result<Vec<PullFacts>, StoreError> {
            Ok(Vec::new())
        }

        async fn installations(&self) -> Result<Vec<InstallationFacts>, StoreError> {
            Ok(Vec::new())
        }

        async fn waivers(&self, _: &str, _: &str) -> Result<CoveringWaivers, StoreError> {
            Ok(CoveringWaivers::default())
        }

        async fn undone(&self, _: &Key) -> Result<Vec<UndoneFacts>, StoreError> {
            Ok(Vec::new())
        }

        fn targets(&self) -> Vec<String> {
            Vec::new()
        }
    }

    /// Sends a request to an operator listener with the token `secret`. Returns the status and the
    /// text of the answer.
    async fn answer(method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let (head, text) = listener(Some("secret"), method, path, headers).await;
        (head.status.as_u16(), text)
    }

    /// Sends a request to an operator listener with this token. Returns the head and the text of
    /// the answer.
    async fn listener(
        token: Option<&str>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (http::response::Parts, String) {
        let folder = tempfile::tempdir().unwrap();
        let (store, clock) = (store(&folder), Clock::system());
        let token = token.map(SecretString::from);
        let driver = Driver::new(store.clone(), clock.clone(), Vec::new());
        let stop = CancellationToken::new();
        let live = Live::new(store.clone(), clock.clone(), driver.clone(), stop.clone());
        let pages = Pages {
            store: store.clone(),
            clock: clock.clone(),
            driver: driver.clone(),
            facts: Arc::new(NoFacts),
            access: Access::new(token, IpAddr::from([127, 0, 0, 1])),
            sign_in: None,
            live: Arc::new(live),
            requests: tokio_util::task::TaskTracker::new(),
        };
        let operator = Operator {
            store,
            clock,
            metrics: Arc::default(),
            counts: Arc::default(),
            budgets: Arc::default(),
            driver,
            stop,
            reloads: Reloads::channel().0,
            pages: Arc::new(pages),
        };
        let request = request(method, path, headers, Body::empty());
        exchange(Arc::new(operator).router(), request).await
    }

    #[tokio::test]
    async fn an_unreadable_hold_counts_as_held() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let limits = Limits { removes: 0, ..Limits::default() };
        let asked = vec![testing::hold(1), testing::hold(2)];
        store.reserve(None, &limits, asked, Time(1)).await.unwrap().unwrap();
        let file = rusqlite::Connection::open(folder.path().join("beadle.db")).unwrap();
        file.execute("UPDATE hold SET hold = '{' WHERE digest = 'd1'", []).unwrap();
        let (_, held) = figures(store.as_ref(), Time(2)).await.unwrap();
        assert_eq!(held, 2);
    }

    #[tokio::test]
    async fn every_route_requires_the_token() {
        let valid = [("authorization", "Bearer secret")];
        let none: &[(&str, &str)] = &[];
        let unauthorised = "operator token missing or wrong: send `Authorization: Bearer TOKEN`\n";
        for (method, path) in [
            ("GET", "/readyz"),
            ("GET", "/metrics"),
            ("GET", "/tasks"),
            ("POST", "/tasks/x/run"),
            ("POST", "/reload"),
            ("GET", "/"),
        ] {
            for headers in [none, &[("authorization", "Bearer another")][..]] {
                assert_eq!(answer(method, path, headers).await, (401, unauthorised.to_owned()), "{path}");
            }
        }
        assert_eq!(answer("GET", "/readyz", &valid).await, (200, "ready\n".to_owned()));
        assert_eq!(answer("GET", "/tasks", &valid).await, (200, "[]".to_owned()));
        let browser = [valid[0], ("accept", "text/html,*/*;q=0.8")];
        let (status, page) = answer("GET", "/tasks", &browser).await;
        assert!(status == 200 && page.starts_with("<!DOCTYPE html>"), "{page}");
        let (status, metrics) = answer("GET", "/metrics", &valid).await;
        assert_eq!(status, 200, "{metrics}");
        assert!(metrics.contains("# HELP beadle_keys_parked Parked keys"), "{metrics}");
    }

    #[tokio::test]
    async fn without_a_token_a_request_to_another_name_of_this_machine_is_refused() {
        for (method, path, status) in [
            ("GET", "/readyz", 200),
            ("GET", "/metrics", 200),
            ("GET", "/tasks", 200),
            ("POST", "/tasks/x/run", 404),
            ("POST", "/reload", 422),
        ] {
            let (head, text) = listener(None, method, path, &[("host", "localhost:8081")]).await;
            assert_eq!(head.status.as_u16(), status, "{path}: {text}");
            for host in ["evil.example:8081", "127.0.0.1.evil.example", ""] {
                let (head, text) = listener(None, method, path, &[("host", host)]).await;
                assert_eq!(head.status.as_u16(), 403, "{path} of {host}: {text}");
                assert!(text.contains("`Host` must name this machine"), "{path} of {host}: {text}");
            }
        }
    }

    #[tokio::test]
    async fn every_answer_limits_what_a_browser_does() {
        for (method, path) in
            [("GET", "/readyz"), ("GET", "/metrics"), ("GET", "/tasks"), ("POST", "/reload")]
        {
            for host in ["127.0.0.1:8081", "evil.example"] {
                let (head, _) = listener(None, method, path, &[("host", host)]).await;
                let header = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap());
                assert_eq!(header("x-content-type-options"), Some("nosniff"), "{path}");
                assert_eq!(header("cross-origin-resource-policy"), Some("same-origin"), "{path}");
                assert_eq!(header("cache-control"), Some("no-store"), "{path}");
            }
        }
    }

    #[tokio::test]
    async fn a_page_in_a_browser_cannot_run_a_task() {
        let token = ("authorization", "Bearer secret");
        for sign in [
            ("origin", "https://elsewhere.example"),
            ("origin", "null"),
            ("origin", "http://127.0.0.1:8081"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-origin"),
        ] {
            for path in ["/tasks/x/run", "/reload"] {
                let (status, text) = answer("POST", path, &[token, sign]).await;
                assert_eq!(status, 403, "{path} {sign:?}: {text}");
            }
        }
        let origin = ("origin", "https://elsewhere.example");
        let (_, text) = answer("POST", "/tasks/x/run", &[token, origin]).await;
        assert!(text.contains("use `beadle tasks run`"), "{text}");
        let (status, text) = answer("POST", "/tasks/x/run", &[token]).await;
        assert_eq!((status, text.as_str()), (404, "there is no background task `x`\n"));
    }

    #[tokio::test]
    async fn a_page_in_a_browser_cannot_reload_the_configuration() {
        let token = ("authorization", "Bearer secret");
        let (status, text) =
            answer("POST", "/reload", &[token, ("origin", "https://elsewhere.example")]).await;
        assert_eq!(status, 403, "{text}");
        // In this test, nobody receives the reload request of the listener.
        let (status, text) = answer("POST", "/reload", &[token]).await;
        assert_eq!((status, text.as_str()), (422, "the service stops\n"));
        assert_eq!(answer("GET", "/reload", &[token]).await.0, 405);
    }
}

//! The routes of a listener. A new configuration can replace the routes while the listener serves
//! requests.

use std::sync::Arc;

use axum::body::Body;
use http::Request;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;

/// The present routes of a listener. Before the first call of [`RouterSwitch::replace`], the
/// listener has no routes.
#[derive(Clone, Default)]
pub struct RouterSwitch(Arc<Mutex<axum::Router>>);

impl RouterSwitch {
    /// Replaces the routes. A request that has already begun still uses the previous routes.
    pub fn replace(&self, router: axum::Router) {
        *self.0.lock() = router;
    }

    /// Returns routes that pass each request to the present routes.
    pub fn router(&self) -> axum::Router {
        let present = self.0.clone();
        axum::Router::new().fallback(move |request: Request<Body>| {
            let router = present.lock().clone();
            TowerToHyperService::new(router).call(request)
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;

    use super::*;
    use crate::exchange::{exchange, request};

    #[tokio::test]
    async fn each_request_gets_the_present_routes() {
        let switch = RouterSwitch::default();
        let routes = switch.router();
        let ask = async || {
            let (head, text) = exchange(routes.clone(), request("GET", "/a/b?c=d", &[], Body::empty())).await;
            (head.status.as_u16(), text)
        };
        assert_eq!(ask().await.0, 404);
        switch.replace(axum::Router::new().route("/a/{name}", get(async || "first")));
        assert_eq!(ask().await, (200, "first".to_owned()));
        switch.replace(axum::Router::new().route("/a/b", get(async || "second")));
        assert_eq!(ask().await, (200, "second".to_owned()));
    }
}

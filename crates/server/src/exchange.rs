//! Functions for tests. The functions send requests to the routes of a listener without a network.

use std::sync::Arc;

use axum::body::Body;
use beadle_engine::Store;
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use http::{Request, response};
use http_body_util::BodyExt as _;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;

/// Sends a request to the routes. Returns the head of the answer, and the body as text.
pub(crate) async fn exchange(router: axum::Router, request: Request<Body>) -> (response::Parts, String) {
    let response = TowerToHyperService::new(router).call(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head, String::from_utf8(body.to_vec()).unwrap())
}

/// Creates a request. Leaves out each header that has an empty value.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

/// Creates a store in this folder for a test.
pub(crate) fn store(folder: &tempfile::TempDir) -> Arc<dyn Store> {
    let path = folder.path().join("beadle.db");
    Arc::new(SqliteStore::open(&path, SqliteSettings::default()).unwrap())
}

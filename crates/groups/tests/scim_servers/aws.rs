//! Requests that AWS refuses. The simulated AWS must refuse these requests too.

use beadle_scim::Dialect;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::{Stage, id, stage};

async fn status(stage: &Stage, method: &str, path: &str, body: &Value) -> u16 {
    let request = http::Request::builder()
        .method(method)
        .uri(format!("{}{path}", stage.sim.url()))
        .header("authorization", format!("Bearer {}", stage.sim.token()))
        .body(Bytes::from(body.to_string()))
        .unwrap();
    stage.sim.exchange(request).await.unwrap().0
}

#[tokio::test(start_paused = true)]
async fn the_simulated_aws_refuses_what_aws_does() {
    let stage = stage(Dialect::AWS, &[]).await;
    let before = stage.sim.state();
    let name = json!({ "givenName": "Ada", "familyName": "" });
    let user = json!({ "userName": "ada", "displayName": "Ada", "name": name });
    let many: Vec<Value> = (0..101).map(|_| json!({ "value": id(0) })).collect();
    let patch = |path: &str, value: Value| json!({ "Operations": [{ "op": "replace", "path": path, "value": value }] });
    for (method, path, body, wanted) in [
        ("POST", "Users", user, 400),
        ("POST", "Groups", json!({ "displayName": "" }), 400),
        ("POST", "Groups", json!({ "displayName": "Many", "members": many }), 400),
        ("PUT", "Users/100", json!({}), 400),
        ("PATCH", "Users/100", patch("shoeSize", json!(42)), 400),
        ("PATCH", "Users/100", patch("name.familyName", json!("")), 400),
        ("GET", "Users?cursor&filter=groups.value%20eq%20%22nowhere%22", Value::Null, 404),
        ("GET", "Groups?cursor&filter=members.value%20eq%20%22nobody%22", Value::Null, 404),
    ] {
        assert_eq!(status(&stage, method, path, &body).await, wanted, "{method} {path}");
    }
    assert_eq!(stage.sim.state(), before);
}

//! Tests how Beadle reads from a server that does not know an optional field of a GraphQL document.
//! Beadle sends the document again without the unknown field.

use std::error::Error;

use beadle_engine::{Budgets, Class, Clock, Failure, Time};
use beadle_github::{Api, Asks, Credential, Endpoint, Reader};
use beadle_transport::ClientSettings;
use beadle_transport::testing::{Arrived, Recorder};
use secrecy::SecretString;
use serde_json::{Value, json};

fn unknown(field: &str) -> Value {
    let message = format!("Field '{field}' doesn't exist on type 'PermissionSource'");
    json!({ "errors": [{ "message": message, "path": ["query"] }] })
}

/// The result of one read of a repository.
struct Outcome {
    reader: Reader,
    /// Whether the collaborators are known, or the error of the read.
    known: Result<bool, Failure>,
    /// The number of queries that Beadle sent.
    queries: usize,
}

/// Reads a repository from a simulated GitHub. `graphql` returns the answer to each document.
async fn read(graphql: fn(&str) -> Value) -> Result<Outcome, Box<dyn Error>> {
    let wire = Recorder::new(move |arrived: &Arrived| {
        if arrived.method != "POST" {
            return (200, json!([]));
        }
        (200, graphql(arrived.body["query"].as_str().unwrap_or_default()))
    });
    let settings = ClientSettings { wire: Some(wire.clone()), ..ClientSettings::default() };
    let token = Credential::Token(SecretString::from("token"));
    let (endpoint, budgets) = (Endpoint::new("https://github.test"), Budgets::new("acme", 0));
    let api = Api::new(&endpoint, "acme", token, budgets, &Clock::simulated(Time(0)), settings)?;
    let reader = Reader::new(api, Asks { collaborators: true, ..Asks::default() });
    let found = reader.repository("R_1").await;
    let known = found.map(|found| found.is_some_and(|found| found.collaborators.value().is_some()));
    let queries = wire.arrived().iter().filter(|arrived| arrived.method == "POST").count();
    Ok(Outcome { reader, known, queries })
}

#[tokio::test(start_paused = true)]
async fn an_optional_field_that_the_server_does_not_know_is_left_out() -> Result<(), Box<dyn Error>> {
    let Outcome { reader, known, queries } = read(|document| {
        if document.contains("roleName") {
            return unknown("roleName");
        }
        let none = json!({ "hasNextPage": false, "endCursor": null });
        let node = json!({
            "__typename": "Repository", "id": "R_1", "databaseId": 1, "name": "shop",
            "owner": { "login": "acme" }, "visibility": "PRIVATE",
            "collaborators": { "totalCount": 0, "pageInfo": none, "edges": [] },
        });
        json!({ "data": { "nodes": [node] } })
    })
    .await?;
    assert_eq!((known, queries), (Ok(true), 2));
    assert!(reader.lacks("roleName"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_required_field_that_the_server_does_not_know_fails_the_query() -> Result<(), Box<dyn Error>> {
    let Outcome { known, queries, .. } = read(|_| unknown("permissionSources")).await?;
    let failure = known.err().ok_or("the repository was read")?;
    assert_eq!((failure.class, queries), (Class::Retry, 1));
    assert!(failure.text.contains("permissionSources"), "{failure}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_data_and_without_errors_is_retried() -> Result<(), Box<dyn Error>> {
    let answers: [fn(&str) -> Value; 2] = [|_| json!({ "data": null }), |_| json!({})];
    for answer in answers {
        let Outcome { known, queries, .. } = read(answer).await?;
        let failure = known.err().ok_or("the repository was read")?;
        assert_eq!((failure.class, queries), (Class::Retry, 1));
        assert!(failure.text.contains("neither data nor errors"), "{failure}");
    }
    Ok(())
}

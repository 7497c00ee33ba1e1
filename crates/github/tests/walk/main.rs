//! Calls every method of the client with dangerous values in the policy, in the payload and in the
//! live state. The test checks that no value changes the resource of a request. The test also
//! checks that no value gets into the text of a GraphQL document.
#![expect(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod answers;
mod calls;
mod entries;

use std::sync::Arc;

use answers::{data, rest};
use beadle_engine::{Budgets, Clock};
use beadle_github::{
    Api, AppRegistration, Asks, CheckWriter, Credential, Endpoint, IssueWriter, Reader, Writer,
};
use beadle_transport::ClientSettings;
use beadle_transport::testing::{Arrived, Recorder, Texts, holds_all, walk};
use calls::{
    read, resolve, write, write_check, write_issue, write_to_members, write_to_repository, write_to_team,
};
use entries::{ENTRIES, EVERYWHERE};
use secrecy::SecretString;
use serde_json::json;

fn endpoint() -> Endpoint {
    Endpoint::new("https://github.test")
}

fn settings(wire: &Arc<Recorder>) -> ClientSettings {
    ClientSettings {
        rest_points: u32::MAX,
        graphql_points: u32::MAX,
        wire: Some(wire.clone()),
        ..ClientSettings::default()
    }
}

fn api(wire: &Arc<Recorder>, organisation: &str) -> Api {
    let token = Credential::Token(SecretString::from("token"));
    let budgets = Budgets::new("walk", 0);
    Api::new(&endpoint(), organisation, token, budgets, &Clock::system(), settings(wire)).unwrap()
}

async fn perform(call: &str, texts: &Texts) -> Vec<Arrived> {
    let answers = texts.clone();
    let recorder = Recorder::new(move |arrived| {
        if arrived.segments == ["graphql"] {
            (200, json!({ "data": data(arrived, &answers) }))
        } else {
            rest(arrived, &answers)
        }
    });
    let api = api(&recorder, texts.pick("organisation"));
    let asks =
        Asks { teams: true, properties: true, collaborators: true, rest_settings: true, ..Asks::default() };
    let checks = CheckWriter::new(api.clone(), texts.pick("repository"));
    let issues = IssueWriter::new(api.clone(), texts.pick("repository"));
    let (reader, writer) = (Reader::new(api.clone(), asks), Writer::new(api));
    match call.split_once("::") {
        Some(("Reader", call)) => Box::pin(read(call, &reader, texts)).await,
        Some(("Writer", call)) => Box::pin(write(call, &writer, texts)).await,
        Some(("CheckWriter", call)) => Box::pin(write_check(call, &checks, texts)).await,
        Some(("IssueWriter", call)) => Box::pin(write_issue(call, &issues, texts)).await,
        Some(("Named", call)) => Box::pin(write_to_repository(call, &writer, texts)).await,
        Some(("OrganisationMembers", call)) => Box::pin(write_to_members(call, &writer)).await,
        Some(("NamedTeam", call)) => Box::pin(write_to_team(call, &writer, texts)).await,
        Some(("AppRegistration", "exchange")) => {
            let registration =
                AppRegistration::new(&endpoint(), &Clock::system(), settings(&recorder)).unwrap();
            registration.exchange(texts.pick("code")).await.is_ok()
        }
        Some(("Names", "resolve")) => Box::pin(resolve(&reader, texts)).await,
        // These methods use only the store and send no request.
        Some(("Names", _)) => true,
        None if ["another_organisation", "remember_organisation"].contains(&call) => true,
        _ => panic!("the walk does not know how to call {call}"),
    };
    recorder.arrived()
}

#[tokio::test(start_paused = true)]
async fn no_value_changes_which_resource_a_request_names() {
    walk(ENTRIES, EVERYWHERE, &perform).await;
}

#[test]
fn the_walk_knows_every_call() {
    holds_all(ENTRIES, env!("CARGO_MANIFEST_DIR"));
}

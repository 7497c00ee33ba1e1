//! Whatever is sent: no panic, and nothing passes that was not signed.

use beadle_engine::Time;
use beadle_hooks::github::{Headers, Refusal, Sender, receive, sign};
use proptest::prelude::*;

fn senders() -> Vec<Sender> {
    let secret = |text: &str| text.to_owned().into();
    let sender = |instance: &str, secrets| Sender {
        instance: instance.into(),
        login: instance.into(),
        app_id: None,
        secrets,
    };
    vec![sender("acme", vec![secret("first"), secret("second")]), sender("umbrella", vec![secret("third")])]
}

fn headers<'a>(signature: &'a str, content_type: &'a str) -> Headers<'a> {
    Headers {
        signature: Some(signature),
        event: Some("repository"),
        delivery: Some("id"),
        content_type: Some(content_type),
        ..Headers::default()
    }
}

fn payload(login: &str) -> Vec<u8> {
    format!(r#"{{"organization":{{"login":"{login}"}},"repository":{{"id":7,"node_id":"R_7"}}}}"#)
        .into_bytes()
}

#[test]
fn one_organisations_secret_does_not_speak_for_another() {
    for (secret, login, fits) in [
        ("first", "acme", true),
        ("second", "ACME", true),
        ("third", "umbrella", true),
        ("third", "acme", false),
    ] {
        let body = payload(login);
        let tag = sign(secret, &body);
        let received = receive(&senders(), headers(&tag, "application/json"), body, Time(0));
        assert_eq!(received.is_ok(), fits, "{secret} {login}: {received:?}");
        if !fits {
            assert!(matches!(received, Err(Refusal::NotConfigured(_))));
        }
    }
}

#[test]
fn an_empty_secret_signs_nothing() {
    let nobody = vec![Sender { secrets: vec![String::new().into()], ..senders().remove(0) }];
    let body = payload("acme");
    let tag = sign("", &body);
    assert_eq!(
        receive(&nobody, headers(&tag, "application/json"), body, Time(0)),
        Err(Refusal::BadSignature)
    );
}

proptest! {
    #[test]
    fn any_signed_body_is_taken_or_refused(body: Vec<u8>, form: bool) {
        let tag = sign("first", &body);
        let kind = if form { "application/x-www-form-urlencoded" } else { "application/json; charset=utf-8" };
        let received = receive(&senders(), headers(&tag, kind), body, Time(0));
        prop_assert!(!matches!(received, Err(Refusal::BadSignature | Refusal::Unsigned)));
    }

    #[test]
    fn any_cut_or_changed_payload_is_taken_or_refused(cut in 0usize..90, at in 0usize..90, byte: u8) {
        let mut body = payload("acme");
        let place = at % body.len();
        body[place] = byte;
        body.truncate(body.len().saturating_sub(cut));
        let tag = sign("second", &body);
        let _ = receive(&senders(), headers(&tag, "application/json"), body, Time(0)); // it must not panic
    }

    #[test]
    fn no_other_tag_passes(tag in "sha256=[0-9a-f]{0,70}|[ -~]{0,80}") {
        let body = payload("acme");
        prop_assume!(tag != sign("first", &body) && tag != sign("second", &body) && tag != sign("third", &body));
        let received = receive(&senders(), headers(&tag, "application/json"), body, Time(0));
        prop_assert_eq!(received.unwrap_err(), Refusal::BadSignature);
    }
}

//! Creates messages for any receiver of webhooks. Beadle signs the messages according to Standard
//! Webhooks.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use beadle_engine::Time;
use beadle_engine::notify::{Item, Outgoing};
use beadle_secrets::{ExposeSecret as _, SecretString};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::http_post::{Post, SendFailure};
use super::text::Text;

/// The beginning of an encoded secret. The characters after this beginning are base64.
const ENCODED: &str = "whsec_";

/// Returns a message with one signature for each secret. `now` is the time of this try.
pub(super) fn message(
    outgoing: &Outgoing,
    texts: &[Text],
    channel: &str,
    secrets: &[SecretString],
    now: Time,
) -> Result<Post, SendFailure> {
    let items: Vec<Value> = outgoing.items.iter().zip(texts).map(|(item, text)| topic(item, text)).collect();
    let body = json!({
        "type": "beadle.notification",
        "timestamp": outgoing.at.to_string(),
        "data": { "id": outgoing.id, "channel": channel, "topics": items },
    })
    .to_string();
    let seconds = now.seconds();
    let signed = format!("{}.{seconds}.{body}", outgoing.id);
    let signatures =
        secrets.iter().map(|secret| signature(secret, &signed)).collect::<Result<Vec<_>, _>>()?;
    let headers = vec![
        ("webhook-id", outgoing.id.clone()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", signatures.join(" ")),
    ];
    Ok(Post { headers, body })
}

fn topic(item: &Item, text: &Text) -> Value {
    let mut topic = json!({
        "kind": item.topic.kind,
        "instance": item.topic.instance,
        "aspect": item.topic.aspect,
        "state": item.state,
        "since": item.since.to_string(),
        "title": text.title,
        "count": item.count(),
        "new": item.new,
        "problems": item.lines(),
        "more": item.found.more,
    });
    if text.body.is_some() || !text.failures.is_empty() {
        topic["body"] = json!(text.below().join("\n"));
    }
    topic
}

/// Returns a signature in the form of the header, such as `v1,K5oZ...`.
fn signature(secret: &SecretString, signed: &str) -> Result<String, SendFailure> {
    let secret = secret.expose_secret();
    let key = match secret.strip_prefix(ENCODED) {
        Some(encoded) => STANDARD
            .decode(encoded)
            .map_err(|_| SendFailure::new("a secret that begins with `whsec_` must be base64 after that"))?,
        None => secret.as_bytes().to_vec(),
    };
    // If the key is empty, everybody can create a valid signature.
    if key.is_empty() {
        return Err(SendFailure::new("the secret of the channel is empty after `whsec_`"));
    }
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else {
        return Err(SendFailure::new("the secret of the channel cannot be used as a key"));
    };
    mac.update(signed.as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::super::text::tests::{hostile, own};
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_specification() {
        // This example comes from the reference libraries of the specification.
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signed = "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}";
        assert_eq!(signature(&secret, signed).unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        for wrong in ["whsec_%", "whsec_"] {
            assert!(signature(&SecretString::from(wrong), signed).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_message_has_its_id_its_time_and_a_signature_for_each_secret() {
        let secrets = [SecretString::from("new"), SecretString::from("old")];
        let outgoing = hostile();
        let post = message(&outgoing, &own(&outgoing), "ops", &secrets, Time::from_seconds(77)).unwrap();
        let header = |name: &str| post.headers.iter().find(|(found, _)| *found == name).unwrap().1.clone();
        assert_eq!((header("webhook-id"), header("webhook-timestamp")), (outgoing.id.clone(), "77".into()));
        let signed = format!("{}.77.{}", outgoing.id, post.body);
        let wanted = secrets.iter().map(|secret| signature(secret, &signed).unwrap()).collect::<Vec<_>>();
        assert_eq!(header("webhook-signature"), wanted.join(" "));
        let body: Value = serde_json::from_str(&post.body).unwrap();
        let topic = &body["data"]["topics"][0];
        assert_eq!((&topic["kind"], &topic["state"]), (&json!("held"), &json!("opened")));
        assert_eq!((&topic["count"], topic["problems"].as_array().unwrap().len()), (&json!(7), 1));
    }
}

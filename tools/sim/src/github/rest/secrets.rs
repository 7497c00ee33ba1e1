//! Secrets for Actions, Dependabot, Codespaces and environments. GitHub never shows their values.
//! In the state, the secrets are a map from the name to `value` and `updated_at`. Tests can read
//! the values in the state.
//!
//! <https://docs.github.com/rest/actions/secrets>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_box::SecretKey;
use serde_json::{Value, json};

use super::variables::{Holder, refused_name};
use super::{Call, Reply, in_object};
use crate::github::world::World;

/// The id of the key that a client must use to seal values.
const KEY_ID: &str = "568250167242549743";
/// The largest value of a secret, in bytes.
const LARGEST: usize = 48 * 1024;

/// Returns GitHub's own key. The key is the same in every repository of the simulator.
fn private_key() -> SecretKey {
    SecretKey::from([7; 32])
}

fn shown(name: &str, secret: &Value) -> Value {
    let at = secret["updated_at"].as_str().unwrap_or("2026-01-01T00:00:00Z");
    json!({ "name": name, "created_at": "2026-01-01T00:00:00Z", "updated_at": at })
}

/// Answers the call for the public key.
pub(super) fn public_key() -> Reply {
    let public = STANDARD.encode(private_key().public_key().as_bytes());
    Reply::json(200, json!({ "key_id": KEY_ID, "key": public }))
}

/// Opens a sealed value. Returns the reason if GitHub refuses the body.
pub(super) fn opened(body: &Value) -> Result<String, &'static str> {
    if body["key_id"] != KEY_ID {
        return Err("key_id is not the id of the present public key");
    }
    let sealed = body["encrypted_value"].as_str().and_then(|text| STANDARD.decode(text).ok());
    let sealed = sealed.ok_or("encrypted_value is not base64")?;
    let value = private_key().unseal(&sealed).map_err(|_| "encrypted_value is not sealed with the key")?;
    if value.len() > LARGEST {
        return Err("the value is larger than 48 KB");
    }
    String::from_utf8(value).map_err(|_| "the value is not a text")
}

/// Answers calls with paths that end with `secrets` or `secrets/{name}`. `key` is the name of the
/// list in the state.
pub(super) fn answer(
    world: &mut World,
    call: &Call<'_>,
    (holder, key): (Holder<'_>, &str),
    found: &Value,
    rest: &[&str],
) -> Reply {
    let known = holder.of(found)[key].as_object().cloned().unwrap_or_default();
    match (call.method.as_str(), rest) {
        ("GET", []) => {
            let rows = known.iter().map(|(name, secret)| shown(name, secret)).collect();
            in_object(call, "secrets", rows)
        }
        ("GET", ["public-key"]) => public_key(),
        ("GET", [name]) => {
            let name = name.to_ascii_uppercase();
            known.get(&name).map_or_else(Reply::not_found, |secret| Reply::json(200, shown(&name, secret)))
        }
        ("PUT", [name]) => {
            let name = name.to_ascii_uppercase();
            if let Some(refusal) = refused_name(&name) {
                return refusal;
            }
            let value = match opened(call.body) {
                Ok(value) => value,
                Err(why) => return Reply::invalid(&format!("Validation Failed: {why}")),
            };
            let is_new = !known.contains_key(&name);
            // Clocks in tests are simulated, so the time of a write is not the real time. A test
            // can set the time in the state.
            let mut secret = json!({ "value": value });
            if let Some(at) = world.doc["secrets_updated_at"].as_str() {
                secret["updated_at"] = json!(at);
            }
            holder.edit(world, call.sender, |part| part[key][name] = secret);
            if is_new { Reply::json(201, json!({})) } else { Reply::empty(204) }
        }
        ("DELETE", [name]) => {
            let name = name.to_ascii_uppercase();
            if !known.contains_key(&name) {
                return Reply::not_found();
            }
            holder.edit(world, call.sender, |part| {
                part[key].as_object_mut().and_then(|all| all.remove(&name));
            });
            Reply::empty(204)
        }
        _ => Reply::not_found(),
    }
}

#[cfg(test)]
mod tests {
    use crypto_box::aead::OsRng;

    use super::*;

    #[test]
    fn a_value_that_is_not_sealed_with_the_present_key_is_refused() {
        let sealed = |key: &SecretKey| {
            let sealed = key.public_key().seal(&mut OsRng, b"value").unwrap();
            STANDARD.encode(sealed)
        };
        let body = |sealed: &str, id: &str| json!({ "encrypted_value": sealed, "key_id": id });
        let own = sealed(&private_key());
        assert_eq!(opened(&body(&own, KEY_ID)).as_deref(), Ok("value"));
        for (sealed, id) in [
            (own.as_str(), "1"),
            (&*sealed(&SecretKey::from([8; 32])), KEY_ID),
            ("dmFsdWU=", KEY_ID),
            ("?", KEY_ID),
        ] {
            assert!(opened(&body(sealed, id)).is_err(), "{sealed} {id}");
        }
    }

    #[test]
    fn a_name_that_github_reserves_is_refused() {
        for name in ["GITHUB_TOKEN", "github_x", "2ND", "A-B", ""] {
            assert!(refused_name(name).is_some(), "{name}");
        }
        assert!(refused_name("_NPM_2").is_none());
    }
}

//! The claims in an ID token of OpenID Connect.
//!
//! <https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation>

use beadle_config::OidcSignInFile;
use beadle_engine::is_deceptive;
use beadle_server::sign_in::Person;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;

/// The algorithms that Beadle accepts. Each of these algorithms signs with the private key of the
/// provider, so a client cannot sign a token itself.
const ALGORITHMS: [Algorithm; 4] = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];
/// The maximum difference between the clocks, in seconds.
const LEEWAY: u64 = 60;
/// The maximum length of a name, in characters.
const NAME: usize = 100;

/// Checks an ID token with the keys of the issuer. Returns its claims. An error contains no part of
/// the token.
pub(super) fn checked(
    token: &str,
    keys: &Value,
    file: &OidcSignInFile,
    nonce: &str,
) -> Result<Value, &'static str> {
    let head = jsonwebtoken::decode_header(token).map_err(|_| "the ID token is no JWT")?;
    if !ALGORITHMS.contains(&head.alg) {
        return Err("the ID token has an algorithm that Beadle does not accept");
    }
    let keys = keys["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let key = match &head.kid {
        Some(kid) => keys.iter().find(|key| key["kid"] == kid.as_str()),
        None => keys.first().filter(|_| keys.len() == 1),
    };
    let key = key.ok_or("the issuer has no key with the id of the ID token")?;
    let key: Jwk =
        serde_json::from_value(key.clone()).map_err(|_| "the key of the ID token is unreadable")?;
    let key = DecodingKey::from_jwk(&key).map_err(|_| "the key of the ID token is unusable")?;
    let mut rules = Validation::new(head.alg);
    rules.set_issuer(&[&file.issuer]);
    rules.set_audience(&[&file.client_id]);
    rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    rules.validate_nbf = true;
    rules.leeway = LEEWAY;
    let claims = jsonwebtoken::decode::<Value>(token, &key, &rules)
        .map_err(|_| "the signature, the issuer, the audience or the time of the ID token is wrong")?
        .claims;
    if claims["nonce"].as_str() != Some(nonce) {
        return Err("the ID token is not for this sign-in");
    }
    let has_others = claims["aud"].as_array().is_some_and(|all| all.len() > 1);
    let party = claims["azp"].as_str();
    if (has_others || party.is_some()) && party != Some(file.client_id.as_str()) {
        return Err("the ID token is for another client");
    }
    Ok(claims)
}

/// Returns the person that an ID token identifies. The name is a confirmed e-mail address, because
/// people can choose their other names freely.
pub(super) fn person(claims: &Value, file: &OidcSignInFile) -> Result<Person, &'static str> {
    let id = claims["sub"].as_str().filter(|id| is_name(id)).ok_or("the ID token has no valid subject")?;
    let email = claims["email"].as_str().filter(|email| is_name(email));
    let name = email.filter(|_| claims["email_verified"] == true).unwrap_or(id);
    let login = file.login_claim.as_deref().and_then(|claim| claims[claim].as_str());
    let login = login.filter(|login| is_login(login)).map(str::to_owned);
    Ok(Person { id: id.to_owned(), name: name.to_owned(), login })
}

/// Returns the groups of an ID token. A missing claim means no group.
pub(super) fn groups<'a>(claims: &'a Value, file: &OidcSignInFile) -> Vec<&'a str> {
    match &claims[file.groups_claim.as_str()] {
        Value::String(group) => vec![group.as_str()],
        Value::Array(groups) => groups.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_name(text: &str) -> bool {
    let length = text.chars().count();
    (1..=NAME).contains(&length) && !text.chars().any(|c| c.is_control() || is_deceptive(c))
}

fn is_login(text: &str) -> bool {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=NAME).contains(&text.len()) && text.bytes().all(is_valid)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file() -> OidcSignInFile {
        OidcSignInFile {
            issuer: "https://idp.example".into(),
            client_id: "beadle".into(),
            client_secret: "env:S".into(),
            scopes: Vec::new(),
            groups_claim: "groups".into(),
            login_claim: Some("github".into()),
        }
    }

    #[test]
    fn a_name_is_confirmed_and_harmless() {
        for (claims, name, login) in [
            (json!({ "sub": "00u1" }), Some("00u1"), None),
            (
                json!({ "sub": "00u1", "email": "ann@acme.example", "email_verified": true }),
                Some("ann@acme.example"),
                None,
            ),
            (json!({ "sub": "00u1", "email": "ann@acme.example" }), Some("00u1"), None),
            (
                json!({ "sub": "00u1", "email": "ann@acme.example", "email_verified": "true" }),
                Some("00u1"),
                None,
            ),
            (json!({ "sub": "00u1", "email": "a\nb", "email_verified": true }), Some("00u1"), None),
            (json!({ "sub": "00u1", "name": "root", "preferred_username": "root" }), Some("00u1"), None),
            (json!({ "sub": "00u1", "github": "ann-1" }), Some("00u1"), Some("ann-1")),
            (json!({ "sub": "00u1", "github": "an n" }), Some("00u1"), None),
            (json!({ "sub": "" }), None, None),
            (json!({ "sub": 7 }), None, None),
            (json!({}), None, None),
        ] {
            let person = person(&claims, &file()).ok();
            assert_eq!(person.as_ref().map(|person| person.name.as_str()), name, "{claims}");
            assert_eq!(person.as_ref().and_then(|person| person.login.as_deref()), login, "{claims}");
        }
    }

    #[test]
    fn groups_that_cannot_be_read_are_no_groups() {
        let none: &[&str] = &[];
        for (claims, expected) in [
            (json!({ "groups": ["a", "b"] }), &["a", "b"][..]),
            (json!({ "groups": "a" }), &["a"][..]),
            (json!({ "groups": ["a", 7, null] }), &["a"][..]),
            (json!({ "groups": { "a": true } }), none),
            (json!({ "_claim_names": { "groups": "src1" } }), none),
        ] {
            assert_eq!(groups(&claims, &file()), expected, "{claims}");
        }
    }

    #[test]
    fn a_token_without_a_signature_is_refused() {
        for token in ["", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJIUzI1NiJ9.e30.AA"] {
            assert!(checked(token, &json!({ "keys": [] }), &file(), "n").is_err(), "{token}");
        }
    }
}

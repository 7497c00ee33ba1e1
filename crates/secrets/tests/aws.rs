//! Tests of secrets, parameters and keys with moto, a simulation of AWS.
#![cfg(feature = "kms")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use beadle_emulate::Moto;
use beadle_secrets::{Algorithm, ExposeSecret as _, Header, Reference, SecretStore, SecretString};
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Value, json};

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

#[tokio::test]
async fn secrets_and_parameters_are_read_together_and_a_missing_one_is_named() {
    let moto = Moto::start().await;
    let secret = format!("{:032x}", rand::random::<u128>());
    moto.keep_secret("plain", &secret).await;
    moto.keep_secret("json", &json!({ "token": secret, "empty": "" }).to_string()).await;
    let parameter = json!({ "Name": "/beadle", "Value": secret, "Type": "SecureString" });
    moto.call("ssm", "AmazonSSM.PutParameter", &parameter).await;
    let secret_store = SecretStore::new(PathBuf::new()).asking(moto.aws().await);
    let there =
        ["aws-secretsmanager:plain", "aws-secretsmanager:json#token", "aws-ssm:/beadle"].map(reference);
    let missing = [
        "aws-secretsmanager:none",
        "aws-secretsmanager:json#none",
        "aws-secretsmanager:json#empty",
        "aws-ssm:/none",
    ];
    let missing = missing.map(reference);
    secret_store.fetch(&[&there[..], &missing[..]].concat()).await;
    for reference in &there {
        assert_eq!(secret_store.current(reference).unwrap().expose_secret(), secret, "{reference}");
    }
    for reference in &missing {
        let why = secret_store.current(reference).unwrap_err().to_string();
        assert!(why.contains(&reference.to_string()) && !why.contains(&secret), "{why}");
    }
    // Two references need different texts of the same secret. Beadle reads each stage of the secret
    // only once.
    let asked = moto.calls_of("any").into_iter().filter(|call| call == "secretsmanager:GetSecretValue");
    assert_eq!(asked.count(), 2 * 3, "plain, json and none");
    assert!(!secret_store.fetch_again(&there).await, "nothing was replaced");
    moto.replace_secret("plain", "another").await;
    assert!(secret_store.fetch_again(&there).await);
    let valid = secret_store.valid(&there[0]).unwrap();
    let valid: Vec<&str> = valid.iter().map(SecretString::expose_secret).collect();
    assert_eq!(valid, ["another", &secret], "the current and the previous value");
}

#[tokio::test]
async fn the_public_key_verifies_the_signature_of_a_key_in_kms() {
    let moto = Moto::start().await;
    let made = json!({ "KeyUsage": "SIGN_VERIFY", "KeySpec": "RSA_2048" });
    let key = moto.call("kms", "TrentService.CreateKey", &made).await["KeyMetadata"]["KeyId"].clone();
    let reference = reference(&format!("aws-kms:{}", key.as_str().unwrap()));
    let secret_store = SecretStore::new(PathBuf::new()).asking(moto.aws().await);
    secret_store.fetch(std::slice::from_ref(&reference)).await;
    assert!(secret_store.current(&reference).is_err(), "the key has no readable value");
    let claims = json!({ "iss": "1", "exp": 4_000_000_000_u64 });
    let token = secret_store
        .signing_key(&reference)
        .unwrap()
        .sign(&Header::new(Algorithm::RS256), &claims)
        .await
        .unwrap();
    let public = moto.call("kms", "TrentService.GetPublicKey", &json!({ "KeyId": key })).await;
    let der = public["PublicKey"].as_str().unwrap().as_bytes().chunks(64);
    assert!(STANDARD.decode(public["PublicKey"].as_str().unwrap()).is_ok());
    let lines: Vec<&str> = der.map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    let key = DecodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
    let read = jsonwebtoken::decode::<Value>(&token, &key, &Validation::new(Algorithm::RS256)).unwrap();
    assert_eq!(read.claims, claims);
}

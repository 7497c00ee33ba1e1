//! Some of GitHub's answers can contain secrets, so the store must not keep these answers. If an
//! answer that can contain secrets matches the policy, Beadle stores only a digest of the compared
//! values. This digest is called the agreement. A sweep reads the part again if the agreement has
//! changed, or if the read is due (`reread.rs`). To plan a change, Beadle needs GitHub's answer, so
//! an agreement alone never leads to a change.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::aspects::{Aspect, Context};
use crate::policy::{Node, Section};
use crate::secret_memory::SecretName;

/// For these aspects, the store keeps only the agreement, not GitHub's answer, because the
/// addresses of webhooks can contain secrets.
pub(crate) const AGREED: &[&str] = &["webhooks"];

/// Returns a short digest of a value.
pub(crate) fn digest(value: &Value) -> String {
    let digest = Sha256::digest(value.to_string());
    STANDARD.encode(digest.iter().copied().take(12).collect::<Vec<u8>>())
}

/// Returns the agreement for the declared values of an aspect. The agreement is a digest of two
/// things: the secrets that are named in the policy, and the version of Beadle. The version is part
/// of the digest, because a different version of Beadle might compare different values. Like all
/// stored digests of secrets, the digests of these secrets are keyed.
/// [`beadle_engine::PartRead::declared`] contains the declared values that are not secrets.
///
/// Returns `None` if the configuration lacks a secret. Also returns `None` if the store does not
/// contain the key for the digests. The run must then read the aspect.
pub(crate) async fn agreement(aspect: &Aspect, context: &Context<'_>) -> Option<String> {
    let owner = context.repository.id.to_string();
    let mut secrets = Vec::new();
    for name in names(aspect, context) {
        let value = context.secrets.get(name)?;
        let place = format!("agreed/{}", aspect.name);
        let of = SecretName { owner: owner.clone(), place, name: name.to_owned() };
        // If the store fails, this run reads the aspect. A failure of the store has no other
        // effect.
        let digest = context.secret_memory.keyed_digest(&of, value).await.ok().flatten()?;
        secrets.push(json!([name, digest]));
    }
    Some(digest(&json!([env!("CARGO_PKG_VERSION"), secrets])))
}

/// Returns the names of the secrets in the entries of an aspect's sections.
fn names<'a>(aspect: &Aspect, context: &Context<'a>) -> Vec<&'a str> {
    let sections = aspect.sections.iter().filter_map(|key| context.desired.sections.get(key.name));
    let entries = sections.flat_map(Section::items);
    entries.filter_map(|entry| entry.get("secret").and_then(Node::text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reread::SPREAD;

    #[test]
    fn each_part_with_an_agreement_is_read_once_in_a_period() {
        assert!(AGREED.iter().all(|part| SPREAD.contains(part)));
    }
}

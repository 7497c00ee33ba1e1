//! Reads that cost nothing while nothing changed.
//!
//! An `ETag` depends on the token, and an App's tokens change every hour. Observed, and not documented: it is
//! `SHA-256(Accept ":" Authorization ":" Cookie ":" body)`. So the tag of a kept body can be computed for a new token. Every
//! answer checks whether that still holds; where it does not, a tag is used with the token that it came with only.

use std::fmt::Write as _;

use beadle_engine::{Metadata, Note};
use beadle_transport::{Answer, Path, TransportError};
use bytes::Bytes;
use http::{HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::api::{ACCEPT, Api};

/// An answer as it is kept between runs.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    etag: String,
    /// Of the token that it was read with, never the token itself.
    token: String,
    /// Whether the tag was the one that can be computed.
    computable: bool,
    link: Option<String>,
    body: String,
}

impl Metadata for Kept {
    const KIND: &'static str = "rest";
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn computed(authorization: &str, body: &str) -> String {
    format!("\"{}\"", hex(&Sha256::digest(format!("{ACCEPT}:{authorization}::{body}"))))
}

/// A weak tag names the same body.
fn strong(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

impl Kept {
    fn of(answer: &Answer, authorization: &str) -> Option<Self> {
        let text = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
        let etag = text(header::ETAG)?.to_owned();
        let body = std::str::from_utf8(&answer.body).ok()?.to_owned();
        Some(Self {
            computable: strong(&etag) == computed(authorization, &body),
            token: hex(&Sha256::digest(authorization)),
            link: text(header::LINK).map(str::to_owned),
            etag,
            body,
        })
    }

    /// The tag to send with this token, if there is one.
    fn tag(&self, authorization: &str) -> Option<String> {
        if self.token == hex(&Sha256::digest(authorization)) {
            return Some(self.etag.clone());
        }
        self.computable.then(|| computed(authorization, &self.body))
    }
}

/// Reads `path`, and takes what was kept where GitHub says that it did not change.
pub(crate) async fn read(api: &Api, path: &Path) -> Result<Answer, TransportError> {
    let Some(store) = api.kept() else { return api.get(path).await };
    let note = Note::<Kept>::of(&[api.organisation(), &path.to_string()]);
    // A store that cannot be read costs a call, and nothing else.
    let kept = note.get(store.as_ref()).await.ok().flatten();
    let tag = |authorization: &SecretString| kept.as_ref()?.tag(authorization.expose_secret());
    let (answer, authorization) = api.get_if_changed(path, &tag).await?;
    if answer.status == 304
        && let Some(kept) = kept
    {
        let mut answer = Answer { status: 200, body: Bytes::from(kept.body), ..answer };
        // Where GitHub says it again, that counts.
        if let Some(link) = kept.link.and_then(|link| HeaderValue::from_str(&link).ok()) {
            answer.headers.entry(header::LINK).or_insert(link);
        }
        return Ok(answer);
    }
    if let Some(new) = Kept::of(&answer, authorization.expose_secret())
        && let Err(error) = note.put(store.as_ref(), &new).await
    {
        tracing::debug!(%error, "an answer was not kept; it is read again next time");
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(etag: &str) -> Answer {
        let mut headers = http::HeaderMap::new();
        headers.insert(header::ETAG, etag.parse().unwrap());
        Answer { request: String::new(), status: 200, headers, body: Bytes::from_static(b"[]") }
    }

    #[test]
    fn a_tag_follows_the_token_while_it_can_be_computed() {
        let kept = Kept::of(&answer(&computed("token one", "[]")), "token one").unwrap();
        assert_eq!(kept.tag("Bearer two"), Some(computed("Bearer two", "[]")));
        assert_ne!(kept.tag("Bearer two"), kept.tag("token one"));
        let weak = Kept::of(&answer(&format!("W/{}", computed("token one", "[]"))), "token one").unwrap();
        assert!(weak.computable);
    }

    #[test]
    fn another_kind_of_tag_is_used_with_its_own_token_only() {
        let kept = Kept::of(&answer("\"something else\""), "token one").unwrap();
        assert_eq!(kept.tag("token one"), Some("\"something else\"".into()));
        assert_eq!(kept.tag("token two"), None);
        assert!(!serde_json::to_string(&kept).unwrap().contains("token one"), "a token is kept");
    }
}

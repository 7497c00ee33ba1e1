//! Conditional reads: a read costs nothing from the budget if the answer has not changed.
//!
//! GitHub's `ETag` depends on the token, and the token of an App changes every hour. GitHub does
//! not document how it computes the tag, but Beadle's authors observed that the tag is
//! `SHA-256(Accept ":" Authorization ":" Cookie ":" body)`. So Beadle can compute the tag of a kept
//! body for a new token. Beadle checks each answer against this formula. If a tag does not follow
//! the formula, Beadle sends this tag only together with the token of the original read.

use std::time::Duration;

use beadle_engine::{Metadata, Note, Store, Time, note};
use beadle_transport::{Answer, Path, TransportError};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::api::{ACCEPT, Api};
use crate::credential_digest::CredentialDigest;

/// Beadle stores the time of a new read only if more than this duration has passed since the stored
/// time. Otherwise, each read of an unchanged answer would cause a write to the store.
const NOTED_EVERY: Duration = Duration::from_secs(24 * 3600);
/// The error message for a path at which nothing exists, according to the kept answer.
const ABSENT: &str = "nothing existed here at the last read";

/// An answer that the store keeps between runs.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// The tag of the answer. GitHub sends no tag if nothing exists at the path, and a proxy can
    /// remove the tag. Without a tag, a sweep can still use the kept answer instead of a read. But
    /// each read without a tag counts toward the hourly limit.
    etag: Option<String>,
    /// The digest of the token that Beadle used for the read. The store never contains the token
    /// itself.
    token: String,
    /// True if the tag follows the known formula, so that Beadle can compute the tag for another
    /// token.
    computable: bool,
    link: Option<String>,
    /// The time of the last read. The real last read can be up to [`NOTED_EVERY`] later than this
    /// time. Answers that an older version of Beadle stored have no time.
    read: Option<Time>,
    body: String,
    /// True if GitHub answered 404, because nothing exists at the path.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    absent: bool,
    /// The digest of the credential and of the credential's permissions. Set only if GitHub
    /// answered 404. Beadle needs the digest because GitHub also answers 404 if the credential
    /// lacks a permission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access: Option<CredentialDigest>,
    /// The id of the repository that had this path at the last read. `None` if the path is not
    /// below a repository, or if an older version stored the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repository: Option<u64>,
}

impl Metadata for Kept {
    const KIND: &'static str = "rest";
}

fn computed(authorization: &str, body: &str) -> String {
    format!("\"{}\"", hex::encode(Sha256::digest(format!("{ACCEPT}:{authorization}::{body}"))))
}

/// Returns a tag without the prefix of a weak tag. Beadle treats a weak tag and a strong tag as
/// equal.
fn strong(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

impl Kept {
    fn of(answer: &Answer, authorization: &str, now: Time) -> Option<Self> {
        let text = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
        let etag = text(header::ETAG).map(str::to_owned);
        let body = std::str::from_utf8(&answer.body).ok()?.to_owned();
        Some(Self {
            computable: etag.as_deref().is_some_and(|etag| strong(etag) == computed(authorization, &body)),
            token: etag.as_ref().map(|_| hex::encode(Sha256::digest(authorization))).unwrap_or_default(),
            link: links(answer),
            read: Some(now),
            etag,
            body,
            ..Self::default()
        })
    }

    /// Creates a kept answer for a path at which nothing exists. `access` is the digest of the
    /// credential that got the answer.
    fn absent(now: Time, access: Option<CredentialDigest>) -> Self {
        Self { read: Some(now), absent: true, access, ..Self::default() }
    }

    /// Returns whether a run can use the stored answer instead of a new read. A stored answer can
    /// be too old, for example if a failed run did not read all paths. A stored answer can also be
    /// about another repository that had the path before.
    fn stands_for(&self, repository: Option<u64>, since: Time) -> bool {
        let is_own = self.repository.is_none() || self.repository == repository;
        is_own && self.read.is_some_and(|read| since.since(read) < NOTED_EVERY)
    }

    /// Returns whether the two answers have the same effect.
    fn is_like(&self, other: &Self) -> bool {
        let tags = (&self.etag, &self.token, self.computable);
        let contents = (&self.link, &self.body, self.absent, &self.access, self.repository);
        tags == (&other.etag, &other.token, other.computable)
            && contents == (&other.link, &other.body, other.absent, &other.access, other.repository)
    }

    /// Returns whether Beadle has to store the time of this read. A stored time in the future comes
    /// from a clock that was ahead, so Beadle replaces the stored time.
    fn is_read_news(&self, now: Time) -> bool {
        self.read.is_none_or(|read| read > now || now.since(read) >= NOTED_EVERY)
    }

    /// Returns the tag to send with this token, or `None` if the tag for this token is unknown.
    fn tag(&self, authorization: &str) -> Option<String> {
        let etag = self.etag.as_ref()?;
        if self.token == hex::encode(Sha256::digest(authorization)) {
            return Some(etag.clone());
        }
        self.computable.then(|| computed(authorization, &self.body))
    }

    /// Returns the kept answer. If nothing exists at the path, returns the error that a read would
    /// return.
    fn answer(&self, path: &Path) -> Result<Answer, TransportError> {
        let request = format!("GET {path}");
        if self.absent {
            return Err(TransportError::Status { request, status: 404, message: ABSENT.to_owned() });
        }
        let mut headers = HeaderMap::new();
        if let Some(link) = self.link.as_ref().and_then(|link| HeaderValue::from_str(link).ok()) {
            headers.insert(header::LINK, link);
        }
        Ok(Answer { request, status: 200, headers, body: Bytes::from(self.body.clone()) })
    }
}

/// Returns all links of an answer as one value. An answer can have the `Link` header several times.
fn links(answer: &Answer) -> Option<String> {
    let all = answer.headers.get_all(header::LINK).iter();
    let all: Vec<&str> = all.filter_map(|value| value.to_str().ok()).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// The part of a kept answer that contains the time of the last read.
#[derive(Deserialize)]
struct LastRead {
    read: Option<Time>,
}

/// Returns the common prefix of the names of all kept answers in a store.
pub fn kept_answers() -> String {
    note(Kept::KIND, &[""])
}

/// Returns the time at which Beadle last read a kept answer. The real last read can be up to a day
/// later. Returns `None` if an older version of Beadle stored the answer.
pub fn last_read(answer: &str) -> Option<Time> {
    serde_json::from_str::<LastRead>(answer).ok()?.read
}

/// Stores an answer. Returns whether the store has accepted the answer. If the store fails, the
/// next read costs a call.
async fn keep(note: &Note<Kept>, store: &dyn Store, kept: &Kept) -> bool {
    let stored = note.put(store, kept).await;
    if let Err(error) = &stored {
        tracing::debug!(%error, "GitHub's answer not stored, the next read requests it again");
    }
    stored.is_ok()
}

/// Deletes a kept answer that is out of date.
async fn discard(note: &Note<Kept>, store: &dyn Store) {
    if let Err(error) = note.forget(store).await {
        tracing::debug!(%error, "outdated stored answer of GitHub not deleted");
    }
}

/// Replaces the kept answer with a new answer. The kept answer is out of date. So if the store does
/// not accept the new answer, the function deletes the kept answer. Otherwise, a sweep could still
/// use the kept answer.
async fn replace(note: &Note<Kept>, store: &dyn Store, before: Option<&Kept>, new: Option<&Kept>) {
    if let Some(new) = new {
        let is_news =
            |before: &Kept| !before.is_like(new) || new.read.is_some_and(|at| before.is_read_news(at));
        if !before.is_none_or(is_news) || keep(note, store, new).await {
            return;
        }
    }
    // A read of the store can fail. So the store might have an answer that this function does not
    // know.
    discard(note, store).await;
}

/// Returns whether two credentials have the same permissions: the credential that got a kept
/// answer, and the present credential.
async fn is_same_access(api: &Api, kept: &Kept) -> bool {
    let Some(access) = &kept.access else { return false };
    api.access().await.is_ok_and(|now| now.digest == *access)
}

/// Reads `path`. If GitHub answers that the content has not changed, the function returns the kept
/// answer.
pub(crate) async fn read(api: &Api, path: &Path) -> Result<Answer, TransportError> {
    let Some(store) = api.kept() else { return api.get(path).await };
    let note = Note::<Kept>::of(&[api.organisation(), &path.to_string()]);
    // If the store cannot be read, the only consequence is that this read costs a call.
    let kept = note.get(store.as_ref()).await.ok().flatten();
    if let (Some(kept), Some(since)) = (&kept, api.last_seen())
        && kept.stands_for(api.repository(), since)
        && (!kept.absent || is_same_access(api, kept).await)
    {
        return kept.answer(path);
    }
    let tag = |authorization: &SecretString| kept.as_ref()?.tag(authorization.expose_secret());
    let mut used = None;
    let read = api.get_if_changed(path, &tag, &mut used).await;
    let now = api.clock().now();
    let (answer, authorization) = match read {
        Ok(read) => read,
        Err(error) => {
            if error.status() == Some(404) {
                // Another task might have replaced the token after the request. So `used` is the
                // digest of the token that got this answer.
                let new = Kept { repository: api.repository(), ..Kept::absent(now, used) };
                replace(&note, store.as_ref(), kept.as_ref(), Some(&new)).await;
            }
            return Err(error);
        }
    };
    match kept {
        Some(mut kept) if answer.status == 304 => {
            if kept.is_read_news(now) || kept.repository != api.repository() {
                (kept.read, kept.repository) = (Some(now), api.repository());
                keep(&note, store.as_ref(), &kept).await;
            }
            let mut answer = Answer { status: 200, body: Bytes::from(kept.body), ..answer };
            // If the new answer has a `Link` header, Beadle uses the new header.
            if let Some(link) = kept.link.and_then(|link| HeaderValue::from_str(&link).ok()) {
                answer.headers.entry(header::LINK).or_insert(link);
            }
            Ok(answer)
        }
        kept => {
            let new = Kept::of(&answer, authorization.expose_secret(), now);
            let new = new.map(|new| Kept { repository: api.repository(), ..new });
            replace(&note, store.as_ref(), kept.as_ref(), new.as_ref()).await;
            Ok(answer)
        }
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Budgets, Clock};
    use beadle_transport::ClientSettings;
    use beadle_transport::testing::Recorder;

    use super::*;
    use crate::auth::Credential;
    use crate::endpoint::Endpoint;

    const NOW: Time = Time(1_000_000_000_000);

    fn answer(etag: &str) -> Answer {
        let mut headers = http::HeaderMap::new();
        headers.insert(header::ETAG, etag.parse().unwrap());
        Answer { request: String::new(), status: 200, headers, body: Bytes::from_static(b"[]") }
    }

    #[test]
    fn a_tag_follows_the_token_while_it_can_be_computed() {
        let kept = Kept::of(&answer(&computed("token one", "[]")), "token one", NOW).unwrap();
        assert_eq!(kept.tag("Bearer two"), Some(computed("Bearer two", "[]")));
        assert_ne!(kept.tag("Bearer two"), kept.tag("token one"));
        let weak = answer(&format!("W/{}", computed("token one", "[]")));
        let weak = Kept::of(&weak, "token one", NOW).unwrap();
        assert!(weak.computable);
    }

    #[test]
    fn another_kind_of_tag_is_used_with_its_own_token_only() {
        let kept = Kept::of(&answer("\"something else\""), "token one", NOW).unwrap();
        assert_eq!(kept.tag("token one"), Some("\"something else\"".into()));
        assert_eq!(kept.tag("token two"), None);
        assert!(!serde_json::to_string(&kept).unwrap().contains("token one"), "a token is kept");
    }

    #[test]
    fn an_answer_without_a_tag_is_kept_and_read_without_a_tag() {
        let untagged = Answer { headers: HeaderMap::new(), ..answer("") };
        let kept = Kept::of(&untagged, "token one", NOW).unwrap();
        assert_eq!((kept.tag("token one"), kept.tag("token two")), (None, None));
        assert_eq!(kept.answer(&Path::at("a")).unwrap().body, untagged.body);
        let absent = Kept::absent(NOW, None);
        assert_eq!(absent.tag("token one"), None);
        let stored = serde_json::to_string(&absent).unwrap();
        assert_eq!(last_read(&stored), Some(NOW));
        let absent: Kept = serde_json::from_str(&stored).unwrap();
        assert_eq!(absent.answer(&Path::at("a")).unwrap_err().status(), Some(404));
    }

    #[test]
    fn an_answer_stands_for_a_read_of_its_own_repository_that_is_not_later() {
        let kept = |repository, read| Kept { read, repository, ..Kept::default() };
        let (hour, day) = (Duration::from_secs(3600), NOTED_EVERY);
        for (repository, read, expected, why) in [
            (Some(7), Some(NOW), true, "it is the answer of the read"),
            (Some(7), Some(NOW + day), true, "a later run read it again"),
            (Some(7), Some(NOW - day + hour), true, "its time is stored once a day"),
            (Some(7), Some(NOW - day), false, "the read did not get this answer"),
            (Some(7), None, false, "its time is unknown"),
            (Some(8), Some(NOW), false, "another repository had the path"),
            (None, Some(NOW), true, "an older version stored it"),
        ] {
            assert_eq!(kept(repository, read).stands_for(Some(7), NOW), expected, "{why}");
        }
    }

    /// Returns a connection with a token.
    fn api(token: &str) -> Api {
        let wire = Recorder::new(|_| (200, serde_json::json!({})));
        let settings = ClientSettings { wire: Some(wire), ..ClientSettings::default() };
        let credential = Credential::Token(SecretString::from(token));
        let (endpoint, budgets) = (Endpoint::new("https://github.test"), Budgets::new("acme", 0));
        Api::new(&endpoint, "acme", credential, budgets, &Clock::simulated(NOW), settings).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_same_access_uses_the_answer_that_nothing_exists() {
        let access = api("one").access().await.unwrap();
        let absent = Kept::absent(NOW, Some(access.digest));
        assert!(!serde_json::to_string(&absent).unwrap().contains("one"), "a token is kept");
        assert!(is_same_access(&api("one"), &absent).await);
        assert!(!is_same_access(&api("two"), &absent).await, "the first token may lack a permission");
        assert!(!is_same_access(&api("one"), &Kept::absent(NOW, None)).await, "an older version stored it");
    }

    #[test]
    fn only_a_new_answer_replaces_the_kept_one() {
        let untagged = Answer { headers: HeaderMap::new(), ..answer("") };
        let kept = || Kept::of(&untagged, "token one", NOW).unwrap();
        let later = Kept::of(&untagged, "token two", NOW + NOTED_EVERY).unwrap();
        assert!(kept().is_like(&later), "only the time differs");
        for other in [
            Kept::absent(NOW, None),
            Kept { body: "[1]".into(), ..kept() },
            Kept { repository: Some(7), ..kept() },
            Kept { access: Some(CredentialDigest::of("other")), ..kept() },
            Kept { link: Some("<two>; rel=\"next\"".into()), ..kept() },
            Kept::of(&answer("\"a\""), "token one", NOW).unwrap(),
        ] {
            assert!(!kept().is_like(&other), "{other:?}");
        }
        let tagged = |token| Kept::of(&answer("\"a\""), token, NOW).unwrap();
        assert!(!tagged("token one").is_like(&tagged("token two")), "the tag belongs to the token");
    }

    #[test]
    fn all_links_of_an_answer_are_kept() {
        let mut answer = answer("\"a\"");
        for link in ["<https://x/1>; rel=\"first\"", "<https://x/3>; rel=\"next\""] {
            answer.headers.append(header::LINK, link.parse().unwrap());
        }
        let kept = Kept::of(&answer, "token", NOW).unwrap();
        assert_eq!(kept.link.as_deref(), Some("<https://x/1>; rel=\"first\", <https://x/3>; rel=\"next\""));
    }

    #[test]
    fn the_time_of_the_last_read_is_stored_once_a_day() {
        let kept = Kept::of(&answer("\"a\""), "token one", NOW).unwrap();
        assert!(!kept.is_read_news(NOW + NOTED_EVERY / 2) && kept.is_read_news(NOW + NOTED_EVERY));
        assert!(kept.is_read_news(NOW - NOTED_EVERY), "the clock was ahead");
        let old = r#"{"etag":"\"a\"","token":"","computable":false,"link":null,"body":"[]"}"#;
        let old: Kept = serde_json::from_str(old).unwrap();
        assert!(old.is_read_news(NOW), "an older version stored it");
        assert_eq!(last_read(&serde_json::to_string(&kept).unwrap()), Some(NOW));
        assert_eq!(last_read(&serde_json::to_string(&old).unwrap()), None);
    }
}

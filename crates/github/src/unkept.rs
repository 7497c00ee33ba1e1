//! The answers of GitHub that the store does not keep: those that can contain a secret, those without
//! an `ETag`, and the answer that nothing exists at a path. They are only in memory, so that a sweep
//! can use them again in place of a read.

use parking_lot::Mutex;
use std::collections::HashMap;

use beadle_engine::Time;
use beadle_transport::{Answer, Path, TransportError};
use http::{HeaderMap, header};

/// The maximum number of answers in memory: some of each repository of a large organisation. If there
/// are more, Beadle forgets all of them and reads them again.
const MOST: usize = 60_000;
/// The maximum number of bytes of these answers, for a server or a proxy that sends no `ETag` with
/// large answers.
const MOST_BYTES: usize = 128 << 20;
/// About the number of bytes of an answer without its body.
const OVERHEAD: usize = 400;

/// An answer, or the error that nothing exists at the path.
pub(crate) type Read = Result<Answer, TransportError>;

/// The answers of one connection.
#[derive(Default)]
pub(crate) struct Unkept(Mutex<Answers>);

#[derive(Default)]
struct Answers {
    by_path: HashMap<String, (Time, Read)>,
    bytes: usize,
}

impl Answers {
    fn remove(&mut self, path: &str) {
        if let Some((_, read)) = self.by_path.remove(path) {
            self.bytes -= size(&read);
        }
    }
}

/// Returns about how many bytes an answer needs.
fn size(read: &Read) -> usize {
    OVERHEAD + read.as_ref().map_or(0, |answer| answer.body.len())
}

impl Unkept {
    /// Remembers an answer that arrived at `at`.
    pub(crate) fn put(&self, path: &Path, at: Time, read: &Read) {
        let read = match read {
            Ok(answer) => {
                // Beadle uses only the address of the next page, so the other headers need no memory.
                // An answer can have the header several times.
                let links = answer.headers.get_all(header::LINK).iter().cloned();
                let mut headers = HeaderMap::new();
                for link in links {
                    headers.append(header::LINK, link);
                }
                Ok(Answer { headers, ..answer.clone() })
            }
            Err(error) => Err(error.clone()),
        };
        let (path, size) = (path.to_string(), size(&read));
        let mut all = self.0.lock();
        all.remove(&path);
        if all.by_path.len() >= MOST || all.bytes + size > MOST_BYTES {
            *all = Answers::default();
        }
        all.bytes += size;
        all.by_path.insert(path, (at, read));
    }

    /// Forgets the answer at a path, because the store keeps a newer one.
    pub(crate) fn forget(&self, path: &Path) {
        self.0.lock().remove(&path.to_string());
    }

    /// Returns the answer at a path, if it arrived at `since` or later. Another process can have read
    /// the path in the meantime, so an earlier answer may be out of date.
    pub(crate) fn get(&self, path: &Path, since: Time) -> Option<Read> {
        let all = self.0.lock();
        let (at, read) = all.by_path.get(&path.to_string())?;
        (*at >= since).then(|| read.clone())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn an_answer_is_used_again_only_if_it_is_not_older_than_the_last_read() {
        let (unkept, path) = (Unkept::default(), Path::at("repos/acme/shop/hooks"));
        let mut headers = HeaderMap::new();
        let (last, next) = ("<nine>; rel=\"last\"", "<two>; rel=\"next\"");
        for (name, value) in [(header::LINK, last), (header::LINK, next), (header::ETAG, "\"a\"")] {
            headers.append(name, value.parse().unwrap());
        }
        let body = Bytes::from_static(b"[]");
        let answer = Answer { request: String::new(), status: 200, headers, body };
        unkept.put(&path, Time(5), &Ok(answer));
        let found = unkept.get(&path, Time(5)).unwrap().unwrap();
        assert_eq!((found.next(), found.headers.len()), (Some("two"), 2));
        assert!(unkept.get(&path, Time(6)).is_none(), "another process read it since");
        assert!(unkept.get(&Path::at("repos/acme/other/hooks"), Time(0)).is_none());
        let error = TransportError::Status { request: String::new(), status: 404, message: String::new() };
        unkept.put(&path, Time(7), &Err(error));
        assert_eq!(unkept.get(&path, Time(6)).unwrap().unwrap_err().status(), Some(404));
        unkept.forget(&path);
        assert!(unkept.get(&path, Time(0)).is_none());
    }

    #[test]
    fn the_answers_in_memory_have_a_limit() {
        const LARGE: usize = 32 << 20;
        let (unkept, body) = (Unkept::default(), Bytes::from(vec![b' '; LARGE]));
        let answer = Answer { request: String::new(), status: 200, headers: HeaderMap::new(), body };
        let path = |n: u64| Path::at("repositories").id(n);
        for n in [0, 1, 1, 1, 1, 2] {
            unkept.put(&path(n), Time(1), &Ok(answer.clone()));
        }
        assert!([0, 1, 2].iter().all(|n| unkept.get(&path(*n), Time(1)).is_some()), "each counts once");
        unkept.put(&path(3), Time(1), &Ok(answer));
        assert!(unkept.get(&path(3), Time(1)).is_some() && unkept.get(&path(0), Time(1)).is_none());
        unkept.forget(&path(3));
        assert_eq!(unkept.0.lock().bytes, 0);
    }
}

//! Explains GitHub's refusal of a call about the repository of a policy: the reason, and what
//! people can do. GitHub's own answer is often only `404 Not Found`.

use beadle_engine::Failure;
use beadle_transport::TransportError;

/// The permission to read the files of a repository.
pub(crate) const CONTENTS: &str = "contents: read";
/// The permission to write check runs.
pub(crate) const CHECKS: &str = "checks: write";
/// The permission to read pull requests, and to comment on them.
pub(crate) const PULLS: &str = "pull requests: write";
/// The permission to open, change and close issues.
pub(crate) const ISSUES: &str = "issues: write";
/// The permission to read the protection of a branch.
pub(crate) const ADMINISTRATION: &str = "administration: read";

/// What a call asks for: the repository, the reference and the permission.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The login of the organisation.
    pub(crate) organisation: &'a str,
    /// The name of the repository.
    pub(crate) repository: &'a str,
    /// The branch, the tag or the commit, if the configuration contains it.
    pub(crate) reference: Option<&'a str>,
    /// The permission that the call needs.
    pub(crate) permission: &'static str,
}

impl Asked<'_> {
    /// Converts an error to a failure. The failure contains the likely reason and the next step.
    pub(crate) fn explain(&self, error: TransportError) -> Failure {
        let class = error.class();
        match error.status().and_then(|status| self.hint(status, &error)) {
            Some(hint) => Failure::new(class, format!("{error}\nhint: {hint}")),
            None => error.into(),
        }
    }

    fn hint(&self, status: u16, error: &TransportError) -> Option<String> {
        let Self { organisation, repository, reference, permission } = self;
        let it = format!("{organisation}/{repository}");
        match (status, reference) {
            // GitHub answers 403 for other reasons too, such as an IP allow list.
            (403, _) if error.to_string().contains("not accessible by") => Some(format!(
                "the App or the token of {organisation} lacks the permission `{permission}` in {it}; grant the \
                 permission in the settings of the App, and accept it in the settings of {organisation}"
            )),
            (404, _) => Some(format!(
                "{it} does not exist, or the App or the token of {organisation} cannot access {it}; correct the name \
                 of the repository, or add the repository to the installation of the App with the permission \
                 `{permission}`"
            )),
            (409, Some(_)) => Some(format!("{it} has no commit yet; push the policy to {it}")),
            (422, Some(reference)) => Some(format!(
                "{it} has no branch, tag or commit `{reference}`; correct `ref`, or push `{reference}` to {it}"
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::Class;

    use super::*;

    fn asked(reference: Option<&str>) -> Asked<'_> {
        Asked { organisation: "acme", repository: "admin", reference, permission: CONTENTS }
    }

    #[test]
    fn a_refusal_names_what_was_asked_its_reason_and_what_to_do() {
        for (status, message, reference, hint) in [
            (404, "Not Found", None, Some("acme/admin does not exist, or the App")),
            (
                422,
                "No commit found for SHA: man",
                Some("man"),
                Some("no branch, tag or commit `man`; correct `ref`"),
            ),
            (422, "Validation Failed", None, None),
            (409, "Git Repository is empty.", Some("main"), Some("acme/admin has no commit yet")),
            (
                403,
                "Resource not accessible by integration",
                None,
                Some("lacks the permission `contents: read` in acme/admin; grant the permission"),
            ),
            (403, "your IP address is not permitted", None, None),
            (502, "Bad Gateway", Some("main"), None),
        ] {
            let request = "GET /repos/acme/admin/commits/man".to_owned();
            let error = TransportError::Status { request, status, message: message.to_owned() };
            let class = error.class();
            let failure = asked(reference).explain(error);
            assert_eq!(failure.class, class, "{status}");
            assert!(failure.text.starts_with("GET /repos/acme/admin/commits/man: "), "{}", failure.text);
            match hint {
                Some(hint) => {
                    let (_, shown) = failure.text.split_once("\nhint: ").unwrap();
                    assert!(shown.contains(hint), "{shown}");
                }
                None => assert!(!failure.text.contains("hint"), "{}", failure.text),
            }
        }
    }

    #[test]
    fn an_error_without_an_answer_is_not_explained() {
        let error = TransportError::Timeout { request: "GET /x".to_owned(), seconds: 10 };
        assert_eq!(asked(None).explain(error).class, Class::Retry);
    }
}

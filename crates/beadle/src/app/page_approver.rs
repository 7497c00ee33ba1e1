//! The rules for a person who approves on a page what a policy causes, or a held policy itself.

use beadle_server::sign_in::DecisionRefusal;

use crate::app::approval_rules::{PolicyFacts, involved};
use crate::app::held_generation::HeldGeneration;
use crate::app::policy_authors::held_authors;
use crate::app::service::Service;

/// The reason why a person without a known login may not approve.
pub(crate) const NO_LOGIN: &str = "your login at GitHub is not known, so you may be the author of the policy";

/// Returns the refusal of an approval that another person may give.
pub(crate) fn forbidden(why: &str) -> DecisionRefusal {
    DecisionRefusal::Forbidden(format!("{why}: another person can use `beadle approve`"))
}

/// Returns the GitHub server at which people sign in; `None` if they sign in with another provider.
pub(crate) fn server_of_logins(service: &Service) -> Option<String> {
    let github = service.config().file.server.sign_in.as_ref()?.github.as_ref()?;
    let org = service.orgs.iter().find(|org| org.file.name == github.org)?;
    Some(org.file.web())
}

/// Checks that a person may approve a held policy: the person must not be its author.
pub(crate) async fn check_policy_approver(
    service: &Service,
    held: &HeldGeneration,
    login: Option<&str>,
) -> Result<(), DecisionRefusal> {
    let Some(login) = login else { return Err(forbidden(NO_LOGIN)) };
    let organisation = service.orgs.iter().find(|org| org.file.name == held.organisation);
    let authors = match (organisation.and_then(|org| org.open()), &held.commit) {
        (Some(open), Some(commit)) => {
            let web = server_of_logins(service);
            held_authors(&service.app, (&open, web.as_deref()), commit).await
        }
        _ => Ok(Vec::new()),
    };
    let authors = authors.map_err(|failure| DecisionRefusal::Unavailable(failure.text))?;
    match involved(login, &PolicyFacts { generation: &held.generation, authors }) {
        Some(why) => Err(forbidden(why)),
        None => Ok(()),
    }
}

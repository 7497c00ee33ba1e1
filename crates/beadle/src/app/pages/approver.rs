//! The rules for a person who approves a held policy or its changes on a page.

use beadle_server::sign_in::DecisionRefusal;

use crate::app::gate::held_generation::HeldGeneration;
use crate::app::operations::approval_rules::{PolicyFacts, involved};
use crate::app::policy::authors::held_authors;
use crate::app::service::Service;

/// The reason why a person without a known login cannot approve.
pub(crate) const NO_LOGIN: &str = "your login at GitHub is not known, so you may be the author of the policy";

/// Returns the answer to a person who must not approve. The answer contains the reason, and says
/// that another person can approve.
pub(crate) fn forbidden(why: &str) -> DecisionRefusal {
    DecisionRefusal::Forbidden(format!("{why}: another person can use `beadle approve`"))
}

/// Returns the GitHub server that people use to sign in. Returns `None` if people sign in with
/// another provider.
pub(crate) fn server_of_logins(service: &Service) -> Option<String> {
    let github = service.config().file.server.sign_in.as_ref()?.github.as_ref()?;
    let org = service.orgs.iter().find(|org| org.file.name == github.org)?;
    Some(org.file.web())
}

/// A hold together with the name of its note.
type Noted = (String, HeldGeneration);

/// Returns the holds with the generation and the plan that the page showed. A hold that still waits
/// for an approval comes first.
///
/// The code of a plan does not identify a generation. Another generation with the same plan might
/// have another author, and might have other effects later.
pub(crate) fn shown_policy<'a>(
    all: &'a [Noted],
    (plan, generation): (&str, &str),
) -> Result<(&'a HeldGeneration, Vec<&'a Noted>), DecisionRefusal> {
    let mut shown: Vec<&Noted> = all.iter().filter(|(_, held)| held.digest == plan).collect();
    if shown.is_empty() {
        let why = "the gate holds no plan with this code now: open the page again";
        return Err(DecisionRefusal::NotFound(why.to_owned()));
    }
    shown.retain(|(_, held)| held.generation == generation);
    let open = shown.iter().copied().find(|(_, held)| held.approved.is_none());
    let Some((_, first)) = open.or(shown.first().copied()) else {
        let why = "another generation has the plan with this code now: open the page again";
        return Err(DecisionRefusal::Conflict(why.to_owned()));
    };
    Ok((first, shown))
}

/// Checks that a person is allowed to approve a held policy. The person must not be the author of
/// the policy.
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

#[cfg(test)]
mod tests {
    use beadle_engine::Time;

    use super::*;
    use crate::app::gate::held_generation::GenerationApproval;

    fn held(organisation: &str, generation: &str, is_approved: bool) -> (String, HeldGeneration) {
        let approval = GenerationApproval { by: "ann".into(), reason: "read it".into(), at: Time(0) };
        let held = HeldGeneration::new((organisation, generation), &[], 1, Time(0));
        let approved = is_approved.then_some(approval);
        (organisation.to_owned(), HeldGeneration { digest: "p1".into(), approved, ..held })
    }

    #[test]
    fn an_approval_of_a_stale_page_is_not_for_another_generation_with_the_same_plan() {
        let seen = [held("acme", "g1", false)];
        assert!(shown_policy(&seen, ("p1", "g1")).is_ok());
        let now = [held("acme", "g2", false)];
        for (plan, generation) in [("p1", "g1"), ("p1", "")] {
            let refusal = shown_policy(&now, (plan, generation)).unwrap_err();
            assert!(matches!(refusal, DecisionRefusal::Conflict(_)), "{plan} {generation}: {refusal:?}");
        }
        let refusal = shown_policy(&now, ("p2", "g2")).unwrap_err();
        assert!(matches!(refusal, DecisionRefusal::NotFound(_)), "{refusal:?}");
    }

    #[test]
    fn the_approver_is_checked_for_the_hold_that_still_waits() {
        let all = [held("acme", "g1", true), held("labs", "g1", false), held("other", "g2", false)];
        let (first, shown) = shown_policy(&all, ("p1", "g1")).unwrap();
        assert_eq!((first.organisation.as_str(), shown.len()), ("labs", 2));
        let (first, _) = shown_policy(&all[..1], ("p1", "g1")).unwrap();
        assert_eq!(first.organisation, "acme", "somebody approved it before");
    }
}

//! The answers that Beadle gives if it cannot carry out the request of a signed-in person.

use beadle_engine::{Failure, StoreError};
use beadle_server::sign_in::DecisionRefusal;

/// Returns an error text without line breaks, because a page shows no line breaks.
pub(crate) fn one_line(error: &anyhow::Error) -> String {
    beadle_engine::one_line(&format!("{error:#}"))
}

/// Returns the refusal of a request for something that Beadle could not find. If the store or a
/// vendor did not answer, a retry might help. In all other cases, the thing does not exist.
pub(crate) fn refusal(error: &anyhow::Error) -> DecisionRefusal {
    let is_unavailable = error.is::<StoreError>() || error.is::<Failure>();
    let why = one_line(error);
    if is_unavailable { DecisionRefusal::Unavailable(why) } else { DecisionRefusal::NotFound(why) }
}

#[cfg(test)]
mod tests {
    use beadle_engine::Class;

    use super::*;

    #[test]
    fn a_vendor_that_does_not_answer_is_not_a_missing_thing() {
        let failure = anyhow::Error::from(Failure::new(Class::Retry, "502"));
        assert_eq!(refusal(&failure), DecisionRefusal::Unavailable("502".to_owned()));
        let missing = anyhow::anyhow!("no such entry\nhint: look again");
        assert_eq!(
            refusal(&missing),
            DecisionRefusal::NotFound("no such entry; hint: look again".to_owned())
        );
    }
}

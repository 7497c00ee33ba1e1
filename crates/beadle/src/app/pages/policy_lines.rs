//! For the pages, finds the texts of the policy's lines, and the addresses of these lines at
//! GitHub. The texts come from the policy in the memory of the process, so a page reads no file
//! from the store.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use beadle_engine::guard::is_undo;
use beadle_engine::journal::{PolicyCommitted, PolicyInForce};
use beadle_engine::{Detail, Entry, EntryKind, History, PolicyLocation, StoreError};
use beadle_github::Commit;
use beadle_repositories::Policy;
use beadle_repositories::policy::{BASE, PolicyOrigin, quoted_line};
use beadle_server::pages::{AskedLine, LineFacts};

use crate::app::service::Service;
use crate::output::policy_links::PolicyLinks;

/// The maximum number of generations that Beadle searches in the journal.
const POLICIES: u32 = 200;
/// The minimum number of digits of a commit's id.
const COMMIT: usize = 40;

/// Returns what Beadle knows about lines that asked for changes.
pub(super) async fn known(
    service: &Service,
    asked: BTreeSet<AskedLine>,
) -> Result<BTreeMap<AskedLine, LineFacts>, StoreError> {
    let mut generations = Generations { service, found: HashMap::new(), policies: None };
    let mut known = BTreeMap::new();
    // No policy asks for the changes of an undo.
    for line in asked.into_iter().filter(|line| !is_undo(&line.generation)) {
        let facts = generations.of(&line.organisation, &line.generation).await?.line(&line.at);
        if facts != LineFacts::default() {
            known.insert(line, facts);
        }
    }
    Ok(known)
}

/// The policy of a generation, and the links to its lines.
#[derive(Clone, Default)]
struct Generation {
    /// The policy, if it is in force.
    policy: Option<Arc<Policy>>,
    /// The links to its lines, if the policy comes from a repository.
    links: Option<PolicyLinks>,
}

impl Generation {
    fn line(&self, at: &PolicyLocation) -> LineFacts {
        let source = self.policy.as_ref().and_then(|policy| policy.sources.get(&*at.file));
        LineFacts {
            text: source.and_then(|source| quoted_line(source, at.line)),
            link: self.links.as_ref().and_then(|links| link(links, at)),
        }
    }
}

/// Finds generations of policies.
struct Generations<'a> {
    service: &'a Service,
    /// The generations that Beadle has searched, keyed by the organisation and the name of the
    /// generation.
    found: HashMap<(String, String), Generation>,
    /// The newest entries of the journal about policies that came into force. `None` if Beadle has
    /// not read them yet.
    policies: Option<Vec<Entry>>,
}

impl Generations<'_> {
    async fn of(&mut self, organisation: &str, generation: &str) -> Result<Generation, StoreError> {
        let name = (organisation.to_owned(), generation.to_owned());
        if let Some(known) = self.found.get(&name) {
            return Ok(known.clone());
        }
        let found = self.search(organisation, generation).await?;
        self.found.insert(name, found.clone());
        Ok(found)
    }

    async fn search(&mut self, organisation: &str, generation: &str) -> Result<Generation, StoreError> {
        let org = self.service.orgs.iter().find(|org| org.file.name == organisation);
        let Some(open) = org.and_then(|org| org.open()) else { return Ok(Generation::default()) };
        let current = open.policy.current();
        if current.generation == generation {
            return Ok(Generation { links: open.links(), policy: Some(current) });
        }
        if current.origin.is_none() {
            return Ok(Generation::default());
        }
        let policies = match self.policies.take() {
            Some(policies) => policies,
            None => self.newest_policies().await?,
        };
        let mut its = policies.iter().filter(|entry| entry.subject == organisation);
        let origins = its.find_map(|entry| match &entry.detail {
            Detail::Policy(policy) if policy.in_force == generation => origins(&current, policy),
            _ => None,
        });
        self.policies = Some(policies);
        let links = origins.map(|(origin, base)| open.links_at(origin, base));
        Ok(Generation { policy: None, links })
    }

    async fn newest_policies(&self) -> Result<Vec<Entry>, StoreError> {
        let history = History {
            key: Some("-".to_owned()),
            kind: Some(EntryKind::Policy),
            limit: POLICIES,
            ..History::default()
        };
        self.service.store.newest_entries(history).await
    }
}

/// Returns the commits of an earlier generation. The journal does not have the folders of the
/// policy and of its base, so the result has the present folders.
fn origins(current: &Policy, earlier: &PolicyInForce) -> Option<(PolicyOrigin, Option<PolicyOrigin>)> {
    let origin = at_commit(current.origin.as_ref()?, &earlier.from)?;
    let base = current.base.as_ref().zip(earlier.base.as_ref());
    Some((origin, base.and_then(|(base, earlier)| at_commit(base, earlier))))
}

/// Returns the same folder at another commit. Returns `None` if the commit is in another
/// repository.
fn at_commit(origin: &PolicyOrigin, other: &PolicyCommitted) -> Option<PolicyOrigin> {
    let commit = Commit { id: other.commit.clone(), ..origin.commit.clone() };
    (origin.repository == other.repository).then(|| PolicyOrigin { commit, ..origin.clone() })
}

/// Returns the address of a line at an earlier commit. The commit belongs to an organisation's
/// policy or to the base of this policy. Returns `None` if the policy was in a folder at that time.
pub(super) fn link_at(
    service: &Service,
    organisation: &str,
    (at, commit): (&PolicyLocation, &str),
) -> Option<String> {
    let open = service.orgs.iter().find(|org| org.file.name == organisation)?.open()?;
    let (origin, base) = moved(&open.policy.current(), at, commit)?;
    Some(open.links_at(origin, base).link(at))
}

/// Returns the places of the policy and of its base. The part that contains the line is at the
/// given commit. Returns `None` if the text is not a commit, but the name of a generation in a
/// folder.
fn moved(
    current: &Policy,
    at: &PolicyLocation,
    commit: &str,
) -> Option<(PolicyOrigin, Option<PolicyOrigin>)> {
    let is_commit = commit.len() >= COMMIT && commit.chars().all(|c| c.is_ascii_hexdigit());
    let origin = current.origin.clone().filter(|_| is_commit)?;
    let at_commit = |origin: PolicyOrigin| {
        let commit = Commit { id: commit.to_owned(), ..origin.commit };
        PolicyOrigin { commit, ..origin }
    };
    if at.file.starts_with(BASE) {
        return Some((origin, Some(at_commit(current.base.clone()?))));
    }
    Some((at_commit(origin), None))
}

/// Returns the address of a line. Returns `None` if the line is in the base of the policy, and the
/// commit of the base is not known.
fn link(links: &PolicyLinks, at: &PolicyLocation) -> Option<String> {
    (links.base.is_some() || !at.file.starts_with(BASE)).then(|| links.link(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(repository: &str, digit: &str) -> PolicyOrigin {
        let commit =
            Commit { id: digit.repeat(40), author: "ann".into(), logins: Vec::new(), subject: String::new() };
        PolicyOrigin { repository: repository.into(), path: "rules".into(), commit }
    }

    fn committed(repository: &str, digit: &str) -> PolicyCommitted {
        PolicyCommitted {
            repository: repository.into(),
            commit: digit.repeat(40),
            author: "bob".into(),
            subject: "Change it".into(),
        }
    }

    #[test]
    fn a_line_of_the_policy_in_force_has_its_text() {
        let settings = "repository:\n  has_wiki: true\n  homepage: https://acme.example\n";
        let files = [("settings.yml".to_owned(), settings.to_owned())];
        let policy = Policy::on_base(files.into(), "admin", origin("acme/admin", "a"), None).unwrap();
        let generation = Generation { policy: Some(Arc::new(policy)), links: None };
        let text = |file: &str, line: u32| generation.line(&PolicyLocation { file: file.into(), line }).text;
        assert_eq!(text("settings.yml", 2).as_deref(), Some("has_wiki: true"));
        for (file, line) in [("settings.yml", 3), ("settings.yml", 9), ("repos/shop.yml", 1)] {
            assert_eq!(text(file, line), None, "{file}:{line}");
        }
    }

    #[test]
    fn a_line_at_an_earlier_commit_leads_to_the_part_of_the_policy_that_has_the_line() {
        let files = ["settings.yml", "base/settings.yml"];
        let files = files.map(|file| (file.to_owned(), "repository: { has_wiki: true }\n".to_owned()));
        let base = Some(origin("shared/rules", "b"));
        let current = Policy::on_base(files.into(), "admin", origin("acme/admin", "a"), base).unwrap();
        let earlier = "1".repeat(40);
        let commits = |file: &str, commit: &str| {
            let at = PolicyLocation { file: file.into(), line: 7 };
            let (origin, base) = moved(&current, &at, commit)?;
            Some((origin.commit.id, base.map(|base| base.commit.id)))
        };
        assert_eq!(commits("settings.yml", &earlier), Some((earlier.clone(), None)));
        let of_base = Some(("a".repeat(40), Some(earlier.clone())));
        assert_eq!(commits("base/settings.yml", &earlier), of_base);
        assert_eq!(commits("settings.yml", "3c9f0a1b2d4e"), None, "the policy was in a folder");
    }

    #[test]
    fn a_line_of_an_earlier_generation_leads_to_the_commit_of_this_generation() {
        let files = ["settings.yml", "base/settings.yml"];
        let files = files.map(|file| (file.to_owned(), "repository: { has_wiki: true }\n".to_owned()));
        let base = Some(origin("shared/rules", "b"));
        let current = Policy::on_base(files.into(), "admin", origin("acme/admin", "a"), base).unwrap();
        let earlier = |own: &str, base: Option<&str>| PolicyInForce {
            in_force: "g".into(),
            from: committed(own, "1"),
            base: base.map(|base| committed(base, "2")),
        };
        let links = |earlier: &PolicyInForce| {
            let (origin, base) = origins(&current, earlier)?;
            let web = "https://github.com".to_owned();
            Some(PolicyLinks { web: web.clone(), origin, base: base.map(|base| (web, base)) })
        };
        let at = |file: &str| PolicyLocation { file: file.into(), line: 7 };
        let both = links(&earlier("acme/admin", Some("shared/rules"))).unwrap();
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        let own = format!("https://github.com/acme/admin/blob/{one}/rules/settings.yml#L7");
        assert_eq!(link(&both, &at("settings.yml")), Some(own.clone()));
        let shared = format!("https://github.com/shared/rules/blob/{two}/rules/settings.yml#L7");
        assert_eq!(link(&both, &at("base/settings.yml")), Some(shared));
        // The base was in another repository, or there was none.
        for base in [Some("other/rules"), None] {
            let links = links(&earlier("acme/admin", base)).unwrap();
            assert_eq!(link(&links, &at("settings.yml")), Some(own.clone()));
            assert_eq!(link(&links, &at("base/settings.yml")), None);
        }
        assert!(links(&earlier("acme/other", None)).is_none(), "the policy was in another repository");
    }
}

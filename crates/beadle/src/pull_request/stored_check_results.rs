//! Stores the check results of open pull requests as notes. The pages and `beadle previews` show
//! these results, so that an operator sees the effect of a merge.

use beadle_engine::{GateSums, Key, Metadata, Note, Plan, Store, StoreError, Time};
use serde::{Deserialize, Deserializer, Serialize};

use super::change_kinds::{ChangeKind, kinds};
use super::findings::{Findings, Previewed};
use super::stored_repository_names::{NamesOfKind, RepositoryNames};
use crate::app::gate::held_generation::HeldGroup;
use crate::app::policy::group_changes_between_versions::ChangedGroups;
use crate::output::escape::cut;

/// The maximum number of stored results of one organisation. The limit is necessary because
/// everybody who can read a repository can open pull requests from a fork.
const MOST: usize = 200;
/// The maximum number of different kinds of changes in one pull request.
const KINDS: usize = 50;
/// The maximum number of characters of a text.
const TEXT: usize = 300;

/// The result of the last check of an open pull request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CheckedPull {
    /// The key of the pull request.
    pub(crate) key: String,
    /// The organisation that uses the policy.
    pub(crate) organisation: String,
    /// The readable name of the pull request, such as `acme/admin#7`.
    pub(crate) name: String,
    /// The number of the pull request.
    pub(crate) number: u64,
    /// The last commit of the pull request at the time of the check.
    pub(crate) head: String,
    /// The time when the check ended.
    pub(crate) checked: Time,
    /// The conclusion of the check, such as `success`.
    pub(crate) conclusion: String,
    /// The title of the check.
    pub(crate) title: String,
    /// The title of the pull request. Empty if an older version of Beadle stored the result.
    #[serde(default)]
    pub(crate) pull_title: String,
    /// The login of the author. `None` if the account no longer exists, or if an older version of
    /// Beadle stored the result.
    #[serde(default)]
    pub(crate) author: Option<String>,
    /// The address of the pull request. `None` if an older version of Beadle stored the result.
    #[serde(default)]
    pub(crate) link: Option<String>,
    /// True if the pull request comes from a fork.
    pub(crate) is_from_fork: bool,
    /// The reason why `merge` is `None`. The reason is missing if an older version of Beadle stored
    /// the result. The reason is also missing if a newer version stored an unknown reason.
    #[serde(default, deserialize_with = "known_reason")]
    pub(crate) no_preview: Option<NoPreview>,
    /// The effect that a merge would have. `None` if there is no preview.
    pub(crate) merge: Option<Merge>,
}

/// Why a result has no preview.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NoPreview {
    /// The policy of the pull request is invalid.
    Invalid,
    /// The pull request comes from a fork, and people outside the organisation can read its check.
    Fork,
}

/// Reads a reason. Ignores a reason that only a newer version knows, so that the rest of the result
/// stays readable.
fn known_reason<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NoPreview>, D::Error> {
    let stored = Option::<String>::deserialize(deserializer)?;
    Ok(stored.and_then(|reason| serde_json::from_value(reason.into()).ok()))
}

impl NoPreview {
    /// Returns the reason as a sentence.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Invalid => "The policy is invalid, so Beadle cannot plan its changes.",
            Self::Fork => {
                "The pull request comes from a fork, and people outside the organisation can read its check. Beadle \
                 plans the changes after its commits are in a branch of the repository."
            }
        }
    }
}

/// The effect that a merge of the pull request would have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Merge {
    /// The generation of the policy that the check compared with the pull request. `None` if an
    /// older version of Beadle stored the result.
    #[serde(default)]
    pub(crate) base: Option<String>,
    /// The sums of the changes that Beadle would write to repositories and groups.
    pub(crate) sums: GateSums,
    /// The number of repositories whose declared values differ between the two policies.
    pub(crate) affected: u64,
    /// The number of repositories in the organisation.
    pub(crate) total: u64,
    /// The number of groups with a change.
    pub(crate) changed_groups: u64,
    /// The number of values that the policy of the base also changes.
    pub(crate) drift: u64,
    /// Why the gate would hold the policy. `None` if the policy passes.
    pub(crate) held: Option<String>,
    /// The number of parts that Beadle could not plan.
    pub(crate) incomplete: u64,
    /// The changes, with one group for each kind of change. The most severe group comes first. For
    /// a fork, the changes of access groups are missing, because these changes contain names of
    /// people.
    pub(crate) changes: Vec<HeldGroup>,
    /// The number of kinds of changes that are left out.
    pub(crate) more_changes: usize,
}

impl Merge {
    /// Returns whether the check compared the pull request with the present policy in force.
    /// `in_force` is the generation of this policy.
    pub(crate) fn is_of(&self, in_force: Option<&str>) -> bool {
        self.base.is_some() && self.base.as_deref() == in_force
    }

    /// Returns a text about the policy that the check compared with the pull request. Call this
    /// method only if [`Self::is_of`] returns `false`.
    pub(crate) fn compared(&self, in_force: Option<&str>) -> String {
        let made = match &self.base {
            Some(base) => format!("made against the policy {base}, which is not in force"),
            None => "made by an older version of Beadle, which did not store the compared policy".to_owned(),
        };
        match in_force {
            Some(in_force) => format!("{made}; the policy {in_force} is in force"),
            None => made,
        }
    }
}

impl Metadata for CheckedPull {
    const KIND: &'static str = "checked-pull";
}

impl CheckedPull {
    fn note(key: &Key) -> Note<Self> {
        Note::of(&[key.instance(), key.id()])
    }

    /// Creates the result of a check. `name` is the readable name of the pull request.
    pub(super) fn new(key: &Key, (name, number): (&str, u64), findings: &Findings, now: Time) -> Self {
        let (conclusion, title) = findings.conclusion();
        Self {
            key: key.to_string(),
            organisation: findings.organisation.clone(),
            name: name.to_owned(),
            number,
            head: findings.head.clone(),
            checked: now,
            conclusion: conclusion.as_str().to_owned(),
            title: cut(&title, TEXT),
            pull_title: cut(&findings.pull.title, TEXT),
            author: findings.pull.author.as_ref().map(|author| cut(author, TEXT)),
            link: Some(findings.pull.link.clone()),
            no_preview: match (&findings.preview, findings.is_hidden) {
                (Some(_), _) => None,
                (None, true) => Some(NoPreview::Fork),
                (None, false) => Some(NoPreview::Invalid),
            },
            is_from_fork: findings.is_from_fork,
            merge: findings.preview.as_ref().map(|preview| merge(preview, findings.is_from_fork)),
        }
    }

    /// Returns the names of all repositories that a merge would change, and the names of the
    /// repositories that drifted before the merge.
    pub(super) fn names(&self, findings: &Findings) -> RepositoryNames {
        let shown = findings.preview.as_ref().map(|preview| shown(preview, findings.is_from_fork));
        let kinds = kinds(&shown.unwrap_or_default()).into_iter().take(KINDS);
        let drifted = findings.preview.as_ref().map(|preview| preview.drifted.clone());
        let kinds = kinds.map(|kind| kind.names).collect();
        RepositoryNames::new((&self.head, self.checked), kinds, drifted.unwrap_or_default())
    }

    /// Stores the result. If the organisation has too many results, deletes the oldest results.
    /// Deletes the results of forks first, because strangers must not displace the results of
    /// members.
    pub(super) async fn remember(&self, key: &Key, store: &dyn Store) -> Result<(), StoreError> {
        Self::note(key).put(store, self).await?;
        let mut all = Note::<Self>::of(&[key.instance(), ""]).list(store).await?;
        all.sort_by_key(|(_, pull)| (pull.is_from_fork, std::cmp::Reverse(pull.checked)));
        for (id, _) in all.iter().skip(MOST) {
            Self::forget(&Key::new(key.kind(), key.instance(), id), store).await?;
        }
        Ok(())
    }

    /// Returns the result of the commit `head`. Deletes the result of an earlier commit. Otherwise,
    /// people could mistake the old result for the result of `head` while the check of `head` has
    /// not ended.
    pub(super) async fn of_commit(
        key: &Key,
        head: &str,
        store: &dyn Store,
    ) -> Result<Option<Self>, StoreError> {
        let stored = Self::note(key).get(store).await?;
        if stored.as_ref().is_some_and(|pull| pull.head != head) {
            Self::forget(key, store).await?;
            return Ok(None);
        }
        Ok(stored)
    }

    /// Returns whether the result has a preview without missing parts.
    pub(super) fn is_complete(&self) -> bool {
        self.merge.as_ref().is_some_and(|merge| merge.incomplete == 0)
    }

    /// Deletes the result of a pull request, for example because the pull request is closed or
    /// changes no policy.
    pub(super) async fn forget(key: &Key, store: &dyn Store) -> Result<(), StoreError> {
        RepositoryNames::forget(key, store).await?;
        Self::note(key).forget(store).await
    }

    /// Returns the names of the repositories for each kind of change in [`Merge::changes`]. If an older
    /// version stored the result, returns only the examples of each kind.
    pub(crate) async fn names_of_kinds(&self, store: &dyn Store) -> Result<Vec<NamesOfKind>, StoreError> {
        let Some(merge) = &self.merge else { return Ok(Vec::new()) };
        let stored = RepositoryNames::of_result(&self.key, (&self.head, self.checked), store).await?;
        let examples = |kind: &HeldGroup| NamesOfKind { names: kind.examples.clone(), more: kind.unnamed() };
        let stored = stored.map(|names| names.kinds).filter(|kinds| kinds.len() == merge.changes.len());
        Ok(stored.unwrap_or_else(|| merge.changes.iter().map(examples).collect()))
    }

    /// Lists the results of all organisations. The newest result comes first.
    pub(crate) async fn all(store: &dyn Store) -> Result<Vec<Self>, StoreError> {
        let all = Note::<Self>::of(&[""]).list(store).await?;
        let mut all: Vec<Self> = all.into_iter().map(|(_, pull)| pull).collect();
        all.sort_by_key(|pull| std::cmp::Reverse(pull.checked));
        Ok(all)
    }
}

/// Returns the plans whose changes a result contains. The result of a fork must not contain the
/// changes of access groups.
fn shown(preview: &Previewed, is_from_fork: bool) -> Vec<(Key, Plan<()>)> {
    let of_groups = preview.groups.iter().flat_map(ChangedGroups::plans).filter(|_| !is_from_fork);
    preview.plans.iter().chain(of_groups).cloned().collect()
}

fn merge(preview: &Previewed, is_from_fork: bool) -> Merge {
    let of_groups = || preview.groups.iter().flat_map(ChangedGroups::plans);
    let kinds = kinds(&shown(preview, is_from_fork)).into_iter();
    let mut changes: Vec<HeldGroup> = kinds.map(|ChangeKind { group, .. }| group).collect();
    let more_changes = changes.len().saturating_sub(KINDS);
    changes.truncate(KINDS);
    for kind in &mut changes {
        kind.what = cut(&kind.what, TEXT);
        kind.aspect = cut(&kind.aspect, TEXT);
        kind.examples.iter_mut().for_each(|example| *example = cut(example, TEXT));
        let all = kind.asked.len();
        kind.asked.retain(|at| at.file.len() <= TEXT);
        kind.more_asked += all - kind.asked.len();
    }
    Merge {
        base: Some(preview.base.clone()),
        sums: GateSums::of(preview.plans.iter().chain(of_groups()).map(|(_, plan)| plan)),
        affected: preview.affected,
        total: preview.total,
        changed_groups: preview.group_risks().1,
        drift: preview.drift,
        held: preview.held.as_ref().map(|why| cut(why, TEXT)),
        incomplete: preview.incomplete.len() as u64,
        changes,
        more_changes,
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::{PolicyLocation, Risk, testing};
    use serde_json::{Value, json};

    use super::super::findings::tests::{change, findings, preview};
    use super::super::pull_names::PullNames;
    use super::*;
    use crate::app::store;

    fn key(number: u64) -> Key {
        Key::new("check", "acme", format!("7/{number}"))
    }

    /// Returns the findings in a policy that removes a team from 30 repositories, and a member from a
    /// group.
    fn found(is_from_fork: bool) -> Findings {
        let names: Vec<String> = (0..30).map(|n| format!("r{n:02}")).collect();
        let removal = change("team core", Risk::Removes, &json!("push"), &Value::Null);
        let mut leave = testing::change("members", "change roles", &[Risk::Removes]);
        leave.fields[0].name = "mona".to_owned();
        (leave.fields[0].before, leave.fields[0].after) = (json!("owner"), json!("member"));
        let of_group = Plan { changes: vec![leave], ..Plan::new("teams/Ops") };
        let mapped = vec![(Key::new("target-group", "teams", "into/Ops"), of_group)];
        let groups = vec![ChangedGroups { mapped, ..ChangedGroups::default() }];
        let drifted = vec!["acme/wiki".to_owned()];
        let previewed = Previewed { drift: 2, drifted, groups, ..preview(&names, &[removal]) };
        Findings { is_from_fork, ..findings(Some(previewed)) }
    }

    #[test]
    fn a_result_shows_what_a_merge_changes_and_how_the_check_ended() {
        let pull = CheckedPull::new(&key(7), ("acme/admin#7", 7), &found(false), Time(5));
        assert_eq!((pull.head.as_str(), pull.conclusion.as_str()), ("b".repeat(40).as_str(), "success"));
        let merge = pull.merge.unwrap();
        assert_eq!((merge.affected, merge.total, merge.drift, merge.changed_groups), (30, 40, 2, 1));
        assert_eq!(merge.sums.risks.removes, 31);
        let kinds: Vec<(&str, u64)> =
            merge.changes.iter().map(|kind| (kind.aspect.as_str(), kind.repositories)).collect();
        assert_eq!(kinds, [("teams", 30), ("members", 1)]);
        assert_eq!(merge.changes[0].what, "team core: permission: push → none");
        assert!(
            merge.is_of(Some("aaaaaaaaaaaa")) && !merge.is_of(Some("bbbbbbbbbbbb")) && !merge.is_of(None)
        );
        assert!(!Merge { base: None, ..merge }.is_of(None), "an older version did not store the base");
    }

    #[test]
    fn a_result_has_all_names_of_each_kind_and_the_lines_that_ask_for_it() {
        let mut found = found(false);
        let at = |file: &str, line: u32| Some(PolicyLocation { file: file.into(), line });
        let plans = &mut found.preview.as_mut().unwrap().plans;
        for (n, (_, plan)) in plans.iter_mut().enumerate() {
            let file = if n == 0 { "repos/r00.yml" } else { "settings.yml" };
            plan.changes[0].fields[0].asked = at(file, 12);
        }
        let pull = CheckedPull::new(&key(7), ("acme/admin#7", 7), &found, Time(5));
        let stored = serde_json::to_value(pull.names(&found)).unwrap();
        let counts: Vec<usize> = stored["kinds"]
            .as_array()
            .unwrap()
            .iter()
            .map(|kind| kind["names"].as_array().unwrap().len())
            .collect();
        assert_eq!(counts, [30, 1]);
        assert_eq!(stored["drifted"], json!({ "names": ["acme/wiki"], "more": 0 }));
        let merge = pull.merge.unwrap();
        let kind = &merge.changes[0];
        assert_eq!(kind.sources().as_deref(), Some("repos/r00.yml:12, settings.yml:12"));
        // A long path must not make the result too large for the store.
        for (_, plan) in &mut found.preview.as_mut().unwrap().plans[1..] {
            plan.changes[0].fields[0].asked = at(&"x".repeat(10_000), 12);
        }
        let pull = CheckedPull::new(&key(7), ("acme/admin#7", 7), &found, Time(5));
        let merge = pull.merge.unwrap();
        let kind = &merge.changes[0];
        assert_eq!(kind.sources().as_deref(), Some("repos/r00.yml:12 and 1 more"));
    }

    #[test]
    fn a_result_names_the_pull_request_and_why_it_has_no_preview() {
        let link = "https://github.com/acme/admin/pull/7".to_owned();
        let pull = PullNames { title: "t".repeat(400), author: Some("mona".into()), link: link.clone() };
        let result = |found: Findings| CheckedPull::new(&key(7), ("acme/admin#7", 7), &found, Time(5));
        let shown = result(Findings { pull, ..found(false) });
        assert!(shown.pull_title.starts_with("ttt") && shown.pull_title.len() < 400, "{}", shown.pull_title);
        assert_eq!((shown.author.as_deref(), shown.link), (Some("mona"), Some(link)));
        assert_eq!(shown.no_preview, None);
        assert_eq!(result(findings(None)).no_preview, Some(NoPreview::Invalid));
        let hidden = Findings { is_hidden: true, ..findings(None) };
        assert_eq!(result(hidden).no_preview, Some(NoPreview::Fork));
    }

    #[test]
    fn a_result_of_an_older_version_is_read() {
        let mut stored =
            serde_json::to_value(CheckedPull::new(&key(7), ("acme/admin#7", 7), &found(false), Time(5)))
                .unwrap();
        let pull = stored.as_object_mut().unwrap();
        for name in ["pull_title", "author", "link", "no_preview"] {
            pull.remove(name).unwrap();
        }
        pull["merge"].as_object_mut().unwrap().remove("base").unwrap();
        let read: CheckedPull = serde_json::from_value(stored).unwrap();
        assert_eq!((read.pull_title.as_str(), read.link), ("", None));
        assert_eq!(read.merge.map(|merge| merge.is_of(Some("aaaaaaaaaaaa"))), Some(false));
    }

    #[test]
    fn a_reason_of_a_newer_version_does_not_hide_the_result() {
        let hidden = Findings { is_hidden: true, ..findings(None) };
        let pull = CheckedPull::new(&key(7), ("acme/admin#7", 7), &hidden, Time(5));
        let mut stored = serde_json::to_value(&pull).unwrap();
        assert_eq!(serde_json::from_value::<CheckedPull>(stored.clone()).unwrap(), pull);
        stored["no_preview"] = json!("a-later-reason");
        let read: CheckedPull = serde_json::from_value(stored).unwrap();
        assert_eq!(read, CheckedPull { no_preview: None, ..pull });
    }

    #[test]
    fn the_result_of_a_fork_names_no_people() {
        let text = |is_from_fork: bool| {
            let pull = CheckedPull::new(&key(7), ("acme/admin#7", 7), &found(is_from_fork), Time(5));
            assert_eq!(pull.merge.as_ref().unwrap().sums.risks.removes, 31, "the number stays");
            serde_json::to_string(&pull).unwrap()
        };
        assert!(text(false).contains("mona"));
        assert!(!text(true).contains("mona") && !text(true).contains("teams/Ops"));
    }

    #[test]
    fn long_names_are_cut() {
        let names = vec!["x".repeat(10_000)];
        let many: Vec<_> = (0..200)
            .map(|n| {
                let what = format!("team {n} {}", "y".repeat(10_000));
                change(&what, Risk::Removes, &json!("push"), &Value::Null)
            })
            .collect();
        let found = findings(Some(preview(&names, &many)));
        let pull = CheckedPull::new(&key(7), ("acme/admin#7", 7), &found, Time(5));
        assert_eq!(pull.merge.as_ref().map(|merge| merge.more_changes), Some(150));
        assert!(serde_json::to_string(&pull).unwrap().len() < 60_000);
    }

    #[tokio::test]
    async fn only_the_newest_results_of_an_organisation_stay() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let pull = |number: u64, at: i64| {
            CheckedPull::new(&key(number), ("acme/admin#7", number), &found(false), Time(at))
        };
        for number in 0..203 {
            pull(number, number.try_into().unwrap()).remember(&key(number), store).await.unwrap();
        }
        let all = CheckedPull::all(store).await.unwrap();
        assert_eq!((all.len(), all[0].number, all[MOST - 1].number), (MOST, 202, 3));
        assert_eq!(all[0].names_of_kinds(store).await.unwrap()[0].more, 25, "the store has no names");
        // A new check of the same pull request replaces the result.
        pull(3, 500).remember(&key(3), store).await.unwrap();
        let all = CheckedPull::all(store).await.unwrap();
        assert_eq!((all.len(), all[0].number), (MOST, 3));
        CheckedPull::forget(&key(3), store).await.unwrap();
        assert_eq!(CheckedPull::all(store).await.unwrap()[0].number, 202);
        // Many pull requests from forks do not displace the results of the other pull requests.
        for number in 1_000..1_005 {
            let found = found(true);
            let of_fork = CheckedPull::new(&key(number), ("acme/admin#7", number), &found, Time(9_000));
            of_fork.remember(&key(number), store).await.unwrap();
        }
        let all = CheckedPull::all(store).await.unwrap();
        let forks = all.iter().filter(|pull| pull.is_from_fork).count();
        assert_eq!((all.len(), forks), (MOST, 1), "one place was free");
    }

    #[tokio::test]
    async fn the_result_of_an_earlier_commit_does_not_stay() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let pull = CheckedPull::new(&key(7), ("acme/admin#7", 7), &found(false), Time(5));
        pull.names(&found(false)).put(&key(7), store).await.unwrap();
        pull.remember(&key(7), store).await.unwrap();
        let names = pull.names_of_kinds(store).await.unwrap();
        assert_eq!((names[0].names.len(), names[0].more), (30, 0));
        let found = CheckedPull::of_commit(&key(7), &pull.head, store).await.unwrap();
        assert_eq!(found.as_ref(), Some(&pull));
        assert_eq!(CheckedPull::all(store).await.unwrap(), [pull]);
        assert_eq!(CheckedPull::of_commit(&key(7), &"c".repeat(40), store).await.unwrap(), None);
        assert!(store.notes("checked-pull-names:").await.unwrap().is_empty());
        assert!(CheckedPull::all(store).await.unwrap().is_empty());
    }
}

//! Reads the directory. If the run can use the survey of a sweep, Beadle takes the answers from
//! this survey.

use std::sync::Arc;

use beadle_engine::Failure;

use super::GroupPlanner;
use super::kept::Kept;
use crate::sources::{Person, SourceGroup, Survey};

impl GroupPlanner {
    /// Returns the survey for this run, or `None` if the run must read the directory itself.
    async fn survey(&self, source: &str) -> Result<Option<Arc<Survey>>, Failure> {
        match self.swept {
            Some(mark) => self.directory.source(source)?.survey(mark, self.clock.now()).await,
            None => Ok(None),
        }
    }

    /// Returns one group of a directory. The answer is more recent than the marks of this run.
    pub(super) async fn source_group(&self, source: &str, id: &str) -> Result<Option<SourceGroup>, Failure> {
        if let Some(survey) = self.survey(source).await?
            && let Some(found) = survey.group(id)
        {
            return Ok(Some(found.group.clone()));
        }
        // The survey's list can lack the group, so Beadle asks the directory for this one group.
        self.directory.source(source)?.group(id).await
    }

    /// Returns all groups of a directory. The answer is more recent than the marks of this run.
    pub(super) async fn source_groups(&self, source: &str) -> Result<Vec<SourceGroup>, Failure> {
        match self.survey(source).await? {
            Some(survey) => Ok(survey.groups().cloned().collect()),
            None => self.directory.source(source)?.groups().await,
        }
    }

    /// Returns the people of a group. If the group did not change, returns the remembered people.
    /// If the group changed, reads a new list.
    pub(super) async fn source_members(
        &self,
        source: &str,
        group: &SourceGroup,
    ) -> Result<Vec<Person>, Failure> {
        let directory = self.directory.source(source)?;
        let survey = self.survey(source).await?;
        let surveyed = survey.as_ref().and_then(|survey| {
            let changed = survey.group(&group.id)?.changed.as_deref()?;
            Some((survey, changed))
        });
        let Some((survey, changed)) = surveyed else { return directory.members(group).await };
        let kept = self.kept.of(source, &group.id).await?;
        if let Some(kept) = kept.filter(|kept| kept.counts(changed, survey.began))
            && let Some(people) = directory.surveyed_people(survey).await?
            && let Some(members) = kept.members(people)
        {
            return Ok(members);
        }
        let read = self.clock.now();
        let members = directory.members(group).await?;
        if self.kept.0.is_some()
            && let Some(kept) = Kept::of(changed, survey.theirs, read, &members)
        {
            // Beadle compares the list with the directory's count before it remembers the list,
            // because an incomplete list would hide a person for a day. If the count fails or the
            // budget is used up, this run still uses the list, but does not remember it. The run
            // must not fail, because the next run would then have to read the list again.
            match directory.count(&group.id).await {
                Ok(Some(count)) if members.len() as u64 >= count => {
                    self.kept.keep(source, &group.id, &kept).await?;
                }
                Ok(count) => {
                    let listed = members.len();
                    tracing::warn!(
                        group = group.name,
                        listed,
                        ?count,
                        "list of members may be incomplete, the next run reads it again"
                    );
                }
                Err(failure) => {
                    tracing::debug!(
                        group = group.name,
                        why = failure.text,
                        "number of members unknown, the next run reads the list of members again"
                    );
                }
            }
        }
        Ok(members)
    }
}

//! The check run of a pull request, from its start to its conclusion. A process can end at any
//! moment. So a note in the store contains the commit of the check run in progress. The next run of
//! the key concludes that check run.

use beadle_engine::{Class, Failure, Key, Lane, Metadata, Note, Store};
use beadle_github::{CheckOutput, CheckRun, CheckWriter, Conclusion, Reader};
use serde::{Deserialize, Serialize};

/// The commit that might have a check run in progress.
#[derive(Debug, Serialize, Deserialize)]
struct Checking {
    head: String,
}

impl Metadata for Checking {
    const KIND: &'static str = "checking";
}

/// Begins and concludes the check runs of one pull request.
pub(super) struct Runs<'a> {
    pub(super) reader: &'a Reader,
    pub(super) writer: &'a CheckWriter,
    pub(super) store: &'a dyn Store,
    /// The key of the pull request.
    pub(super) key: &'a Key,
    pub(super) repository: &'a str,
    /// The id of the App that writes the check runs.
    pub(super) app: u64,
}

/// Returns the output of a check run without a result.
pub(super) fn output(conclusion: Conclusion, title: impl Into<String>, summary: String) -> CheckOutput {
    CheckOutput { conclusion, title: title.into(), summary, annotations: Vec::new() }
}

/// Returns the output of an outdated check run.
pub(super) fn cancelled(title: &str) -> CheckOutput {
    output(Conclusion::Cancelled, title, format!("{title}."))
}

/// Returns the name of the check run. Several organisations can use one policy, and each
/// organisation has its own check run.
fn name(key: &Key) -> String {
    format!("beadle ({})", key.instance())
}

impl Runs<'_> {
    fn note(&self) -> Note<Checking> {
        Note::of(&[self.key.instance(), self.key.id()])
    }

    fn external_id(&self, head: &str) -> String {
        format!("{}@{head}", self.key)
    }

    /// Returns the check run of the pull request at a commit.
    async fn find(&self, head: &str) -> Result<Option<CheckRun>, Failure> {
        let found = self.reader.check_run(self.repository, head, &name(self.key), self.app).await?;
        Ok(found.filter(|run| run.external_id == self.external_id(head)))
    }

    /// Marks the check run at a commit as in progress. Creates the check run if there is none.
    pub(super) async fn begin(&self, head: &str) -> Result<CheckRun, Failure> {
        self.leave(Some(head), "A newer commit replaced this one").await?;
        self.note().put(self.store, &Checking { head: head.to_owned() }).await?;
        match self.find(head).await? {
            Some(run) => {
                self.writer.begin_again(run.id).await?;
                Ok(run)
            }
            None => self.create(head).await,
        }
    }

    /// Returns the check run at a commit if it has a conclusion.
    pub(super) async fn concluded(&self, head: &str) -> Result<Option<CheckRun>, Failure> {
        self.leave(Some(head), "A newer commit replaced this one").await?;
        Ok(self.find(head).await?.filter(|run| run.is_completed))
    }

    async fn create(&self, head: &str) -> Result<CheckRun, Failure> {
        self.writer.begin(&name(self.key), head, &self.external_id(head)).await
    }

    /// Ends a check run. The few calls that end the check run are allowed to use the reserve of the
    /// budget. Without the reserve, a check run in the lane `sweep` could stay in progress until
    /// the budget allows the next call.
    pub(super) async fn conclude(
        &self,
        run: &CheckRun,
        head: &str,
        mut output: CheckOutput,
    ) -> Result<(), Failure> {
        let writer = self.writer.in_lane(Lane::Manual);
        let wanted = output.annotations.len() as u64;
        let mut id = run.id;
        // If the output needs several calls, only the last call concludes the check run.
        self.note().put(self.store, &Checking { head: head.to_owned() }).await?;
        if run.annotations == wanted {
            // If an update contained the annotations again, GitHub would show each annotation
            // twice.
            output.annotations.clear();
        } else if run.annotations > 0 && wanted > 0 {
            // An update cannot remove an annotation.
            writer.conclude(id, &cancelled("A newer check replaced this one")).await?;
            id = writer.begin(&name(self.key), head, &self.external_id(head)).await?.id;
        }
        writer.conclude(id, &output).await?;
        Ok(self.note().forget(self.store).await?)
    }

    /// Concludes a check run that an earlier run of the key left in progress. Does nothing if the
    /// check run is at the commit `except`.
    pub(super) async fn leave(&self, except: Option<&str>, title: &str) -> Result<(), Failure> {
        let Some(Checking { head }) = self.note().get(self.store).await? else { return Ok(()) };
        if except == Some(head.as_str()) {
            return Ok(());
        }
        match self.find(&head).await {
            Ok(Some(run)) if !run.is_completed => self.writer.conclude(run.id, &cancelled(title)).await?,
            Ok(_) => {}
            // The commit no longer exists, so nobody sees its check run.
            Err(failure) if failure.class == Class::Rejected => {
                tracing::debug!(key = %self.key, why = failure.text, "check run of an older commit not found");
            }
            Err(failure) => return Err(failure),
        }
        Ok(self.note().forget(self.store).await?)
    }
}

//! Stops the runs of a process if another process has replaced the generation of this process.
//! Without this fence, a run with a replaced generation would write values that nobody wants any
//! more. The run would also remove the mark that made the key due because of the new generation.
//!
//! The fence reads the accepted generation before the plan of each run, and again before each
//! write. If the fence stops a run, a background task later makes the process use the accepted
//! generation. Until then, other processes can work on the key of the stopped run.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{
    Change, Class, Clock, Failure, Key, Lane, Plan, PlanWriter, Reconcile, Report, Run, Session, StoreError,
    Time, Turn,
};

/// The time that a key waits after the fence stopped its run. After this time, another process can
/// claim the key.
const WAIT: Duration = Duration::from_secs(2);
/// The maximum age of the store's answer when Beadle writes. If the answer is older, another
/// process might have claimed the key.
const OLDEST: Duration = Duration::from_secs(20);

/// Compares the generation that this process uses with the accepted generation.
#[async_trait]
pub(crate) trait InForce: Send + Sync + 'static {
    /// Returns the accepted generation, if this process uses another generation.
    async fn other(&self) -> Result<Option<String>, StoreError>;
}

/// Returns an error if this process does not use the accepted generation. Beadle does not count the
/// run as a failed attempt.
async fn check(in_force: &dyn InForce, until: Time) -> Result<(), Failure> {
    let text = match in_force.other().await {
        Ok(None) => return Ok(()),
        Ok(Some(generation)) => format!("another process has accepted the generation {generation}"),
        // A process with a newer version of Beadle has accepted its own generation. That process
        // can claim the key.
        Err(error @ StoreError::Newer { .. }) => error.to_string(),
        Err(error) => return Err(error.into()),
    };
    Err(Failure::new(Class::RateLimited { until, spares_events: false }, text))
}

/// A reconciler that begins a run only with the accepted generation.
pub(crate) struct FencedReconciler<R> {
    pub(crate) inner: R,
    /// `None` if no other process uses the store.
    pub(crate) in_force: Option<Arc<dyn InForce>>,
    pub(crate) clock: Clock,
}

#[async_trait]
impl<R: Reconcile> Reconcile for FencedReconciler<R> {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        if let Some(in_force) = &self.in_force {
            check(in_force.as_ref(), self.clock.now() + WAIT).await?;
        }
        self.inner.reconcile(run).await
    }

    fn parks_unresolved(&self, instance: &str) -> bool {
        self.inner.parks_unresolved(instance)
    }

    async fn record_failure(&self, key: &Key, failure: &Failure) -> Result<(), Failure> {
        self.inner.record_failure(key, failure).await
    }
}

/// A writer that writes only with the accepted generation.
pub(crate) struct FencedWriter<W> {
    pub(crate) inner: W,
    /// `None` if no other process uses the store.
    pub(crate) in_force: Option<Arc<dyn InForce>>,
    pub(crate) clock: Clock,
}

#[async_trait]
impl<X: Send + Sync + 'static, W: PlanWriter<X>> PlanWriter<X> for FencedWriter<W> {
    async fn open(
        &self,
        key: &Key,
        plan: &Plan<X>,
        valid_until: Time,
        lane: Lane,
    ) -> Result<Box<dyn Session<X>>, Failure> {
        let inner = self.inner.open(key, plan, valid_until, lane).await?;
        let Some(in_force) = self.in_force.clone() else { return Ok(inner) };
        Ok(Box::new(FencedSession { inner, in_force, clock: self.clock.clone() }))
    }

    fn turn(&self, change: &Change<X>) -> Turn {
        self.inner.turn(change)
    }
}

struct FencedSession<X> {
    inner: Box<dyn Session<X>>,
    in_force: Arc<dyn InForce>,
    clock: Clock,
}

#[async_trait]
impl<X: Send + Sync + 'static> Session<X> for FencedSession<X> {
    async fn write(&self, change: &Change<X>) -> Result<(), Failure> {
        // If the fence stops the write of a change, the result of the change is "not reached". The
        // key does not wait, because Beadle plans the key again immediately.
        let asked_at = self.clock.now();
        check(self.in_force.as_ref(), asked_at).await?;
        let now = self.clock.now();
        if now.since(asked_at) >= OLDEST {
            let text = "the store answered too late, and another worker may have the key; Beadle plans again";
            return Err(Failure::new(Class::RateLimited { until: now, spares_events: true }, text));
        }
        self.inner.write(change).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use beadle_engine::testing::change;
    use beadle_engine::{Lease, Risk};

    use super::*;

    #[derive(Default)]
    struct Generation(AtomicBool);

    #[async_trait]
    impl InForce for Generation {
        async fn other(&self) -> Result<Option<String>, StoreError> {
            Ok(self.0.load(Ordering::SeqCst).then(|| "g2".to_owned()))
        }
    }

    #[derive(Default)]
    struct Counted(Arc<AtomicU32>);

    #[async_trait]
    impl Reconcile for Counted {
        async fn reconcile(&self, _: &Run) -> Result<Report, Failure> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(Report {
                subject: String::new(),
                steps: Vec::new(),
                unknowns: Vec::new(),
                skipped: None,
                failure: None,
            })
        }
    }

    #[async_trait]
    impl PlanWriter<()> for Counted {
        async fn open(
            &self,
            _: &Key,
            _: &Plan<()>,
            _: Time,
            _: Lane,
        ) -> Result<Box<dyn Session<()>>, Failure> {
            Ok(Box::new(Self(self.0.clone())))
        }
    }

    #[async_trait]
    impl Session<()> for Counted {
        async fn write(&self, _: &Change<()>) -> Result<(), Failure> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }

    /// An answer of the store that arrives only after this time.
    struct Slow(Duration);

    #[async_trait]
    impl InForce for Slow {
        async fn other(&self) -> Result<Option<String>, StoreError> {
            tokio::time::sleep(self.0).await;
            Ok(None)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_does_not_follow_an_old_answer() {
        let key = Key::new("repository", "acme", 1);
        let plan: Plan<()> = Plan::new("acme/widgets".to_owned());
        for (takes, writes) in [(1, 1), (30, 0)] {
            let (inner, clock) = (Counted::default(), Clock::simulated(Time(0)));
            let written = inner.0.clone();
            let in_force = Some(Arc::new(Slow(Duration::from_secs(takes))) as Arc<dyn InForce>);
            let writer = FencedWriter { inner, in_force, clock: clock.clone() };
            let session = writer.open(&key, &plan, Time(1), Lane::Event).await.unwrap();
            let ended = session.write(&change("teams", "team a", &[Risk::Removes])).await;
            assert_eq!(written.load(Ordering::SeqCst), writes);
            assert_eq!(ended.is_err_and(|failure| failure.asks_for_another_plan(clock.now())), writes == 0);
        }
    }

    /// A generation in a stored form that only a newer version can read.
    struct Unreadable;

    #[async_trait]
    impl InForce for Unreadable {
        async fn other(&self) -> Result<Option<String>, StoreError> {
            Err(StoreError::Newer { doing: "reading a note", what: "the note `accepted-policy:acme`".into() })
        }
    }

    #[tokio::test]
    async fn a_process_that_cannot_read_the_accepted_generation_leaves_the_key_to_another_one() {
        let (runs, writes) = (Counted::default(), Counted::default());
        let (ran, written) = (runs.0.clone(), writes.0.clone());
        let (clock, key) = (Clock::simulated(Time(0)), Key::new("repository", "acme", 1));
        let in_force = Some(Arc::new(Unreadable) as Arc<dyn InForce>);
        let reconciler = FencedReconciler { inner: runs, in_force: in_force.clone(), clock: clock.clone() };
        let lease = Lease { key: key.clone(), epoch: 1, until: Time(1) };
        let run = Run { lease, lane: Lane::Event, hint: None, since: Time(0) };
        let refused = reconciler.reconcile(&run).await.unwrap_err();
        assert!(matches!(refused.class, Class::RateLimited { .. }), "the attempt does not count: {refused}");
        assert!(refused.text.contains("`accepted-policy:acme`"), "{refused}");
        let writer = FencedWriter { inner: writes, in_force, clock };
        let plan: Plan<()> = Plan::new("acme/widgets".to_owned());
        let session = writer.open(&key, &plan, Time(1), Lane::Event).await.unwrap();
        assert!(session.write(&change("teams", "team a", &[Risk::Removes])).await.is_err());
        assert_eq!((ran.load(Ordering::SeqCst), written.load(Ordering::SeqCst)), (0, 0));
    }

    #[tokio::test]
    async fn a_run_with_a_replaced_generation_neither_plans_nor_writes() {
        let (generation, clock) = (Arc::new(Generation::default()), Clock::simulated(Time(0)));
        let in_force = Some(generation.clone() as Arc<dyn InForce>);
        let (runs, writes) = (Counted::default(), Counted::default());
        let (ran, written) = (runs.0.clone(), writes.0.clone());
        let counts = || (ran.load(Ordering::SeqCst), written.load(Ordering::SeqCst));
        let reconciler = FencedReconciler { inner: runs, in_force: in_force.clone(), clock: clock.clone() };
        let writer = FencedWriter { inner: writes, in_force, clock };
        let key = Key::new("repository", "acme", 1);
        let lease = Lease { key: key.clone(), epoch: 1, until: Time(1) };
        let run = Run { lease, lane: Lane::Event, hint: None, since: Time(0) };
        let plan: Plan<()> = Plan::new("acme/widgets".to_owned());
        let session = writer.open(&key, &plan, Time(1), Lane::Event).await.unwrap();
        let change = change("teams", "team a", &[Risk::Removes]);
        reconciler.reconcile(&run).await.unwrap();
        session.write(&change).await.unwrap();
        assert_eq!(counts(), (1, 1));
        // Another process accepts another generation while this run writes.
        generation.0.store(true, Ordering::SeqCst);
        let refused = session.write(&change).await.unwrap_err();
        assert!(refused.text.ends_with("has accepted the generation g2"), "{refused}");
        assert!(refused.changed_nothing());
        let refused = reconciler.reconcile(&run).await.unwrap_err();
        assert!(matches!(refused.class, Class::RateLimited { spares_events: false, .. }), "{refused}");
        assert_eq!(counts(), (1, 1));
        // This process starts to use the accepted generation.
        generation.0.store(false, Ordering::SeqCst);
        reconciler.reconcile(&run).await.unwrap();
        session.write(&change).await.unwrap();
        assert_eq!(counts(), (2, 2));
    }
}

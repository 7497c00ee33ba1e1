//! The parts of Beadle that are the same for every vendor: deliveries, keys, lanes, leases, plans,
//! risks, the guard, the gate, budgets and the journal.
//!
//! The engine contains no code for a vendor, for SQL or for HTTP. An event only marks a [`Key`] as
//! due. The [`Worker`] claims due keys from a [`Store`] and passes each key to a [`Reconcile`]r.
//! The reconciler plans, submits the plan to the [`guard`], and applies the plan.

pub mod apply;
mod asking_policies;
mod authored_policies;
pub mod background;
pub mod backoff;
pub mod budget;
mod caused;
mod causes;
mod change_name;
mod change_title;
pub mod clock;
mod contested;
mod deceptive;
pub mod delivery;
pub mod expressions;
pub mod failure;
mod first_held;
pub mod gate;
pub mod glob;
pub mod guard;
mod hint;
pub mod journal;
pub mod key;
mod key_condition;
mod key_state;
mod last_read;
mod last_sweep;
mod looks;
pub mod mode;
mod note;
pub mod notify;
mod one_line;
pub mod pace;
mod places;
pub mod plan;
mod plan_groups;
pub mod queue;
mod reconcile;
mod refused;
mod revive;
mod said;
mod shared_read;
pub mod span;
mod spans;
pub mod store;
mod subjects;
pub mod sweep;
mod task_lease;
mod task_record;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod trace;
pub mod transfer;
mod undo_start;
mod unwritten;
mod value_text;
mod void_approval;
mod worker;

pub use apply::{
    ApplyContext, GuardPreview, PlanWriter, Planner, Remembered, Report, Session, Step, StepResult, Turn,
    apply, first_asked_note, first_asking_generations, preview_guard, waits_for_turn,
};
pub use asking_policies::{AskingPolicies, asking_policies};
pub use authored_policies::AuthoredPolicies;
pub use background::{BackgroundTask, Driver, Runs, TaskRecord, TaskStatus, UnknownTask};
pub use budget::{BudgetAccount, Budgets, Resource, Wait};
pub use caused::{Caused, Instructions, PlannedValues};
pub use change_title::change_title;
pub use clock::{Clock, Time};
pub use deceptive::is_deceptive;
pub use delivery::{Accepted, Delivery, Mark, refused_delivery};
pub use failure::{Class, Failure};
pub use first_held::FirstHeld;
pub use gate::{
    ExceededLimit, GateLimits, GateSums, GateVerdict, check_gate, plan_digest, whole_plan_digest,
};
pub use glob::check_glob;
pub use guard::window::{Begun, End, Intent};
pub use guard::{GuardReservation, Hold, Limits, LimitsInForce, Spent, Verdict};
pub use hint::{read_hint, swept_hint};
pub use journal::{ChangedPart, Detail, DriftCause, Entry, EntryKind, UnwrittenChange};
pub use key::{Key, KeyError, KeyScope, Lane};
pub use key_condition::{Finding, HoldsByKey, KeyCondition, KeyHolds, counts_as_parked, key_findings};
pub use key_state::{Contest, KeyState};
pub use last_read::{LastRead, PartRead};
pub use last_sweep::{EndedSweep, last_writing_sweep};
pub use mode::Mode;
pub use note::{Metadata, Note, Stored, note};
pub use one_line::one_line;
pub use pace::WritePace;
pub use plan::{Change, Field, Plan, PolicyLocation, Risk, Risks, Unknown, Waiting, Waived};
pub use plan_groups::{
    GroupedChange, UndoPart, examples, group_changes, reaches_of, subjects_of, undo_parts,
};
pub use queue::{Claim, Lease, Outcome, ParkReason, Parked, Row, Timing};
pub use reconcile::{Reconcile, Reconciler, Run};
pub use refused::{forget_refusals, refused_note};
pub use revive::{revive, revive_paused};
pub use shared_read::SharedRead;
pub use span::{parse_span, span_text};
pub use store::{
    DeliveryRow, Depth, History, HoldList, Listing, Pause, Retention, RowList, Store, StoreError,
    StoreRecord, is_called,
};
pub use task_lease::TaskLease;
pub use trace::{TraceContext, TraceId};
pub use transfer::{Copied, CopyError, copy};
pub use undo_start::UndoStart;
pub use unwritten::run_counts;
pub use value_text::value_text;
pub use void_approval::VoidApproval;
pub use worker::{Worker, WorkerCounts, WorkerSettings};

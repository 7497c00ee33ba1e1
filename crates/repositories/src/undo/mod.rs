//! Undoes Beadle's writes to repositories. The journal contains the values from before each write.
//! With these values, Beadle makes a policy for one repository. The planner compares this policy
//! with GitHub. So no aspect needs separate code to undo a write.

mod apart;
mod chosen;
mod draft;
mod entries;
mod hidden;
mod kept;
mod lists;
mod memory;
mod nested;
mod overwritten;
mod past;
mod paths;
mod protection;
mod reversal;
mod whole;

pub(crate) use self::apart::{shared, split};
pub use self::chosen::touches;
pub(crate) use self::chosen::{chosen, value_paths};
pub(crate) use self::hidden::{can_hide, is_in_aspect};
pub(crate) use self::kept::{KEPT, is_kept};
pub(crate) use self::memory::{Memory, ORGANISATION, UndoneChanges, keep, note_of};
pub use self::memory::{ObservedValue, count, forget, observed};
pub use self::overwritten::{overwritten, reverted};
pub(crate) use self::past::Past;
pub(crate) use self::reversal::{Planned, judge};
pub use self::reversal::{Reversal, reversals};
pub(crate) use self::whole::show_deleted;

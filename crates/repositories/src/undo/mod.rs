//! Undoes what Beadle wrote to repositories. The journal has the values before each write. From
//! these values, Beadle makes a policy of one repository, and the planner compares this policy with
//! GitHub. So no aspect needs other code to undo a write.

mod apart;
mod draft;
mod entries;
mod memory;
mod nested;
mod past;
mod protection;
mod reversal;

pub(crate) use self::apart::{shared, split};
pub(crate) use self::memory::{Memory, ORGANISATION, keep, note_of};
pub use self::memory::{ObservedValue, count, forget, observed};
pub(crate) use self::past::Past;
pub(crate) use self::reversal::{Planned, judge};
pub use self::reversal::{Reversal, reversals};

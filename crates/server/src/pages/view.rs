//! The parts that every page has.

use beadle_engine::Time;
use serde::Serialize;

use super::html::Html;

/// The values of a page.
pub(super) trait View: Serialize {
    /// The path of the page in the navigation.
    const PLACE: &'static str;
    /// Returns the title of the page.
    fn title(&self) -> String;
    /// Returns the content of the page at this time.
    fn content(&self, now: Time) -> Vec<Html>;
}

//! Converts the files of other tools to a policy for Beadle. The conversion reports each line that
//! Beadle cannot convert.

mod peribolos;
mod result;
mod settings;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;

pub use result::Conversion;

use super::accepted::load;
use crate::policy::Severity;

/// A tool whose files Beadle can convert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incumbent {
    /// The Probot settings app. The app has one file for each repository.
    Probot,
    /// safe-settings.
    SafeSettings,
    /// Prow's peribolos.
    Peribolos,
}

/// Converts files. `sources` contains the text of each file. The key is the file's path. Some files
/// can contain several organisations. `organisation` is the name of the organisation to convert.
/// The function returns an error if Beadle would not accept the result.
pub fn convert(
    from: Incumbent,
    organisation: Option<&str>,
    sources: &BTreeMap<String, String>,
) -> Result<Conversion, String> {
    let mut made = Conversion::default();
    match from {
        Incumbent::Probot => settings::probot(sources, &mut made),
        Incumbent::SafeSettings => settings::safe_settings(sources, &mut made),
        Incumbent::Peribolos => peribolos::peribolos(organisation, sources, &mut made),
    }
    let is_valid = made.problems.iter().all(|problem| problem.severity != Severity::Error);
    if is_valid && !made.files.is_empty() {
        load(made.files.clone(), "")?;
    }
    Ok(made)
}

//! `beadle self check`: compares this version of Beadle with the stored data and with the running
//! services. The command changes nothing, so an operator can run it before an upgrade.

use std::cmp::Ordering;
use std::path::Path;

use anyhow::bail;
use beadle_config::StoreLocation;
use beadle_engine::Clock;
use beadle_store_sqlite::{FormatVersion, format_of};

use crate::app::service::record::ServiceRecord;
use crate::app::store;
use crate::app::store::postgres as store_postgres;
use crate::commands::{FINE, PENDING};
use crate::config::Config;
use crate::output::printer::Printer;

/// The version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) async fn run(config: &Config, printer: &Printer) -> anyhow::Result<u8> {
    printer.line(format!("this is Beadle {VERSION}"));
    if let Some(path) = config.database() {
        if !path.exists() {
            printer.line(format!("no store at {}: `beadle serve` creates the file", path.display()));
            return Ok(FINE);
        }
        let format = format_of(&path)?;
        printer.lines(sentence(&path, format)?);
        if format.stored != format.supported {
            // To read more, the command would have to open the store. But a program can change the
            // format of the store when it opens the store.
            return Ok(PENDING);
        }
    } else if let StoreLocation::Postgres(url) = &config.place {
        let Some((stored, oldest, supported)) = store_postgres::version(url).await? else {
            printer.line(format!("no store at {url}: `beadle serve` creates it"));
            return Ok(FINE);
        };
        printer.lines(schema_sentence(&url.to_string(), stored, oldest, supported)?);
        if stored < supported {
            return Ok(PENDING);
        }
    } else {
        // A table does not have one version for all of its items. Each version of Beadle can read
        // the items that older versions wrote.
        printer.line(format!("the store is {}, which has no version of its format", config.place));
    }
    let store = store::open_existing(config).await?;
    let running = ServiceRecord::running(store.as_ref(), Clock::system().now()).await?;
    let others: Vec<&ServiceRecord> = running.iter().filter(|service| service.version != VERSION).collect();
    for service in &others {
        printer.line(format!(
            "a running service has version {}: restart it, so that it has version {VERSION}",
            service.version
        ));
    }
    Ok(if others.is_empty() { FINE } else { PENDING })
}

/// Returns a sentence about the version of a file, or an error if this program cannot use the file.
fn sentence(path: &Path, format: FormatVersion) -> anyhow::Result<String> {
    let FormatVersion { stored, supported } = format;
    let path = path.display();
    match stored.cmp(&supported) {
        Ordering::Equal => Ok(format!("{path} has format {stored}, which this version uses")),
        Ordering::Less => Ok(format!(
            "{path} has format {stored}: the first command that opens the file changes the format to {supported}\n\
             hint: copy the file first; an older version cannot open a file of format {supported}"
        )),
        Ordering::Greater => bail!(
            "{path} has format {stored}, and this version supports formats up to {supported}\n\
             hint: use the version of Beadle that wrote the file, or restore the copy from before its upgrade"
        ),
    }
}

/// Returns a sentence about the version of a schema, or an error if this program cannot use the
/// schema. `oldest` is the version of the oldest program that can work with the schema.
fn schema_sentence(place: &str, stored: i32, oldest: i32, supported: i32) -> anyhow::Result<String> {
    if oldest > supported {
        bail!(
            "{place} has schema version {stored}, and this version supports versions up to {supported}\n\
             hint: use the version of Beadle that changed the schema, or restore the backup from before its upgrade"
        );
    }
    Ok(match stored.cmp(&supported) {
        Ordering::Equal => format!("{place} has schema version {stored}, which this version uses"),
        Ordering::Less => format!(
            "{place} has schema version {stored}: the first command that opens the store changes the schema to \
             version {supported}\nhint: back up the database first"
        ),
        Ordering::Greater => {
            format!("{place} has schema version {stored} of a newer Beadle, which this version can still use")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_fits_if_its_format_is_not_newer() {
        let of = |stored| sentence(Path::new("b.db"), FormatVersion { stored, supported: 3 });
        assert!(of(3).unwrap().contains("which this version uses"));
        assert!(of(2).unwrap().contains("changes the format to 3"));
        assert!(of(4).unwrap_err().to_string().contains("up to 3"));
    }

    #[test]
    fn a_schema_fits_if_its_oldest_program_is_not_newer() {
        let of = |stored, oldest| {
            schema_sentence("postgres://h/b", stored, oldest, 3).map_err(|error| error.to_string())
        };
        for (stored, oldest, expected) in [
            (3, 2, "schema version 3, which this version uses"),
            (2, 2, "changes the schema to version 3"),
            (4, 3, "this version can still use"),
        ] {
            let said = of(stored, oldest).unwrap();
            assert!(said.contains(expected), "{said}");
        }
        assert!(of(5, 4).unwrap_err().contains("supports versions up to 3"));
    }
}

//! Reads the sizes of a benchmark from the environment.

use anyhow::Context as _;

/// Reads a size from an environment variable. Returns `default` if the variable is not set.
pub(crate) fn size(name: &str, default: usize) -> anyhow::Result<usize> {
    set(name)?.map_or(Ok(default), |text| parse(name, &text))
}

/// Reads sizes from an environment variable. Returns `default` if the variable is not set. In the
/// variable, commas separate the sizes.
pub(crate) fn sizes(name: &str, default: &[usize]) -> anyhow::Result<Vec<usize>> {
    let Some(text) = set(name)? else { return Ok(default.to_vec()) };
    text.split(',').map(|size| parse(name, size)).collect()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark takes its sizes from the environment")]
fn set(name: &str) -> anyhow::Result<Option<String>> {
    match std::env::var(name) {
        Ok(text) => Ok(Some(text)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(error).context(name.to_owned()),
    }
}

fn parse(name: &str, text: &str) -> anyhow::Result<usize> {
    let size: usize =
        text.trim().parse().with_context(|| format!("{name} must be a number, found `{text}`"))?;
    anyhow::ensure!(size > 0, "{name} must be at least 1");
    Ok(size)
}

/// Converts a count into a number that can be divided.
pub(crate) fn float(count: usize) -> anyhow::Result<f64> {
    Ok(f64::from(u32::try_from(count)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_above_zero() {
        assert_eq!(parse("SIZE", " 12 ").unwrap(), 12);
        for bad in ["", "0", "-1", "1e3", "1,2"] {
            assert!(parse("SIZE", bad).unwrap_err().to_string().starts_with("SIZE must be"), "{bad}");
        }
    }

    #[test]
    fn a_size_that_is_not_set_has_its_default() {
        assert_eq!(size("BENCHMARK_SIZE_THAT_NOBODY_SETS", 7).unwrap(), 7);
        assert_eq!(sizes("BENCHMARK_SIZE_THAT_NOBODY_SETS", &[1, 2]).unwrap(), [1, 2]);
    }
}

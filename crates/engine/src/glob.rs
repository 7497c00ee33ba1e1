//! Limits for globs. People and vendors write globs. The glob library panics if it cannot build the
//! regular expression of a glob, for example with 250 nested braces.

/// The maximum length of a glob, in characters.
const LONGEST: usize = 1_000;

/// The maximum number of opening braces in a glob, whether they are nested or not.
const BRACES: usize = 50;

/// Returns an error for a glob that can make the library panic.
pub fn check_glob(text: &str) -> Result<(), String> {
    if text.chars().count() > LONGEST {
        return Err(format!("a glob must have at most {LONGEST} characters"));
    }
    let braces = text.matches('{').count();
    if braces > BRACES {
        return Err(format!("a glob must have at most {BRACES} opening braces, found {braces}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_is_bounded_before_the_library_sees_it() {
        for fine in ["web-*", "{a,{b,c}}-[0-9]", ""] {
            check_glob(fine).unwrap();
        }
        for wrong in [
            format!("{}a{}", "{".repeat(250), "}".repeat(250)),
            format!("{}a", "{\\}".repeat(250)),
            format!("{}a", "{[}]".repeat(250)),
            "a".repeat(1_001),
        ] {
            assert!(check_glob(&wrong).is_err(), "{wrong}");
        }
    }
}

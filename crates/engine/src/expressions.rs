//! The engine for expressions and templates. Three parts of Beadle use it: the dispatches, the
//! attributes in the configuration, and the rules of a policy.

use minijinja::{Environment, ErrorKind, UndefinedBehavior};

/// The maximum amount of work that one template or expression may do. A step costs one unit, and 64
/// bytes of output also cost one unit.
const FUEL: u64 = 100_000;

/// Returns an environment for templates and expressions. `undefined` decides what happens if a
/// template or an expression names a value that does not exist.
pub fn environment<'a>(undefined: UndefinedBehavior) -> Environment<'a> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(undefined);
    environment.set_fuel(Some(FUEL));
    environment
}

/// Returns the message for an error of the template or expression in `key`.
pub fn wrong(key: &str, error: &minijinja::Error) -> String {
    if error.kind() == ErrorKind::OutOfFuel {
        return format!(
            "{key}: the template must do at most {FUEL} steps of work; use fewer or shorter loops"
        );
    }
    format!("{key}: {error:#}")
}

/// Returns an error if a template does too much work even without a payload. The function ignores
/// all other errors, because the missing payload can cause other errors.
pub fn check_work<T>(key: &str, tried: Result<T, minijinja::Error>) -> Result<(), String> {
    match tried {
        Err(error) if error.kind() == ErrorKind::OutOfFuel => Err(wrong(key, &error)),
        _ => Ok(()),
    }
}

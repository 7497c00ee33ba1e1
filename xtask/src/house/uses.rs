//! Finds the uses between the files of a crate.
//!
//! File A uses file B if the code of A names an item that B defines. Names are followed through
//! imports and re-exports to the file that defines the item, so:
//!
//! - `mod child;` and `pub use child::Item;` are not uses, because they only name the place of an
//!   item.
//! - A child that names `super::Item` uses the file that defines `Item`. This is the parent only if
//!   the parent defines it, and a sibling if the parent imports it from there.
//! - A private `use child::Item;` is a use, also if the code only calls methods of a trait.
//! - Calls of methods and accesses of fields are not uses, because no name leads to their file.
//! - A module and the modules below it are one family and may use each other. A module lists its
//!   children and defines the items that they share. For example, `aspects/mod.rs` may name every
//!   aspect, and every aspect may name the trait `Aspect`. Two children that use each other are a
//!   circle. A child and a child of its sibling are a circle too.

use std::collections::BTreeMap;

use super::modules::{Crate, Module};

/// The uses between files, by their indexes in `Crate::files`, with the place of the first use.
pub(super) type Uses = BTreeMap<(usize, usize), Place>;

/// A place in the using file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    /// The path as it is written at this place.
    pub(super) path: String,
}

/// The target of a path.
#[derive(Clone, Copy)]
enum Found {
    Module(usize),
    /// An item that this module defines.
    Item(usize),
}

/// The maximum number of imports through which a name is followed.
const STEPS: usize = 8;

/// Finds the uses between the files.
pub(super) fn uses(krate: &Crate) -> Uses {
    let mut uses = Uses::new();
    for (number, module) in krate.modules.iter().enumerate() {
        let imports = module.imports.iter().filter(|import| !import.is_exported && import.name.is_some());
        let imports = imports.map(|import| (&import.path, import.line));
        let named = module.named.iter().map(|named| (&named.path, named.line));
        for (path, line) in imports.chain(named) {
            // The use of an imported module is the place where the code names its items.
            let Some(Found::Item(definer)) = resolve(krate, number, path, STEPS) else { continue };
            let edge = (module.file, krate.modules[definer].file);
            if !is_below(krate, number, edge.1) && !is_below(krate, definer, edge.0) {
                let place = Place { line, path: path.join("::") };
                uses.entry(edge).and_modify(|known| earlier(known, &place)).or_insert(place);
            }
        }
    }
    uses
}

/// Returns whether a module is in a file, or below a module of this file.
fn is_below(krate: &Crate, number: usize, file: usize) -> bool {
    let parent = |number: &usize| krate.modules[*number].parent;
    std::iter::successors(Some(number), parent).any(|number| krate.modules[number].file == file)
}

fn earlier(known: &mut Place, place: &Place) {
    if place.line < known.line {
        known.clone_from(place);
    }
}

/// Follows a path from a module.
fn resolve(krate: &Crate, from: usize, path: &[String], steps: usize) -> Option<Found> {
    let mut module = from;
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        match first.as_str() {
            "crate" => module = 0,
            "self" => {}
            "super" => module = krate.modules[module].parent?,
            _ => break,
        }
        rest = after;
    }
    if rest.is_empty() { Some(Found::Module(module)) } else { walk(krate, module, rest, steps) }
}

/// Follows a path that begins with a name of this module.
fn walk(krate: &Crate, number: usize, path: &[String], steps: usize) -> Option<Found> {
    let steps = steps.checked_sub(1)?;
    let (name, rest) = path.split_first()?;
    let module = &krate.modules[number];
    let child = module.children.get(name).copied();
    if let (Some(child), false) = (child, rest.is_empty()) {
        // An item from a macro has no name here, so the use counts for the child.
        return walk(krate, child, rest, steps).or(Some(Found::Item(child)));
    }
    if module.items.contains(name) {
        return Some(Found::Item(number));
    }
    imported(krate, number, module, path, steps)
        .or_else(|| child.map(Found::Module))
        .or_else(|| by_glob(krate, number, module, path, steps))
}

/// Follows a path whose first name is imported.
fn imported(krate: &Crate, number: usize, module: &Module, path: &[String], steps: usize) -> Option<Found> {
    let (name, rest) = path.split_first()?;
    let matching = module.imports.iter().filter(|import| import.name.as_ref() == Some(name));
    // `use log::log;` names another crate, unless there is such a module.
    let sound = |first: &String| first != name || module.children.contains_key(name);
    matching
        .filter(|import| import.path.first().is_some_and(sound))
        .find_map(|import| resolve(krate, number, &[&import.path[..], rest].concat(), steps))
}

/// Follows a path whose first name comes from a `*` import.
fn by_glob(krate: &Crate, number: usize, module: &Module, path: &[String], steps: usize) -> Option<Found> {
    let globs = module.imports.iter().filter(|import| import.name.is_none());
    let mut found = globs.filter_map(|glob| match resolve(krate, number, &glob.path, steps)? {
        Found::Module(target) if target != number => walk(krate, target, path, steps),
        _ => None,
    });
    found.next()
}

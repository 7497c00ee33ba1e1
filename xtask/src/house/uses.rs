//! Finds which files of a crate use each other.
//!
//! File A uses file B if the code of A names an item that B defines. The check follows the name
//! through imports and re-exports to the file that defines the item. This has the following
//! consequences:
//!
//! - `mod child;` and `pub use child::Item;` are not uses, because they only show where an item is.
//! - If a child names `super::Item`, the child uses the file that defines `Item`. If the parent
//!   defines `Item`, that file is the parent's file. If the parent imports `Item` from a sibling,
//!   that file is the sibling's file.
//! - A private `use child::Item;` is a use, even if the code only calls methods of a trait.
//! - Method calls and field accesses are not uses, because they contain no name that identifies a
//!   file.
//! - A module and the modules below it can use each other, because a module lists its children and
//!   defines the items that the children share. For example, `aspects/mod.rs` can contain the name
//!   of every aspect, and every aspect can contain the name of the trait `Aspect`. Two children
//!   that use each other form a circle. If a child and a child of its sibling use each other, they
//!   also form a circle.

use std::collections::BTreeMap;

use super::modules::{Crate, Module};

/// Maps a pair of files to the first place where the first file uses the second file. The two
/// numbers are indexes in `Crate::files`.
pub(super) type Uses = BTreeMap<(usize, usize), Place>;

/// A place in a file where the file uses another file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    /// The path as the code contains it.
    pub(super) path: String,
}

/// The result of resolving a path in the code.
#[derive(Clone, Copy)]
enum Found {
    Module(usize),
    /// An item that is defined in the module with this number.
    Item(usize),
}

/// The maximum number of imports that the search follows for one name. This limit ensures that the
/// search ends.
const STEPS: usize = 8;

/// Returns all uses between the files of a crate.
pub(super) fn uses(krate: &Crate) -> Uses {
    let mut uses = Uses::new();
    for (number, module) in krate.modules.iter().enumerate() {
        let imports = module.imports.iter().filter(|import| !import.is_exported && import.name.is_some());
        let imports = imports.map(|import| (&import.path, import.line));
        let named = module.named.iter().map(|named| (&named.path, named.line));
        for (path, line) in imports.chain(named) {
            // A path that refers only to an imported module is not a use. A path that refers to an
            // item of that module is a use.
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

/// Returns whether a module is in a file, or below a module that is in this file.
fn is_below(krate: &Crate, number: usize, file: usize) -> bool {
    let parent = |number: &usize| krate.modules[*number].parent;
    std::iter::successors(Some(number), parent).any(|number| krate.modules[number].file == file)
}

fn earlier(known: &mut Place, place: &Place) {
    if place.line < known.line {
        known.clone_from(place);
    }
}

/// Resolves a path. The path is in the module with the number `from`.
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

/// Resolves a path that begins with a name inside this module.
fn walk(krate: &Crate, number: usize, path: &[String], steps: usize) -> Option<Found> {
    let steps = steps.checked_sub(1)?;
    let (name, rest) = path.split_first()?;
    let module = &krate.modules[number];
    let child = module.children.get(name).copied();
    if let (Some(child), false) = (child, rest.is_empty()) {
        // If a macro defines the item, its name is not known here. The search then treats the path
        // as a use of the child's file.
        return walk(krate, child, rest, steps).or(Some(Found::Item(child)));
    }
    if module.items.contains(name) {
        return Some(Found::Item(number));
    }
    imported(krate, number, module, path, steps)
        .or_else(|| child.map(Found::Module))
        .or_else(|| by_glob(krate, number, module, path, steps))
}

/// Resolves a path whose first name is imported.
fn imported(krate: &Crate, number: usize, module: &Module, path: &[String], steps: usize) -> Option<Found> {
    let (name, rest) = path.split_first()?;
    let matching = module.imports.iter().filter(|import| import.name.as_ref() == Some(name));
    // `use log::log;` refers to another crate, if the module has no child `log`.
    let sound = |first: &String| first != name || module.children.contains_key(name);
    matching
        .filter(|import| import.path.first().is_some_and(sound))
        .find_map(|import| resolve(krate, number, &[&import.path[..], rest].concat(), steps))
}

/// Resolves a path whose first name comes from an import with `*`.
fn by_glob(krate: &Crate, number: usize, module: &Module, path: &[String], steps: usize) -> Option<Found> {
    let globs = module.imports.iter().filter(|import| import.name.is_none());
    let mut found = globs.filter_map(|glob| match resolve(krate, number, &glob.path, steps)? {
        Found::Module(target) if target != number => walk(krate, target, path, steps),
        _ => None,
    });
    found.next()
}

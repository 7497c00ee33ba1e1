//! Removes the keys of waivers from the merged layers of a repository. Beadle does not compare a
//! key that the layers do not declare.
//!
//! | a waiver of | has this effect |
//! |---|---|
//! | a key | Beadle does not compare the key |
//! | a whole section or list | Beadle does not compare the section or list |
//! | an entry of a section | Beadle does not compare the entry, and removes no entry of this section |
//! | an entry of a list inside a block | Beadle does not compare this list |
//! | a key with a default, such as `active` of a webhook | Beadle does not compare its whole entry or block |

use beadle_engine::PolicyLocation;

use super::key_spellings::spellings_of_key;
use super::keys::lists;
use super::layers::{ListMode, ListModes};
use super::node::{Kind, Node};
use super::targeting::MergedLayers;
use super::waived_key::{EVERY, PROTECTION, is_needed, is_required, parts};
use super::waiver::Waiver;
use crate::identity;

/// The result of removing a waived key from a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// The value did not contain the key.
    Same,
    /// The key is removed, and a part of the value remains.
    Changed,
    /// No part of the value remains. The caller must then remove the value from its block.
    Nothing,
}

/// The effect of a waived key on the values of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// The key has no effect.
    Nothing,
    /// The policy does not declare the entry. The waiver only makes Beadle keep the entries of the
    /// section.
    KeepsEntries,
    /// The key is removed from the values.
    Removes,
}

/// The place of a value.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// The root of the policy.
    Root,
    /// The section with this name, or the list `topics`.
    Section(&'a str),
    /// An entry of the section with this name.
    Entry(&'a str),
    /// Any other value. It is either the value of this key, or an entry of the list with this key.
    Inner(&'a str),
}

impl MergedLayers {
    /// Removes the keys of these waivers, in each of their spellings. The function keeps the waivers
    /// that have an effect.
    pub(super) fn waive(&mut self, waivers: &[Waiver], default_branch: Option<&str>) {
        let Some(root) = &mut self.root else { return };
        let mut effective = Vec::new();
        let (mut absent, mut removed): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        for waiver in waivers {
            let asked = waiver.asked.as_ref().unwrap_or(&root.asked).clone();
            let mut keys: Vec<String> = Vec::new();
            for key in &waiver.keys {
                let in_effect = spellings_of_key(key, default_branch).into_iter().map(|key| {
                    let effect = waive_key(root, &mut self.list_modes, &key, &asked);
                    (key, effect)
                });
                let in_effect: Vec<(String, Effect)> =
                    in_effect.filter(|(_, effect)| *effect != Effect::Nothing).collect();
                for (key, effect) in &in_effect {
                    let of_effect = if *effect == Effect::Removes { &mut removed } else { &mut absent };
                    of_effect.push(key.clone());
                }
                keys.extend(in_effect.into_iter().next().map(|(key, _)| key));
            }
            if !keys.is_empty() {
                effective.push(Waiver { keys, ..waiver.clone() });
            }
        }
        self.waivers = effective;
        // Two waivers can have the same key. After the first waiver has removed a declared entry
        // from the values, the entry looks undeclared to the second waiver.
        absent.retain(|key| !removed.contains(key));
        self.absent_waived = absent;
    }

    /// Returns whether a waiver exempts the archived state of the repository.
    pub(super) fn waives_archived(&self) -> bool {
        let is_archived = |key: &String| ["repository", "repository.archived"].contains(&key.as_str());
        self.waivers.iter().any(|waiver| waiver.keys.iter().any(is_archived))
    }
}

/// Removes a key from the values of a repository. Returns the effect of the removal.
fn waive_key(root: &mut Node, modes: &mut ListModes, path: &str, asked: &PolicyLocation) -> Effect {
    let Some(parts) = parts(path) else { return Effect::Nothing };
    let mut kept = Vec::new();
    let left = walk(Place::Root, root, &parts, &mut kept);
    let effect = match left {
        Left::Same if kept.is_empty() => Effect::Nothing,
        Left::Same => Effect::KeepsEntries,
        Left::Changed | Left::Nothing => Effect::Removes,
    };
    for list in kept {
        modes.insert(list, ListMode { exclusive: false, asked: asked.clone() });
    }
    effect
}

/// Removes a key from a value. Adds sections to `kept` if Beadle must not remove entries from them.
fn walk(place: Place<'_>, node: &mut Node, parts: &[&str], kept: &mut Vec<String>) -> Left {
    let Some((&part, rest)) = parts.split_first() else { return Left::Nothing };
    let is_form = has_include(node);
    match (&mut node.kind, place) {
        (Kind::Map(entries), Place::Section(section)) if is_form => {
            let list = entries.iter_mut().find(|(key, _)| key.text() == Some("include"));
            list.map_or(Left::Same, |(_, list)| walk(Place::Section(section), list, parts, kept))
        }
        (Kind::Map(entries), _) => in_block(place, entries, (part, rest), kept),
        (Kind::List(items), Place::Section(section)) => in_section(section, items, (part, rest), kept),
        (Kind::List(items), Place::Inner(list) | Place::Entry(list)) => {
            in_list(list, items, (part, rest), kept)
        }
        _ => Left::Same,
    }
}

/// Returns whether the list of a section is the value of the section's key `include`.
fn has_include(section: &Node) -> bool {
    section.get("include").is_some_and(|list| matches!(list.kind, Kind::List(_)))
}

/// Returns the position of a key in a block of keys.
fn position(entries: &[(Node, Node)], name: &str) -> Option<usize> {
    entries.iter().position(|(key, _)| key.text() == Some(name))
}

/// Returns the second key that sets the same value at GitHub as the key `name`. Both keys belong to
/// the same block.
fn twin(place: Place<'_>, name: &str) -> Option<&'static str> {
    match (place, name) {
        (_, "contexts") => Some("checks"),
        (_, "checks") => Some("contexts"),
        (Place::Section("repository"), "private") => Some("visibility"),
        (Place::Section("repository"), "visibility") => Some("private"),
        _ => None,
    }
}

/// Removes a key from a block of keys.
fn in_block(
    place: Place<'_>,
    entries: &mut Vec<(Node, Node)>,
    (part, rest): (&str, &[&str]),
    kept: &mut Vec<String>,
) -> Left {
    let is_inseparable = match place {
        Place::Root => false,
        Place::Section(name) | Place::Inner(name) => is_needed(name, part),
        Place::Entry(section) => is_needed(section, part) || is_required(section, part),
    };
    if is_inseparable {
        return Left::Nothing;
    }
    let other = twin(place, part).and_then(|other| position(entries, other));
    let direct = position(entries, part).or(other);
    let Some(at) = direct.or_else(|| position(entries, PROTECTION)) else { return Left::Same };
    let Some((key, value)) = entries.get_mut(at) else { return Left::Same };
    let name = key.text().unwrap_or_default();
    let twin = twin(place, name);
    let below = match place {
        Place::Root => Place::Section(name),
        Place::Section("repository") if name == "topics" => Place::Section(name),
        _ => Place::Inner(name),
    };
    let left = if direct.is_some() {
        walk(below, value, rest, kept)
    } else {
        let all: Vec<&str> = std::iter::once(part).chain(rest.iter().copied()).collect();
        walk(below, value, &all, kept)
    };
    if left == Left::Nothing {
        entries.remove(at);
        // The two keys set the same value at GitHub.
        entries.retain(|(key, _)| twin.is_none() || key.text() != twin);
        // An empty block can have its own meaning, such as a branch without protection.
        return if entries.is_empty() { Left::Nothing } else { Left::Changed };
    }
    left
}

/// Removes an entry of a section, or a key of the entry.
fn in_section(
    section: &str,
    items: &mut Vec<Node>,
    (part, rest): (&str, &[&str]),
    kept: &mut Vec<String>,
) -> Left {
    let mut left = Left::Same;
    let mut is_entry_waived = rest.is_empty();
    let mut at = 0;
    items.retain_mut(|item| {
        let is_named = is_called(section, item, at, part);
        at += 1;
        if !is_named {
            return true;
        }
        match walk(Place::Entry(section), item, rest, kept) {
            Left::Same => true,
            Left::Changed => {
                left = Left::Changed;
                true
            }
            Left::Nothing => {
                (left, is_entry_waived) = (Left::Changed, true);
                false
            }
        }
    });
    // Without this code, Beadle would remove the entry at GitHub, because the entry is no longer in
    // the policy. A waiver can also exempt an entry that was never in the policy.
    let has_mode = section == "topics" || lists().contains(&section);
    if is_entry_waived && has_mode {
        kept.push(section.to_owned());
    }
    left
}

/// Removes a key from the entries of a list inside a block. A write to GitHub replaces the whole
/// list, so Beadle cannot leave a single entry as it is. There is one exception: the function can
/// remove single parameters from a rule of a ruleset.
fn in_list(list: &str, items: &mut [Node], (part, rest): (&str, &[&str]), kept: &mut Vec<String>) -> Left {
    if rest.is_empty() {
        return Left::Nothing;
    }
    let mut left = Left::Same;
    for (at, item) in items.iter_mut().enumerate() {
        if !is_called(list, item, at, part) {
            continue;
        }
        match walk(Place::Inner(list), item, rest, kept) {
            Left::Same => {}
            // A rule without its type would not be valid.
            Left::Changed if list == "rules" && rest != ["type"] => left = Left::Changed,
            Left::Changed | Left::Nothing => return Left::Nothing,
        }
    }
    left
}

/// Returns whether a part of a path is the name of a list's entry.
fn is_called(list: &str, item: &Node, at: usize, part: &str) -> bool {
    if part == EVERY {
        return true;
    }
    let folded = part.to_lowercase();
    match (&item.kind, identity::name(list, item)) {
        (Kind::Map(_), Some(name)) => {
            [&name.written, &name.key, &name.open].iter().any(|known| *known == part || **known == folded)
        }
        (Kind::Map(_) | Kind::List(_), _) => part == at.to_string(),
        _ => {
            // If the value is a number, the function compares the text of the number.
            let shown = item.text().map_or_else(|| item.json().to_string(), str::to_owned);
            shown.eq_ignore_ascii_case(part)
        }
    }
}

#[cfg(test)]
mod tests;

//! Finds circles in a graph of files. A circle is a series of files. Each file uses the next one,
//! and the last file uses the first one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::uses::Place;

/// Maps each file to the files that it uses, each with the place of the first use. The name of a
/// file is its path from the folder of its package, such as `src/plan.rs`.
pub(super) type Graph = BTreeMap<String, BTreeMap<String, Place>>;

/// Returns a shortest circle for each group of files that use each other. The last file of a circle
/// uses the first file.
pub(super) fn circles(graph: &Graph) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut done = BTreeSet::new();
    for file in graph.keys() {
        if done.contains(file) || shortest_path(graph, file, file).is_none() {
            continue;
        }
        let reaches = |from: &str, to: &str| from == to || shortest_path(graph, from, to).is_some();
        let group: Vec<&String> =
            graph.keys().filter(|other| reaches(file, other) && reaches(other, file)).collect();
        found.extend(group.iter().filter_map(|one| shortest_path(graph, one, one)).min_by_key(Vec::len));
        done.extend(group);
    }
    found
}

/// Returns a shortest path from one file to another. The last file is not part of the result. If
/// both are the same file, the path is a circle.
pub(super) fn shortest_path(graph: &Graph, from: &str, to: &str) -> Option<Vec<String>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut queue = VecDeque::from([from]);
    while let Some(file) = queue.pop_front() {
        for next in graph.get(file).into_iter().flatten().map(|(next, _)| next.as_str()) {
            if next == to {
                let mut path = vec![file.to_owned()];
                let mut at = file;
                while at != from {
                    at = came_from.get(at)?;
                    path.push(at.to_owned());
                }
                path.reverse();
                return Some(path);
            }
            if next != from && !came_from.contains_key(next) {
                came_from.insert(next, file);
                queue.push_back(next);
            }
        }
    }
    None
}

/// Returns the text that describes a circle, with one line for each use.
pub(super) fn shown(graph: &Graph, circle: &[String]) -> String {
    let next = circle.iter().cycle().skip(1);
    let lines = circle.iter().zip(next).map(|(file, next)| {
        let place = graph.get(file).and_then(|uses| uses.get(next));
        let (line, path) = place.map_or((0, ""), |place| (place.line, place.path.as_str()));
        format!("\n  {file}:{line} uses `{path}` of {next}")
    });
    lines.collect()
}

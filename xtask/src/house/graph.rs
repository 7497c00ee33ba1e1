//! Reads which files of a package use each other, and finds the uses that close a circle.

use std::path::Path;

use super::circles::{Graph, circles, shortest_path, shown};
use super::rules::AllowedCircle;
use super::{modules, uses};

/// Reads the graph of a package. The library and the programs of the package are in the same graph.
pub(super) fn read(folder: &Path, roots: &[impl AsRef<Path>]) -> anyhow::Result<Graph> {
    let mut graph = Graph::new();
    for root in roots {
        let krate = modules::read(root.as_ref())?;
        let name = |file: usize| {
            let path = &krate.files[file];
            path.strip_prefix(folder).unwrap_or(path).display().to_string()
        };
        for ((from, to), place) in uses::uses(&krate) {
            graph.entry(name(from)).or_default().insert(name(to), place);
        }
    }
    Ok(graph)
}

/// Returns a problem for each circle that contains no allowed use. Also returns a problem for each
/// allowed use that is not needed, because it closes no circle.
pub(super) fn problems(package: &str, graph: &Graph, allowed: &[AllowedCircle]) -> Vec<String> {
    let entry = format!("`[[circle]]` of {package}");
    let mut problems = Vec::new();
    let mut allowed_uses = Vec::new();
    for one in allowed.iter().filter(|one| one.package == package) {
        for text in &one.uses {
            match text.split_once(" -> ") {
                Some(files) => allowed_uses.push(files),
                None => problems.push(format!("{entry}: `{text}` must be `using file -> used file`")),
            }
        }
        if one.reason.trim().is_empty() {
            problems.push(format!("{entry}: {} has no reason", one.uses.join(", ")));
        }
    }
    let mut rest = graph.clone();
    for (from, to) in &allowed_uses {
        if let Some(uses) = rest.get_mut(*from) {
            uses.remove(*to);
        }
    }
    for circle in circles(&rest) {
        problems.push(format!("files of {package} use each other in a circle:{}", shown(graph, &circle)));
    }
    for (from, to) in allowed_uses {
        if !graph.get(from).is_some_and(|uses| uses.contains_key(to)) {
            problems.push(format!("{entry}: {from} does not use {to}: remove it"));
        } else if shortest_path(&rest, to, from).is_none() {
            problems.push(format!("{entry}: `{from} -> {to}` closes no circle: remove it"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes these files as a package, and reads the package's graph.
    fn graph(files: &[(&str, &str)]) -> Graph {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join("src").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        read(folder.path(), &[folder.path().join("src/lib.rs")]).unwrap()
    }

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        problems("p", &graph(files), &[])
    }

    fn allowed(used: &str) -> Vec<AllowedCircle> {
        let reason = "They are one thing.".to_owned();
        vec![AllowedCircle { package: "p".to_owned(), uses: vec![used.to_owned()], reason }]
    }

    const LIB: (&str, &str) = ("lib.rs", "mod a; mod b;");

    #[test]
    fn two_files_that_use_each_other_are_a_circle() {
        let files = [
            LIB,
            ("a.rs", "use crate::b::B;\npub struct A(B);"),
            ("b.rs", "pub struct B;\nfn f(_: &super::a::A) {}"),
        ];
        assert_eq!(
            found(&files),
            [
                "files of p use each other in a circle:\n  src/a.rs:1 uses `crate::b::B` of src/b.rs\n  src/b.rs:2 uses `super::a::A` of src/a.rs"
            ]
        );
    }

    #[test]
    fn a_circle_of_three_files_is_found_and_uses_in_one_direction_are_none() {
        let lib = ("lib.rs", "mod a; mod b; mod c;");
        let a = ("a.rs", "pub fn a() { crate::b::b() }");
        let b = ("b.rs", "use crate::c; pub fn b() { c::c() }");
        assert_eq!(found(&[lib, a, b, ("c.rs", "pub fn c() {}")]), [""; 0]);
        assert_eq!(found(&[lib, a, b, ("c.rs", "pub fn c() { super::a::a() }")]).len(), 1);
    }

    #[test]
    fn a_parent_and_its_children_may_use_each_other() {
        let lib = ("lib.rs", "pub mod a;");
        let parent = ("a/mod.rs", "mod one;\nmod two;\npub struct A;\nfn f(_: one::One, _: two::Two) {}");
        let one = ("a/one.rs", "use super::A;\npub struct One(A);");
        let two = ("a/two/mod.rs", "pub mod below;\npub struct Two(super::A);");
        let below = ("a/two/below.rs", "pub struct Below(super::super::A, super::Two);");
        assert_eq!(found(&[lib, parent, one, two, below]), [""; 0]);
        // If `one` uses its sibling `two`, or a file below `two`, then `two` and the files below it
        // must not use `one`.
        let one = ("a/one.rs", "pub struct One(super::two::below::Below);");
        assert_eq!(found(&[lib, parent, one, two, below]), [""; 0]);
        let below = ("a/two/below.rs", "pub struct Below(crate::a::one::One);");
        let problems = found(&[lib, parent, one, two, below]);
        assert!(problems[0].contains("src/a/one.rs:1 uses `super::two::below::Below`"), "{problems:?}");
        assert_eq!(problems.len(), 1, "{problems:?}");
    }

    #[test]
    fn a_name_is_followed_to_the_file_that_defines_it() {
        // The second child uses an item of the first child through the parent. The parent imports
        // and exports the item.
        let lib = ("lib.rs", "mod a;");
        let one = ("a/one.rs", "pub struct One;\npub struct Other;");
        let two = ("a/two.rs", "use super::One;\npub struct Two(One, crate::a::Other);");
        let parent =
            ("a.rs", "mod one; mod two;\nuse one::One;\npub use one::*;\npub use two::Two as Three;");
        let graph = graph(&[lib, parent, one, two]);
        assert_eq!(graph["src/a/two.rs"].keys().collect::<Vec<_>>(), ["src/a/one.rs"], "{graph:?}");
        let one = ("a/one.rs", "pub struct One(super::Three);\npub struct Other;");
        assert_eq!(found(&[lib, parent, one, two]).len(), 1);
    }

    #[test]
    fn arguments_of_macros_and_attributes_are_read() {
        let b = ("b.rs", "pub fn b() { crate::a::a() }");
        let of_macro = ("a.rs", "pub fn a() { println!(\"{:?}\", [crate::b::b()]) }");
        assert_eq!(found(&[LIB, of_macro, b]).len(), 1);
        let of_attribute = ("a.rs", "pub fn a() {}\n#[arg(value_parser = crate::b::b)]\nstruct X;");
        assert_eq!(found(&[LIB, of_attribute, b]).len(), 1);
        let of_field = ("a.rs", "pub fn a() { println!(\"{}\", x.b::<u8>()) }");
        assert_eq!(found(&[LIB, of_field, b]), [""; 0]);
    }

    #[test]
    fn uses_in_tests_do_not_count() {
        let b = ("b.rs", "pub fn b() { crate::a::a() }");
        for code in ["mod tests { use crate::b::b; }", "fn t() { crate::b::b() }", "use crate::b::b;"] {
            for condition in ["test", "all(test, unix)"] {
                let a = format!("pub fn a() {{}}\n#[cfg({condition})]\n{code}");
                assert_eq!(found(&[LIB, ("a.rs", &a), b]), [""; 0], "{a}");
            }
        }
        let other = ("a.rs", "pub fn a() {}\n#[cfg(any(test, unix))]\nuse crate::b::b;");
        assert_eq!(found(&[LIB, other, b]).len(), 1);
    }

    #[test]
    fn an_allowed_use_breaks_its_circle_and_no_other() {
        let a = ("a.rs", "use crate::b::B;\npub struct A(B);");
        let b = ("b.rs", "pub struct B;\nfn f(_: &super::a::A) {}");
        let list = allowed("src/b.rs -> src/a.rs");
        assert_eq!(problems("p", &graph(&[LIB, a, b]), &list), [""; 0]);
        // A third file is part of another circle.
        let lib = ("lib.rs", "mod a; mod b; mod c;");
        let b = ("b.rs", "pub struct B;\nfn f(_: &super::a::A, _: crate::c::C) {}");
        let c = ("c.rs", "pub struct C(crate::a::A);");
        assert_eq!(problems("p", &graph(&[lib, a, b, c]), &list).len(), 1);
    }

    #[test]
    fn an_allowed_use_that_is_gone_or_closes_no_circle_is_removed() {
        let a = ("a.rs", "use crate::b::B;\npub struct A(B);");
        let graph = graph(&[LIB, a, ("b.rs", "pub struct B;")]);
        let gone = problems("p", &graph, &allowed("src/b.rs -> src/a.rs"));
        assert_eq!(gone, ["`[[circle]]` of p: src/b.rs does not use src/a.rs: remove it"]);
        let open = problems("p", &graph, &allowed("src/a.rs -> src/b.rs"));
        assert_eq!(open, ["`[[circle]]` of p: `src/a.rs -> src/b.rs` closes no circle: remove it"]);
        let odd = problems("p", &graph, &allowed("src/a.rs"));
        assert_eq!(odd, ["`[[circle]]` of p: `src/a.rs` must be `using file -> used file`"]);
    }
}

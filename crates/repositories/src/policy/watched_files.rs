//! Finds the files that the policy declares for repositories. If a webhook reports a change of such
//! a file, Beadle marks the repository as due.

use beadle_github::FILES_BRANCH;
use beadle_hooks::github::WatchedFiles;

use super::files::Policy;
use super::layers::Layer;
use super::node::Node;

impl Policy {
    /// Returns the paths of the declared files. If such a file changes, Beadle must check the
    /// repository.
    pub fn watched_files(&self) -> WatchedFiles {
        let lists = self.layers.iter().flat_map(Layer::roots).filter_map(|root| root.get("files"));
        let paths = lists.flat_map(Node::items).filter_map(|file| file.get("path")?.text());
        WatchedFiles { branch: FILES_BRANCH.to_owned(), paths: paths.map(str::to_owned).collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_files_of_every_layer_are_watched() {
        let files = [
            ("settings.yml", "files: [{ path: LICENSE, content: x }]\n"),
            ("layers/a.yml", "select: { name: shop }\nfiles: { add: [{ path: CODEOWNERS, content: x }] }\n"),
            ("layers/b.yml", "first_match: [{ select: { name: x }, files: [{ path: a, content: x }] }]\n"),
        ];
        let files: BTreeMap<String, String> =
            files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        let policy = Policy::from_sources(files, "admin", Path::new("policy"));
        let watched = policy.unwrap_or_else(|error| panic!("{error}")).watched_files();
        let paths: Vec<&str> = watched.paths.iter().map(String::as_str).collect();
        assert_eq!((watched.branch.as_str(), paths), (FILES_BRANCH, vec!["CODEOWNERS", "LICENSE", "a"]));
    }
}

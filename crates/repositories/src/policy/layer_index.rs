//! Finds the layers that might apply to a repository. A policy can have thousands of files in
//! repos/. Only a few of these files can be about the same repository.

use std::collections::BTreeMap;

use super::layers::{Layer, LayerKind};

/// The positions of layers in the list of a policy's layers.
#[derive(Clone, Debug, Default)]
pub(super) struct LayerIndex {
    /// The layers that are not files in repos/.
    shared: Vec<usize>,
    /// The files in repos/. The key is the file's name in lower case.
    named: BTreeMap<String, Vec<usize>>,
    /// All layers. The key is the path of the layer's file.
    files: BTreeMap<String, usize>,
}

impl LayerIndex {
    /// Creates the index of a list of layers.
    pub(super) fn of(layers: &[Layer]) -> Self {
        let mut index = Self::default();
        for (at, layer) in layers.iter().enumerate() {
            match &layer.kind {
                LayerKind::Repository(name) => {
                    index.named.entry(name.to_ascii_lowercase()).or_default().push(at);
                }
                _ => index.shared.push(at),
            }
            index.files.insert(layer.file.clone(), at);
        }
        index
    }

    fn places(&self, name: &str) -> &[usize] {
        self.named.get(&name.to_ascii_lowercase()).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns the file in repos/ with this name.
    pub(super) fn named<'a>(&self, layers: &'a [Layer], name: &str) -> Option<&'a Layer> {
        layers.get(*self.places(name).first()?)
    }

    /// Returns the layers that might apply to a repository. The result has the same order as the
    /// list of layers. The result contains the layers outside of repos/, the file in repos/ with
    /// this name, and the files in `files`.
    pub(super) fn candidates<'a, 'b>(
        &self,
        layers: &'a [Layer],
        name: &str,
        files: impl Iterator<Item = &'b str>,
    ) -> Vec<&'a Layer> {
        let files = files.filter_map(|file| self.files.get(file));
        let mut places: Vec<usize> =
            self.shared.iter().chain(self.places(name)).chain(files).copied().collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().filter_map(|at| layers.get(at)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::policy::Policy;

    #[test]
    fn the_candidates_of_a_repository_are_in_the_order_of_the_layers() {
        let text = "repository: { has_wiki: false }";
        let files = [
            ("settings.yml", text),
            ("suborgs/all.yml", "suborgrepos: ['*']\nrepository: { has_issues: true }"),
            ("layers/last.yml", "rank: 999\nselect: { name: ['*'] }\nrepository: { has_projects: true }"),
            ("repos/Shop.yml", text),
            ("repos/blog.yml", text),
            ("repos/old.yml", text),
        ];
        let files = files.map(|(file, text)| (file.to_owned(), text.to_owned()));
        let policy = Policy::from_sources(files.into(), "admin", Path::new("policy")).unwrap();
        let index = LayerIndex::of(&policy.layers);
        for (name, further, expected) in [
            ("shop", None, vec!["settings.yml", "suborgs/all.yml", "layers/last.yml", "repos/Shop.yml"]),
            (
                "SHOP",
                Some("repos/Shop.yml"),
                vec!["settings.yml", "suborgs/all.yml", "layers/last.yml", "repos/Shop.yml"],
            ),
            (
                "new",
                Some("repos/old.yml"),
                vec!["settings.yml", "suborgs/all.yml", "layers/last.yml", "repos/old.yml"],
            ),
            ("new", None, vec!["settings.yml", "suborgs/all.yml", "layers/last.yml"]),
        ] {
            let found = index.candidates(&policy.layers, name, further.into_iter());
            let found: Vec<&str> = found.into_iter().map(|layer| layer.file.as_str()).collect();
            assert_eq!(found, expected, "{name}");
        }
        let named = index.named(&policy.layers, "sHOP").map(|layer| layer.file.as_str());
        assert_eq!(named, Some("repos/Shop.yml"));
        assert!(index.named(&policy.layers, "new").is_none());
    }
}

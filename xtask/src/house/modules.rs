//! The modules of a crate. Each module has the items that it defines, its imports, and the paths in
//! its code. `syn` parses the files. The modules leave out code that exists only in tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;

/// A module of a crate. The number of a module is its index in `Crate::modules`.
#[derive(Default)]
pub(super) struct Module {
    /// The index in `Crate::files` of the file that contains the module.
    pub(super) file: usize,
    pub(super) parent: Option<usize>,
    pub(super) children: BTreeMap<String, usize>,
    /// The names of the items that the module defines.
    pub(super) items: BTreeSet<String>,
    pub(super) imports: Vec<Import>,
    /// Every path in the module's code, except the paths of imports.
    pub(super) named: Vec<Named>,
}

/// One imported name. A `use` with several names has one value for each name.
pub(super) struct Import {
    /// The name that is imported, or `None` for `*`.
    pub(super) name: Option<String>,
    pub(super) path: Vec<String>,
    /// True if the `use` has a visibility, such as `pub` or `pub(super)`.
    pub(super) is_exported: bool,
    pub(super) line: usize,
}

/// A path that the code contains, such as `super::plan::Plan`.
pub(super) struct Named {
    pub(super) path: Vec<String>,
    pub(super) line: usize,
}

/// All files and modules of a crate. The search begins at one root file. The root module has the
/// number 0.
#[derive(Default)]
pub(super) struct Crate {
    pub(super) files: Vec<PathBuf>,
    pub(super) modules: Vec<Module>,
}

/// Reads a crate, beginning with its root file, such as `src/lib.rs`.
pub(super) fn read(root: &Path) -> anyhow::Result<Crate> {
    let mut krate = Crate::default();
    let folder = root.parent().with_context(|| format!("{} has no folder", root.display()))?;
    krate.read_file(root, folder, None)?;
    Ok(krate)
}

impl Crate {
    /// Reads a file as a module. `folder` contains the files of the child modules.
    fn read_file(&mut self, path: &Path, folder: &Path, parent: Option<usize>) -> anyhow::Result<usize> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let syntax = syn::parse_file(&text).with_context(|| format!("cannot parse {}", path.display()))?;
        let file = self.files.len();
        self.files.push(path.to_owned());
        self.add(file, folder, parent, &syntax.items)
    }

    fn add(
        &mut self,
        file: usize,
        folder: &Path,
        parent: Option<usize>,
        items: &[syn::Item],
    ) -> anyhow::Result<usize> {
        let module = self.modules.len();
        self.modules.push(Module { file, parent, ..Module::default() });
        for item in items.iter().filter(|item| !is_for_tests(attributes(item))) {
            if let syn::Item::Mod(declared) = item {
                let name = declared.ident.to_string();
                let below = folder.join(&name);
                let child = if let Some((_, items)) = &declared.content {
                    self.add(file, &below, Some(module), items)?
                } else {
                    self.read_file(&file_of(folder, &name)?, &below, Some(module))?
                };
                // Two modules can have the same name if their `cfg` conditions differ. The search
                // uses the first of them.
                self.modules[module].children.entry(name).or_insert(child);
            } else {
                let found = &mut self.modules[module];
                found.items.extend(name_of(item));
                Code(found).visit_item(item);
            }
        }
        Ok(module)
    }
}

/// Returns the path of the file for a module that is declared as `mod name;`.
fn file_of(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let candidates = [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")];
    match candidates.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => bail!("module `{name}` has no file: expected {}", candidates[0].display()),
    }
}

/// Walks through the code of a module, and collects the imports and paths in the code.
struct Code<'a>(&'a mut Module);

impl<'ast> Visit<'ast> for Code<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_for_tests(attributes(item)) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if item.leading_colon.is_none() {
            let is_exported = !matches!(item.vis, syn::Visibility::Inherited);
            leaves(&item.tree, &[], is_exported, &mut self.0.imports);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            syn::visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_for_tests(&field.attrs) {
            syn::visit::visit_field(self, field);
        }
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        if !is_for_tests(&field.attrs) {
            syn::visit::visit_field_value(self, field);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if !is_for_tests(&local.attrs) {
            syn::visit::visit_local(self, local);
        }
    }

    // The path in a visibility such as `pub(super)` is not the path of an item, so the visitor
    // skips this path.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            tokens(list.tokens.clone(), &mut self.0.named);
        }
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.visit_path(&called.path);
        tokens(called.tokens.clone(), &mut self.0.named);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none()
            && let Some(first) = path.segments.first()
        {
            let line = first.ident.span().start().line;
            let path = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.0.named.push(Named { path, line });
        }
        syn::visit::visit_path(self, path);
    }
}

/// Collects the imported names of a `use`.
fn leaves(tree: &syn::UseTree, before: &[String], is_exported: bool, imports: &mut Vec<Import>) {
    let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
    let mut add = |name: Option<String>, path: Vec<String>, line: usize| {
        imports.push(Import { name, path, is_exported, line });
    };
    match tree {
        syn::UseTree::Path(path) => leaves(&path.tree, &with(&path.ident), is_exported, imports),
        syn::UseTree::Group(group) => {
            group.items.iter().for_each(|item| leaves(item, before, is_exported, imports));
        }
        syn::UseTree::Glob(glob) => add(None, before.to_vec(), glob.star_token.span.start().line),
        syn::UseTree::Name(name) => {
            let line = name.ident.span().start().line;
            // `a::{self}` imports the module `a`.
            if name.ident == "self" {
                add(before.last().cloned(), before.to_vec(), line);
            } else {
                add(Some(name.ident.to_string()), with(&name.ident), line);
            }
        }
        syn::UseTree::Rename(rename) => {
            let path = if rename.ident == "self" { before.to_vec() } else { with(&rename.ident) };
            add(Some(rename.rename.to_string()), path, rename.ident.span().start().line);
        }
    }
}

/// Collects the paths in tokens that `syn` does not parse. These tokens are the arguments of macros
/// and attributes.
fn tokens(stream: TokenStream, named: &mut Vec<Named>) {
    let all: Vec<TokenTree> = stream.into_iter().collect();
    let is = |at: usize, mark: char| matches!(all.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == mark);
    let mut at = 0;
    while at < all.len() {
        match &all[at] {
            TokenTree::Group(group) => tokens(group.stream(), named),
            // A name after `.`, `'` or `$` is a field, a method, a lifetime or part of `$crate`.
            // None of these names is a path.
            TokenTree::Ident(ident) if at == 0 || !['.', '\'', '$'].iter().any(|mark| is(at - 1, *mark)) => {
                let mut path = vec![ident.to_string()];
                while is(at + 1, ':') && is(at + 2, ':') {
                    let Some(TokenTree::Ident(next)) = all.get(at + 3) else { break };
                    path.push(next.to_string());
                    at += 3;
                }
                named.push(Named { path, line: ident.span().start().line });
            }
            _ => {}
        }
        at += 1;
    }
}

/// Returns whether an attribute makes an item exist only in tests: `#[cfg(test)]`, `#[cfg(all(test,
/// ...))]` or `#[test]`.
fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_test = attribute.path().segments.last().is_some_and(|last| last.ident == "test");
        let is_cfg = attribute.path().is_ident("cfg");
        is_test || (is_cfg && attribute.parse_args().is_ok_and(|condition| needs_test(&condition)))
    })
}

fn needs_test(condition: &syn::Meta) -> bool {
    match condition {
        syn::Meta::Path(path) => path.is_ident("test"),
        syn::Meta::List(list) if list.path.is_ident("all") => {
            let parse = syn::punctuated::Punctuated::<syn::Meta, syn::Token![,]>::parse_terminated;
            list.parse_args_with(parse).is_ok_and(|parts| parts.iter().any(needs_test))
        }
        _ => false,
    }
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::ExternCrate(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::ForeignMod(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::TraitAlias(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Union(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn name_of(item: &syn::Item) -> Option<String> {
    let ident = match item {
        syn::Item::Const(item) => &item.ident,
        syn::Item::Enum(item) => &item.ident,
        syn::Item::Fn(item) => &item.sig.ident,
        syn::Item::Macro(item) => item.ident.as_ref()?,
        syn::Item::Static(item) => &item.ident,
        syn::Item::Struct(item) => &item.ident,
        syn::Item::Trait(item) => &item.ident,
        syn::Item::TraitAlias(item) => &item.ident,
        syn::Item::Type(item) => &item.ident,
        syn::Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

//! Checks the Markdown files. Every relative link must point to a file, and every anchor must point
//! to a heading. Every page of docs/ must be in the table of contents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::run::root;

/// The folders with the Markdown files to check, in addition to the workspace's folder.
const FOLDERS: &[&str] = &["crates", "deploy", "docs", "examples", "tools", "xtask"];
/// The file that has the book's table of contents.
const CONTENTS: &str = "docs/SUMMARY.md";

/// Checks all Markdown files of the workspace.
pub(crate) fn check() -> anyhow::Result<()> {
    let problems = problems(root())?;
    if !problems.is_empty() {
        bail!("links are broken:\n{}", problems.join("\n"));
    }
    Ok(())
}

fn problems(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut pages = BTreeSet::new();
    collect(root, false, &mut pages)?;
    for folder in FOLDERS.iter().map(|name| root.join(name)).filter(|folder| folder.is_dir()) {
        collect(&folder, true, &mut pages)?;
    }
    let mut texts = BTreeMap::new();
    for page in pages {
        let text =
            std::fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
        texts.insert(flat(&page), text);
    }
    let shown = |path: &Path| path.strip_prefix(flat(root)).unwrap_or(path).display().to_string();
    let mut problems = Vec::new();
    for (page, text) in &texts {
        for (line, link) in links(text) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let folder = page.parent().context("a page has no folder")?;
            let target = if file.is_empty() { page.clone() } else { flat(&folder.join(file)) };
            let what = if !target.exists() {
                format!("file {} does not exist", shown(&target))
            } else if !anchor.is_empty()
                && texts.get(&target).is_some_and(|text| !anchors(text).contains(anchor))
            {
                format!("{} has no heading `#{anchor}`", shown(&target))
            } else {
                continue;
            };
            problems.push(format!("{}:{line}: link `{link}`: {what}", shown(page)));
        }
    }
    let contents = flat(&root.join(CONTENTS));
    let listed = texts.get(&contents).map(|text| links(text)).unwrap_or_default();
    let listed: BTreeSet<PathBuf> =
        listed.iter().map(|(_, link)| flat(&root.join("docs").join(link))).collect();
    let docs = flat(&root.join("docs"));
    let unlisted =
        texts.keys().filter(|page| page.starts_with(&docs) && **page != contents && !listed.contains(*page));
    problems.extend(unlisted.map(|page| format!("{} is not in {CONTENTS}", shown(page))));
    Ok(problems)
}

/// Adds the Markdown files of a folder to `pages`. If `deep` is true, also adds the files of all
/// subfolders.
fn collect(folder: &Path, deep: bool, pages: &mut BTreeSet<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            let is_ours = path.file_name().is_none_or(|name| name != "target" && name != "node_modules");
            if deep && is_ours {
                collect(&path, deep, pages)?;
            }
        } else if path.extension().is_some_and(|ending| ending == "md") {
            pages.insert(path);
        }
    }
    Ok(())
}

/// Removes `.` and `..` from a path. Does not read the file system.
fn flat(path: &Path) -> PathBuf {
    let mut flat = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                flat.pop();
            }
            part => flat.push(part),
        }
    }
    flat
}

/// Returns those lines of a page that are not in code blocks, with the line numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence: Option<String> = None;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let trimmed = line.trim_start();
        let marks: String = trimmed.chars().take_while(|mark| *mark == '`' || *mark == '~').collect();
        match &fence {
            Some(open) if marks.starts_with(open.as_str()) => fence = None,
            Some(_) => {}
            None if marks.len() >= 3 => fence = Some(marks),
            None => return Some((index + 1, line)),
        }
        None
    })
}

/// Returns the relative links of a page, with their line numbers.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let line = without_code(line);
        let ends = |after: &str, ends: &[char]| after.split(ends).next().unwrap_or_default().to_owned();
        let mut targets: Vec<String> =
            line.split("](").skip(1).map(|after| ends(after, &[')', ' '])).collect();
        for attribute in ["href=\"", "src=\"", "srcset=\""] {
            targets.extend(line.split(attribute).skip(1).map(|after| ends(after, &['"', ' '])));
        }
        let definition = line.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
        if let Some((name, target)) = definition
            && !name.starts_with('^')
        {
            targets.push(ends(target.trim_start(), &[' ']));
        }
        let is_relative =
            |target: &String| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:");
        found.extend(targets.into_iter().filter(is_relative).map(|target| (number, target)));
    }
    found
}

/// Returns a line without the code that is in backticks.
fn without_code(line: &str) -> String {
    let parts: Vec<&str> = line.split('`').collect();
    // If the last backtick has no partner, it is plain text.
    if parts.len().is_multiple_of(2) {
        return line.to_owned();
    }
    parts.into_iter().step_by(2).collect()
}

/// Returns the anchors of a page's headings, in the form that GitHub gives them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (_, line) in prose(text) {
        let title = line.trim_start_matches('#');
        let level = line.len() - title.len();
        if !(1..=6).contains(&level) || !title.starts_with(' ') {
            continue;
        }
        let anchor = anchor(title.trim());
        let count = seen.entry(anchor.clone()).or_default();
        anchors.insert(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
        *count += 1;
    }
    anchors
}

fn anchor(title: &str) -> String {
    // If a heading contains a link, the anchor contains only the text of the link.
    let mut text = String::new();
    let mut rest = title;
    while let Some((before, after)) = rest.split_once("](") {
        text.push_str(before);
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    let kept = text.chars().filter(|one| one.is_alphanumeric() || ['-', '_', ' '].contains(one));
    kept.flat_map(char::to_lowercase).map(|one| if one == ' ' { '-' } else { one }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a workspace that contains only these files. Returns the problems.
    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        problems(root.path()).unwrap()
    }

    const CONTENTS: (&str, &str) = ("docs/SUMMARY.md", "- [A](a.md)\n- [B](how-to/b.md)\n");

    #[test]
    fn links_to_files_and_headings_are_valid() {
        let a = (
            "docs/a.md",
            "# A page\n\n[b](how-to/b.md#do-it-now), [own](#a-page), [web](https://x.test/#y)\n",
        );
        let b =
            ("docs/how-to/b.md", "## Do `it` now!\n[up](../../README.md), ![x](../x.svg), [folder](..)\n");
        let readme = ("README.md", "See [a](docs/a.md).\n```\n[no](gone.md)\n```\n`[no](gone.md)`\n");
        assert_eq!(found(&[CONTENTS, a, b, readme, ("docs/x.svg", "")]), [""; 0]);
    }

    #[test]
    fn a_missing_file_and_a_missing_heading_are_problems() {
        let a = (
            "docs/a.md",
            "# A\n\n[b](b.md)\n[b](how-to/b.md#gone)\n<img src=\"x.svg\">\n[own](#b)\n\n[r]: y.md\n",
        );
        let b = ("docs/how-to/b.md", "# B\n");
        assert_eq!(
            found(&[CONTENTS, a, b]),
            [
                "docs/a.md:3: link `b.md`: file docs/b.md does not exist",
                "docs/a.md:4: link `how-to/b.md#gone`: docs/how-to/b.md has no heading `#gone`",
                "docs/a.md:5: link `x.svg`: file docs/x.svg does not exist",
                "docs/a.md:6: link `#b`: docs/a.md has no heading `#b`",
                "docs/a.md:8: link `y.md`: file docs/y.md does not exist",
            ]
        );
    }

    #[test]
    fn a_page_that_is_not_in_the_contents_is_a_problem() {
        let pages = [CONTENTS, ("docs/a.md", "# A\n"), ("docs/how-to/b.md", "# B\n"), ("docs/c.md", "# C\n")];
        assert_eq!(found(&pages), ["docs/c.md is not in docs/SUMMARY.md"]);
    }

    #[test]
    fn anchors_have_the_form_of_github() {
        let page = "# `[org.modes]` and what it is\n## Twice\n## Twice\n### [A link](x.md): there\n#no\n~~~\n# code\n~~~\n";
        let anchors: Vec<String> = anchors(page).into_iter().collect();
        assert_eq!(anchors, ["a-link-there", "orgmodes-and-what-it-is", "twice", "twice-1"]);
    }
}

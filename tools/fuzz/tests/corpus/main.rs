//! Runs each target with every input of the corpus, and with random changes of these inputs. The
//! corpus has every input that once broke a promise, so the test finds the same fault again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod mutate;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use beadle_fuzz::{TARGETS, Target};
use mutate::{Random, mutated};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Returns the inputs of a target, sorted by their file names.
fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = folder("corpus").join(target.name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut inputs: Vec<(String, Vec<u8>)> = files
        .map(|file| file.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap()))
        .collect();
    inputs.sort();
    inputs
}

/// Returns the texts in a libFuzzer dictionary: one text in quotes on each line.
fn words(target: &Target) -> Vec<Vec<u8>> {
    let path = folder("dictionaries").join(format!("{}.dict", target.name));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let quoted = text.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    quoted.map(unescaped).collect()
}

/// Returns the text of a dictionary line. Each of the escapes `\\`, `\"` and `\xAB` means one byte.
fn unescaped(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let code = after.strip_prefix('x').map(|after| after.split_at(2));
        rest = if let Some((digits, after)) = code {
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            after
        } else {
            bytes.extend_from_slice(&after.as_bytes()[..1]);
            &after[1..]
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

fn check(target: &Target, what: &str, input: &[u8]) {
    let outcome = std::panic::catch_unwind(|| (target.run)(input));
    assert!(outcome.is_ok(), "{}: {what} breaks a promise: {}", target.name, input.escape_ascii());
}

fn replay(target: &Target) {
    let inputs = corpus(target);
    assert!(!inputs.is_empty(), "the corpus of {} has no input", target.name);
    for (file, input) in &inputs {
        check(target, file, input);
    }
    let (inputs, words) = (inputs.into_iter().map(|(_, input)| input).collect::<Vec<_>>(), words(target));
    let mut random = Random::new(2026);
    for _ in 0..target.tries {
        check(target, "a random input", &mutated(&mut random, &inputs, &words));
    }
}

macro_rules! targets {
    ($($test:ident: $target:ident,)*) => {
        $(
            #[test]
            fn $test() {
                replay(&beadle_fuzz::$target);
            }
        )*

        const TESTED: &[Target] = &[$(beadle_fuzz::$target),*];
    };
}

targets! {
    config: CONFIG,
    expressions: EXPRESSIONS,
    github_lists: GITHUB_LISTS,
    github_repository: GITHUB_REPOSITORY,
    github_webhook: GITHUB_WEBHOOK,
    names: NAMES,
    okta_hook: OKTA_HOOK,
    okta_lists: OKTA_LISTS,
    policy: POLICY,
    records: RECORDS,
    scim_lists: SCIM_LISTS,
}

#[test]
fn every_target_has_a_test_a_corpus_a_dictionary_and_a_program() {
    let names = |targets: &[Target]| -> BTreeSet<String> {
        targets.iter().map(|target| target.name.to_owned()).collect()
    };
    let stems = |name: &str| -> BTreeSet<String> {
        let files = std::fs::read_dir(folder(name)).unwrap();
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    let all = names(&TARGETS);
    assert_eq!(names(TESTED), all);
    for folder in ["corpus", "dictionaries", "targets"] {
        assert_eq!(stems(folder), all, "{folder}");
    }
    let manifest = std::fs::read_to_string(folder("Cargo.toml")).unwrap();
    for name in all {
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "Cargo.toml lacks {name}");
    }
}

//! Matches the names of repositories with globs and regular expressions. Upper and lower case are
//! the same.

use std::fmt;

use beadle_engine::check_glob;
use globset::{GlobBuilder, GlobMatcher};
use regex::{Regex, RegexBuilder};

use super::node::Node;
use super::problem::{Problem, Severity};

/// A glob or a regular expression, with its original text.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    matcher: Matcher,
}

#[derive(Clone)]
enum Matcher {
    Glob(GlobMatcher),
    Regex(Regex),
}

/// Shows only the text of the pattern. Beadle stores selectors between runs in this form, so the
/// output must not change. The output must not contain the matcher, because the matcher would also
/// show its caches. These caches change with each use.
impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.matcher {
            Matcher::Glob(_) => "Glob",
            Matcher::Regex(_) => "Regex",
        };
        f.debug_tuple(kind).field(&self.text).finish()
    }
}

/// Texts that are possible in a regular expression but not in a glob.
const MARKS: &[&str] = &["^", "$", ".*", ".+", "\\", "(", "|", "]+"];

impl Pattern {
    /// Parses a glob.
    pub fn glob(text: &str) -> Result<Self, String> {
        let invalid = |why: String| format!("invalid glob `{}`: {why}", short(text));
        check_glob(text).map_err(invalid)?;
        let glob = GlobBuilder::new(text).case_insensitive(true).literal_separator(false).build();
        let glob = glob.map_err(|error| invalid(error.kind().to_string()))?;
        Ok(Self { text: text.to_owned(), matcher: Matcher::Glob(glob.compile_matcher()) })
    }

    /// Parses a glob or a regular expression. If the text cannot be a glob, the function parses it
    /// as a regular expression. This expression can match any part of a name. In safe-settings,
    /// `restrictedRepos` works in the same way.
    pub fn glob_or_regex(text: &str) -> Result<Self, String> {
        if MARKS.iter().any(|mark| text.contains(mark)) { Self::regex(text) } else { Self::glob(text) }
    }

    /// Parses a regular expression. The expression can match any part of a name.
    pub fn regex(text: &str) -> Result<Self, String> {
        let regex = RegexBuilder::new(text).case_insensitive(true).size_limit(1 << 20).build();
        let regex = regex.map_err(|_| format!("invalid regular expression `{}`", short(text)))?;
        Ok(Self { text: text.to_owned(), matcher: Matcher::Regex(regex) })
    }

    /// Returns whether a name matches the pattern.
    pub fn is_match(&self, name: &str) -> bool {
        match &self.matcher {
            Matcher::Glob(glob) => glob.is_match(name),
            Matcher::Regex(regex) => regex.is_match(name),
        }
    }

    /// Returns the text of the pattern as it is in the file.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The characters that have a special meaning in a glob.
pub(super) const META: &[char] = &['*', '?', '[', ']', '{', '}', '\\'];

impl Pattern {
    /// If the pattern is a glob that matches only one name, the function returns this name.
    pub(super) fn literal(&self) -> Option<String> {
        let is_glob = matches!(self.matcher, Matcher::Glob(_));
        (is_glob && !self.text.contains(META)).then(|| self.text.to_lowercase())
    }

    /// Returns the common prefix and the common suffix of all matching names, both in lower case.
    fn ends(&self) -> (String, String) {
        if matches!(self.matcher, Matcher::Regex(_)) {
            return (String::new(), String::new());
        }
        let text = self.text.to_lowercase();
        let start = text.split(META).next().unwrap_or_default().to_owned();
        let end = text.rsplit(META).next().unwrap_or_default().to_owned();
        (start, end)
    }

    /// If the pattern matches only one name, the function returns this name. Such a pattern is a
    /// glob, or a regular expression such as `^shop$`.
    fn only_name(&self) -> Option<String> {
        if matches!(self.matcher, Matcher::Glob(_)) {
            return self.literal();
        }
        // In a regular expression, a dot without a backslash matches every character.
        let name = self.text.strip_prefix('^')?.strip_suffix('$')?.replace("\\.", "/");
        let is_plain = |one: char| one.is_ascii_alphanumeric() || "-_/".contains(one);
        name.chars().all(is_plain).then(|| name.replace('/', "."))
    }

    /// Returns whether the pattern certainly matches the name of every repository.
    pub(super) fn matches_all(&self) -> bool {
        /// The regular expressions that match every name. No name is empty.
        const ALL: &[&str] = &["^", "$", ".*", "^.*", ".*$", "^.*$", ".+", "^.+", ".+$", "^.+$"];
        match self.matcher {
            Matcher::Glob(_) => ["*", "**"].contains(&self.text.as_str()),
            Matcher::Regex(_) => ALL.contains(&self.text.as_str()),
        }
    }

    /// Returns whether every name that matches this pattern certainly also matches `other`.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        if let Some(name) = self.only_name() {
            return other.is_match(&name);
        }
        if other.matches_all() {
            return true;
        }
        if matches!(self.matcher, Matcher::Glob(_)) == matches!(other.matcher, Matcher::Glob(_))
            && self.text.eq_ignore_ascii_case(&other.text)
        {
            return true;
        }
        let text = other.text.to_lowercase();
        let opens = text.strip_suffix('*').filter(|start| !start.contains(META));
        opens.is_some_and(|start| {
            matches!(other.matcher, Matcher::Glob(_)) && self.ends().0.starts_with(start)
        })
    }

    /// Returns whether the two patterns certainly never match the same name.
    pub(super) fn is_apart_from(&self, other: &Self) -> bool {
        match (self.literal(), other.literal()) {
            (Some(name), _) => !other.is_match(&name),
            (_, Some(name)) => !self.is_match(&name),
            (None, None) => {
                let (one, two) = (self.ends(), other.ends());
                let starts = one.0.starts_with(&two.0) || two.0.starts_with(&one.0);
                let ends = one.1.ends_with(&two.1) || two.1.ends_with(&one.1);
                !starts || !ends
            }
        }
    }
}

/// Finds a character in a glob or a regular expression that cannot be in the name of a repository.
/// The part of the pattern that contains this character matches no repository. Returns `None` if
/// there is no such character, or if the part can match a name without the character.
pub(super) fn stray(text: &str) -> Option<char> {
    if MARKS.iter().any(|mark| text.contains(mark)) { stray_in_regex(text) } else { stray_in_glob(text) }
}

fn is_of_name(one: char) -> bool {
    one.is_ascii_alphanumeric() || "-_.".contains(one)
}

pub(super) fn stray_in_glob(text: &str) -> Option<char> {
    let mut rest = text;
    let mut depth = 0_usize;
    while let Some(one) = rest.chars().next() {
        rest = &rest[one.len_utf8()..];
        match one {
            '[' => {
                // The first character of a class can be a bracket.
                let class = rest.strip_prefix(['!', '^']).unwrap_or(rest);
                let end = class.char_indices().skip(1).find(|(_, other)| *other == ']');
                rest = end.map_or("", |(end, _)| &class[end + 1..]);
            }
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            one if "*?".contains(one) || is_of_name(one) || (one == ',' && depth > 0) => {}
            one => return Some(one),
        }
    }
    None
}

fn stray_in_regex(text: &str) -> Option<char> {
    const STRAY: &str = "!/@# ";
    // `!(web|pay)` and `@(web|pay)` are globs of safe-settings.
    let of_glob = ['!', '@'].into_iter().find(|one| text.contains(&format!("{one}(")));
    // If an expression has one of these forms, a part of the expression can match a name without
    // the character.
    let is_open = text.contains(['|', '(', '[']);
    let is_needed = |at: usize| !text[at + 1..].starts_with(['?', '*', '{']);
    let mut strays = text.char_indices().filter(|(at, one)| STRAY.contains(*one) && is_needed(*at));
    of_glob.or_else(|| strays.find(|(at, _)| *at == 0 || !is_open).map(|(_, one)| one))
}

/// Returns whether a glob contains a range such as `{1..3}`. Only some glob libraries support such
/// ranges.
fn has_range(text: &str) -> bool {
    text.split('{').skip(1).any(|part| {
        part.split_once('}').is_some_and(|(inner, _)| inner.contains("..") && !inner.contains(','))
    })
}

/// Shortens a long text for an error message.
pub(super) fn short(text: &str) -> String {
    const LONGEST: usize = 100;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Parses the patterns in a list. The function reports each invalid pattern and omits it from the
/// result.
pub(crate) fn patterns(
    list: &Node,
    make: fn(&str) -> Result<Pattern, String>,
    problems: &mut Vec<Problem>,
) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for item in list.items() {
        match item.text().map(make) {
            Some(Ok(pattern)) => patterns.push(pattern),
            Some(Err(why)) => problems.push(Problem::error(item.asked.clone(), item.column, why)),
            None => {}
        }
    }
    patterns
}

/// Parses the globs in a list of a selector. Reports the globs that are probably meant as regular
/// expressions. If such a text is read as a glob, it does not match the repositories that the
/// author expects.
pub(super) fn globs(list: &Node, problems: &mut Vec<Problem>) -> Vec<Pattern> {
    // With the glob `*`, the list matches every name, so the other entries have no effect.
    let matches_all = list.items().iter().any(|item| item.text() == Some("*"));
    for item in list.items().iter().filter(|_| !matches_all) {
        if let Some(text) = item.text()
            && let Some(effect) = regex_as_glob(text)
        {
            let glob = glob_of_regex(text).or_else(|| glob_of_part(text));
            let hint = glob.map_or_else(
                || "write a glob, such as `web-*` for the names that begin with `web-`".to_owned(),
                |glob| format!("if you mean it as a regular expression, write `{}`", short(&glob)),
            );
            let text = format!("`{}` is read as a glob, in which {effect}", short(text));
            let problem = Problem::error(item.asked.clone(), item.column, text).severity(Severity::Warning);
            problems.push(problem.hint(hint));
        } else if let Some(problem) = item.text().and_then(|text| unmatchable(item, text, stray_in_glob)) {
            problems.push(problem.severity(Severity::Warning));
        }
    }
    patterns(list, Pattern::glob, problems)
}

/// Returns an error if a pattern or a part of the pattern certainly matches no repository. `stray`
/// returns a character of the pattern that cannot be in the name of a repository.
pub(super) fn unmatchable(item: &Node, text: &str, stray: fn(&str) -> Option<char>) -> Option<Problem> {
    let error = |message: String| Problem::error(item.asked.clone(), item.column, message);
    if text.is_empty() {
        return Some(error("an empty pattern matches no repository".to_owned()));
    }
    if has_range(text) {
        let text = format!("`{}` has a range, which Beadle does not expand", short(text));
        return Some(error(text).hint("write each part, such as `web-{1,2,3}`"));
    }
    let stray = stray(text)?;
    let message = format!("`{}` has `{stray}`, but no name of a repository has this character", short(text));
    Some(error(message).hint(match stray {
        '!' => "Beadle has no patterns that begin with `!`: list the names that must match",
        '/' => "write only the name of the repository, without its owner and without `/`",
        _ => "a name has only letters, digits, `-`, `_` and `.`",
    }))
}

/// Describes the meaning of a regular expression if Beadle reads it as a glob. Returns `None` if
/// the text is probably a glob.
fn regex_as_glob(text: &str) -> Option<String> {
    // In a glob, `[^ab]` matches any character except `a` and `b`.
    let is_anchored = text.replace("[^", "[").contains(['^', '$']);
    if is_anchored {
        return Some("`^` and `$` are ordinary characters: it matches no name".to_owned());
    }
    if let Some((start, _)) = text.split_once(".*") {
        let names = if start.contains(META) {
            "names with a dot".to_owned()
        } else {
            format!("names that begin with `{}.`", short(start))
        };
        return Some(format!("`.` is an ordinary character: it matches only {names}"));
    }
    text.contains('\\').then(|| "`\\` only marks the next character as an ordinary one".to_owned())
}

/// Returns the glob for a regular expression that has an anchor. The expression must contain only
/// names, `.*` and `\.`. Without an anchor, the text might already be a glob.
fn glob_of_regex(text: &str) -> Option<String> {
    let (start, text) = text.strip_prefix('^').map_or(("*", text), |rest| ("", rest));
    let (text, end) = text.strip_suffix('$').map_or((text, "*"), |rest| (rest, ""));
    let names = text.replace(".*", "*").replace("\\.", ".");
    let is_plain = names.chars().all(|one| one.is_ascii_alphanumeric() || "-_.*".contains(one));
    let is_anchored = start.is_empty() || end.is_empty();
    (is_anchored && is_plain && !names.is_empty()).then(|| format!("{start}{names}{end}").replace("**", "*"))
}

/// Returns the glob that the author of a text such as `web-.*` or `.*-api` probably means. Such a
/// text has no anchor. If it were a regular expression, it could match any part of a name.
fn glob_of_part(text: &str) -> Option<String> {
    let (name, glob) = match (text.strip_suffix(".*"), text.strip_prefix(".*")) {
        (Some(start), None) => (start, format!("{start}*")),
        (None, Some(end)) => (end, format!("*{end}")),
        _ => return None,
    };
    (!name.is_empty() && name.chars().all(is_of_name) && !name.contains("..")).then_some(glob)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_only_be_a_regular_expression_is_one() {
        let matches = |pattern: &str, name: &str| Pattern::glob_or_regex(pattern).unwrap().is_match(name);
        assert!(matches("^admin$", "admin") && !matches("^admin$", "administration"));
        assert!(matches(".*-test", "shop-test-2"), "anywhere, as the incumbent");
        assert!(matches("web-*", "WEB-shop") && !matches("web-*", "my-web-shop"), "a glob is a whole name");
        assert!(matches("admin", "Admin") && !matches("admin", "admin-tools"));
        assert!(Pattern::glob_or_regex("^(").is_err());
    }

    #[test]
    fn a_regular_expression_in_place_of_a_glob_is_a_warning() {
        for (text, effect) in [
            ("^web-", "matches no name"),
            ("web$", "matches no name"),
            ("[^a]b^", "matches no name"),
            ("web-.*", "names that begin with `web-.`"),
            (".*-api", "names that begin with `.`"),
            ("[a-z].*", "names with a dot"),
            ("web\\-api", "marks the next character"),
            ("acme/web", "no name of a repository has this character"),
            ("!web", "no name of a repository has this character"),
            ("(web|pay)", "no name of a repository has this character"),
            ("web-*", ""),
            ("[^a]*", ""),
            ("*.github.io", ""),
            ("{web,pay}-?", ""),
        ] {
            let mut problems = Vec::new();
            let list = Node::parse("suborgs/a.yml", &format!("- shop\n- '{text}'\n")).unwrap();
            assert_eq!(globs(&list, &mut problems).len(), 2, "{text}: {problems:?}");
            let found: Vec<_> =
                problems.iter().map(|found| (found.severity, found.asked.line, &*found.message)).collect();
            match found.as_slice() {
                [] => assert_eq!(effect, "", "{text}"),
                [(Severity::Warning, 2, message)] => {
                    assert!(!effect.is_empty() && message.contains(effect), "{message}");
                }
                _ => panic!("{found:?}"),
            }
        }
    }

    #[test]
    fn a_character_that_no_name_has_is_found() {
        for (text, expected) in [
            ("acme/shop", Some('/')),
            ("/^shop$/", Some('/')),
            ("^acme/.*$", Some('/')),
            ("!shop", Some('!')),
            ("!(shop|till)", Some('!')),
            ("web-@(shop|till)", Some('@')),
            ("shop, till", Some(',')),
            ("{acme/shop,till}", Some('/')),
            (" shop", Some(' ')),
            ("shop+", Some('+')),
            ("[[:alpha:]]", Some(']')),
            ("web-*", None),
            ("{web,pay}-?", None),
            ("[!a-c]*", None),
            ("[]a]x", None),
            ("^(acme/)?shop$", None),
            ("^shop$|^acme/till$", None),
            ("^/?shop$", None),
            ("^\\.github$", None),
            ("^[^/]+$", None),
        ] {
            assert_eq!(stray(text), expected, "{text}");
        }
    }

    #[test]
    fn a_pattern_that_matches_no_repository_is_found() {
        for (text, message) in [
            ("", "an empty pattern"),
            ("web-{1..3}", "has a range"),
            ("acme/shop", "has `/`"),
            ("web-{a..b,c}", ""),
            ("web..x", ""),
        ] {
            let item = Node::parse("f.yml", "x").unwrap();
            let found = unmatchable(&item, text, stray).map(|problem| problem.message).unwrap_or_default();
            assert!(found.contains(message) && found.is_empty() == message.is_empty(), "{text}: {found}");
        }
    }

    #[test]
    fn beside_a_glob_for_every_name_a_regular_expression_does_no_harm() {
        let mut problems = Vec::new();
        let list = Node::parse("suborgs/a.yml", "['*', '.*']").unwrap();
        assert_eq!(globs(&list, &mut problems).len(), 2);
        assert_eq!(problems.len(), 0, "{problems:?}");
    }

    #[test]
    fn the_hint_for_a_simple_regular_expression_is_its_glob() {
        for (regex, glob) in [
            ("^infra$", Some("infra")),
            ("^config\\.nvim$", Some("config.nvim")),
            ("^web-", Some("web-*")),
            ("^web-.*$", Some("web-*")),
            ("-api$", Some("*-api")),
            ("^web.*", Some("web*")),
            ("web-.*", None),
            ("^(web|pay)$", None),
            ("^[a-z]+$", None),
            ("^$", None),
        ] {
            assert_eq!(glob_of_regex(regex).as_deref(), glob, "{regex}");
        }
    }

    #[test]
    fn the_hint_for_a_text_that_begins_or_ends_with_anything_is_its_glob() {
        for (text, glob) in [
            ("web-.*", Some("web-*")),
            (".*-api", Some("*-api")),
            (".*", None),
            (".*web.*", None),
            ("[a-z].*", None),
            ("web", None),
        ] {
            assert_eq!(glob_of_part(text).as_deref(), glob, "{text}");
        }
    }

    #[test]
    fn how_a_pattern_is_shown_does_not_change_by_its_use() {
        let pattern = Pattern::glob("pay*").unwrap();
        for _ in 0..2 {
            std::thread::scope(|scope| {
                scope.spawn(|| assert!(pattern.is_match("pay-api")));
                scope.spawn(|| assert!(!pattern.is_match("shop")));
            });
            assert!(pattern.is_match("PAY-api"));
            assert_eq!(format!("{pattern:?}"), "Glob(\"pay*\")");
        }
        assert_eq!(format!("{:?}", Pattern::regex("^pay").unwrap()), "Regex(\"^pay\")");
    }

    #[test]
    fn two_globs_are_told_apart_only_if_no_name_matches_both() {
        let apart = |one: &str, other: &str| {
            let (one, other) = (Pattern::glob(one).unwrap(), Pattern::glob(other).unwrap());
            assert_eq!(one.is_apart_from(&other), other.is_apart_from(&one));
            one.is_apart_from(&other)
        };
        assert!(apart("web-*", "pay-*") && apart("*-api", "*-ui") && apart("shop", "Shop-2"));
        assert!(apart("web-*", "shop") && !apart("web-*", "WEB-shop") && !apart("web-*", "*-api"));
        assert!(!apart("{web,pay}-*", "pay-*") && !apart("*", "shop") && !apart("[a-z]*", "web"));
    }

    #[test]
    fn a_glob_within_another_one_is_found() {
        let within =
            |one: &str, other: &str| Pattern::glob(one).unwrap().is_within(&Pattern::glob(other).unwrap());
        assert!(within("web-api-*", "web-*") && within("shop", "Sho*") && within("*-api", "*"));
        assert!(within("*-api", "*-API") && !within("web-*", "web-api-*") && !within("*-api", "web-*"));
        assert!(!within("{web,pay}-*", "web-*"), "a glob with braces begins with any of them");
    }

    #[test]
    fn deeply_nested_braces_are_refused_with_their_line() {
        let glob = format!("{}a{}", "{".repeat(250), "}".repeat(250));
        let list = Node::parse("suborgs/a.yml", &format!("- web-*\n- '{glob}'\n")).unwrap();
        let mut problems = Vec::new();
        assert_eq!(patterns(&list, Pattern::glob, &mut problems).len(), 1);
        assert_eq!(problems[0].asked.line, 2, "{problems:?}");
        assert!(problems[0].message.contains("at most 50 opening braces, found 250"), "{problems:?}");
    }
}

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::*;

const JA: &str = include_str!("../../i18n/ja.ftl");
const EN: &str = include_str!("../../i18n/en.ftl");

/// Each message with the variables that it uses.
fn messages(source: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut messages = BTreeMap::new();
    let mut current = String::new();
    for line in source.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with(|c: char| c.is_ascii_lowercase()) {
            let (key, _) = line.split_once(" =").expect("a message is `key = text`");
            current = key.to_owned();
            assert!(
                messages.insert(current.clone(), BTreeSet::new()).is_none(),
                "{key} stands twice"
            );
        }
        for part in line.split('$').skip(1) {
            let name = part
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            messages.get_mut(&current).unwrap().insert(name);
        }
    }
    messages
}

fn used_keys(folder: &Path, keys: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            used_keys(&path, keys);
        } else if path
            .file_name()
            .is_some_and(|name| name != "i18n.rs" && name != "tests.rs")
        {
            let source = std::fs::read_to_string(&path).unwrap();
            // Not the end of `format!(`.
            for (at, _) in source
                .match_indices("t!(")
                .filter(|(at, _)| !source[..*at].ends_with('a'))
            {
                let part = &source[at + 3..];
                if let Some(key) = part
                    .trim_start()
                    .strip_prefix('"')
                    .and_then(|rest| rest.split('"').next())
                {
                    keys.insert(key.to_owned());
                }
            }
        }
    }
}

#[test]
fn both_languages_have_the_same_messages_and_variables() {
    assert_eq!(messages(JA), messages(EN));
}

#[test]
fn every_key_used_exists_and_every_message_is_used() {
    let mut used = BTreeSet::new();
    used_keys(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut used);
    assert!(used.len() > 40, "the scan found only {} keys", used.len());
    let known: BTreeSet<String> = messages(EN).into_keys().collect();
    assert_eq!(
        used.difference(&known).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "used, but nowhere written"
    );
    assert_eq!(
        known.difference(&used).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "written, but nowhere used"
    );
}

#[test]
fn the_first_language_that_is_spoken_wins() {
    let best = |tags: &[&str]| Language::best(&tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>());
    assert_eq!(best(&["fr-FR", "ja-JP", "en"]), Language::Japanese);
    assert_eq!(best(&["en-GB", "ja"]), Language::English);
    assert_eq!(best(&["JA"]), Language::Japanese);
    assert_eq!(best(&["jav"]), Language::English);
    assert_eq!(best(&[]), Language::English);
}

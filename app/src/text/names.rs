//! Names of people, which anybody may choose as they like.

use std::collections::{HashMap, HashSet};

use sazanami_core::PublicKey;

use super::is_deceptive;

/// Most characters of a name that are shown.
const SHOWN: usize = 60;

/// A name fit to show in a line: no control or direction characters, white space folded, cut. `None` when nothing
/// is left.
pub(crate) fn clean(name: &str) -> Option<String> {
    let visible = |c: &char| !is_deceptive(*c);
    let mut text = String::new();
    let mut count = 0;
    // A hostile name may be 64 KiB long: no more of it is read than could be shown.
    for c in name.chars().take(SHOWN * 8).filter(visible) {
        let c = if c.is_whitespace() || c.is_control() {
            ' '
        } else {
            c
        };
        if c == ' ' && (text.is_empty() || text.ends_with(' ')) {
            continue;
        }
        if count == SHOWN {
            text.truncate(text.trim_end().len());
            text.push('…');
            return Some(text);
        }
        text.push(c);
        count += 1;
    }
    text.truncate(text.trim_end().len());
    (!text.is_empty()).then_some(text)
}

/// The end of a written key, enough to tell two people of one name apart.
pub(crate) fn tail(npub: &str) -> String {
    let skipped = npub.chars().count().saturating_sub(6);
    format!("…{}", npub.chars().skip(skipped).collect::<String>())
}

/// The letter of an avatar.
pub(crate) fn initial(name: Option<&str>) -> String {
    let letter = name.and_then(|name| name.chars().find(|c| c.is_alphanumeric()));
    letter.map(|c| c.to_uppercase().collect()).unwrap_or_default()
}

/// What two names have in common when a reader may take one for the other: case, spaces and signs do not count.
fn likeness(name: &str) -> String {
    let letters: String = name
        .chars()
        .take(SHOWN)
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    if letters.is_empty() {
        name.to_owned()
    } else {
        letters
    }
}

/// The people among these whose name another one of them has too.
pub(crate) fn namesakes<'a>(people: impl IntoIterator<Item = (PublicKey, &'a str)>) -> HashSet<PublicKey> {
    let mut by_name: HashMap<String, HashSet<PublicKey>> = HashMap::new();
    for (key, name) in people {
        by_name.entry(likeness(name)).or_default().insert(key);
    }
    by_name
        .into_values()
        .filter(|keys| keys.len() > 1)
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use sazanami_core::Keys;

    use super::*;

    #[test]
    fn names_lose_what_deceives() {
        assert_eq!(clean("  波\n の\u{202e}音\u{200b} "), Some("波 の音".into()));
        assert_eq!(clean("\u{202e}\u{200b}\t\n"), None);
        assert_eq!(clean(""), None);
        assert_eq!(clean("👩\u{200d}🚀"), Some("👩\u{200d}🚀".into()));
    }

    #[test]
    fn long_names_are_cut_at_a_character() {
        let cut = clean(&"漣".repeat(70_000)).unwrap();
        assert_eq!(cut.chars().count(), SHOWN + 1);
        assert!(cut.ends_with('…'));
        assert_eq!(clean(&"漣".repeat(SHOWN)).unwrap().chars().count(), SHOWN);
    }

    #[test]
    fn initials_skip_signs() {
        assert_eq!(initial(Some("~aoi")), "A");
        assert_eq!(initial(Some("葵")), "葵");
        assert_eq!(initial(Some("🌊")), "");
        assert_eq!(initial(None), "");
    }

    #[test]
    fn namesakes_are_found_despite_case_and_signs() {
        let key = || Keys::generate().public_key();
        let (a, b, c) = (key(), key(), key());
        let found = namesakes([(a, "Aoi"), (b, "aoi!"), (c, "Umi"), (a, "Aoi")]);
        assert_eq!(found, HashSet::from([a, b]));
        assert!(namesakes([(a, "Aoi"), (a, "aoi")]).is_empty());
    }
}

//! Whom and what a person does not want to see (NIP-51, kind 10000).

use nostr::nips::nip44;
use nostr::prelude::{Event, EventId, Keys, Kind, PublicKey, Tag};
use serde::{Deserialize, Serialize};

use super::references::References;
use super::text::fold_hashtag;

/// Longest muted word, in characters; longer ones are cut.
pub const MAX_MUTED_WORD_CHARS: usize = 100;
/// Muted words and hashtags that count at most: each costs a look at every note.
pub const MAX_MUTED_WORDS: usize = 200;

/// A mute list, or one of its two parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mutes {
    /// People.
    pub people: Vec<PublicKey>,
    /// Words, in lower case.
    pub words: Vec<String>,
    /// Hashtags, in lower case, without the `#`.
    pub hashtags: Vec<String>,
    /// Threads, by their roots.
    pub threads: Vec<EventId>,
}

impl Mutes {
    fn read<'a>(tags: impl Iterator<Item = &'a [String]>) -> Self {
        let mut mutes = Self::default();
        for tag in tags {
            let [name, value, ..] = tag else {
                continue;
            };
            match name.as_str() {
                "p" => mutes.people.extend(PublicKey::from_hex(value).ok()),
                "e" => mutes.threads.extend(EventId::from_hex(value).ok()),
                "t" if mutes.hashtags.len() < MAX_MUTED_WORDS => mutes.hashtags.extend(fold_hashtag(value)),
                "word" if mutes.words.len() < MAX_MUTED_WORDS => mutes.words.extend(fold_word(value)),
                _ => {}
            }
        }
        mutes
    }

    pub(super) fn tags(&self) -> Vec<Tag> {
        let people = self.people.iter().map(|key| Tag::public_key(*key));
        let words = self.words.iter().filter_map(|word| fold_word(word));
        let hashtags = self.hashtags.iter().filter_map(|tag| fold_hashtag(tag));
        people
            .chain(words.map(|word| Tag::custom("word", [word])))
            .chain(hashtags.map(Tag::hashtag))
            .chain(self.threads.iter().map(|id| Tag::event(*id)))
            .collect()
    }

    /// Nothing is muted.
    pub fn is_empty(&self) -> bool {
        self.people.is_empty() && self.words.is_empty() && self.hashtags.is_empty() && self.threads.is_empty()
    }

    /// Both parts together.
    pub fn merge(&mut self, other: Self) {
        self.people.extend(other.people);
        self.words.extend(other.words);
        self.hashtags.extend(other.hashtags);
        self.threads.extend(other.threads);
    }

    /// Whether a note is not to be seen: for its author, its thread, its hashtags or its words. The person's own notes
    /// are up to the caller.
    pub fn hides(&self, note: &Event, references: &References) -> bool {
        self.people.contains(&note.pubkey)
            || self.threads.contains(&note.id)
            || references.root.is_some_and(|root| self.threads.contains(&root))
            || references.hashtags.iter().any(|tag| self.hashtags.contains(tag))
            || self.hides_text(&note.content)
    }

    fn hides_text(&self, text: &str) -> bool {
        if self.words.is_empty() {
            return false;
        }
        let text = text.to_lowercase();
        self.words.iter().any(|word| contains_word(&text, word))
    }
}

/// The public part of a mute list; nothing for other kinds.
pub fn read_mutes(event: &Event) -> Mutes {
    if event.kind == Kind::MuteList {
        Mutes::read(event.tags.iter().map(Tag::as_slice))
    } else {
        Mutes::default()
    }
}

/// The private part of the own mute list, encrypted to oneself (NIP-44); empty where there is none, or it cannot be
/// read.
pub fn read_private_mutes(event: &Event, keys: &Keys) -> Mutes {
    let tags = private_tags(event, keys).unwrap_or_default();
    Mutes::read(tags.iter().map(Vec::as_slice))
}

pub(super) fn private_tags(event: &Event, keys: &Keys) -> Option<Vec<Vec<String>>> {
    if event.kind != Kind::MuteList || event.pubkey != keys.public_key() || event.content.is_empty() {
        return None;
    }
    let plain = nip44::decrypt(keys.secret_key(), &event.pubkey, &event.content).ok()?;
    serde_json::from_str(&plain).ok()
}

fn fold_word(word: &str) -> Option<String> {
    let word: String = word.trim().chars().take(MAX_MUTED_WORD_CHARS).collect();
    (!word.is_empty()).then(|| word.to_lowercase())
}

/// Whether a text, in lower case, has a word. Latin words stand alone, so that "art" is not found in "start";
/// Japanese does not part its words.
fn contains_word(text: &str, word: &str) -> bool {
    let inner = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let (first, last) = (word.chars().next(), word.chars().next_back());
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !(inner(first) && inner(before) || inner(last) && inner(after))
    })
}

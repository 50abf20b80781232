//! What a note refers to, read from its tags and its text.

use nostr::nips::nip19::Nip19;
use nostr::prelude::{Event, EventId, Kind, PublicKey, Tag};
use serde::{Deserialize, Serialize};

use super::text::{self, Token, fold_hashtag};

/// People that a note names at most: the first ones. Whoever names more wants to be heard, not to talk.
pub const MAX_MENTIONS: usize = 64;
/// Notes that a note quotes at most.
pub const MAX_QUOTES: usize = 16;
/// Hashtags of a note at most.
pub const MAX_HASHTAGS: usize = 32;
/// Files that are attached to a note at most.
pub const MAX_MEDIA: usize = 16;
/// Longest address of a file, in bytes: what browsers take.
pub const MAX_URL_BYTES: usize = 2_048;
/// Longest text about a note or a file, in characters; cut there.
pub const MAX_DESCRIPTION_CHARS: usize = 1_000;
/// Longest MIME type or blurhash, in bytes; a blurhash of 9 by 9 components takes 166.
const MAX_WORD_BYTES: usize = 200;

/// What a note refers to. Lists are bounded, since anybody may write anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct References {
    /// The root of its thread (NIP-10); `None` when it is no reply.
    pub root: Option<EventId>,
    /// What it replies to: the root, or a reply below it.
    pub parent: Option<EventId>,
    /// Notes it quotes (NIP-18): `q` tags and `nostr:` addresses in the text.
    pub quotes: Vec<EventId>,
    /// People it names: `p` tags and `nostr:` addresses in the text (NIP-27).
    pub mentions: Vec<PublicKey>,
    /// Hashtags, in lower case, without the `#`: `t` tags and those in the text.
    pub hashtags: Vec<String>,
    /// The reason of a content warning (NIP-36), perhaps empty.
    pub warning: Option<String>,
    /// Attached media (NIP-92).
    pub media: Vec<Media>,
}

/// An attached file (NIP-92, `imeta`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// Where it was when it was posted; never fetched by itself.
    pub url: String,
    /// SHA-256 of its bytes in lower-case hex, when given and well-formed.
    pub sha256: Option<String>,
    /// MIME type.
    pub mime: Option<String>,
    /// Description for those who do not see it.
    pub alt: Option<String>,
    /// Width and height in pixels.
    pub size: Option<(u32, u32)>,
    /// Blurhash.
    pub blurhash: Option<String>,
    /// Size in bytes.
    pub bytes: Option<u64>,
}

impl References {
    /// What a note refers to; nothing for events of other kinds. Takes time linear in the event's size.
    pub fn of(event: &Event) -> Self {
        let mut found = Self::default();
        if event.kind != Kind::TextNote {
            return found;
        }
        if let Some((root, parent)) = thread(event) {
            found.root = Some(root.id);
            found.parent = Some(parent.id);
        }
        for tag in event.tags.iter() {
            found.read(tag);
        }
        text::visit(&event.content, |token| match token {
            Token::Hashtag(tag) => add(&mut found.hashtags, tag, MAX_HASHTAGS),
            Token::Address(Nip19::Pubkey(key)) => add(&mut found.mentions, key, MAX_MENTIONS),
            Token::Address(Nip19::Profile(them)) => add(&mut found.mentions, them.public_key, MAX_MENTIONS),
            Token::Address(Nip19::EventId(id)) => add(&mut found.quotes, id, MAX_QUOTES),
            Token::Address(Nip19::Event(note)) => add(&mut found.quotes, note.event_id, MAX_QUOTES),
            Token::Address(_) => {}
        });
        found
    }

    fn read(&mut self, tag: &Tag) {
        let value = tag.content().unwrap_or_default();
        match tag.kind() {
            "p" => add_parsed(&mut self.mentions, PublicKey::from_hex(value).ok(), MAX_MENTIONS),
            // A `q` tag may hold an address (`kind:author:d`) as well: nothing that is a note.
            "q" => add_parsed(&mut self.quotes, EventId::from_hex(value).ok(), MAX_QUOTES),
            "t" => add_parsed(&mut self.hashtags, fold_hashtag(value), MAX_HASHTAGS),
            "imeta" if self.media.len() < MAX_MEDIA => {
                let media =
                    Media::read(tag).filter(|one| self.media.iter().all(|other| other.url != one.url));
                self.media.extend(media);
            }
            "content-warning" if self.warning.is_none() => {
                self.warning = Some(cut(value));
            }
            _ => {}
        }
    }
}

fn add<T: PartialEq>(list: &mut Vec<T>, value: T, limit: usize) {
    if list.len() < limit && !list.contains(&value) {
        list.push(value);
    }
}

fn add_parsed<T: PartialEq>(list: &mut Vec<T>, value: Option<T>, limit: usize) {
    if let Some(value) = value {
        add(list, value, limit);
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_DESCRIPTION_CHARS).collect()
}

/// An `e` tag of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Above {
    pub(super) id: EventId,
    /// Who wrote it, as the reply says.
    pub(super) author: Option<PublicKey>,
}

/// Root and parent of a reply (NIP-10). Where any tag is marked, marks decide; otherwise the first is the root and the
/// last the parent.
pub(super) fn thread(event: &Event) -> Option<(Above, Above)> {
    let (mut root, mut reply) = (None, None);
    let (mut first, mut last) = (None, None);
    for tag in event.tags.iter().filter(|tag| tag.kind() == "e") {
        let values = tag.as_slice();
        let Some(Ok(id)) = values.get(1).map(|id| EventId::from_hex(id)) else {
            continue;
        };
        let key = |index: usize| values.get(index).and_then(|key| PublicKey::from_hex(key).ok());
        let marked = Above { id, author: key(4) };
        match values.get(3).map_or("", String::as_str) {
            "root" => root = root.or(Some(marked)),
            "reply" => reply = reply.or(Some(marked)),
            "mention" => {}
            _ => {
                // NIP-01 has the author where NIP-10 has the mark.
                let author = marked.author.or_else(|| key(3));
                first = first.or(Some(Above { id, author }));
                last = Some(Above { id, author });
            }
        }
    }
    match (root, reply) {
        (None, None) => first.zip(last),
        (Some(root), reply) => Some((root, reply.unwrap_or(root))),
        (None, Some(reply)) => Some((reply, reply)),
    }
}

impl Media {
    fn read(tag: &Tag) -> Option<Self> {
        let mut media = Self::default();
        for entry in tag.as_slice().iter().skip(1) {
            let Some((name, value)) = entry.split_once(' ') else {
                continue;
            };
            let value = value.trim();
            let word = || (value.len() <= MAX_WORD_BYTES).then(|| value.to_owned());
            match name {
                "url" if media.url.is_empty() && is_url(value) => value.clone_into(&mut media.url),
                "x" => media.sha256 = is_hash(value).then(|| value.to_ascii_lowercase()),
                "m" => media.mime = word(),
                "alt" => media.alt = Some(cut(value)),
                "dim" => media.size = read_size(value),
                "blurhash" => media.blurhash = word(),
                "size" => media.bytes = value.parse().ok(),
                _ => {}
            }
        }
        (!media.url.is_empty()).then_some(media)
    }
}

/// Only addresses that can do nothing but be fetched: `javascript:` and `data:` are none of them.
fn is_url(value: &str) -> bool {
    let scheme = ["https://", "http://", "blossom:"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    scheme && value.len() <= MAX_URL_BYTES && !value.chars().any(|c| c.is_whitespace() || c.is_control())
}

fn is_hash(value: &str) -> bool {
    value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn read_size(value: &str) -> Option<(u32, u32)> {
    let (width, height) = value.split_once('x')?;
    Some((width.parse().ok()?, height.parse().ok()?))
}

#[cfg(test)]
mod tests;

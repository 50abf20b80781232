//! The events of what people do with the notes and keys of others.

use nostr::nips::nip19::{Nip19, Nip19Event, ToBech32};
use nostr::nips::nip44;
use nostr::prelude::{Event, EventBuilder, EventId, Keys, Kind, PublicKey, Tag};

use super::mutes::{Mutes, private_tags};
use super::references::{MAX_HASHTAGS, MAX_MENTIONS, MAX_QUOTES, thread};
use super::targets::Address;
use super::text::{self, Token};
use super::{MAX_EVENT_BYTES, TextError, sign};
use crate::time::Millis;

/// Room that a repost keeps for what is not the reposted event: its own keys, tags and signature.
const REPOST_FRAME_BYTES: usize = 2 * 1024;

/// The event of a note, with the tags of the people, notes and hashtags in its text.
pub fn note_event(keys: &Keys, text: String, now: Millis) -> Event {
    let tags = with_text_tags(Vec::new(), &text);
    sign(EventBuilder::new(Kind::TextNote, text).tags(tags), keys, now)
}

/// The event of a reply to a note (NIP-10, marked tags). Those who take part in the thread are named, so that they hear
/// of it.
pub fn reply_event(keys: &Keys, to: &Event, text: String, now: Millis) -> Event {
    let mut tags = Vec::new();
    match thread(to) {
        Some((root, _)) => {
            tags.push(above(root.id, "root", root.author));
            tags.push(above(to.id, "reply", Some(to.pubkey)));
        }
        None => tags.push(above(to.id, "root", Some(to.pubkey))),
    }
    let me = keys.public_key();
    let mut people = vec![to.pubkey];
    for key in to.tags.public_keys() {
        if people.len() < MAX_MENTIONS / 2 && !people.contains(&key) {
            people.push(key);
        }
    }
    tags.extend(people.into_iter().filter(|key| *key != me).map(Tag::public_key));
    let tags = with_text_tags(tags, &text);
    sign(EventBuilder::new(Kind::TextNote, text).tags(tags), keys, now)
}

fn above(id: EventId, mark: &str, author: Option<PublicKey>) -> Tag {
    // No relay to hint at.
    let values = [id.to_hex(), String::new(), mark.to_owned()];
    Tag::custom("e", values.into_iter().chain(author.map(|key| key.to_hex())))
}

/// The event of a note that quotes another (NIP-18): its address is appended to the text (NIP-27).
pub fn quote_event(keys: &Keys, of: &Event, text: String, now: Millis) -> Event {
    let address = Nip19Event::new(of.id).author(of.pubkey).kind(of.kind);
    let address = address.to_bech32().expect("an id and a key have an address");
    let gap = if text.is_empty() { "" } else { "\n" };
    let text = format!("{text}{gap}nostr:{address}");
    let tags = with_text_tags(Vec::new(), &text);
    sign(EventBuilder::new(Kind::TextNote, text).tags(tags), keys, now)
}

fn with_text_tags(mut tags: Vec<Tag>, text: &str) -> Vec<Tag> {
    let mut add = |limit: usize, tag: Tag| {
        let same = tags.iter().filter(|other| other.kind() == tag.kind());
        let is_there = same.clone().any(|other| other.content() == tag.content());
        if !is_there && same.count() < limit {
            tags.push(tag);
        }
    };
    text::visit(text, |token| match token {
        Token::Hashtag(tag) => add(MAX_HASHTAGS, Tag::hashtag(tag)),
        Token::Address(Nip19::Pubkey(key)) => add(MAX_MENTIONS, Tag::public_key(key)),
        Token::Address(Nip19::Profile(them)) => add(MAX_MENTIONS, Tag::public_key(them.public_key)),
        Token::Address(Nip19::EventId(id)) => add(MAX_QUOTES, Tag::custom("q", [id.to_hex()])),
        Token::Address(Nip19::Event(note)) => {
            let hint = note.author.map(|key| key.to_hex());
            let values = [note.event_id.to_hex(), String::new()];
            add(MAX_QUOTES, Tag::custom("q", values.into_iter().chain(hint)));
            if let Some(author) = note.author {
                add(MAX_MENTIONS, Tag::public_key(author));
            }
        }
        Token::Address(_) => {}
    });
    tags
}

/// The event of a repost (NIP-18): kind 6 of a note, kind 16 of anything else. It carries the event, unless that would
/// make it too large.
pub fn repost_event(keys: &Keys, of: &Event, now: Millis) -> Event {
    let json = serde_json::to_string(of).expect("an event serialises");
    let size = serde_json::to_string(&json).map_or(usize::MAX, |escaped| escaped.len());
    let fits = size <= MAX_EVENT_BYTES - REPOST_FRAME_BYTES && !of.is_protected();
    let mut tags = vec![
        Tag::custom("e", [of.id.to_hex(), String::new()]),
        Tag::public_key(of.pubkey),
    ];
    let kind = if of.kind == Kind::TextNote {
        Kind::Repost
    } else {
        tags.push(kind_tag(of.kind));
        tags.extend(Address::of(of).map(|address| Tag::custom("a", [address.to_string()])));
        Kind::GenericRepost
    };
    let content = if fits { json } else { String::new() };
    sign(EventBuilder::new(kind, content).tags(tags), keys, now)
}

/// The event of a reaction (NIP-25): "+" or an emoji.
pub fn reaction_event(keys: &Keys, to: &Event, content: &str, now: Millis) -> Event {
    let mut tags = vec![Tag::custom(
        "e",
        [to.id.to_hex(), String::new(), to.pubkey.to_hex()],
    )];
    tags.extend(Address::of(to).map(|address| Tag::custom("a", [address.to_string()])));
    tags.extend([Tag::public_key(to.pubkey), kind_tag(to.kind)]);
    sign(EventBuilder::new(Kind::Reaction, content).tags(tags), keys, now)
}

/// The event that asks everybody to forget own events (NIP-09), replaceable ones with all their versions so far.
pub fn deletion_of(keys: &Keys, events: &[Event], now: Millis) -> Event {
    let mut kinds: Vec<Kind> = events.iter().map(|event| event.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let ids = events.iter().map(|event| Tag::event(event.id));
    let addresses = events.iter().filter_map(Address::of);
    let tags = ids
        .chain(addresses.map(|address| Tag::custom("a", [address.to_string()])))
        .chain(kinds.into_iter().map(kind_tag));
    sign(EventBuilder::new(Kind::EventDeletion, "").tags(tags), keys, now)
}

fn kind_tag(kind: Kind) -> Tag {
    Tag::custom("k", [kind.as_u16().to_string()])
}

/// The event of a mute list (NIP-51): one part for all to read, one encrypted to oneself. What other clients wrote into
/// the list before and is not known here stays; the encrypted part only where it could be read.
///
/// # Errors
/// The private part is too long to be encrypted (NIP-44: 64 KiB, about 900 people).
pub fn mutes_event(
    keys: &Keys,
    previous: Option<&Event>,
    public: &Mutes,
    private: &Mutes,
    now: Millis,
) -> Result<Event, TextError> {
    let is_other =
        |tag: &[String]| !matches!(tag.first().map(String::as_str), Some("p" | "e" | "t" | "word"));
    let mut tags = public.tags();
    let kept = previous.into_iter().flat_map(|event| event.tags.iter());
    tags.extend(kept.filter(|tag| is_other(tag.as_slice())).cloned());
    let kept = previous
        .and_then(|event| private_tags(event, keys))
        .unwrap_or_default();
    let hidden: Vec<Vec<String>> = private
        .tags()
        .into_iter()
        .map(Tag::to_vec)
        .chain(kept.into_iter().filter(|tag| is_other(tag)))
        .collect();
    let content = if hidden.is_empty() {
        String::new()
    } else {
        let plain = serde_json::to_string(&hidden).expect("lists of strings serialise");
        nip44::encrypt(keys.secret_key(), &keys.public_key(), plain, nip44::Version::V2)
            .map_err(|_| TextError::TooLong)?
    };
    Ok(sign(
        EventBuilder::new(Kind::MuteList, content).tags(tags),
        keys,
        now,
    ))
}

/// The event of a list of people (NIP-51, follow set): `name` tells the lists of a person apart, `title` is shown.
pub fn list_event(keys: &Keys, name: &str, title: &str, people: &[PublicKey], now: Millis) -> Event {
    let tags = [Tag::identifier(name), Tag::custom("title", [title])];
    let people = people.iter().map(|key| Tag::public_key(*key));
    let builder = EventBuilder::new(Kind::FollowSet, "").tags(tags.into_iter().chain(people));
    sign(builder, keys, now)
}

/// The event that asks everybody to forget everything of oneself so far (NIP-62).
pub fn vanish_event(keys: &Keys, reason: &str, now: Millis) -> Event {
    let all = Tag::custom("relay", ["ALL_RELAYS"]);
    sign(
        EventBuilder::new(Kind::RequestToVanish, reason).tag(all),
        keys,
        now,
    )
}

#[cfg(test)]
mod tests;

//! Which events of others concern a person: their notifications.

use nostr::nips::nip19::Nip19;
use nostr::prelude::{Event, EventId, Kind, PublicKey};

use super::references::{References, thread};
use super::targets::{reaction_target, repost_target};
use super::text::{self, Token};
use crate::store::Cause;

/// Why an event of somebody else concerns `me`, and the own note that it says it is about. `references` are its own
/// ([`References::of`]).
///
/// It looks at the event alone, so the answer does not depend on what arrived before; in turn it believes what the
/// event says of the authors of others:
///
/// - a reaction or a repost, when the author that it names of its target is me;
/// - a reply, when its parent's author hint (NIP-10, fifth element) is me, or there is none and a `p` tag names me;
/// - else a quote, when a `q` tag's author hint or an address in the text (`nevent`) names me as the author, or the
///   `q` tag has none and a `p` tag names me;
/// - else a mention, when a `p` tag or the text names me, among the first [`super::MAX_MENTIONS`] people;
/// - a follow list that has me. It counts once per follower, at the time of the earliest of all their lists that were
///   ever verified here and have me, superseded and deleted ones included: so neither the order of arrival nor later
///   changes to the list move it. It is shown while their present list has me.
pub fn concerns(event: &Event, references: &References, me: &PublicKey) -> Option<(Cause, Option<EventId>)> {
    if event.pubkey == *me {
        return None;
    }
    match event.kind {
        Kind::TextNote => note(event, references, me),
        Kind::Reaction => {
            let target = reaction_target(event).filter(|target| target.author == Some(*me))?;
            Some((Cause::Reaction, Some(target.id)))
        }
        Kind::Repost | Kind::GenericRepost => {
            let target = repost_target(event).filter(|target| target.author == Some(*me))?;
            Some((Cause::Repost, Some(target.id)))
        }
        Kind::ContactList => event
            .tags
            .public_keys()
            .any(|key| key == *me)
            .then_some((Cause::Follow, None)),
        _ => None,
    }
}

fn note(event: &Event, references: &References, me: &PublicKey) -> Option<(Cause, Option<EventId>)> {
    let tagged = event
        .tags
        .public_keys()
        .take(super::MAX_MENTIONS)
        .any(|key| key == *me);
    let is_mine = |author: Option<PublicKey>| author.map_or(tagged, |author| author == *me);
    if let Some((_, parent)) = thread(event).filter(|(_, parent)| is_mine(parent.author)) {
        return Some((Cause::Reply, Some(parent.id)));
    }
    if let Some(quoted) = quote(event, references, me, is_mine) {
        return Some((Cause::Quote, Some(quoted)));
    }
    references.mentions.contains(me).then_some((Cause::Mention, None))
}

fn quote(
    event: &Event,
    references: &References,
    me: &PublicKey,
    is_mine: impl Fn(Option<PublicKey>) -> bool,
) -> Option<EventId> {
    if references.quotes.is_empty() {
        return None;
    }
    for tag in event.tags.iter().filter(|tag| tag.kind() == "q") {
        let Some(Ok(id)) = tag.content().map(EventId::from_hex) else {
            continue;
        };
        let hint = tag
            .as_slice()
            .get(3)
            .and_then(|key| PublicKey::from_hex(key).ok());
        if is_mine(hint) && references.quotes.contains(&id) {
            return Some(id);
        }
    }
    let mut found = None;
    text::visit(&event.content, |token| {
        if let Token::Address(Nip19::Event(note)) = token {
            let kept = note.author == Some(*me) && references.quotes.contains(&note.event_id);
            found = found.or(kept.then_some(note.event_id));
        }
    });
    found
}

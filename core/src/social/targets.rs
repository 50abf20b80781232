//! What events other than notes act on (reactions, reposts, deletions, vanish requests), under which address an event
//! is replaced, and when it expires.

use nostr::prelude::{Event, EventId, Kind, PublicKey};
use serde::{Deserialize, Serialize};

use super::MAX_EVENT_BYTES;

/// The event that a reaction or a repost is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The event.
    pub id: EventId,
    /// Who wrote it, as the one who acts says; whether it is true shows only in the event itself.
    pub author: Option<PublicKey>,
}

/// Under which a newer event replaces an older one (NIP-01).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address {
    /// A replaceable or addressable kind.
    pub kind: Kind,
    /// Whose.
    pub author: PublicKey,
    /// The `d` tag; empty for replaceable kinds.
    pub identifier: String,
}

impl Address {
    /// Of a replaceable or addressable event.
    pub fn of(event: &Event) -> Option<Self> {
        let named = event.kind.is_addressable();
        (named || event.kind.is_replaceable()).then(|| Self {
            kind: event.kind,
            author: event.pubkey,
            identifier: if named { identifier(event) } else { String::new() },
        })
    }

    /// As an `a` tag names it. The `nostr` crate's parser cuts an identifier at its first colon.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':');
        let kind = Kind::from(parts.next()?.parse::<u16>().ok()?);
        let author = PublicKey::from_hex(parts.next()?).ok()?;
        let identifier = parts.next().unwrap_or_default();
        let named = kind.is_addressable();
        (named || kind.is_replaceable()).then(|| Self {
            kind,
            author,
            identifier: if named {
                identifier.to_owned()
            } else {
                String::new()
            },
        })
    }
}

impl std::fmt::Display for Address {
    /// As an `a` tag has it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}:{}:{}",
            self.kind.as_u16(),
            self.author.to_hex(),
            self.identifier
        )
    }
}

/// The first `d` tag; empty without one.
pub fn identifier(event: &Event) -> String {
    let tag = event.tags.iter().find(|tag| tag.kind() == "d");
    tag.and_then(|tag| tag.content()).unwrap_or_default().to_owned()
}

/// When the event is to be forgotten (NIP-40), in seconds since the epoch: expired as soon as the clock shows it. At
/// most `i64::MAX`, which every database holds.
pub fn expiration(event: &Event) -> Option<u64> {
    let mut tags = event.tags.iter().filter(|tag| tag.kind() == "expiration");
    let time = tags.find_map(|tag| tag.content()?.parse::<u64>().ok())?;
    Some(time.min(i64::MAX as u64))
}

/// The events that a deletion names by id. Only those of the same author are meant.
pub fn read_deletion(event: &Event) -> Vec<EventId> {
    event.tags.event_ids().collect()
}

/// The addresses (NIP-09, `a` tags) whose versions up to the deletion's own time it asks to forget: kind and
/// identifier, of its author's only.
pub fn deleted_addresses(deletion: &Event) -> Vec<(Kind, String)> {
    let tags = deletion.tags.iter().filter(|tag| tag.kind() == "a");
    tags.filter_map(|tag| Address::parse(tag.content()?))
        .filter(|address| address.author == deletion.pubkey)
        .map(|address| (address.kind, address.identifier))
        .collect()
}

/// Whether a vanish request (NIP-62) speaks to everybody. One that names a relay is none of a peer's business.
pub fn vanishes_everywhere(event: &Event) -> bool {
    let to_all = |values: &[String]| values.len() > 1 && values[0] == "relay" && values[1] == "ALL_RELAYS";
    event.kind == Kind::RequestToVanish && event.tags.iter().any(|tag| to_all(tag.as_slice()))
}

/// What a reaction is about (NIP-25): the last `e` tag, by the author of the last `p` tag; `None` for other kinds.
pub fn reaction_target(event: &Event) -> Option<Target> {
    if event.kind != Kind::Reaction {
        return None;
    }
    Some(Target {
        id: event.tags.event_ids().last()?,
        author: event.tags.public_keys().last(),
    })
}

/// What is reposted (NIP-18, kinds 6 and 16): the first `e` tag, by the author of the first `p` tag; `None` for other
/// kinds.
pub fn repost_target(event: &Event) -> Option<Target> {
    if !matches!(event.kind, Kind::Repost | Kind::GenericRepost) {
        return None;
    }
    Some(Target {
        id: event.tags.event_ids().next()?,
        author: event.tags.public_keys().next(),
    })
}

/// The reposted event where the repost carries it in its content, as it should; not verified.
pub fn reposted(event: &Event) -> Option<Event> {
    let target = repost_target(event)?;
    if event.content.len() > MAX_EVENT_BYTES {
        return None;
    }
    let inner: Event = serde_json::from_str(&event.content).ok()?;
    (inner.id == target.id).then_some(inner)
}

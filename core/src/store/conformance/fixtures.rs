//! People and events to test stores with. Keys are fixed, so that ids, and with them orders, repeat.

use nostr::prelude::{
    Event, EventBuilder, EventId, FinalizeEvent, Keys, Kind, PublicKey, SecretKey, Timestamp,
};

use crate::social;
use crate::time::Millis;

/// When the tests play, in seconds since the epoch.
pub const START: u64 = 1_700_000_000;
/// A clock an hour after [`START`].
pub const NOW: Millis = Millis((START + 3600) * 1000);

/// The n-th person, from 1.
pub fn person(n: u8) -> Keys {
    Keys::new(SecretKey::from_slice(&[n; 32]).expect("every repeated byte but 0 and 255 is a valid key"))
}

/// A note, `second`s after [`START`].
pub fn note(author: &Keys, text: &str, second: u64) -> Event {
    social::note_event(author, text.to_owned(), at(second))
}

/// A profile with a name.
pub fn profile(author: &Keys, name: &str, second: u64) -> Event {
    social::profile_event(
        author,
        &social::Profile {
            name: Some(name.to_owned()),
            ..Default::default()
        },
        at(second),
    )
}

/// A follow list.
pub fn follows(author: &Keys, people: &[&Keys], second: u64) -> Event {
    let people: Vec<PublicKey> = people.iter().map(|keys| keys.public_key()).collect();
    social::follows_event(author, &people, at(second))
}

/// A deletion.
pub fn deletion(author: &Keys, targets: &[&Event], second: u64) -> Event {
    let ids: Vec<EventId> = targets.iter().map(|event| event.id).collect();
    social::deletion_event(author, &ids, at(second))
}

/// Any event at all.
pub fn signed(author: &Keys, kind: Kind, content: &str, second: u64) -> Event {
    let builder = EventBuilder::new(kind, content).custom_created_at(Timestamp::from(START + second));
    builder
        .finalize(author)
        .expect("a key pair signs what it is given")
}

/// A reply.
pub fn reply(author: &Keys, to: &Event, text: &str, second: u64) -> Event {
    social::reply_event(author, to, text.to_owned(), at(second))
}

/// A repost.
pub fn repost(author: &Keys, of: &Event, second: u64) -> Event {
    social::repost_event(author, of, at(second))
}

/// A reaction.
pub fn reaction(author: &Keys, to: &Event, content: &str, second: u64) -> Event {
    social::reaction_event(author, to, content, at(second))
}

/// The ids of some events.
pub fn ids(events: &[&Event]) -> Vec<EventId> {
    events.iter().map(|event| event.id).collect()
}

/// The same events, oldest id first within a second: two events of one second in the order in which ids decide.
pub fn by_id(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by_key(|event| event.id);
    events
}

/// That many seconds after [`START`].
pub fn at(second: u64) -> Millis {
    Millis((START + second) * 1000)
}

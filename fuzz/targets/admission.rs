//! Any events, signed or forged, into a store: what is kept is verified, and the order of arrival does not show.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nostr::prelude::{Event, Filter, Kind};
use sazanami_core::social::{
    Address, KINDS, MAX_HASHTAGS, MAX_MEDIA, MAX_MENTIONS, MAX_NAME_CHARS, MAX_QUOTES, References,
    clean_name, clean_note, concerns, deleted_addresses, expiration, fold_hashtag, follow_event,
    reaction_target, read_deletion, read_follows, read_mutes, read_private_mutes, read_profile,
    repost_target, reposted, shown_name, vanishes_everywhere,
};
use sazanami_core::store::{EventPool, Item, Known, MemoryStore, Page, Put, Scope, Store};
use sazanami_fuzz::{PEOPLE, START, Written, event_pool, person};

/// Events of one script; each costs a signature.
const MOST: usize = 24;

#[derive(arbitrary::Arbitrary, Debug)]
struct Script {
    written: Vec<Written>,
    pool: u32,
    order: Vec<u8>,
    text: String,
}

#[derive(Debug, PartialEq)]
struct Visible {
    everyone: Page,
    people: Vec<(Page, u64, Option<String>, Vec<nostr::prelude::PublicKey>)>,
    items: Vec<Item>,
}

fuzz_target!(|script: Script| {
    let mut events: Vec<Event> = script.written.iter().take(MOST).map(Written::event).collect();
    let pool = event_pool().iter().enumerate();
    events.extend(
        pool.filter(|(n, _)| script.pool & (1 << (n % 32)) != 0)
            .map(|(_, e)| e.clone()),
    );
    for event in events.iter().take(script.written.len().min(MOST)) {
        read(event);
    }
    let _ = (
        clean_name(&script.text),
        clean_note(&script.text),
        fold_hashtag(&script.text),
    );

    // Verified once; the second store then only decides anew.
    let verified = EventPool::default();
    let first = put(&events, &verified);
    for (n, at) in script.order.iter().enumerate() {
        if !events.is_empty() {
            let (a, b) = (n % events.len(), usize::from(*at) % events.len());
            events.swap(a, b);
        }
    }
    let second = put(&events, &verified);
    assert_eq!(visible(&first), visible(&second), "the order shows");
});

/// What the interface reads out of an event, were it stored or not.
fn read(event: &Event) {
    let profile = read_profile(event);
    if let Some(name) = shown_name(&profile) {
        assert!(
            !name.is_empty() && name.chars().count() <= MAX_NAME_CHARS,
            "{name:?}"
        );
    }
    let people = read_follows(event);
    let unique: std::collections::HashSet<_> = people.iter().collect();
    assert_eq!(unique.len(), people.len());
    let _ = (
        read_deletion(event),
        deleted_addresses(event),
        vanishes_everywhere(event),
    );
    let _ = (reaction_target(event), repost_target(event), Address::of(event));
    assert!(expiration(event).is_none_or(|at| i64::try_from(at).is_ok()));
    assert!(
        reposted(event).is_none_or(|inner| repost_target(event).is_some_and(|target| target.id == inner.id))
    );
    let references = References::of(event);
    assert!(references.quotes.len() <= MAX_QUOTES && references.mentions.len() <= MAX_MENTIONS);
    assert!(references.hashtags.len() <= MAX_HASHTAGS && references.media.len() <= MAX_MEDIA);
    for tag in &references.hashtags {
        assert!(fold_hashtag(tag).is_some(), "{tag:?} is none");
    }
    let _ = concerns(event, &references, &person(0).public_key());
    let mut mutes = read_mutes(event);
    mutes.merge(read_private_mutes(event, &person(0)));
    let _ = mutes.hides(event, &references);
    if event.kind != Kind::ContactList {
        return;
    }
    let friend = person(4).public_key();
    let followed = follow_event(&person(0), Some(event), friend, true, START);
    assert!(read_follows(&followed).contains(&friend));
    let unfollowed = follow_event(&person(0), Some(&followed), friend, false, START);
    assert!(!read_follows(&unfollowed).contains(&friend));
}

fn put(events: &[Event], verified: &EventPool) -> MemoryStore {
    let mut store = MemoryStore::with_pool(verified);
    for event in events {
        let before = store.known(&event.id).expect("memory does not fail");
        let outcome = store
            .put(std::slice::from_ref(event), START)
            .expect("memory does not fail");
        let outcome = &outcome[0];
        let after = store.known(&event.id).expect("memory does not fail");
        match outcome {
            Put::Stored => {
                assert!(event.verify().is_ok(), "a forgery is stored");
                assert!(KINDS.contains(&event.kind) && before == Known::No && after == Known::Stored);
            }
            Put::Duplicate => assert_eq!(before, Known::Stored),
            Put::Invalid(_) => assert_eq!(before, after, "a refused event leaves a trace"),
            Put::Superseded | Put::Deleted | Put::Expired | Put::NoRoom => assert_ne!(after, Known::Stored),
        }
    }
    store
}

fn visible(store: &MemoryStore) -> Visible {
    let everyone = pages(store, Scope::Everyone);
    let people = (0..PEOPLE).map(|n| {
        let key = person(n).public_key();
        pages(store, Scope::FollowedBy(key));
        let profile = store.profile(&key).expect("memory does not fail");
        (
            pages(store, Scope::Author(key)),
            store.note_count(&key).expect("memory does not fail"),
            profile.and_then(|profile| shown_name(&profile)),
            store.follows(&key).expect("memory does not fail"),
        )
    });
    let people = people.collect();
    let items = store.items(&Filter::new()).expect("memory does not fail");
    for item in &items {
        let event = store.event(&item.id).expect("memory does not fail");
        assert!(event.is_some_and(|event| event.created_at.as_secs() == item.created_at));
    }
    Visible {
        everyone,
        people,
        items,
    }
}

/// The timeline read in small pages, which together are the timeline read at once.
fn pages(store: &MemoryStore, scope: Scope) -> Page {
    let whole = store.timeline(scope, None, 1_000).expect("memory does not fail");
    let mut cursor = None;
    let mut notes = Vec::new();
    loop {
        let page = store.timeline(scope, cursor, 3).expect("memory does not fail");
        notes.extend(page.notes);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(notes, whole.notes, "small pages differ from one");
    assert!(notes.iter().all(|note| {
        let event = store.event(&note.id).expect("memory does not fail");
        event.is_some_and(|event| event.kind == Kind::TextNote)
    }));
    whole
}

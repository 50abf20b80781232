//! Muted people, words, hashtags and threads (NIP-51).

use nostr::prelude::{Event, EventId, Kind};

use super::fixtures::{NOW, at, ids, note, person, reply, repost};
use super::world::tagged;
use super::{Case, Failure, Outcome, same};
use crate::social::Mutes;
use crate::store::{Page, Query, Scope, Store};

pub(super) const CASES: &[Case] = &[
    (
        "muted people, words and hashtags are left out everywhere",
        everywhere,
    ),
    ("a person's own page shows what is muted elsewhere", own_page),
    ("a muted thread", thread),
    ("an unmuted person is back", unmuted),
    ("only the own mute list counts", of_others),
    ("what is muted in private is left out as well", in_private),
];

fn shown(page: Page) -> Vec<EventId> {
    page.notes.iter().map(|note| note.id).collect()
}

fn everyone(store: &dyn Store) -> Result<Vec<EventId>, Failure> {
    Ok(shown(store.timeline(Scope::Everyone, None, 99)?))
}

fn mute(tags: Vec<Vec<&str>>, second: u64) -> Event {
    tagged(&person(1), Kind::MuteList, "", tags, at(second))
}

fn everywhere(store: &mut dyn Store) -> Outcome {
    let (me, bob, carol) = (person(1), person(2), person(3));
    store.set_me(Some(me.public_key()))?;
    let bobs = note(&bob, "波 #sea", 1);
    let events = [
        bobs.clone(),
        repost(&carol, &bobs, 2),
        note(&carol, "a SPOILER: 波 #sea", 3),
        note(&carol, "波 #boats #sea", 4),
        note(&carol, "波 spoilers are no spoil-er #sea", 5),
        repost(&bob, &note(&carol, "波 spoilers are no spoil-er #sea", 5), 6),
    ];
    store.put(&events, NOW)?;
    same(&everyone(store)?.len(), &6, "at first")?;
    store.take_changes();
    let key = bob.public_key().to_hex();
    let tags = vec![vec!["p", &key], vec!["word", "spoiler"], vec!["t", "BOATS"]];
    store.put(&[mute(tags, 9)], NOW)?;
    same(
        &store.take_changes().queries.contains(&Query::Mutes),
        &true,
        "told",
    )?;
    let left = ids(&[&events[4]]);
    same(&everyone(store)?, &left, "everybody")?;
    same(&shown(store.hashtag("sea", None, 9)?), &left, "hashtag")?;
    same(&shown(store.search_notes("波", None, 9)?), &left, "search")
}

fn own_page(store: &mut dyn Store) -> Outcome {
    let (me, bob) = (person(1), person(2));
    store.set_me(Some(me.public_key()))?;
    let (theirs, mine) = (note(&bob, "spoiler", 1), note(&me, "my own spoiler", 2));
    let key = bob.public_key().to_hex();
    let tags = vec![vec!["p", &key], vec!["word", "spoiler"]];
    store.put(&[theirs.clone(), mine.clone(), mute(tags, 9)], NOW)?;
    let page = shown(store.timeline(Scope::Author(bob.public_key()), None, 9)?);
    same(&page, &ids(&[&theirs]), "their page")?;
    same(
        &everyone(store)?,
        &ids(&[&mine]),
        "one's own words are not hidden from oneself",
    )?;
    same(
        &store.note(&theirs.id)?.is_some(),
        &true,
        "a note that is asked for",
    )
}

fn thread(store: &mut dyn Store) -> Outcome {
    let (me, bob, carol) = (person(1), person(2), person(3));
    store.set_me(Some(me.public_key()))?;
    let root = note(&bob, "root", 1);
    let answer = reply(&carol, &root, "answer #sea", 2);
    let below = reply(&bob, &answer, "below #sea", 3);
    let other = note(&carol, "other #sea", 4);
    store.put(&[root.clone(), answer, below, other.clone()], NOW)?;
    same(&store.hashtag("sea", None, 9)?.notes.len(), &3, "at first")?;
    let id = root.id.to_hex();
    store.put(&[mute(vec![vec!["e", &id]], 9)], NOW)?;
    same(&shown(store.hashtag("sea", None, 9)?), &ids(&[&other]), "hashtag")?;
    same(&everyone(store)?, &ids(&[&other]), "everybody")?;
    same(
        &shown(store.thread(&root.id, None, 9)?.replies),
        &vec![],
        "the thread itself",
    )
}

fn unmuted(store: &mut dyn Store) -> Outcome {
    let (me, bob) = (person(1), person(2));
    store.set_me(Some(me.public_key()))?;
    let theirs = note(&bob, "here", 1);
    let key = bob.public_key().to_hex();
    let muted = mute(vec![vec!["p", &key]], 5);
    store.put(&[theirs.clone(), muted.clone()], NOW)?;
    same(&everyone(store)?, &vec![], "muted")?;
    store.put(&[mute(vec![], 6)], NOW)?;
    same(&everyone(store)?, &ids(&[&theirs]), "unmuted")?;
    // An older list that comes late changes nothing.
    store.put(&[mute(vec![vec!["p", &key]], 4)], NOW)?;
    same(&everyone(store)?, &ids(&[&theirs]), "still")
}

fn of_others(store: &mut dyn Store) -> Outcome {
    let (me, bob) = (person(1), person(2));
    let theirs = note(&bob, "here", 1);
    let key = bob.public_key().to_hex();
    store.put(&[theirs.clone(), mute(vec![vec!["p", &key]], 5)], NOW)?;
    same(&everyone(store)?, &ids(&[&theirs]), "nobody's device")?;
    store.set_me(Some(person(3).public_key()))?;
    same(&everyone(store)?, &ids(&[&theirs]), "another's device")?;
    store.set_me(Some(me.public_key()))?;
    same(&everyone(store)?, &vec![], "their own device")
}

fn in_private(store: &mut dyn Store) -> Outcome {
    let (me, bob, carol) = (person(1), person(2), person(3));
    store.set_me(Some(me.public_key()))?;
    let (bobs, carols) = (note(&bob, "here", 1), note(&carol, "here", 2));
    let key = bob.public_key().to_hex();
    store.put(
        &[bobs.clone(), carols.clone(), mute(vec![vec!["p", &key]], 5)],
        NOW,
    )?;
    store.take_changes();
    store.set_private_mutes(Mutes {
        people: vec![carol.public_key()],
        ..Mutes::default()
    })?;
    same(
        &store.take_changes().queries.contains(&Query::Mutes),
        &true,
        "told",
    )?;
    same(&everyone(store)?, &vec![], "both")?;
    store.put(&[mute(vec![], 6)], NOW)?;
    same(
        &everyone(store)?,
        &ids(&[&bobs]),
        "a new public list leaves the private part alone",
    )?;
    store.set_private_mutes(Mutes::default())?;
    same(&everyone(store)?, &ids(&[&carols, &bobs]), "neither")
}

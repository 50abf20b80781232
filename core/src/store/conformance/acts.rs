//! Reposts, quotes (NIP-18) and reactions (NIP-25): what is counted, who did it, where reposts stand.

use nostr::prelude::{EventId, Keys, Kind};

use super::fixtures::{NOW, at, deletion, follows, ids, note, person, profile, reaction, repost};
use super::world::tagged;
use super::{Case, Failure, Outcome, same};
use crate::social;
use crate::store::{Act, Counts, Reactor, Scope, Store};

pub(super) const CASES: &[Case] = &[
    ("people are counted once, whatever they do often", counted_once),
    ("acts on what arrives later are counted", before_the_note),
    (
        "a repost stands in timelines at its own time",
        repost_in_timelines,
    ),
    (
        "a repost of what is not here is not shown until it is",
        repost_first,
    ),
    ("a repost's cursor is its own", repost_cursor),
    ("a general repost of a note is a repost", general_repost),
    ("who reacted and who reposted", who_acted),
];

fn shown(store: &dyn Store, scope: Scope) -> Result<Vec<(EventId, Option<EventId>)>, Failure> {
    let page = store.timeline(scope, None, 9)?;
    let entry = |note: crate::store::Note| (note.id, note.repost.map(|repost| repost.id));
    Ok(page.notes.into_iter().map(entry).collect())
}

fn counted_once(store: &mut dyn Store) -> Outcome {
    let (alice, bob, carol) = (person(1), person(2), person(3));
    let post = note(&alice, "post", 0);
    let (like, heart) = (reaction(&bob, &post, "+", 1), reaction(&bob, &post, "🌊", 2));
    let acts = [
        post.clone(),
        like.clone(),
        heart.clone(),
        reaction(&carol, &post, "-", 3),
        repost(&bob, &post, 4),
        repost(&bob, &post, 5),
        social::quote_event(&carol, &post, "one".into(), at(6)),
        social::quote_event(&carol, &post, "two".into(), at(7)),
        social::quote_event(&alice, &post, "own".into(), at(8)),
    ];
    store.put(&acts, NOW)?;
    let counts = Counts {
        reactions: 2,
        reposts: 1,
        quotes: 2,
        ..Counts::default()
    };
    same(&store.counts(&post.id)?, &counts, "counted")?;
    store.put(&[deletion(&bob, &[&like], 9)], NOW)?;
    same(&store.counts(&post.id)?, &counts, "one of two reactions is gone")?;
    store.put(&[deletion(&bob, &[&heart], 10)], NOW)?;
    let counts = Counts {
        reactions: 1,
        ..counts
    };
    same(&store.counts(&post.id)?, &counts, "both are gone")?;
    same(
        &store.note(&post.id)?.map(|note| note.counts),
        &Some(counts),
        "shown",
    )
}

fn before_the_note(store: &mut dyn Store) -> Outcome {
    let (alice, bob) = (person(1), person(2));
    let post = note(&alice, "post", 0);
    store.put(&[reaction(&bob, &post, "+", 1), repost(&bob, &post, 2)], NOW)?;
    let counts = Counts {
        reactions: 1,
        reposts: 1,
        ..Counts::default()
    };
    same(&store.counts(&post.id)?, &counts, "before it is here")?;
    store.put(std::slice::from_ref(&post), NOW)?;
    same(
        &store.note(&post.id)?.map(|note| note.counts),
        &Some(counts),
        "with it",
    )
}

fn repost_in_timelines(store: &mut dyn Store) -> Outcome {
    let (alice, bob, carol) = (person(1), person(2), person(3));
    let (old, new) = (note(&alice, "old", 1), note(&alice, "new", 3));
    let again = repost(&bob, &old, 5);
    let events = [
        old.clone(),
        new.clone(),
        again.clone(),
        follows(&carol, &[&bob], 0),
        profile(&bob, "Bob", 0),
    ];
    store.put(&events, NOW)?;
    let expected = vec![(old.id, Some(again.id)), (new.id, None), (old.id, None)];
    same(&shown(store, Scope::Everyone)?, &expected, "everybody")?;
    let expected = vec![(old.id, Some(again.id))];
    for scope in [
        Scope::FollowedBy(carol.public_key()),
        Scope::Author(bob.public_key()),
        Scope::Posts(bob.public_key()),
    ] {
        same(&shown(store, scope)?, &expected, format_args!("{scope:?}"))?;
    }
    same(
        &shown(store, Scope::Replies(bob.public_key()))?,
        &vec![],
        "replies",
    )?;
    let page = store.timeline(Scope::Author(bob.public_key()), None, 9)?;
    let entry = page.notes.first().map(|note| {
        let by = note
            .repost
            .as_ref()
            .map(|repost| (repost.by, repost.by_name.clone()));
        (note.author, by)
    });
    let by = Some((bob.public_key(), Some("Bob".to_owned())));
    same(
        &entry,
        &Some((alice.public_key(), by)),
        "who wrote and who reposted",
    )?;
    same(&store.note_count(&bob.public_key())?, &0, "a repost is no note")?;
    store.put(&[deletion(&alice, &[&old], 9)], NOW)?;
    same(
        &shown(store, Scope::Everyone)?,
        &vec![(new.id, None)],
        "a deleted note is reposted nowhere",
    )
}

fn repost_first(store: &mut dyn Store) -> Outcome {
    let (alice, bob) = (person(1), person(2));
    let post = note(&alice, "post", 1);
    let again = repost(&bob, &post, 2);
    store.put(std::slice::from_ref(&again), NOW)?;
    same(&shown(store, Scope::Everyone)?, &vec![], "nothing to show")?;
    store.put(std::slice::from_ref(&post), NOW)?;
    let expected = vec![(post.id, Some(again.id)), (post.id, None)];
    same(&shown(store, Scope::Everyone)?, &expected, "now it is here")
}

fn repost_cursor(store: &mut dyn Store) -> Outcome {
    let (alice, bob) = (person(1), person(2));
    let post = note(&alice, "post", 1);
    let reposts: Vec<_> = (0..3).map(|n| repost(&bob, &post, 10 + n)).collect();
    store.put(&reposts, NOW)?;
    store.put(&[post.clone(), note(&alice, "between", 11)], NOW)?;
    let (mut before, mut found) = (None, Vec::new());
    for _ in 0..9 {
        let page = store.timeline(Scope::Everyone, before, 1)?;
        found.extend(
            page.notes
                .iter()
                .map(|note| note.cursor().created_at - super::fixtures::START),
        );
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    same(&found, &vec![12, 11, 11, 10, 1], "one by one")
}

fn general_repost(store: &mut dyn Store) -> Outcome {
    let (alice, bob) = (person(1), person(2));
    let post = note(&alice, "post", 1);
    let (id, key) = (post.id.to_hex(), alice.public_key().to_hex());
    let tags = vec![vec!["e", &id], vec!["p", &key], vec!["k", "1"]];
    let again = tagged(&bob, Kind::GenericRepost, "", tags, at(2));
    // Of something that is no note.
    let of_profile = profile(&alice, "Alice", 1);
    let other = repost(&bob, &of_profile, 3);
    store.put(&[post.clone(), again.clone(), of_profile, other], NOW)?;
    let found = shown(store, Scope::Posts(bob.public_key()))?;
    same(&found, &vec![(post.id, Some(again.id))], "shown")?;
    same(&store.counts(&post.id)?.reposts, &1, "counted")
}

fn who_acted(store: &mut dyn Store) -> Outcome {
    let people: Vec<Keys> = (1..=5).map(person).collect();
    let post = note(&people[0], "post", 0);
    store.put(&[post.clone(), profile(&people[1], "Bob", 0)], NOW)?;
    for (n, keys) in people.iter().enumerate() {
        let acts = [
            reaction(keys, &post, "later", 9 + n as u64),
            reaction(keys, &post, "+", 1),
            repost(keys, &post, 2),
        ];
        store.put(&acts, NOW)?;
    }
    for (act, content) in [(Act::Reaction, "later"), (Act::Repost, "")] {
        let (mut after, mut found) = (None, Vec::new());
        for _ in 0..9 {
            let page = store.reactors(&post.id, act, after, 2)?;
            found.extend(page.people);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        found.sort_by_key(|person| person.key);
        let mut expected: Vec<Reactor> = people
            .iter()
            .enumerate()
            .map(|(n, keys)| Reactor {
                key: keys.public_key(),
                name: (n == 1).then(|| "Bob".to_owned()),
                content: content.to_owned(),
            })
            .collect();
        expected.sort_by_key(|person| person.key);
        same(
            &found,
            &expected,
            format_args!("{act:?}, each once, by their latest"),
        )?;
    }
    let nobody = store.reactors(&ids(&[&note(&people[0], "other", 1)])[0], Act::Reaction, None, 9)?;
    same(&nobody.people, &vec![], "nobody")
}

//! Notifications.

use nostr::prelude::{EventId, Keys, Kind};

use super::fixtures::{NOW, at, deletion, follows, note, person, profile, reaction, reply, repost};
use super::world::tagged;
use super::{Case, Failure, Outcome, same};
use crate::social;
use crate::store::{Cause, Cursor, Store};

pub(super) const CASES: &[Case] = &[
    ("what others do with own notes is told", causes),
    ("what does not concern the person is not told", not_mine),
    ("a follower is told of once, since their first list", followers),
    ("what was read is no longer unread", unread),
    ("notifications of muted people and words are left out", muted),
];

fn told(store: &dyn Store, causes: &[Cause]) -> Result<Vec<(Cause, EventId)>, Failure> {
    let page = store.notifications(causes, None, 99)?;
    Ok(page.list.iter().map(|notice| (notice.cause, notice.id)).collect())
}

fn causes(store: &mut dyn Store) -> Outcome {
    let (me, bob) = (person(1), person(2));
    store.set_me(Some(me.public_key()))?;
    let post = note(&me, "post", 0);
    let address = nostr::nips::nip19::ToBech32::to_bech32(&me.public_key()).unwrap_or_default();
    let expected = [
        (Cause::Follow, follows(&bob, &[&me], 6)),
        (Cause::Mention, note(&bob, &format!("やあ nostr:{address}"), 5)),
        (
            Cause::Quote,
            social::quote_event(&bob, &post, "quote".into(), at(4)),
        ),
        (Cause::Repost, repost(&bob, &post, 3)),
        (Cause::Reaction, reaction(&bob, &post, "🌊", 2)),
        (Cause::Reply, reply(&bob, &post, "reply", 1)),
    ];
    for (_, event) in &expected {
        store.put(std::slice::from_ref(event), NOW)?;
    }
    store.put(&[post.clone(), profile(&bob, "Bob", 0)], NOW)?;
    let all: Vec<_> = expected.iter().map(|(cause, event)| (*cause, event.id)).collect();
    same(&told(store, &[])?, &all, "all, though the note came last")?;
    for one in &all {
        same(
            &told(store, &[one.0])?,
            &vec![*one],
            format_args!("{:?} alone", one.0),
        )?;
    }
    let list = store
        .notifications(&[Cause::Reaction, Cause::Reply], None, 9)?
        .list;
    let contents: Vec<_> = list
        .iter()
        .map(|notice| (notice.content.as_str(), notice.target))
        .collect();
    same(
        &contents,
        &vec![("🌊", Some(post.id)), ("reply", Some(post.id))],
        "what and of which note",
    )?;
    same(&list[0].by_name.as_deref(), &Some("Bob"), "by whom")?;
    let (mut before, mut found) = (None, Vec::new());
    for _ in 0..9 {
        let page = store.notifications(&[], before, 1)?;
        found.extend(page.list.iter().map(|notice| (notice.cause, notice.id)));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    same(&found, &all, "one by one")?;
    store.put(&[deletion(&bob, &[&expected[5].1], 9)], NOW)?;
    same(&told(store, &[Cause::Reply])?, &vec![], "a deleted reply")
}

fn not_mine(store: &mut dyn Store) -> Outcome {
    let (me, bob, carol) = (person(1), person(2), person(3));
    store.set_me(Some(me.public_key()))?;
    let (mine, theirs) = (note(&me, "mine", 0), note(&bob, "theirs", 0));
    let events = [
        mine.clone(),
        theirs.clone(),
        reply(&me, &mine, "own reply", 1),
        reaction(&me, &mine, "+", 1),
        reply(&carol, &theirs, "to another", 2),
        reaction(&carol, &theirs, "+", 2),
        repost(&carol, &theirs, 2),
        follows(&carol, &[&bob], 2),
        social::quote_event(&carol, &theirs, String::new(), at(3)),
    ];
    store.put(&events, NOW)?;
    same(&told(store, &[])?, &vec![], "told")?;
    same(&store.notifications(&[], None, 9)?.unread, &0, "unread")
}

fn followers(store: &mut dyn Store) -> Outcome {
    let (me, bob) = (person(1), person(2));
    store.set_me(Some(me.public_key()))?;
    let (first, second) = (follows(&bob, &[&me], 2), follows(&bob, &[&me, &bob], 8));
    // The newer list comes first: the older one still tells since when.
    store.put(std::slice::from_ref(&second), NOW)?;
    store.put(&[first], NOW)?;
    let page = store.notifications(&[], None, 9)?;
    let found: Vec<_> = page
        .list
        .iter()
        .map(|notice| (notice.id, notice.created_at))
        .collect();
    same(
        &found,
        &vec![(second.id, at(2).0 / 1000)],
        "once, since the first",
    )?;
    store.put(&[follows(&bob, &[], 9)], NOW)?;
    same(&told(store, &[])?, &vec![], "no longer a follower")?;
    let again = follows(&bob, &[&me], 10);
    store.put(std::slice::from_ref(&again), NOW)?;
    let page = store.notifications(&[Cause::Follow], None, 9)?;
    let found: Vec<_> = page
        .list
        .iter()
        .map(|notice| (notice.id, notice.created_at))
        .collect();
    same(
        &found,
        &vec![(again.id, at(2).0 / 1000)],
        "following and unfollowing makes no news",
    )
}

fn unread(store: &mut dyn Store) -> Outcome {
    let (me, bob) = (person(1), person(2));
    store.set_me(Some(me.public_key()))?;
    let post = note(&me, "post", 0);
    let replies: Vec<_> = (1..=4).map(|n| reply(&bob, &post, &format!("{n}"), n)).collect();
    store.put(&[post], NOW)?;
    store.put(&replies, NOW)?;
    same(&store.notifications(&[], None, 1)?.unread, &4, "at first")?;
    store.set_read_until(Cursor {
        created_at: at(2).0 / 1000,
        id: replies[1].id,
    })?;
    same(&store.notifications(&[], None, 1)?.unread, &2, "after the second")?;
    same(
        &store.notifications(&[Cause::Follow], None, 1)?.unread,
        &2,
        "of all causes",
    )?;
    let page = store.notifications(&[], None, 1)?;
    store.set_read_until(Cursor {
        created_at: page.list[0].created_at,
        id: page.list[0].id,
    })?;
    same(&store.notifications(&[], None, 1)?.unread, &0, "after the last")
}

fn muted(store: &mut dyn Store) -> Outcome {
    let (me, bob, carol) = (person(1), person(2), person(3));
    store.set_me(Some(me.public_key()))?;
    let post = note(&me, "post", 0);
    let loud = |keys: &Keys| {
        [
            reply(keys, &post, "spoiler", 1),
            reply(keys, &post, "fine", 2),
            reaction(keys, &post, "+", 3),
        ]
    };
    let (bobs, carols) = (loud(&bob), loud(&carol));
    store.put(&bobs, NOW)?;
    store.put(&carols, NOW)?;
    let key = bob.public_key().to_hex();
    let mutes = tagged(
        &me,
        Kind::MuteList,
        "",
        vec![vec!["p", &key], vec!["word", "Spoiler"]],
        at(5),
    );
    store.put(&[mutes], NOW)?;
    let expected = vec![(Cause::Reaction, carols[2].id), (Cause::Reply, carols[1].id)];
    same(&told(store, &[])?, &expected, "told")
}

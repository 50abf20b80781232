//! Profiles and follow lists: one version at a time.

use nostr::prelude::{Event, EventId, Keys, Kind};

use super::fixtures::{NOW, by_id, follows, note, person, profile, signed};
use super::{Case, Outcome, ensure, same};
use crate::store::{Known, Put, Store};

pub(super) const CASES: &[Case] = &[
    ("a newer version replaces an older one", newer),
    ("an older version is refused", older),
    ("of one second the lower id wins, in either order", tie),
    ("kinds and people do not disturb each other", apart),
    ("follow lists", follow_lists),
    ("names follow the profile", names),
];

fn put(store: &mut dyn Store, event: &Event) -> Result<Put, super::Failure> {
    Ok(store.put(std::slice::from_ref(event), NOW)?.remove(0))
}

fn name(store: &dyn Store, keys: &Keys) -> Result<Option<String>, super::Failure> {
    Ok(store
        .profile(&keys.public_key())?
        .and_then(|profile| profile.name))
}

fn newer(store: &mut dyn Store) -> Outcome {
    let keys = person(1);
    same(&name(store, &keys)?, &None, "nothing known")?;
    let (old, new) = (profile(&keys, "old", 1), profile(&keys, "new", 2));
    same(&put(store, &old)?, &Put::Stored, "the first")?;
    same(&put(store, &new)?, &Put::Stored, "the newer")?;
    same(&name(store, &keys)?.as_deref(), &Some("new"), "name")?;
    same(
        &store.known(&old.id)?,
        &Known::Gone,
        "the older is not wanted again",
    )?;
    same(&store.event(&old.id)?, &None, "the older is not kept")?;
    same(
        &store.replaceable(&keys.public_key(), Kind::Metadata)?,
        &Some(new),
        "replaceable",
    )?;
    same(&put(store, &old)?, &Put::Superseded, "the older again")
}

fn older(store: &mut dyn Store) -> Outcome {
    let keys = person(1);
    let (old, new) = (profile(&keys, "old", 1), profile(&keys, "new", 2));
    put(store, &new)?;
    same(&store.known(&old.id)?, &Known::No, "not seen yet")?;
    same(&put(store, &old)?, &Put::Superseded, "the older")?;
    same(&store.known(&old.id)?, &Known::Gone, "refused for good")?;
    same(&name(store, &keys)?.as_deref(), &Some("new"), "name")
}

fn tie(store: &mut dyn Store) -> Outcome {
    for (who, second) in [(1, 5), (2, 5), (3, 0)] {
        let keys = person(who);
        let versions = by_id(
            (0..5)
                .map(|n| profile(&keys, &format!("name {n}"), second))
                .collect(),
        );
        let order: [usize; 5] = if who == 1 {
            [0, 1, 2, 3, 4]
        } else {
            [4, 2, 0, 3, 1]
        };
        let mut lowest = usize::MAX;
        for n in order {
            let expected = if n < lowest { Put::Stored } else { Put::Superseded };
            lowest = lowest.min(n);
            same(&put(store, &versions[n])?, &expected, format_args!("version {n}"))?;
        }
        let kept = store.replaceable(&keys.public_key(), Kind::Metadata)?;
        same(&kept.as_ref(), &Some(&versions[0]), "the lowest id")?;
    }
    Ok(())
}

fn apart(store: &mut dyn Store) -> Outcome {
    let (one, two) = (person(1), person(2));
    let events = [
        profile(&one, "one", 5),
        profile(&two, "two", 1),
        follows(&one, &[&two], 2),
        note(&one, "note", 1),
    ];
    same(&store.put(&events, NOW)?, &vec![Put::Stored; 4], "put")?;
    let found = [
        store.replaceable(&one.public_key(), Kind::Metadata)?,
        store.replaceable(&two.public_key(), Kind::Metadata)?,
        store.replaceable(&one.public_key(), Kind::ContactList)?,
    ];
    same(
        &found,
        &[
            Some(events[0].clone()),
            Some(events[1].clone()),
            Some(events[2].clone()),
        ],
        "each its own",
    )?;
    let none = [
        store.replaceable(&two.public_key(), Kind::ContactList)?,
        store.replaceable(&one.public_key(), Kind::TextNote)?,
        store.replaceable(&one.public_key(), Kind::EventDeletion)?,
    ];
    same(
        &none,
        &[None, None, None],
        "notes and deletions are not replaceable",
    )
}

fn follow_lists(store: &mut dyn Store) -> Outcome {
    let (me, a, b, c) = (person(1), person(2), person(3), person(4));
    let mine = me.public_key();
    same(&store.follows(&mine)?, &vec![], "nothing known")?;
    put(store, &follows(&me, &[&c, &a, &b, &a], 2))?;
    let listed = |people: &[&Keys]| people.iter().map(|keys| keys.public_key()).collect::<Vec<_>>();
    same(
        &store.follows(&mine)?,
        &listed(&[&c, &a, &b]),
        "each once, in their order",
    )?;
    put(store, &follows(&me, &[&b], 1))?;
    same(
        &store.follows(&mine)?,
        &listed(&[&c, &a, &b]),
        "an older list changes nothing",
    )?;
    put(store, &follows(&me, &[&b, &c], 3))?;
    same(&store.follows(&mine)?, &listed(&[&b, &c]), "a newer list, wholly")?;
    put(store, &follows(&me, &[], 4))?;
    same(&store.follows(&mine)?, &vec![], "an empty list")?;
    same(
        &store.follows(&a.public_key())?,
        &vec![],
        "those followed follow nobody",
    )
}

fn names(store: &mut dyn Store) -> Outcome {
    let keys = person(1);
    let event = note(&keys, "whose?", 1);
    put(store, &event)?;
    let shown =
        |store: &dyn Store, id: &EventId| store.note(id).map(|note| note.and_then(|note| note.author_name));
    same(&shown(store, &event.id)?, &None, "no profile")?;
    let versions: [(&str, Option<&str>); 7] = [
        (r#"{"name":"  葵 \n"}"#, Some("葵")),
        (r#"{"name":"   "}"#, None),
        (r#"{"name":"🌊🏄‍♀️"}"#, Some("🌊🏄‍♀️")),
        (r#"{"about":"no name"}"#, None),
        (r#"{"name":"b"}"#, Some("b")),
        ("not json", None),
        (r#"{"name":{"deep":1}}"#, None),
    ];
    for (second, (content, expected)) in versions.into_iter().enumerate() {
        put(store, &signed(&keys, Kind::Metadata, content, 2 + second as u64))?;
        same(
            &shown(store, &event.id)?.as_deref(),
            &expected,
            format_args!("after {content}"),
        )?;
        let page = store.timeline(crate::store::Scope::Everyone, None, 9)?;
        ensure(
            page.notes[0].author_name.as_deref() == expected,
            format_args!("on a page after {content}"),
        )?;
    }
    ensure(
        store.profile(&keys.public_key())?.is_some(),
        "a broken profile is a profile without a name",
    )
}

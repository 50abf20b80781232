//! Trust rings, followers, and lists of people.

use nostr::prelude::{Keys, PublicKey};

use super::fixtures::{NOW, at, deletion, follows, ids, note, person, reply};
use super::{Case, Outcome, same};
use crate::social::{self, Ring};
use crate::store::Store;

pub(super) const CASES: &[Case] = &[
    ("rings follow the follow lists", rings),
    ("rings of another person's device", rings_of_another),
    ("followers and how many they are", followers),
    ("a list shows its people's notes", list),
    (
        "lists are told apart by their name, and replaced by newer ones",
        lists_replaced,
    ),
];

fn rings(store: &mut dyn Store) -> Outcome {
    let [me, friend, followed, far, stranger] = [1, 2, 3, 4, 5].map(person);
    let ring = |store: &dyn Store, keys: &Keys| store.ring(&keys.public_key());
    same(&ring(store, &me)?, &Ring::Stranger, "nobody's device")?;
    store.set_me(Some(me.public_key()))?;
    let lists = [
        follows(&me, &[&friend, &followed], 1),
        follows(&friend, &[&me, &far, &followed], 1),
        follows(&followed, &[&stranger], 1),
        follows(&stranger, &[&me, &far], 1),
    ];
    store.put(&lists, NOW)?;
    let expected = [
        (&me, Ring::Me),
        (&friend, Ring::Friend),
        (&followed, Ring::Followed),
        (&far, Ring::FriendOfFriend),
        (&stranger, Ring::Stranger),
    ];
    for (n, (keys, expected)) in expected.into_iter().enumerate() {
        same(&ring(store, keys)?, &expected, format_args!("person {}", n + 1))?;
        if expected != Ring::Stranger {
            same(
                &store.people_of(expected, 9)?,
                &vec![keys.public_key()],
                format_args!("{expected:?}"),
            )?;
        }
    }
    store.put(
        &[follows(&friend, &[], 2), follows(&followed, &[&me, &stranger], 2)],
        NOW,
    )?;
    let now = [&friend, &followed, &far, &stranger].map(|keys| ring(store, keys));
    let expected = [Ring::Followed, Ring::Friend, Ring::Stranger, Ring::FriendOfFriend];
    for (found, expected) in now.into_iter().zip(expected) {
        same(&found?, &expected, "after their lists changed")?;
    }
    store.put(&[follows(&me, &[&stranger], 2)], NOW)?;
    same(
        &ring(store, &stranger)?,
        &Ring::Friend,
        "after the own list changed",
    )?;
    same(&ring(store, &followed)?, &Ring::Stranger, "no longer followed")?;
    same(
        &store.people_of(Ring::Friend, 0)?,
        &vec![],
        "no more than asked for",
    )
}

fn rings_of_another(store: &mut dyn Store) -> Outcome {
    let [me, other] = [1, 2].map(person);
    store.put(&[follows(&me, &[&other], 1)], NOW)?;
    store.set_me(Some(me.public_key()))?;
    same(&store.ring(&other.public_key())?, &Ring::Followed, "seen by one")?;
    store.set_me(Some(other.public_key()))?;
    same(
        &store.ring(&me.public_key())?,
        &Ring::Stranger,
        "seen by the other",
    )?;
    same(&store.ring(&other.public_key())?, &Ring::Me, "oneself")?;
    store.set_me(None)?;
    same(
        &store.ring(&other.public_key())?,
        &Ring::Stranger,
        "nobody's device",
    )
}

fn followers(store: &mut dyn Store) -> Outcome {
    let [star, a, b, c] = [1, 2, 3, 4].map(person);
    let key = star.public_key();
    same(&store.followers(&key, 9)?, &(vec![], 0), "of somebody unknown")?;
    let lists = [&a, &b, &c].map(|keys| follows(keys, &[&star], 1));
    store.put(&lists, NOW)?;
    let (mut some, count) = store.followers(&key, 9)?;
    some.sort_unstable();
    let mut expected: Vec<PublicKey> = [&a, &b, &c].map(Keys::public_key).into();
    expected.sort_unstable();
    same(&(some, count), &(expected, 3), "all")?;
    let (some, count) = store.followers(&key, 2)?;
    same(&(some.len(), count), &(2, 3), "some of them, and how many in all")?;
    store.put(&[follows(&a, &[], 2), deletion(&b, &[&lists[1]], 2)], NOW)?;
    same(
        &store.followers(&key, 9)?,
        &(vec![c.public_key()], 1),
        "who is left",
    )
}

fn list(store: &mut dyn Store) -> Outcome {
    let [owner, a, b] = [1, 2, 3].map(person);
    let people = [a.public_key()];
    let one = note(&a, "one", 1);
    let events = [
        social::list_event(&owner, "near", "Near", &people, at(1)),
        one.clone(),
        note(&b, "another's", 2),
        reply(&a, &one, "a reply", 3),
        note(&owner, "the owner's", 4),
    ];
    store.put(&events, NOW)?;
    let notes = |name: &str| -> Result<Vec<_>, super::Failure> {
        let page = store.list(&owner.public_key(), name, None, 9)?;
        Ok(page.notes.iter().map(|note| note.id).collect())
    };
    same(&notes("near")?, &ids(&[&one]), "its people's notes")?;
    same(&notes("far")?, &vec![], "no such list")
}

fn lists_replaced(store: &mut dyn Store) -> Outcome {
    let [owner, a, b] = [1, 2, 3].map(person);
    let (ones, twos) = (note(&a, "a", 1), note(&b, "b", 2));
    let of =
        |name, keys: &Keys, second| social::list_event(&owner, name, "", &[keys.public_key()], at(second));
    let (old, new, other) = (of("x:y", &a, 5), of("x:y", &b, 6), of("x", &a, 4));
    store.put(&[ones.clone(), twos.clone(), new.clone(), other, old], NOW)?;
    let notes = |store: &dyn Store, name: &str| -> Result<Vec<_>, super::Failure> {
        let page = store.list(&owner.public_key(), name, None, 9)?;
        Ok(page.notes.iter().map(|note| note.id).collect())
    };
    same(&notes(store, "x:y")?, &ids(&[&twos]), "the newer one")?;
    same(&notes(store, "x")?, &ids(&[&ones]), "another list")?;
    store.put(&[social::deletion_of(&owner, &[new], at(7))], NOW)?;
    same(&notes(store, "x:y")?, &vec![], "deleted")?;
    same(&notes(store, "x")?, &ids(&[&ones]), "the other is still there")
}

//! Hashtags, and the search over notes and people.

use nostr::nips::nip19::ToBech32;
use nostr::prelude::{Event, EventId};

use super::fixtures::{NOW, deletion, follows, ids, note, person, profile, reply};
use super::{Case, Failure, Outcome, ensure, same};
use crate::social::Ring;
use crate::store::Store;

pub(super) const CASES: &[Case] = &[
    ("hashtags of text and tags, in any case, replies too", hashtags),
    ("Japanese words of one character and more are found", japanese),
    ("Latin words are found by their beginning, in any case", latin),
    ("every word of a search must be there", every_word),
    ("a search is read page by page, newest first", paged),
    ("a search for nothing finds nothing", nothing),
    ("a deleted note is not found", deleted),
    ("people by name and key, the nearest first", people),
];

fn found(store: &dyn Store, text: &str) -> Result<Vec<EventId>, Failure> {
    let page = store.search_notes(text, None, 99)?;
    Ok(page.notes.iter().map(|note| note.id).collect())
}

fn hashtags(store: &mut dyn Store) -> Outcome {
    let (alice, bob) = (person(1), person(2));
    let one = note(&alice, "#Sea and #さざなみ", 1);
    let two = reply(&bob, &one, "to the #SEA, #sea!", 2);
    let other = note(&alice, "#seaside sea", 3);
    store.put(&[one.clone(), two.clone(), other], NOW)?;
    for tag in ["sea", "SEA", "#Sea"] {
        let page = store.hashtag(tag, None, 9)?;
        let notes: Vec<_> = page.notes.iter().map(|note| note.id).collect();
        same(&notes, &ids(&[&two, &one]), tag)?;
    }
    let page = store.hashtag("さざなみ", None, 9)?;
    same(&page.notes.len(), &1, "Japanese")?;
    let first = store.hashtag("sea", None, 1)?;
    let second = store.hashtag("sea", first.next, 1)?;
    same(
        &second.notes.first().map(|note| note.id),
        &Some(one.id),
        "the second page",
    )?;
    same(&second.next, &None, "its end")
}

fn japanese(store: &mut dyn Store) -> Outcome {
    let all = note(
        &person(1),
        "今日は波がとても静かで、さざなみの音がする。ｶﾀｶﾅとＡＢＣ",
        1,
    );
    store.put(&[all.clone(), note(&person(1), "風の日", 2)], NOW)?;
    for text in [
        "波",
        "今日",
        "さざなみ",
        "静か",
        "音がする",
        "ｶﾀｶﾅ",
        "abc",
        "今日 波",
    ] {
        same(&found(store, text)?, &ids(&[&all]), text)?;
    }
    for text in ["今波", "嵐", "日今", "みなざさ"] {
        same(&found(store, text)?, &vec![], text)?;
    }
    same(&found(store, "日")?.len(), &2, "in both")
}

fn latin(store: &mut dyn Store) -> Outcome {
    let all = note(&person(1), "The Waves, at Dawn; naïve WASM2", 1);
    store.put(std::slice::from_ref(&all), NOW)?;
    for text in ["wa", "WAVES", "dawn", "naï", "wasm2", "The"] {
        same(&found(store, text)?, &ids(&[&all]), text)?;
    }
    for text in ["aves", "wavesx", "night"] {
        same(&found(store, text)?, &vec![], text)?;
    }
    Ok(())
}

fn every_word(store: &mut dyn Store) -> Outcome {
    let one = note(&person(1), "red boats at sea #harbour", 1);
    let two = note(&person(1), "red cars on land #Harbour", 2);
    store.put(&[one.clone(), two.clone()], NOW)?;
    same(&found(store, "red")?, &ids(&[&two, &one]), "one word")?;
    same(&found(store, "sea red")?, &ids(&[&one]), "two words in any order")?;
    same(&found(store, "sea land")?, &vec![], "not of one note")?;
    same(
        &found(store, "#harbour car")?,
        &ids(&[&two]),
        "a hashtag and a word",
    )?;
    same(&found(store, "#harb")?, &vec![], "hashtags are whole")?;
    // What the database's own language could make of it.
    for text in [
        "\"red",
        "red OR blue",
        "red*",
        "NEAR(red sea)",
        "-red",
        "red:sea",
        "'; DROP TABLE event; --",
    ] {
        store.search_notes(text, None, 9)?;
    }
    Ok(())
}

fn paged(store: &mut dyn Store) -> Outcome {
    let alice = person(1);
    let mut notes: Vec<Event> = (0..9)
        .map(|n| note(&alice, &format!("tide {n}"), n / 2))
        .collect();
    store.put(&notes, NOW)?;
    store.put(&[note(&alice, "none of them", 3)], NOW)?;
    notes.sort_by_key(|event| (std::cmp::Reverse(event.created_at), event.id));
    let (mut before, mut all) = (None, Vec::new());
    loop {
        let page = store.search_notes("tide", before, 2)?;
        all.extend(page.notes.iter().map(|note| note.id));
        before = page.next;
        if before.is_none() {
            break;
        }
        ensure(all.len() <= notes.len(), "pages come to their end")?;
    }
    same(
        &all,
        &notes.iter().map(|event| event.id).collect(),
        "page by page",
    )
}

fn nothing(store: &mut dyn Store) -> Outcome {
    store.put(&[note(&person(1), "something", 1)], NOW)?;
    for text in ["", " ", "\u{3000}", "#", "、。"] {
        same(&found(store, text)?, &vec![], format_args!("{text:?}"))?;
        same(
            &store.search_people(text, 9)?.is_empty(),
            &true,
            format_args!("people {text:?}"),
        )?;
    }
    Ok(())
}

fn deleted(store: &mut dyn Store) -> Outcome {
    let alice = person(1);
    let one = note(&alice, "regret 後悔 #oops", 1);
    store.put(std::slice::from_ref(&one), NOW)?;
    store.put(&[deletion(&alice, &[&one], 2)], NOW)?;
    for text in ["regret", "後悔", "#oops"] {
        same(&found(store, text)?, &vec![], text)?;
    }
    same(&store.hashtag("oops", None, 9)?.notes, &vec![], "hashtag")
}

fn people(store: &mut dyn Store) -> Outcome {
    let (me, friend, followed, stranger) = (person(1), person(2), person(3), person(4));
    store.set_me(Some(me.public_key()))?;
    let events = [
        profile(&me, "Wanda", 1),
        profile(&friend, "Wave", 1),
        profile(&followed, "a wave", 1),
        profile(&stranger, "waveling", 1),
        profile(&person(5), "other", 1),
        follows(&me, &[&friend, &followed], 1),
        follows(&friend, &[&me], 1),
    ];
    store.put(&events, NOW)?;
    let find = |text: &str| -> Result<Vec<_>, Failure> {
        let people = store.search_people(text, 9)?;
        Ok(people
            .into_iter()
            .map(|person| (person.key, person.ring))
            .collect())
    };
    let expected = vec![
        (friend.public_key(), Ring::Friend),
        (followed.public_key(), Ring::Followed),
        (stranger.public_key(), Ring::Stranger),
    ];
    same(&find("wave")?, &expected, "by name, the nearest first")?;
    same(&find("WAVE")?, &expected, "in any case")?;
    same(
        &store.search_people("wave", 1)?.len(),
        &1,
        "no more than asked for",
    )?;
    let expected = vec![(stranger.public_key(), Ring::Stranger)];
    same(
        &find(&stranger.public_key().to_bech32().unwrap_or_default())?,
        &expected,
        "by npub",
    )?;
    same(&find(&stranger.public_key().to_hex())?, &expected, "by key")?;
    let unknown = person(9).public_key();
    same(
        &find(&unknown.to_hex())?,
        &vec![(unknown, Ring::Stranger)],
        "by the key of somebody new",
    )?;
    same(&find("nobody")?, &vec![], "nobody")
}

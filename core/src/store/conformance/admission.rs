//! What is let in, and what an event looks like afterwards.

use std::time::Duration;

use nostr::prelude::Kind;

use super::fixtures::{NOW, START, deletion, note, person, profile, signed};
use super::{Case, Outcome, ensure, same};
use crate::social::{MAX_EVENT_BYTES, MAX_FUTURE_SECS};
use crate::store::{Invalid, Known, Put, REQUESTS_KEPT, RequestKey, Scope, Store};
use crate::time::Millis;

pub(super) const CASES: &[Case] = &[
    (
        "an event is stored once and reads back as it was signed",
        stored_once,
    ),
    ("a duplicate within a batch", duplicate_within_a_batch),
    ("no events", no_events),
    (
        "forged ids, signatures, authors and contents are refused",
        forgeries,
    ),
    (
        "a forgery does not keep the genuine event out",
        forgery_then_genuine,
    ),
    ("other kinds are refused", other_kinds),
    ("size is limited", size),
    ("the future is limited", future),
    ("a batch keeps what is good", mixed_batch),
    ("what a request has written is known", written_for),
];

fn written_for(store: &mut dyn Store) -> Outcome {
    let keys = person(1);
    let [first, second, late] = [
        note(&keys, "one", 1),
        note(&keys, "two", 2),
        note(&keys, "late", 3),
    ];
    let [one, two, three] = [RequestKey([1; 16]), RequestKey([2; 16]), RequestKey([3; 16])];
    same(&store.written_for(one)?, &None, "before")?;
    same(&store.put_for(one, &first, NOW)?, &Put::Stored, "put")?;
    same(&store.written_for(one)?, &Some(first.id), "after")?;
    same(&store.written_for(two)?, &None, "another request")?;
    same(&store.known(&first.id)?, &Known::Stored, "the event")?;
    same(&store.put_for(two, &first, NOW)?, &Put::Duplicate, "put again")?;
    same(
        &store.written_for(two)?,
        &None,
        "what stored nothing is not noted",
    )?;
    same(&store.put_for(two, &second, NOW)?, &Put::Stored, "another event")?;
    let later = NOW + REQUESTS_KEPT + Duration::from_secs(2);
    same(&store.put_for(three, &late, later)?, &Put::Stored, "much later")?;
    let known = [one, two, three].map(|request| store.written_for(request));
    let [one, two, three] = known;
    same(
        &(one?, two?, three?),
        &(None, None, Some(late.id)),
        "old ones are forgotten",
    )
}

fn stored_once(store: &mut dyn Store) -> Outcome {
    let keys = person(1);
    let event = note(&keys, "さざなみ", 1);
    same(&store.known(&event.id)?, &Known::No, "known before")?;
    same(&store.event(&event.id)?, &None, "read before")?;
    same(
        &store.put(std::slice::from_ref(&event), NOW)?,
        &vec![Put::Stored],
        "put",
    )?;
    same(
        &store.put(std::slice::from_ref(&event), NOW)?,
        &vec![Put::Duplicate],
        "put again",
    )?;
    same(&store.known(&event.id)?, &Known::Stored, "known after")?;
    let read = store.event(&event.id)?;
    same(&read, &Some(event.clone()), "read")?;
    ensure(
        read.is_some_and(|read| read.verify().is_ok()),
        "what is read still verifies",
    )?;
    let shown = store.note(&event.id)?;
    let shown = shown.map(|note| {
        (
            note.id,
            note.author,
            note.author_name,
            note.created_at,
            note.content,
        )
    });
    same(
        &shown,
        &Some((
            event.id,
            keys.public_key(),
            None,
            START + 1,
            "さざなみ".to_owned(),
        )),
        "the note",
    )?;
    same(&store.note_count(&keys.public_key())?, &1, "count")?;
    let name = profile(&keys, "あおい", 2);
    store.put(std::slice::from_ref(&name), NOW)?;
    same(&store.note(&name.id)?, &None, "a profile is no note")?;
    same(
        &store.note_count(&keys.public_key())?,
        &1,
        "a profile does not count",
    )
}

fn duplicate_within_a_batch(store: &mut dyn Store) -> Outcome {
    let event = note(&person(1), "twice", 1);
    same(
        &store.put(&[event.clone(), event], NOW)?,
        &vec![Put::Stored, Put::Duplicate],
        "put",
    )?;
    same(
        &store.timeline(Scope::Everyone, None, 9)?.notes.len(),
        &1,
        "shown once",
    )
}

fn no_events(store: &mut dyn Store) -> Outcome {
    same(&store.put(&[], NOW)?, &vec![], "put nothing")?;
    let page = store.timeline(Scope::Everyone, None, 9)?;
    ensure(
        page.notes.is_empty() && page.next.is_none(),
        "an empty store has an empty page",
    )
}

fn forgeries(store: &mut dyn Store) -> Outcome {
    let (keys, other) = (person(1), note(&person(2), "other", 1));
    let genuine = note(&keys, "genuine", 1);
    let mut id = genuine.clone();
    id.id = other.id;
    let mut signature = genuine.clone();
    signature.sig = other.sig;
    let mut author = genuine.clone();
    author.pubkey = other.pubkey;
    let mut content = genuine.clone();
    content.content.push('!');
    let mut time = genuine.clone();
    time.created_at = other.created_at - 1u64;
    // Written by a stranger in another's name, with a right id: only the signature gives it away.
    let mut stranger = signed(&person(2), Kind::TextNote, "put into your mouth", 1);
    stranger.pubkey = keys.public_key();
    stranger.id = nostr::prelude::EventId::compute(
        &stranger.pubkey,
        &stranger.created_at,
        &stranger.kind,
        &stranger.tags,
        &stranger.content,
    );
    let forged = [id, signature, author, content, time, stranger];
    let expected = [
        Invalid::Id,
        Invalid::Signature,
        Invalid::Id,
        Invalid::Id,
        Invalid::Id,
        Invalid::Signature,
    ];
    same(
        &store.put(&forged, NOW)?,
        &expected.map(Put::Invalid).to_vec(),
        "put",
    )?;
    for event in &forged {
        same(&store.known(&event.id)?, &Known::No, "a forgery leaves no trace")?;
        same(&store.event(&event.id)?, &None, "a forgery cannot be read")?;
    }
    same(
        &store.timeline(Scope::Everyone, None, 9)?.notes,
        &vec![],
        "nothing is shown",
    )
}

fn forgery_then_genuine(store: &mut dyn Store) -> Outcome {
    let genuine = note(&person(1), "genuine", 1);
    let mut forged = genuine.clone();
    forged.sig = note(&person(1), "other", 1).sig;
    let results = store.put(&[forged.clone(), genuine.clone(), forged], NOW)?;
    same(
        &results,
        &vec![Put::Invalid(Invalid::Signature), Put::Stored, Put::Duplicate],
        "put",
    )?;
    same(&store.event(&genuine.id)?, &Some(genuine), "read")
}

fn other_kinds(store: &mut dyn Store) -> Outcome {
    for kind in [2, 4, 8, 1_111, 10_002, 22_242, 30_023, u16::MAX] {
        let event = signed(&person(1), Kind::from(kind), "", 1);
        let result = store.put(std::slice::from_ref(&event), NOW)?;
        same(
            &result,
            &vec![Put::Invalid(Invalid::Kind)],
            format_args!("kind {kind}"),
        )?;
        same(&store.known(&event.id)?, &Known::No, "leaves no trace")?;
    }
    Ok(())
}

fn size(store: &mut dyn Store) -> Outcome {
    let keys = person(1);
    let bare = serde_json::to_vec(&note(&keys, "", 1)).map_or(0, |json| json.len());
    let largest = note(&keys, &"x".repeat(MAX_EVENT_BYTES - bare), 1);
    let too_large = note(&keys, &"x".repeat(MAX_EVENT_BYTES - bare + 1), 1);
    let results = store.put(&[largest.clone(), too_large], NOW)?;
    same(
        &results,
        &vec![Put::Stored, Put::Invalid(Invalid::TooLarge)],
        "put",
    )?;
    ensure(
        store.event(&largest.id)? == Some(largest),
        "the largest reads back",
    )
}

fn future(store: &mut dyn Store) -> Outcome {
    let keys = person(1);
    let now = Millis(START * 1000);
    let last = note(&keys, "a clock ahead", MAX_FUTURE_SECS);
    let beyond = note(&keys, "from the future", MAX_FUTURE_SECS + 1);
    let mut far = note(&keys, "far", 1);
    far.created_at = nostr::prelude::Timestamp::from(u64::MAX);
    let results = store.put(&[last.clone(), beyond.clone(), far], now)?;
    let refused = Put::Invalid(Invalid::Future);
    same(&results, &vec![Put::Stored, refused.clone(), refused], "put")?;
    same(
        &store.put(&[beyond], Millis(now.0 + 1000))?,
        &vec![Put::Stored],
        "a second later",
    )?;
    same(
        &store.put(&[last], Millis(0))?,
        &vec![Put::Duplicate],
        "what is here stays, whatever the clock says",
    )
}

fn mixed_batch(store: &mut dyn Store) -> Outcome {
    let (keys, stranger) = (person(1), person(2));
    let (kept, removed) = (note(&keys, "kept", 1), note(&keys, "removed", 2));
    let mut forged = note(&keys, "forged", 3);
    forged.sig = kept.sig;
    let batch = [
        kept.clone(),
        forged,
        deletion(&keys, &[&removed], 9),
        removed.clone(),
        deletion(&stranger, &[&kept], 9),
        kept.clone(),
    ];
    let invalid = Put::Invalid(Invalid::Signature);
    let expected = vec![
        Put::Stored,
        invalid,
        Put::Stored,
        Put::Deleted,
        Put::Stored,
        Put::Duplicate,
    ];
    same(&store.put(&batch, NOW)?, &expected, "answers in order")?;
    let shown: Vec<_> = store
        .timeline(Scope::Everyone, None, 9)?
        .notes
        .iter()
        .map(|note| note.id)
        .collect();
    same(&shown, &vec![kept.id], "shown")
}

//! What was put is there after closing and opening.

use nostr::prelude::{Filter, Kind};

use super::fixtures::{NOW, deletion, follows, note, person, profile};
use super::{Outcome, same};
use crate::store::{Known, Put, RequestKey, Scope, Store};

pub(super) fn all_is_found_again<S: Store>(open: &mut impl FnMut() -> S) -> Outcome {
    let (me, friend) = (person(1), person(2));
    let (kept, deleted, coming) = (
        note(&me, "残る", 1),
        note(&me, "消える", 2),
        note(&friend, "先に消された", 3),
    );
    let (old, new) = (profile(&me, "old", 1), profile(&me, "あおい", 2));
    let list = follows(&me, &[&friend], 1);
    let requests = [deletion(&me, &[&deleted], 4), deletion(&friend, &[&coming], 4)];

    let mut store = open();
    let first = [kept.clone(), deleted.clone(), old.clone(), new.clone(), list];
    same(&store.put(&first, NOW)?, &vec![Put::Stored; 5], "first put")?;
    store.set_setting("draft", Some("書きかけ"))?;
    let (request, asked) = (RequestKey([7; 16]), note(&me, "頼まれた", 0));
    same(
        &store.put_for(request, &asked, NOW)?,
        &Put::Stored,
        "put for a request",
    )?;
    store.set_setting("theme", Some("dark"))?;
    drop(store);

    let mut store = open();
    same(&store.known(&deleted.id)?, &Known::Stored, "before its deletion")?;
    same(&store.put(&requests, NOW)?, &vec![Put::Stored; 2], "second put")?;
    store.set_setting("theme", None)?;
    let page = store.timeline(Scope::FollowedBy(me.public_key()), None, 9)?;
    let items = store.items(&Filter::new())?;
    drop(store);

    let mut store = open();
    same(&page.notes.len(), &2, "what was shown before closing")?;
    same(
        &store.timeline(Scope::FollowedBy(me.public_key()), None, 9)?,
        &page,
        "timeline",
    )?;
    same(&store.items(&Filter::new())?, &items, "items")?;
    same(&store.event(&kept.id)?, &Some(kept.clone()), "event")?;
    same(
        &store.note(&kept.id)?.and_then(|note| note.author_name).as_deref(),
        &Some("あおい"),
        "name",
    )?;
    same(
        &store.replaceable(&me.public_key(), Kind::Metadata)?,
        &Some(new),
        "profile",
    )?;
    same(
        &store.follows(&me.public_key())?,
        &vec![friend.public_key()],
        "follows",
    )?;
    same(&store.known(&deleted.id)?, &Known::Gone, "deleted")?;
    same(&store.known(&old.id)?, &Known::Gone, "superseded")?;
    let again = [kept, deleted, old, coming];
    let expected = vec![Put::Duplicate, Put::Deleted, Put::Superseded, Put::Deleted];
    same(&store.put(&again, NOW)?, &expected, "put again")?;
    same(
        &store.setting("draft")?.as_deref(),
        &Some("書きかけ"),
        "a setting",
    )?;
    same(
        &store.written_for(request)?,
        &Some(asked.id),
        "what a request has written",
    )?;
    same(&store.setting("theme")?, &None, "a forgotten setting")
}

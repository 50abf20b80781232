//! What is written is read back as it was meant, and concerns whom it should.

use nostr::nips::nip19::ToBech32;

use super::*;
use crate::social::{
    References, concerns, deleted_addresses, note_event, reaction_target, read_deletion, read_mutes,
    read_private_mutes, repost_target, reposted, vanishes_everywhere,
};
use crate::store::Cause;

const NOW: Millis = Millis(1_700_000_000_000);

fn keys() -> Keys {
    Keys::generate()
}

fn note(keys: &Keys, text: &str) -> Event {
    note_event(keys, text.to_owned(), NOW)
}

fn cause(event: &Event, person: &Keys) -> Option<Cause> {
    concerns(event, &References::of(event), &person.public_key()).map(|(cause, _)| cause)
}

#[test]
fn a_reply_names_its_thread_and_those_who_take_part() {
    let (a, b, c) = (keys(), keys(), keys());
    let root = note(&a, "root");
    let first = reply_event(&b, &root, "first".into(), NOW);
    let second = reply_event(&c, &first, "second".into(), NOW);
    let found = References::of(&second);
    assert_eq!((found.root, found.parent), (Some(root.id), Some(first.id)));
    assert_eq!(cause(&second, &b), Some(Cause::Reply));
    assert_eq!(
        cause(&second, &a),
        Some(Cause::Mention),
        "a takes part in the thread"
    );
    assert_eq!(cause(&second, &c), None, "own acts concern nobody");
    assert_eq!(cause(&second, &keys()), None);
}

#[test]
fn a_reply_without_hints_concerns_those_it_names() {
    let (a, b) = (keys(), keys());
    let root = note(&a, "root");
    let tags = [Tag::event(root.id), Tag::public_key(a.public_key())];
    let plain = sign(EventBuilder::new(Kind::TextNote, "plain").tags(tags), &b, NOW);
    assert_eq!(cause(&plain, &a), Some(Cause::Reply));
    assert_eq!(cause(&plain, &keys()), None);
}

#[test]
fn quotes_mentions_reposts_and_reactions_concern_the_author() {
    let (a, b) = (keys(), keys());
    let post = note(&a, "post");
    let quote = quote_event(&b, &post, "見て".into(), NOW);
    assert_eq!(References::of(&quote).quotes, [post.id]);
    assert_eq!(cause(&quote, &a), Some(Cause::Quote));
    let mention = note(&b, &format!("nostr:{}", a.public_key().to_bech32().unwrap()));
    assert_eq!(cause(&mention, &a), Some(Cause::Mention));
    let repost = repost_event(&b, &post, NOW);
    assert_eq!(repost_target(&repost).unwrap().id, post.id);
    assert_eq!(reposted(&repost), Some(post.clone()));
    assert_eq!(cause(&repost, &a), Some(Cause::Repost));
    let reaction = reaction_event(&b, &post, "🌊", NOW);
    assert_eq!(reaction_target(&reaction).unwrap().author, Some(a.public_key()));
    assert_eq!(cause(&reaction, &a), Some(Cause::Reaction));
    assert_eq!(cause(&reaction, &b), None);
}

#[test]
fn a_repost_stays_within_the_size_of_an_event() {
    let (a, b) = (keys(), keys());
    let large = note(&a, &"\"".repeat(30_000));
    let repost = repost_event(&b, &large, NOW);
    assert!(serde_json::to_string(&repost).unwrap().len() <= MAX_EVENT_BYTES);
    assert_eq!(repost_target(&repost).unwrap().id, large.id);
    assert_eq!(reposted(&repost), None);
}

#[test]
fn deletions_name_ids_addresses_and_kinds() {
    let a = keys();
    let list = list_event(&a, "near: by", "", &[], NOW);
    let post = note(&a, "post");
    let deletion = deletion_of(&a, &[list.clone(), post.clone()], NOW);
    assert_eq!(read_deletion(&deletion), [list.id, post.id]);
    assert_eq!(
        deleted_addresses(&deletion),
        [(Kind::FollowSet, "near: by".to_owned())]
    );
    let foreign = deletion_of(&keys(), &[list], NOW);
    assert_eq!(deleted_addresses(&foreign), []);
    assert!(vanishes_everywhere(&vanish_event(&a, "", NOW)));
}

#[test]
fn mute_lists_keep_what_is_private_private_and_what_others_wrote() {
    let a = keys();
    let someone = keys().public_key();
    let public = Mutes {
        words: vec!["Spoiler".into()],
        ..Mutes::default()
    };
    let private = Mutes {
        people: vec![someone],
        ..Mutes::default()
    };
    let other = sign(
        EventBuilder::new(Kind::MuteList, "").tag(Tag::custom("x", ["kept"])),
        &a,
        NOW,
    );
    let list = mutes_event(&a, Some(&other), &public, &private, NOW).unwrap();
    assert_eq!(read_mutes(&list).words, ["spoiler"]);
    assert_eq!(read_mutes(&list).people, []);
    assert_eq!(read_private_mutes(&list, &a), private);
    assert_eq!(read_private_mutes(&list, &keys()), Mutes::default());
    assert!(list.tags.iter().any(|tag| tag.content() == Some("kept")));
    let again = mutes_event(&a, Some(&list), &public, &Mutes::default(), NOW).unwrap();
    assert_eq!(again.content, "");
}

#[test]
fn muted_words_are_whole_words_of_latin_and_parts_of_japanese() {
    let mutes = Mutes {
        words: vec!["art".into(), "ネタバレ".into()],
        ..Mutes::default()
    };
    let hides = |text: &str| {
        let event = note(&keys(), text);
        mutes.hides(&event, &References::of(&event))
    };
    assert!(hides("Modern ART!") && hides("映画のネタバレです"));
    assert!(!hides("start") && !hides("ネタ"));
}

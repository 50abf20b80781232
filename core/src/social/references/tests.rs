use nostr::nips::nip19::{Nip19Event, Nip19Profile, ToBech32};
use nostr::prelude::{EventBuilder, FinalizeEvent, Keys};

use super::*;

fn id(byte: u8) -> EventId {
    EventId::from_byte_array([byte; 32])
}

fn key() -> PublicKey {
    Keys::generate().public_key()
}

fn note(text: &str, tags: impl IntoIterator<Item = Vec<String>>) -> Event {
    EventBuilder::new(Kind::TextNote, text)
        .tags(tags.into_iter().map(|tag| Tag::parse(tag).unwrap()))
        .finalize(&Keys::generate())
        .unwrap()
}

fn e(byte: u8, more: &[&str]) -> Vec<String> {
    let start = ["e".to_owned(), id(byte).to_hex()];
    start
        .into_iter()
        .chain(more.iter().map(|&s| s.to_owned()))
        .collect()
}

fn tag(values: &[&str]) -> Vec<String> {
    values.iter().map(|&s| s.to_owned()).collect()
}

fn place(tags: impl IntoIterator<Item = Vec<String>>) -> (Option<EventId>, Option<EventId>) {
    let found = References::of(&note("", tags));
    (found.root, found.parent)
}

#[test]
fn a_note_without_e_tags_is_no_reply() {
    assert_eq!(place([]), (None, None));
    assert_eq!(place([tag(&["e", "not an id"]), tag(&["e"])]), (None, None));
}

#[test]
fn marked_tags_decide_whatever_their_order() {
    let (root, reply) = (e(1, &["", "root"]), e(2, &["", "reply"]));
    assert_eq!(place([root.clone()]), (Some(id(1)), Some(id(1))));
    assert_eq!(place([reply.clone(), root.clone()]), (Some(id(1)), Some(id(2))));
    assert_eq!(
        place([e(9, &[]), root, reply.clone(), e(8, &[])]),
        (Some(id(1)), Some(id(2)))
    );
    assert_eq!(
        place([reply]),
        (Some(id(2)), Some(id(2))),
        "some clients mark a reply to a root so"
    );
}

#[test]
fn without_marks_the_first_is_the_root_and_the_last_the_parent() {
    assert_eq!(place([e(1, &[])]), (Some(id(1)), Some(id(1))));
    assert_eq!(
        place([e(1, &[]), e(2, &[""]), e(3, &[])]),
        (Some(id(1)), Some(id(3)))
    );
    assert_eq!(place([e(7, &["", "mention"])]), (None, None));
    assert_eq!(
        place([e(7, &["", "mention"]), e(1, &[])]),
        (Some(id(1)), Some(id(1)))
    );
}

#[test]
fn hints_name_the_author_in_either_place() {
    let author = key();
    let marked = note("", [e(1, &["", "root", &author.to_hex()])]);
    let plain = note("", [e(1, &["", &author.to_hex()])]);
    for event in [marked, plain] {
        assert_eq!(thread(&event).unwrap().1.author, Some(author));
    }
}

#[test]
fn people_and_quotes_come_from_tags_and_text_once() {
    let (a, b, c) = (key(), key(), key());
    let profile = Nip19Profile::new(c, []).to_bech32().unwrap();
    let quoted = Nip19Event::new(id(6)).author(a).to_bech32().unwrap();
    let text = format!(
        "波nostr:{}、nostr:{} nostr:{profile}\nnostr:{}nostr:{quoted}.",
        a.to_bech32().unwrap(),
        b.to_bech32().unwrap(),
        id(5).to_bech32().unwrap(),
    );
    let q = |byte| tag(&["q", &id(byte).to_hex()]);
    let found = References::of(&note(
        &text,
        [tag(&["p", &b.to_hex()]), tag(&["p", "x"]), q(4), q(6)],
    ));
    assert_eq!(found.mentions, [b, a, c]);
    assert_eq!(found.quotes[..2], [id(4), id(6)]);
    assert_eq!((found.root, found.parent), (None, None));
}

#[test]
fn an_address_ends_where_its_letters_end() {
    let text = format!("nostr:{}、次", id(5).to_bech32().unwrap());
    assert_eq!(References::of(&note(&text, [])).quotes, [id(5)]);
}

#[test]
fn hashtags_come_from_tags_and_text_in_lower_case_once() {
    let found = References::of(&note(
        "#Rust #波",
        [tag(&["t", "RUST"]), tag(&["t", "#さざなみ"]), tag(&["t", ""])],
    ));
    assert_eq!(found.hashtags, ["rust", "さざなみ", "波"]);
}

#[test]
fn warnings_may_have_no_reason() {
    let of = |tags| References::of(&note("", tags)).warning;
    assert_eq!(of(vec![]), None);
    assert_eq!(of(vec![tag(&["content-warning"])]), Some(String::new()));
    assert_eq!(
        of(vec![tag(&["content-warning", "ネタバレ"])]),
        Some("ネタバレ".into())
    );
    let long = "あ".repeat(MAX_DESCRIPTION_CHARS + 1);
    assert_eq!(
        of(vec![tag(&["content-warning", &long])])
            .unwrap()
            .chars()
            .count(),
        MAX_DESCRIPTION_CHARS
    );
}

#[test]
fn media_say_what_they_are() {
    let hash = "AB".repeat(32);
    let full = tag(&[
        "imeta",
        "url https://media.example/1.jpg",
        &format!("x {hash}"),
        "m image/jpeg",
        "alt 夕方の 波",
        "dim 3024x4032",
        "blurhash eVF$^OI:",
        "size 12345",
        "unknown thing",
    ]);
    let expected = Media {
        url: "https://media.example/1.jpg".into(),
        sha256: Some(hash.to_lowercase()),
        mime: Some("image/jpeg".into()),
        alt: Some("夕方の 波".into()),
        size: Some((3024, 4032)),
        blurhash: Some("eVF$^OI:".into()),
        bytes: Some(12345),
    };
    assert_eq!(References::of(&note("", [full.clone(), full])).media, [expected]);
}

#[test]
fn broken_media_do_no_harm() {
    let bad = [
        tag(&["imeta"]),
        tag(&["imeta", "url"]),
        tag(&["imeta", "m image/png"]),
        tag(&["imeta", "url javascript:alert(1)"]),
        tag(&["imeta", "url data:text/html,x"]),
        tag(&["imeta", "url https://x/ y"]),
        tag(&["imeta", &format!("url https://x/{}", "a".repeat(MAX_URL_BYTES))]),
    ];
    assert_eq!(References::of(&note("", bad)).media, []);
    let odd = tag(&[
        "imeta",
        "url https://x/1",
        "x 12",
        "dim 1x2x3",
        "size -1",
        "dim ax1",
    ]);
    let expected = Media {
        url: "https://x/1".into(),
        ..Media::default()
    };
    assert_eq!(References::of(&note("", [odd])).media, [expected]);
}

#[test]
fn every_list_is_bounded() {
    let keys: Vec<_> = (0..=MAX_MENTIONS).map(|_| key()).collect();
    let mut tags: Vec<_> = keys.iter().map(|key| tag(&["p", &key.to_hex()])).collect();
    for byte in 0..=200 {
        tags.push(tag(&["q", &id(byte).to_hex()]));
        tags.push(tag(&["t", &format!("tag{byte}")]));
        tags.push(tag(&["imeta", &format!("url https://x/{byte}")]));
    }
    let found = References::of(&note("#more", tags));
    assert_eq!(found.mentions, keys[..MAX_MENTIONS]);
    assert_eq!(found.quotes.len(), MAX_QUOTES);
    assert_eq!(found.hashtags.len(), MAX_HASHTAGS);
    assert_eq!(found.media.len(), MAX_MEDIA);
}

#[test]
fn other_kinds_refer_to_nothing() {
    let profile = EventBuilder::new(Kind::Metadata, "#tag")
        .tags([Tag::event(id(1)), Tag::public_key(key())])
        .finalize(&Keys::generate())
        .unwrap();
    assert_eq!(References::of(&profile), References::default());
}

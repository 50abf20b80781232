//! The timeline and what happens in it.

use dioxus::html::{Key, Modifiers, SerializedFormData, SerializedVisibleData};
use sazanami_core::Keys;
use sazanami_core::node::api::{Change, Command, Network, Peer, PeerState, RequestError, SignalState};
use sazanami_core::signaling::SessionId;
use sazanami_core::social::Ring;
use sazanami_core::store::{Note, Query, Scope};
use sazanami_core::transport::{PathKind, Route};

use crate::world::{World, note, person};

const COMPOSE: (&str, &str) = ("aria-label", "New post");
const FORM: Option<(&str, &str)> = Some(("aria-label", "Write a post"));

fn home(notes: Vec<Note>) -> World {
    World::at_home(&["en"], notes).ready()
}

fn drafts(world: &World) -> Vec<Option<String>> {
    let draft = |command: &Command| match command {
        Command::SetSetting { name, value } if name == "draft" => Some(value.clone()),
        _ => None,
    };
    world.node.asked.iter().filter_map(draft).collect()
}

#[test]
fn landmarks_and_names_are_there_in_both_languages() {
    for (language, compose, post, everyone, following) in [
        ("ja", "新しい投稿", ">投稿<", "みんな", "フォロー中"),
        ("en", "New post", ">Post<", "Everyone", "Following"),
    ] {
        let world = World::at_home(&[language], vec![note(1, &person(1, Some("海")), 60, "波")]).ready();
        for text in [
            "<header",
            "<main",
            "<nav",
            "<aside",
            "role=\"tablist\"",
            "role=\"tabpanel\"",
            "aria-live=\"polite\"",
        ] {
            world.sees(text);
        }
        world.sees(&format!(r#"aria-label="{compose}""#));
        for text in [post, everyone, following] {
            world.sees(text);
        }
        world.misses("style=");
    }
}

#[test]
fn an_empty_timeline_teaches() {
    home(vec![]).sees("open this same address in another browser");
    World::at_home(&["ja"], vec![])
        .ready()
        .sees("別のブラウザーで同じアドレスを開く");
}

#[test]
fn notes_are_plain_text_with_safe_links() {
    let text = "line one\n<img src=x onerror=alert(1)> https://example.com/x.\nevil\u{202e}";
    let world = home(vec![note(1, &person(1, Some("<b>Umi</b>")), 120, text)]);
    world.sees("line one\n&#60;img src=x onerror=alert(1)&#62;");
    world.sees(r#"href="https://example.com/x""#);
    world.sees("noopener noreferrer nofollow");
    world.sees("&#60;b&#62;Umi&#60;/b&#62;");
    world.sees("2 min");
    world.sees("2026-11-22T08:58:00Z");
    world.misses("\u{202e}");
}

#[test]
fn namesakes_are_told_apart() {
    let (a, b, c) = (
        person(1, Some("Umi")),
        person(2, Some("umi")),
        person(3, Some("Kai")),
    );
    let world = home(vec![
        note(3, &a, 1, "x"),
        note(2, &b, 2, "y"),
        note(1, &c, 3, "z"),
    ]);
    world.sees(&a.npub[a.npub.len() - 6..]);
    world.sees(&b.npub[b.npub.len() - 6..]);
    world.misses(&c.npub[c.npub.len() - 6..]);
}

#[test]
fn a_post_is_shown_and_the_box_cleared_once_it_is_stored() {
    let mut world = home(vec![note(1, &person(1, Some("Umi")), 60, "earlier one")]);
    world.type_into(Some(COMPOSE), "first ripple  ");
    world.node.mute.push("Post");
    world.press(COMPOSE, Key::Enter, Modifiers::CONTROL, false);
    assert!(world.node.asked.contains(&Command::Post {
        text: "first ripple".into()
    }));
    world.misses(r#"class="note-text" dir="auto">first ripple"#);
    assert_eq!(
        world.node.settings.get("draft").map(String::as_str),
        Some("first ripple  ")
    );
    world.unmute();
    let [new, old] = world.order(["first ripple", "earlier one"]);
    assert!(new.unwrap() < old.unwrap());
    assert_eq!(world.node.settings.get("draft"), None);
    // The answer and the change bring the same note: it stands there once.
    let posted = world.node.notes[0].clone();
    world.change(Change::NoteAdded(posted));
    assert_eq!(world.html().matches("first ripple").count(), 1);
}

#[test]
fn enter_that_ends_a_composition_does_not_post() {
    let mut world = home(vec![]);
    world.type_into(Some(COMPOSE), "さざなみ");
    world.press(COMPOSE, Key::Enter, Modifiers::CONTROL, true);
    world.press(COMPOSE, Key::Enter, Modifiers::empty(), false);
    assert!(
        !world
            .node
            .asked
            .iter()
            .any(|command| matches!(command, Command::Post { .. }))
    );
    world.press(COMPOSE, Key::Enter, Modifiers::META, false);
    assert!(
        world
            .node
            .asked
            .iter()
            .any(|command| matches!(command, Command::Post { .. }))
    );
}

#[test]
fn a_post_that_fails_keeps_the_text_and_says_why() {
    let mut world = home(vec![]);
    world.node.failing.push(("Post", RequestError::Full));
    world.type_into(Some(COMPOSE), "precious");
    world.submit(FORM);
    world.sees("Not posted.");
    world.sees("no space left");
    assert_eq!(world.node.settings["draft"], "precious");
    world.node.failing.clear();
    world.submit(FORM);
    assert!(world.node.notes.iter().any(|note| note.content == "precious"));
    world.misses("Not posted.");
}

#[test]
fn characters_are_counted_near_the_limit() {
    let mut world = home(vec![]);
    world.type_into(Some(COMPOSE), &"波".repeat(1_799));
    world.misses("compose-count");
    world.type_into(Some(COMPOSE), &"波".repeat(1_960));
    world.sees(">40<");
    world.sees("50 characters left");
    world.type_into(Some(COMPOSE), &"波".repeat(2_003));
    world.sees("−3");
    world.sees("The post is too long");
    world.submit(FORM);
    assert!(
        !world
            .node
            .asked
            .iter()
            .any(|command| matches!(command, Command::Post { .. }))
    );
}

#[test]
fn the_draft_is_written_one_at_a_time_and_its_latest_text_last() {
    let mut world = home(vec![]);
    world.node.mute.push("SetSetting");
    for text in ["a", "ab", "abc", "abcd"] {
        world.type_into(Some(COMPOSE), text);
    }
    assert_eq!(drafts(&world), [Some("a".into())], "one write is under way");
    world.unmute();
    assert_eq!(drafts(&world), [Some("a".into()), Some("abcd".into())]);
    assert_eq!(world.node.settings["draft"], "abcd");
    world.type_into(Some(COMPOSE), "");
    assert_eq!(world.node.settings.get("draft"), None);
}

#[test]
fn a_draft_is_there_after_a_reload() {
    let mut world = World::at_home(&["ja"], vec![]);
    world.node.settings.insert("draft".into(), "書きかけ".into());
    world.ready().sees("書きかけ");
}

#[test]
fn notes_that_arrive_go_to_their_place_and_leave_when_deleted() {
    let umi = person(1, Some("Umi"));
    let mut world = home(vec![note(3, &umi, 10, "third"), note(1, &umi, 30, "first")]);
    world.change(Change::NoteAdded(note(2, &umi, 20, "second")));
    world.change(Change::NoteAdded(note(4, &umi, 0, "fourth")));
    let order = world
        .order(["fourth", "third", "second", "first"])
        .map(Option::unwrap);
    assert!(order.is_sorted(), "{order:?}");
    world.change(Change::NoteRemoved(note(2, &umi, 20, "").id));
    world.misses("second");
}

#[test]
fn a_reader_further_down_is_not_moved() {
    let umi = person(1, Some("Umi"));
    let mut world = home(vec![note(1, &umi, 30, "reading this")]);
    let nowhere = dioxus::html::DOMRect::from(dioxus::html::geometry::PixelsRect::zero());
    let away = SerializedVisibleData::new(nowhere.clone(), 0.0, nowhere.clone(), false, nowhere, 0);
    world.fire("visible", None, away);
    world.change(Change::NoteAdded(note(2, &umi, 2, "news one")));
    world.change(Change::NoteAdded(note(3, &umi, 1, "news two")));
    world.misses("news one");
    world.sees("2 new posts");
    // An own note does not wait.
    let me = world.node.me.clone().unwrap();
    world.change(Change::NoteAdded(note(4, &me, 0, "mine")));
    world.sees("mine");
    world.sees("2 new posts");
}

#[test]
fn older_pages_come_on_demand() {
    let umi = person(1, Some("Umi"));
    let notes = (0..120)
        .map(|n| note(n, &umi, u64::from(n) + 1, &format!("note-{n}-")))
        .collect();
    let world = home(notes);
    world.sees("note-49-");
    world.misses("note-50-");
    world.sees("Show older");
    let pages = world
        .node
        .asked
        .iter()
        .filter(|command| matches!(command, Command::Timeline { .. }))
        .count();
    assert_eq!(pages, 1);
}

#[test]
fn a_timeline_that_fails_is_explained() {
    let mut world = World::at_home(&["ja"], vec![]);
    world
        .node
        .failing
        .push(("Timeline", RequestError::Storage("x".into())));
    world.ready().sees("投稿を読み込めませんでした");
}

#[test]
fn following_shows_whom_the_person_follows() {
    let (mut umi, kai) = (person(1, Some("Umi")), person(2, Some("Kai")));
    umi.followed = true;
    let mut world = World::at_home(
        &["en"],
        vec![note(2, &umi, 1, "by umi"), note(1, &kai, 2, "by kai")],
    );
    world.node.people.insert(umi.key, umi.clone());
    world.node.people.insert(kai.key, kai.clone());
    let mut world = world.ready();
    world.click(("id", "tab-following"));
    world.sees("by umi");
    world.misses("by kai");
    world.change(Change::NoteAdded(note(3, &kai, 0, "kai again")));
    world.change(Change::NoteAdded(note(4, &umi, 0, "umi again")));
    world.sees("umi again");
    world.misses("kai again");
    world.press(
        ("aria-label", "Timelines"),
        Key::ArrowLeft,
        Modifiers::empty(),
        false,
    );
    world.sees("by kai");
    let following = |command: &Command| {
        matches!(
            command,
            Command::Timeline {
                scope: Scope::FollowedBy(_),
                before: None,
                ..
            }
        )
    };
    assert!(world.node.asked.iter().any(following));
}

#[test]
fn a_name_that_becomes_known_replaces_none() {
    let unnamed = person(1, None);
    let mut world = home(vec![note(1, &unnamed, 5, "hello")]);
    world.sees("No name yet");
    world.node.people.insert(unnamed.key, person(1, Some("Umi")));
    world.change(Change::Person(unnamed.key));
    world.sees("Umi");
    world.misses("No name yet");
}

#[test]
fn a_note_is_deleted_only_after_a_question() {
    let mut world = World::at_home(&["en"], vec![]);
    let me = world.node.me.clone().unwrap();
    world.node.notes = vec![
        note(1, &me, 5, "regret"),
        note(2, &person(1, Some("Umi")), 6, "hers"),
    ];
    let mut world = world.ready();
    world.click(("aria-label", "Delete this post by 葵"));
    world.sees("Delete this post?");
    world.sees(r#"inert="true""#);
    assert!(
        !world
            .node
            .asked
            .iter()
            .any(|command| matches!(command, Command::Delete(_)))
    );
    world.click(("disabled", "false"));
    world.change(Change::NoteRemoved(note(1, &me, 5, "").id));
    world.misses("regret");
    world.misses("Delete this post?");
    world.misses("inert");
}

#[test]
fn who_is_connected_directly_can_be_chosen() {
    let mut world = World::at_home(&["en"], vec![]).ready();
    world.click(("aria-label", "Settings"));
    world.sees("Connect directly");
    let check = |checked: bool| SerializedFormData::new(checked.to_string(), Vec::new());
    world.fire("change", Some(("name", "route-Stranger")), check(true));
    world.fire("change", Some(("name", "route-Friend")), check(false));
    assert_eq!(
        world.node.routes,
        [(Ring::Stranger, Route::Any), (Ring::Friend, Route::RelayOnly)]
    );
    world.node.failing = vec![("SetRoute", RequestError::Full)];
    world.fire("change", Some(("name", "route-Friend")), check(true));
    world.sees("There is no space left");
}

#[test]
fn the_network_is_told_in_words_and_data() {
    let mut world = World::at_home(&["ja"], vec![]);
    let peer = |number, name: Option<&str>, state, path, rtt_ms| Peer {
        session: SessionId(Keys::generate().public_key()),
        person: name.map(|_| person(number, None).key),
        name: name.map(str::to_owned),
        state,
        route: Route::RelayOnly,
        path,
        rtt_ms,
        sent: 0,
        received: 0,
    };
    world.node.network = Network {
        signal: SignalState::Online,
        refused: Some(sazanami_core::signaling::ErrorCode::TooManyConnections),
        servers: Vec::new(),
        peers: vec![
            peer(1, Some("海"), PeerState::Live, Some(PathKind::Direct), Some(23)),
            peer(2, Some("岬"), PeerState::Syncing, Some(PathKind::Relayed), None),
            peer(3, None, PeerState::Connecting, None, None),
        ],
        misses_relay: true,
    };
    let mut world = world.ready();
    world.sees(r#"data-count="2""#);
    world.sees("2人と接続中");
    world.sees(r#"data-state="live" data-path="direct""#);
    world.sees(r#"data-state="syncing" data-path="relayed""#);
    world.sees(r#"data-state="connecting" data-path="unknown""#);
    world.sees("23 ms");
    world.sees("中継");
    world.sees("満員か");
    world.sees(r#"data-testid="no-relay""#);
    // Before it is connected.
    world.sees("中継を通す");
    world.click(("data-count", "2"));
    assert_eq!(
        world.html().matches(r#"data-testid="peer""#).count(),
        3,
        "the list stands there once"
    );
    world.node.network = Network::default();
    world.change(Change::Network);
    world.sees(r#"data-count="0""#);
    world.sees("オフライン");
}

#[test]
fn a_profile_is_followed() {
    let umi = person(1, Some("Umi"));
    let mut world = World::at_home(&["en"], vec![note(1, &umi, 5, "hello")]);
    world.node.people.insert(umi.key, umi.clone());
    let mut world = world.ready();
    let by = format!("by-{}", world.node.notes[0].id.to_hex());
    world.click(("id", &by));
    world.sees(&umi.npub);
    world.sees("3 posts");
    world.click(("class", "button button-primary"));
    assert!(world.node.asked.contains(&Command::Follow {
        person: umi.key,
        follow: true
    }));
    world.change(Change::Person(umi.key));
    world.sees(">Following<");
}

#[test]
fn a_full_disk_is_told_until_there_is_room_again() {
    let mut world = World::at_home(&["ja"], Vec::new()).ready();
    assert!(!world.html().contains("保存領域がいっぱいです。"));
    world.node.storage.full = true;
    world.change(Change::Queries(vec![Query::Storage]));
    world.sees("保存領域がいっぱいです。");
    world.node.storage.full = false;
    world.change(Change::Queries(vec![Query::Storage]));
    assert!(!world.html().contains("保存領域がいっぱいです。"));
}

//! Writes every screen as a page that a browser opens, to look at: `target/tmp/gallery/*.html`.

use std::path::Path;

use sazanami_app::{STYLES, SessionState};
use sazanami_core::Keys;
use sazanami_core::node::api::{Network, Peer, PeerState, ServerInfo, ServerOrigin, SignalState};
use sazanami_core::signaling::SessionId;
use sazanami_core::store::RECOVERED;
use sazanami_core::transport::{PathKind, Route};

use crate::world::{World, note, person};

fn write(name: &str, language: &str, world: &World) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gallery");
    std::fs::create_dir_all(&folder).unwrap();
    let body = world.html();
    for theme in ["light", "dark"] {
        let page = format!(
            "<!doctype html><html lang=\"{language}\" data-theme=\"{theme}\"><meta charset=utf-8>\
             <meta name=viewport content=\"width=device-width, initial-scale=1, viewport-fit=cover\">\
             <style>{STYLES}</style><div id=main>{body}</div>"
        );
        std::fs::write(folder.join(format!("{name}-{language}-{theme}.html")), page).unwrap();
    }
}

fn network() -> Network {
    let peer = |number: u8, name: Option<&str>, state, path, rtt_ms| Peer {
        session: SessionId(
            Keys::parse(&format!("{:064x}", 500 + u64::from(number)))
                .unwrap()
                .public_key(),
        ),
        person: name.map(|_| person(number, None).key),
        name: name.map(str::to_owned),
        state,
        route: Route::Any,
        path,
        rtt_ms,
        sent: 0,
        received: 0,
    };
    let mut peers = vec![
        peer(
            1,
            Some("海月みなと"),
            PeerState::Live,
            Some(PathKind::Direct),
            Some(12),
        ),
        peer(
            2,
            Some("Maximiliane von Habichtsburg-Weißenfels"),
            PeerState::Live,
            Some(PathKind::Relayed),
            Some(148),
        ),
        peer(
            3,
            Some("岬"),
            PeerState::Syncing,
            Some(PathKind::Direct),
            Some(31),
        ),
        peer(4, None, PeerState::Connecting, None, None),
    ];
    peers.extend((5..9).map(|n| {
        peer(
            n,
            Some("always-on"),
            PeerState::Live,
            Some(PathKind::Direct),
            Some(40),
        )
    }));
    Network {
        signal: SignalState::Online,
        refused: None,
        servers: servers(),
        peers,
        misses_relay: true,
    }
}

fn servers() -> Vec<ServerInfo> {
    let server = |url: &str, state, origin| ServerInfo {
        url: url.parse().unwrap(),
        state,
        refused: None,
        origin,
    };
    vec![
        server(
            "https://sazanami.example.org",
            SignalState::Online,
            ServerOrigin::Started,
        ),
        server(
            "https://nami.example.net",
            SignalState::Connecting,
            ServerOrigin::Recommended,
        ),
        server(
            "https://a-community-with-a-rather-long-name.example.com:8443/sazanami",
            SignalState::Offline,
            ServerOrigin::Added,
        ),
    ]
}

fn full(language: &str) -> World {
    filled(language).ready()
}

fn filled(language: &str) -> World {
    let mut world = World::at_home(&[language], vec![]);
    let me = world.node.me.clone().unwrap();
    let (umi, long) = (
        person(1, Some("海月みなと")),
        person(2, Some(&"Maximiliane von Habichtsburg-Weißenfels ".repeat(3))),
    );
    let (nobody, twin) = (person(3, None), person(9, Some("海月みなと")));
    world.node.notes = vec![
        note(
            1,
            &me,
            20,
            "今朝の海はとても静かでした。波の音だけが聞こえる時間が好きです。",
        ),
        note(
            2,
            &umi,
            300,
            "さざなみを使いはじめました。サーバーに預けないのに、友だちの投稿がすぐ届くのが不思議で、なんだか手紙みたいです。\n\n詳しくはこちら：https://example.com/articles/2026/11/peer-to-peer?lang=ja",
        ),
        note(
            3,
            &long,
            4_000,
            "Hello from the desktop app! Everything is still here after a restart — even the draft I had not finished.",
        ),
        note(
            4,
            &nobody,
            90_000,
            &"Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft".repeat(3),
        ),
        note(
            5,
            &twin,
            700_000,
            "同じ名前の人がいるときは、鍵の終わりで見分けられます。",
        ),
        note(6, &umi, 40_000_000, "一年前の投稿。"),
    ];
    for one in [umi, long, nobody, twin] {
        world.node.people.insert(one.key, one);
    }
    world.node.settings.remove("key-card");
    world.node.network = network();
    world
}

#[test]
fn every_screen_can_be_looked_at() {
    for language in ["ja", "en"] {
        write("welcome", language, &World::new(&[language]).ready());

        let mut world = World::new(&[language]);
        world.settle();
        write("starting", language, &world);
        world.session(SessionState::Failed(
            "NotReadableError: the file could not be read".into(),
        ));
        write("failed", language, &world);
        world.session(SessionState::Elsewhere);
        write("elsewhere", language, &world);

        let mut world = World::at_home(&[language], vec![]);
        world.session(SessionState::Ephemeral("SecurityError".into()));
        write("empty-offline", language, &world);

        let mut world = full(language);
        write("timeline", language, &world);
        world.click(("data-state", "connected"));
        write("network", language, &world);

        let mut world = filled(language);
        world.node.storage.full = true;
        let recovered = r#"{"events":12345,"lost":6,"at":1700000000}"#;
        world.node.settings.insert(RECOVERED.into(), recovered.into());
        write("notices", language, &world.ready());

        let mut world = full(language);
        let by = format!("by-{}", world.node.notes[1].id.to_hex());
        world.click(("id", &by));
        write("profile", language, &world);

        let mut world = full(language);
        let (settings, delete, compose) = if language == "ja" {
            ("設定", "葵さんのこの投稿を削除", "新しい投稿")
        } else {
            ("Settings", "Delete this post by 葵", "New post")
        };
        world.click(("aria-label", settings));
        write("settings", language, &world);

        let mut world = full(language);
        world.click(("aria-label", delete));
        write("delete", language, &world);

        let mut world = full(language);
        world.node.mute.push("Timeline");
        world.click(("id", "tab-following"));
        write("loading", language, &world);
        world.type_into(Some(("aria-label", compose)), &"波".repeat(2_003));
        world
            .node
            .failing
            .push(("Timeline", sazanami_core::node::api::RequestError::Stopped));
        world.unmute();
        write("error", language, &world);
    }
}

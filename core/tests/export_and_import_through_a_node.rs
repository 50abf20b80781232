//! What the interface does to take everything to another device: pull a file, push a file, give up in the middle.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use nostr::prelude::{EventBuilder, EventId, FinalizeEvent, Keys, Kind, Tag, Timestamp};
use sazanami_core::identity::{MemoryVault, Vault, nsec};
use sazanami_core::media::{BlobId, Keep, MAX_BLOB, MemoryBlobs, conformance};
use sazanami_core::node::api::{Command, Exporting, FromNode, Importing, Reply, Request, RequestError};
use sazanami_core::node::{Config, Input, MAX_PIECE, Node, Output};
use sazanami_core::store::conformance::fixtures::{NOW, follows, note, person, profile};
use sazanami_core::store::transfer::Format;
use sazanami_core::store::{SqliteStore, Store};
use sazanami_core::transport::Route;

fn node(me: &Keys) -> Node<SqliteStore> {
    let config = Config {
        servers: Vec::new(),
        route: Some(Route::Any),
        verifiers: 0,
        seed: [7; 32],
    };
    let mut vault = MemoryVault::default();
    vault.save(me).unwrap();
    let store = SqliteStore::in_memory().unwrap();
    Node::new(config, store, Box::new(vault), NOW)
        .unwrap()
        .with_blobs(Box::new(MemoryBlobs::in_memory(MAX_BLOB)))
}

fn ask(node: &mut Node<SqliteStore>, command: Command) -> Result<Reply, RequestError> {
    node.handle(
        Input::Request(Request {
            id: 1,
            key: None,
            command,
        }),
        NOW,
    );
    let mut replies = std::iter::from_fn(|| node.poll_output()).filter_map(|output| match output {
        Output::Interface(FromNode::Reply { result, .. }) => Some(result),
        _ => None,
    });
    replies.next().unwrap()
}

fn import(node: &mut Node<SqliteStore>, file: &[u8]) -> Result<Importing, RequestError> {
    ask(node, Command::StartImport)?;
    for piece in file.chunks(10_000) {
        let bytes = piece.to_vec();
        ask(node, Command::NextImport { bytes })?;
    }
    match ask(node, Command::FinishImport)? {
        Reply::Importing(importing) => Ok(importing),
        other => panic!("{other:?}"),
    }
}

fn pull(node: &mut Node<SqliteStore>) -> Exporting {
    match ask(node, Command::NextExport).unwrap() {
        Reply::Exporting(exporting) => exporting,
        other => panic!("{other:?}"),
    }
}

fn export(node: &mut Node<SqliteStore>, format: Format) -> Vec<u8> {
    let Reply::Exporting(all) = ask(node, Command::StartExport(format)).unwrap() else {
        panic!("an export says how much there is")
    };
    let mut file = Vec::new();
    loop {
        let piece = pull(node);
        file.extend(piece.bytes);
        if piece.ended {
            assert_eq!((piece.events, piece.media), (all.events, all.media));
            return file;
        }
    }
}

fn ids(node: &Node<SqliteStore>) -> BTreeSet<EventId> {
    let all = node.store().events_after(None, usize::MAX).unwrap();
    all.iter().map(|event| event.id).collect()
}

fn keep(node: &Node<SqliteStore>, id: &BlobId) -> Option<Keep> {
    node.blobs()
        .info(id)
        .filter(|blob| blob.whole)
        .map(|blob| blob.keep)
}

struct Device {
    node: Node<SqliteStore>,
    own: BlobId,
    others: BlobId,
}

/// A person with notes of their own and of others, a picture that a note of theirs shows, and one that none does.
fn device(me: &Keys) -> Device {
    let mut node = node(me);
    let (own, others) = (conformance::bytes(300_000, 1), conformance::bytes(70_000, 2));
    let [own, others] = [own, others].map(|bytes| match ask(&mut node, Command::KeepBlob { bytes }) {
        Ok(Reply::BlobKept(id)) => id,
        other => panic!("{other:?}"),
    });
    let friend = person(2);
    let imeta = Tag::parse([
        "imeta",
        &format!("url https://example.org/{own}"),
        &format!("x {own}"),
    ])
    .unwrap();
    let shows = EventBuilder::new(Kind::TextNote, "海")
        .tag(imeta)
        .custom_created_at(Timestamp::from_secs(NOW.0 / 1000))
        .finalize(me)
        .unwrap();
    let mut events = vec![shows, profile(me, "Kai", 1), follows(me, &[&friend], 2)];
    events.extend((0..300).map(|n| note(if n % 3 == 0 { me } else { &friend }, &format!("波 {n}"), n)));
    let lines: Vec<String> = events
        .iter()
        .map(|event| serde_json::to_string(event).unwrap())
        .collect();
    let done = import(&mut node, lines.join("\n").as_bytes()).unwrap().done;
    assert_eq!((done.stored, done.refused), (303, 0));
    Device { node, own, others }
}

#[test]
fn everything_moves_to_another_device_once() {
    let me = person(1);
    let mut old = device(&me);
    let file = export(&mut old.node, Format::Archive);
    let secret = nsec(&me);
    for secret in [secret.as_bytes(), &me.secret_key().to_secret_bytes()] {
        assert!(!file.windows(secret.len()).any(|bytes| bytes == secret));
    }

    let mut new = node(&me);
    let importing = import(&mut new, &file).unwrap();
    assert!(importing.ended);
    assert_eq!((importing.done.stored, importing.done.media), (303, 2));
    assert_eq!(ids(&new), ids(&old.node));
    assert_eq!(
        keep(&new, &old.own),
        Some(Keep::Own),
        "what an own note shows stays"
    );
    assert_eq!(keep(&new, &old.others), Some(Keep::Cached));

    let again = import(&mut new, &file).unwrap().done;
    assert_eq!((again.stored, again.known, again.media), (0, 303, 0));
    assert_eq!(
        export(&mut new, Format::Archive),
        file,
        "nothing is lost on the way"
    );
}

#[test]
fn somebody_elses_file_brings_posts_and_no_identity() {
    let (me, other) = (person(1), person(3));
    let mut old = device(&other);
    let file = export(&mut old.node, Format::Archive);
    let mut node = node(&me);
    let before = ask(&mut node, Command::Me);
    import(&mut node, &file).unwrap();
    assert_eq!(ask(&mut node, Command::Me), before);
    for blob in [old.own, old.others] {
        assert_eq!(
            keep(&node, &blob),
            Some(Keep::Cached),
            "it gives way when room is needed"
        );
    }
}

#[test]
fn either_can_be_given_up_and_leaves_nothing_half() {
    let me = person(1);
    let mut old = device(&me);
    let file = export(&mut old.node, Format::Archive);
    ask(&mut old.node, Command::StartExport(Format::Archive)).unwrap();
    pull(&mut old.node);
    assert_eq!(ask(&mut old.node, Command::StopTransfers), Ok(Reply::Done));
    assert_eq!(
        ask(&mut old.node, Command::NextExport),
        Err(RequestError::NoTransfer)
    );

    let mut new = node(&me);
    ask(&mut new, Command::StartImport).unwrap();
    // Into the middle of the last picture.
    for piece in file[..file.len() - 20_000].chunks(MAX_PIECE) {
        let bytes = piece.to_vec();
        ask(&mut new, Command::NextImport { bytes }).unwrap();
    }
    assert!(new.blobs().usage().partial > 0);
    assert_eq!(ask(&mut new, Command::StopTransfers), Ok(Reply::Done));
    assert_eq!(new.blobs().usage().partial, 0);
    assert_eq!(ids(&new), ids(&old.node), "what came in stays");
    let bytes = file[..10].to_vec();
    assert_eq!(
        ask(&mut new, Command::NextImport { bytes }),
        Err(RequestError::NoTransfer)
    );
    assert_eq!(
        ask(&mut new, Command::FinishImport),
        Err(RequestError::NoTransfer)
    );
}

#[test]
fn what_is_no_export_is_said_and_ends() {
    let mut node = node(&person(1));
    let refused = |node: &mut _, file: &[u8]| import(node, file).unwrap_err();
    assert_eq!(refused(&mut node, &[7; 4096]), RequestError::NotAnExport);
    assert_eq!(
        ask(&mut node, Command::FinishImport),
        Err(RequestError::NoTransfer)
    );
    assert_eq!(
        refused(&mut node, "{}\n".repeat(20_000).as_bytes()),
        RequestError::HostileFile
    );
    let mut old = device(&person(1));
    let file = export(&mut old.node, Format::Archive);
    assert_eq!(refused(&mut node, &file[..3_000]), RequestError::IncompleteFile);
    let bytes = vec![0; MAX_PIECE + 1];
    ask(&mut node, Command::StartImport).unwrap();
    assert_eq!(
        ask(&mut node, Command::NextImport { bytes }),
        Err(RequestError::FileTooLarge)
    );
}

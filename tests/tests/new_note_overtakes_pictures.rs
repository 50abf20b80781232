//! A new note does not wait until pictures have gone over the same link: it is there while they still come.

use anyhow::{Result, bail, ensure};
use sazanami_core::node::api::{Command, PeerState, Reply};
use sazanami_tests::{NativePeer, START, Site, until};

/// Some seconds of sending.
const PICTURES: usize = 60;
/// Bytes of one.
const PICTURE: usize = 240_000;

#[tokio::test(flavor = "multi_thread")]
async fn new_note_overtakes_pictures() -> Result<()> {
    let site = Site::start_without_web().await?;
    let direct = ["--route", "any"];
    let folder = |name: &str| site.folder().join(name);
    let mut giver = NativePeer::start_in(&site, "giver", &folder("giver"), &direct).await?;
    let mut taker = NativePeer::start_in(&site, "taker", &folder("taker"), &direct).await?;
    taker
        .wait_for_network("a live link", |network| {
            network.peers.iter().any(|peer| peer.state == PeerState::Live)
        })
        .await?;
    let mut pictures = Vec::new();
    for _ in 0..PICTURES {
        // Small numbers are short in JSON: a line of commands has a limit.
        let bytes = (0..PICTURE).map(|_| rand::random_range(0..10)).collect();
        let Reply::BlobKept(id) = giver.ask(Command::KeepBlob { bytes }).await? else {
            bail!("the picture is not kept");
        };
        pictures.push(id);
    }
    let all = (PICTURES * PICTURE) as u64;
    for id in pictures {
        let size = Some(PICTURE as u64);
        taker.ask(Command::Blob { id, size }).await?;
    }
    until("a tenth of the pictures", START, async || {
        Ok((here(&mut taker).await? >= all / 10).then_some(()))
    })
    .await?;
    giver.post("before the pictures").await?;
    taker.wait_for_note("before the pictures").await?;
    let came = here(&mut taker).await?;
    eprintln!("{came} of {all} bytes of pictures were there with the note");
    ensure!(came < all, "the pictures were there before the note");
    until("all pictures", START, async || {
        Ok((here(&mut taker).await? >= all).then_some(()))
    })
    .await
}

/// Bytes of pictures that have come.
async fn here(peer: &mut NativePeer) -> Result<u64> {
    match peer.ask(Command::Media).await? {
        Reply::Media(usage) => Ok(usage.total()),
        other => bail!("unexpected: {other:?}"),
    }
}

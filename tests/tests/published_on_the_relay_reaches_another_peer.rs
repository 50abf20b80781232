//! A plain Nostr client publishes to one always-on peer, and another peer that never heard of the client has it.

use anyhow::{Result, ensure};
use futures::{SinkExt, StreamExt};
use nostr::prelude::{ClientMessage, EventBuilder, FinalizeEvent, Keys, Kind};
use sazanami_core::node::api::PeerState;
use sazanami_tests::{NativePeer, SOON, Site, free_port, until};
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test(flavor = "multi_thread")]
async fn published_on_the_relay_reaches_another_peer() -> Result<()> {
    let site = Site::start_without_web().await?;
    let port = free_port()?.to_string();
    let data = site.folder().join("relay");
    let mut relay = NativePeer::start_in(&site, "relay", &data, &["--relay", &port]).await?;
    let mut other = NativePeer::start(&site, "other").await?;
    relay
        .wait_for_network("a live link", |network| {
            network.peers.iter().any(|peer| peer.state == PeerState::Live)
        })
        .await?;
    let (mut socket, _) = timeout(SOON, connect_async(format!("ws://127.0.0.1:{port}"))).await??;
    let note = EventBuilder::new(Kind::TextNote, "from a plain client").finalize(&Keys::generate())?;
    socket
        .send(Message::text(ClientMessage::event(note.clone()).as_json()))
        .await?;
    let answer = timeout(SOON, socket.next()).await?.transpose()?;
    ensure!(
        answer.is_some_and(|answer| answer.to_text().is_ok_and(|text| text.contains(",true,"))),
        "it is kept"
    );
    until("the other peer has it", SOON, async || {
        Ok(other.note(note.id).await?.map(drop))
    })
    .await
}

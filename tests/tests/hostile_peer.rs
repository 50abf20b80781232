//! A hostile peer on a real data channel: nothing that it says is stored, its link is closed, and the honest peers
//! stay connected to each other all the while.

use anyhow::{Context, Result, ensure};
use nostr::prelude::{Event, EventId, Keys};
use sazanami_core::node::api::PeerState;
use sazanami_core::signaling::SessionId;
use sazanami_core::social;
use sazanami_core::time::Millis;
use sazanami_core::transport::{LinkId, MAX_FRAME};
use sazanami_tests::{NativePeer, RawPeer, SOON, START, Site};

/// What a hostile peer does on a link whose other side has subscribed under `subscription`.
#[derive(Clone, Copy, Debug)]
enum Attack {
    ForgedSignature,
    WrongId,
    SomebodyElsesName,
    OversizedFrame,
    EndlessMessage,
    TextFrame,
    EmptyFrame,
    BrokenJson,
    DeepJson,
    TruncatedNegentropy,
    NotUtf8,
}

const ATTACKS: [Attack; 11] = [
    Attack::ForgedSignature,
    Attack::WrongId,
    Attack::SomebodyElsesName,
    Attack::OversizedFrame,
    Attack::EndlessMessage,
    Attack::TextFrame,
    Attack::EmptyFrame,
    Attack::BrokenJson,
    Attack::DeepJson,
    Attack::TruncatedNegentropy,
    Attack::NotUtf8,
];

#[tokio::test(flavor = "multi_thread")]
async fn hostile_peer() -> Result<()> {
    let site = Site::start_without_web().await?;
    // The hostile peer's bare channel hears nothing of a relayed link's end.
    let direct = ["--route", "any"];
    let folder = |name: &str| site.folder().join(name);
    let mut one = NativePeer::start_in(&site, "one", &folder("one"), &direct).await?;
    let mut two = NativePeer::start_in(&site, "two", &folder("two"), &direct).await?;
    one.post("before the attacks").await?;
    two.wait_for_note("before the attacks").await?;
    let victim = one.me().await?.context("an identity")?.key;
    let two_session = session_of(&mut one, "two").await?;

    for attack in ATTACKS {
        // A fresh identity each time: the one before is banned.
        let mut hostile = RawPeer::new(&site, "mallory").await?;
        let links = hostile.meet(START).await.with_context(|| format!("{attack:?}"))?;
        hostile.mute();
        for (link, subscription) in links {
            attempt(&mut hostile, link, &subscription, attack, victim).await?;
            hostile
                .wait_for_close(link, SOON)
                .await
                .with_context(|| format!("{attack:?}"))?;
        }
        for peer in [&mut one, &mut two] {
            let texts: Vec<String> = peer.notes().await?.into_iter().map(|note| note.content).collect();
            ensure!(
                texts == ["before the attacks"],
                "{attack:?} left its traces: {texts:?}"
            );
        }
        ensure!(
            session_of(&mut one, "two").await? == two_session,
            "{attack:?} broke the link between the honest peers"
        );
    }
    one.post("after the attacks").await?;
    two.wait_for_note("after the attacks").await?;
    ensure!(
        session_of(&mut one, "two").await? == two_session,
        "still the same link"
    );
    Ok(())
}

/// The session of a live peer of this name.
async fn session_of(peer: &mut NativePeer, name: &str) -> Result<SessionId> {
    let network = peer
        .wait_for_network(&format!("a live link to {name}"), |network| {
            network
                .peers
                .iter()
                .any(|peer| peer.state == PeerState::Live && peer.name.as_deref() == Some(name))
        })
        .await?;
    let found = network
        .peers
        .into_iter()
        .find(|peer| peer.name.as_deref() == Some(name));
    Ok(found.context("it was there a moment ago")?.session)
}

async fn attempt(
    hostile: &mut RawPeer,
    link: LinkId,
    subscription: &str,
    attack: Attack,
    victim: nostr::prelude::PublicKey,
) -> Result<()> {
    let say = |event: &Event| format!(r#"["EVENT","{subscription}",{}]"#, event.as_json());
    match attack {
        Attack::ForgedSignature => {
            // Consistent, but signed for another text.
            let keys = hostile.keys().clone();
            let mut event = note(&keys, "what was signed");
            let other = note(&keys, "forged");
            (event.id, event.content, event.created_at) = (other.id, other.content, other.created_at);
            hostile.send_text(link, &say(&event)).await
        }
        Attack::WrongId => {
            let mut event = note(&hostile.keys().clone(), "under a wrong id");
            event.id = EventId::from_byte_array([7; 32]);
            hostile.send_text(link, &say(&event)).await
        }
        Attack::SomebodyElsesName => {
            let mut event = note(&hostile.keys().clone(), "in somebody else's name");
            event.pubkey = victim;
            hostile.send_text(link, &say(&event)).await
        }
        Attack::OversizedFrame => hostile.send_frame(link, vec![0; MAX_FRAME + 1]).await,
        Attack::EndlessMessage => {
            // More follows, and more, and more; the other side may close at any moment.
            for _ in 0..40 {
                if hostile.send_frame(link, vec![1; MAX_FRAME]).await.is_err() {
                    break;
                }
            }
            Ok(())
        }
        Attack::TextFrame => hostile.send_string(link, r#"["NOTICE","as text"]"#).await,
        Attack::EmptyFrame => hostile.send_frame(link, vec![9]).await,
        Attack::BrokenJson => hostile.send_text(link, r#"["EVENT",{"id":"#).await,
        Attack::DeepJson => hostile.send_text(link, &"[".repeat(100_000)).await,
        Attack::TruncatedNegentropy => {
            hostile
                .send_text(link, r#"["NEG-OPEN","n",{"kinds":[0,1,3,5]},"6100000280"]"#)
                .await
        }
        Attack::NotUtf8 => hostile.send_frame(link, vec![0, 0xff, 0xfe, 0x80]).await,
    }
}

fn note(keys: &Keys, text: &str) -> Event {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    social::note_event(keys, text.to_owned(), Millis(now.as_millis() as u64))
}

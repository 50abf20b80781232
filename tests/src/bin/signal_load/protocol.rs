//! How each server is spoken to.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use futures::{SinkExt, StreamExt};
use nostr::prelude::Keys;
use sazanami_core::signaling::{
    ClientMessage, PROTOCOL_VERSION, ServerMessage, SessionId, Topic, hello_proof,
};
use sazanami_core::time::Millis;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Sazanami,
    PeerJs,
    /// Has no messages to one peer: each goes to all in the room, and each delivery counts.
    YWebrtc,
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sazanami => "Sazanami",
            Self::PeerJs => "PeerJS",
            Self::YWebrtc => "y-webrtc",
        })
    }
}

impl Protocol {
    /// Whether `place` sends next after a message of `sender`: with broadcasts one of the room must be chosen.
    pub(crate) fn is_next(self, sender: usize, place: usize, room: usize) -> bool {
        self != Self::YWebrtc || (sender + 1) % room == place % room
    }
}

/// Connects, as somebody new, and enters a room.
pub(crate) async fn join(protocol: Protocol, server: SocketAddr, room: usize) -> Result<(String, Socket)> {
    let keys = Keys::generate();
    let name = SessionId(keys.public_key()).to_string();
    let path = match protocol {
        Protocol::Sazanami => "/ws".to_owned(),
        Protocol::PeerJs => format!("/peerjs?key=peerjs&id={name}&token=t&version=1"),
        Protocol::YWebrtc => "/".to_owned(),
    };
    // As in the server: 10,000 buffers of 128 KiB would measure this process.
    let config = WebSocketConfig::default()
        .read_buffer_size(4_096)
        .write_buffer_size(0);
    let url = format!("ws://{server}{path}");
    let (mut socket, _) = tokio_tungstenite::connect_async_with_config(url, Some(config), true).await?;
    match protocol {
        Protocol::Sazanami => {
            let ServerMessage::Challenge { challenge, .. } = receive(&mut socket).await? else {
                bail!("no challenge")
            };
            let now = Millis(std::time::UNIX_EPOCH.elapsed()?.as_millis() as u64);
            let proof = Box::new(hello_proof(&keys, &challenge, now));
            let version = PROTOCOL_VERSION;
            say(&mut socket, &ClientMessage::Hello { version, proof }).await?;
            let topic = Topic::derive(format!("room {room}").as_bytes());
            say(&mut socket, &ClientMessage::Join { topic }).await?;
            while !matches!(receive(&mut socket).await?, ServerMessage::Members { .. }) {}
        }
        Protocol::PeerJs => {
            let opened = socket.next().await.context("no OPEN")??;
            anyhow::ensure!(opened.to_text()?.contains("OPEN"), "{opened}");
        }
        Protocol::YWebrtc => {
            let subscribe = json!({"type": "subscribe", "topics": [format!("room {room}")]});
            socket.send(Message::text(subscribe.to_string())).await?;
            socket.send(Message::text(r#"{"type":"ping"}"#)).await?;
            socket.next().await.context("no pong")??;
        }
    }
    Ok((name, socket))
}

async fn say(socket: &mut Socket, message: &ClientMessage) -> Result<()> {
    Ok(socket
        .send(Message::text(serde_json::to_string(message)?))
        .await?)
}

async fn receive(socket: &mut Socket) -> Result<ServerMessage> {
    let message = socket.next().await.context("the server hung up")??;
    Ok(serde_json::from_str(message.to_text()?)?)
}

/// A message to one of a room.
pub(crate) fn message(protocol: Protocol, to: &str, room: usize, content: &str) -> String {
    match protocol {
        Protocol::Sazanami => json!({"type": "relay", "to": to, "sealed": content}),
        Protocol::PeerJs => json!({"type": "OFFER", "dst": to, "payload": content}),
        Protocol::YWebrtc => json!({"type": "publish", "topic": format!("room {room}"), "data": content}),
    }
    .to_string()
}

/// When a message was sent, in µs, and by whom.
pub(crate) fn sent(text: &str) -> Option<(u64, usize)> {
    let (time, sender) = text.split_once('<')?.1.split_once('>')?.0.split_once('.')?;
    Some((time.parse().ok()?, sender.parse().ok()?))
}

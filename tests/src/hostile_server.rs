//! A signal server that does its worst: it stands between real peers and a real server, and meddles with what they say.
//!
//! - `attack`: what it does to messages
//! - `impostor`: its own session keys in the place of others', a machine in the middle
//! - `leaks`: looks for what it must never see, in everything that it has seen
//!
//! Every peer comes through a door of its own, so that it is known whose session is whose.

mod attack;
mod impostor;
mod leaks;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::ws::{Message as Ws, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures::{SinkExt, StreamExt};
use sazanami_core::signaling::introduction::Introduction;
use sazanami_core::signaling::{SessionId, Topic};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

pub use attack::Attack;
pub use leaks::find_leaks;

use crate::Site;
use attack::{Delivery, Meddler, Way};

/// Most bytes of a request's body; nobody sends any.
const MAX_BODY: usize = 64 * 1024;

/// Whose a session is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The peer behind this door.
    Door(String),
    /// This server itself.
    Server,
    /// Nobody that it knows.
    Nobody,
}

/// The server. Dropping it ends all connections.
pub struct HostileServer {
    shared: Arc<Shared>,
    doors: JoinSet<()>,
}

struct Shared {
    state: Mutex<Inner>,
    /// The real server: `http://…` and `ws://…/ws`.
    http: String,
    web_socket: String,
    web: reqwest::Client,
    /// The lobby of those who come through these doors, apart from that of others.
    lobby: Topic,
}

struct Inner {
    meddler: Meddler,
    log: Vec<u8>,
    lines: HashMap<String, Line>,
    next_line: u64,
}

/// A peer's connection, and the one to the real server that belongs to it. Dropping it ends both.
struct Line {
    number: u64,
    up: UnboundedSender<String>,
    down: UnboundedSender<String>,
}

#[derive(Clone)]
struct Door {
    name: Arc<str>,
    shared: Arc<Shared>,
}

impl HostileServer {
    /// A server in front of a site's, honest until told otherwise. Those who come through its doors meet each other alone;
    /// `seed` decides what it does to them.
    pub fn new(site: &Site, seed: u64) -> Self {
        let shared = Shared {
            state: Mutex::new(Inner {
                meddler: Meddler::new(seed),
                log: Vec::new(),
                lines: HashMap::new(),
                next_line: 0,
            }),
            http: site.address().to_owned(),
            web_socket: site.web_socket(),
            web: reqwest::Client::new(),
            lobby: Topic::derive(&[b"lobby".as_slice(), &seed.to_be_bytes()].concat()),
        };
        Self {
            shared: Arc::new(shared),
            doors: JoinSet::new(),
        }
    }

    /// A door for one peer: the address of a signal server, `http://127.0.0.1:PORT`.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn door(&mut self, name: &str) -> Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let door = Door {
            name: name.into(),
            shared: Arc::clone(&self.shared),
        };
        let router = Router::new()
            .route("/ws", any(socket))
            .fallback(pass)
            .with_state(door);
        self.doors.spawn(async move {
            // Ends with the server.
            let _ = axum::serve(listener, router).await;
        });
        Ok(format!("http://{address}"))
    }

    /// What it does from now on.
    pub fn set_attack(&self, attack: Attack) {
        self.shared.state().meddler.set_attack(attack);
    }

    /// How often it has meddled since [`Self::set_attack`].
    pub fn acts(&self) -> usize {
        self.shared.state().meddler.acts()
    }

    /// Ends all connections, as a server does that goes down.
    pub fn hang_up(&self) {
        self.shared.state().lines.clear();
    }

    /// Whose a session is.
    pub fn owner(&self, session: SessionId) -> Owner {
        self.shared.state().meddler.owner(session)
    }

    /// Every byte that came by, requests and messages.
    pub fn log(&self) -> Vec<u8> {
        self.shared.state().log.clone()
    }

    /// What was sealed to its own keys, and so readable to it as to any stranger.
    pub fn opened(&self) -> Vec<Introduction> {
        self.shared.state().meddler.opened().to_vec()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, Inner> {
        // Nothing is left half done by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Door {
    fn enter(&self, up: UnboundedSender<String>, down: UnboundedSender<String>) -> u64 {
        let mut state = self.shared.state();
        state.next_line += 1;
        let number = state.next_line;
        // A peer has one connection: an older one ends.
        state
            .lines
            .insert(self.name.to_string(), Line { number, up, down });
        number
    }

    fn leave(&self, number: u64) {
        let mut state = self.shared.state();
        if state
            .lines
            .get(&*self.name)
            .is_some_and(|line| line.number == number)
        {
            state.lines.remove(&*self.name);
        }
    }

    /// A message came by.
    fn heard(&self, way: Way, text: &str) {
        let (mine, everybodys) = (self.shared.lobby.as_str(), Topic::lobby());
        let mut state = self.shared.state();
        let deliveries = match way {
            Way::Up => {
                state.note(&[text.as_bytes()]);
                let text = text.replace(everybodys.as_str(), mine);
                state.meddler.meddle(&self.name, way, text)
            }
            Way::Down => {
                let text = text.replace(mine, everybodys.as_str());
                state.note(&[text.as_bytes()]);
                state.meddler.meddle(&self.name, way, text)
            }
        };
        for delivery in deliveries {
            if delivery.after.is_zero() {
                state.deliver(delivery);
            } else {
                let shared = Arc::clone(&self.shared);
                tokio::spawn(async move {
                    tokio::time::sleep(delivery.after).await;
                    shared.state().deliver(delivery);
                });
            }
        }
    }
}

impl Inner {
    fn note(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.log.extend_from_slice(part);
            self.log.push(b'\n');
        }
    }

    fn deliver(&self, delivery: Delivery) {
        let Some(line) = self.lines.get(&delivery.door) else {
            return;
        };
        let way = match delivery.way {
            Way::Up => &line.up,
            Way::Down => &line.down,
        };
        // Fails while the line is ending.
        let _ = way.send(delivery.text);
    }
}

async fn socket(State(door): State<Door>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    door.shared.state().note(&[format!("{headers:?}").as_bytes()]);
    upgrade.on_upgrade(|client| async move {
        // Whatever ends it, both connections are dropped, and the peer tries again.
        let _ = talk(&door, client).await;
    })
}

async fn talk(door: &Door, mut client: WebSocket) -> Result<()> {
    let (mut server, _) = tokio_tungstenite::connect_async(&door.shared.web_socket).await?;
    let (up, mut going_up) = unbounded_channel();
    let (down, mut going_down) = unbounded_channel();
    let number = door.enter(up, down);
    let ended: Result<()> = async {
        loop {
            tokio::select! {
                text = going_up.recv() => {
                    let text = text.context("hung up")?;
                    server.send(Message::text(text)).await?;
                }
                text = going_down.recv() => {
                    let text = text.context("hung up")?;
                    client.send(Ws::Text(text.into())).await?;
                }
                message = client.recv() => match message.context("the peer hung up")?? {
                    Ws::Text(text) => door.heard(Way::Up, &text),
                    Ws::Close(_) => return Ok(()),
                    _ => {}
                },
                message = server.next() => match message.context("the server hung up")?? {
                    Message::Text(text) => door.heard(Way::Down, &text),
                    Message::Close(_) => return Ok(()),
                    _ => {}
                },
            }
        }
    }
    .await;
    door.leave(number);
    ended
}

/// Everything else, the web app and `/turn`, is passed on as it is.
async fn pass(State(door): State<Door>, request: Request) -> Response {
    match forward(&door.shared, request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}\n")).into_response(),
    }
}

async fn forward(shared: &Shared, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MAX_BODY).await?;
    let line = format!("{} {} {:?}", parts.method, parts.uri, parts.headers);
    shared.state().note(&[line.as_bytes(), &body]);
    let mut headers = parts.headers;
    headers.remove(header::HOST);
    let answer = shared
        .web
        .request(parts.method, format!("{}{}", shared.http, parts.uri))
        .headers(headers)
        .body(body)
        .timeout(Duration::from_secs(30))
        .send()
        .await?;
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if name != header::TRANSFER_ENCODING && name != header::CONNECTION {
            response = response.header(name, value);
        }
    }
    Ok(response.body(Body::from(answer.bytes().await?))?)
}

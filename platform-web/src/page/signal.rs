//! The WebSockets to the signal servers, and the requests for their ICE servers.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::channel::mpsc;
use futures::future::{AbortHandle, Either, abortable, select};
use gloo_timers::future::sleep;
use sazanami_core::node::{Input, ServerId, SignalCommand, SignalEvent};
use sazanami_core::signaling::{IceServers, MAX_MESSAGE, ServerUrl};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{AbortController, CloseEvent, MessageEvent, RequestInit, Response, WebSocket};

use super::window;
use crate::dom::{Listener, describe};

/// How long opening the WebSocket or answering `/turn` may take.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes that may wait in the WebSocket: signalling is small, so more means that nothing gets through.
const MAX_BUFFERED: u32 = 1024 * 1024;

/// Carries out the node's [`SignalCommand`]s and reports to it.
pub(super) struct SignalShell {
    inputs: mpsc::UnboundedSender<Input>,
    sockets: BTreeMap<ServerId, Socket>,
    fetches: BTreeMap<ServerId, AbortHandle>,
}

impl SignalShell {
    pub(super) fn new(inputs: mpsc::UnboundedSender<Input>) -> Self {
        Self {
            inputs,
            sockets: BTreeMap::new(),
            fetches: BTreeMap::new(),
        }
    }

    pub(super) fn execute(&mut self, server: ServerId, command: SignalCommand) {
        match command {
            SignalCommand::Connect(url) => match Socket::open(server, &url, &self.inputs) {
                Ok(socket) => drop(self.sockets.insert(server, socket)),
                Err(reason) => self.closed(server, reason),
            },
            SignalCommand::Send(text) => {
                if let Some(Err(reason)) = self.sockets.get(&server).map(|socket| socket.send(&text)) {
                    self.closed(server, reason);
                }
            }
            SignalCommand::Close => drop(self.sockets.remove(&server)),
            SignalCommand::FetchIceServers(url) => self.fetch_ice_servers(server, url),
        }
    }

    fn closed(&mut self, server: ServerId, reason: String) {
        self.sockets.remove(&server);
        // The owner of the receiver owns this too.
        let _ = self
            .inputs
            .unbounded_send(Input::Signal(server, SignalEvent::Closed(reason)));
    }

    /// Asks for ICE servers; a request under way is replaced, since its answer would be older.
    fn fetch_ice_servers(&mut self, server: ServerId, url: ServerUrl) {
        let (work, handle) = abortable(fetch_ice_servers(url));
        if let Some(older) = self.fetches.insert(server, handle) {
            older.abort();
        }
        let inputs = self.inputs.clone();
        spawn_local(async move {
            if let Ok(answer) = work.await {
                let _ = inputs.unbounded_send(Input::IceServers(server, answer));
            }
        });
    }
}

impl Drop for SignalShell {
    fn drop(&mut self) {
        self.fetches.values().for_each(AbortHandle::abort);
    }
}

/// An open or opening WebSocket; closed when dropped, and silent from then on.
struct Socket {
    socket: WebSocket,
    _listeners: [Listener; 3],
    timeout: AbortHandle,
}

impl Socket {
    fn open(
        server: ServerId,
        url: &ServerUrl,
        inputs: &mpsc::UnboundedSender<Input>,
    ) -> Result<Self, String> {
        let socket = WebSocket::new(&url.socket()).map_err(|error| describe(&error))?;
        let (timer, timeout) = abortable(sleep(TIMEOUT));
        spawn_local({
            let socket = socket.clone();
            async move {
                if timer.await.is_ok() && socket.ready_state() == WebSocket::CONNECTING {
                    // Reported by its close event.
                    let _ = socket.close();
                }
            }
        });
        let tell = move |to: &mpsc::UnboundedSender<Input>, event| {
            drop(to.unbounded_send(Input::Signal(server, event)));
        };
        let listeners = [
            Listener::new(&socket, "open", {
                let to = inputs.clone();
                move |_| tell(&to, SignalEvent::Opened)
            }),
            Listener::new(&socket, "message", {
                let (to, socket) = (inputs.clone(), socket.clone());
                move |event| match event.unchecked_ref::<MessageEvent>().data().as_string() {
                    Some(text) if text.len() <= MAX_MESSAGE => tell(&to, SignalEvent::Message(text)),
                    // Reported by its close event.
                    _ => drop(socket.close()),
                }
            }),
            Listener::new(&socket, "close", {
                let to = inputs.clone();
                move |event| tell(&to, SignalEvent::Closed(close_reason(event.unchecked_ref())))
            }),
        ];
        Ok(Self {
            socket,
            _listeners: listeners,
            timeout,
        })
    }

    fn send(&self, text: &str) -> Result<(), String> {
        if self.socket.buffered_amount() > MAX_BUFFERED {
            return Err("the signal server takes nothing any more".to_owned());
        }
        self.socket.send_with_str(text).map_err(|error| describe(&error))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.timeout.abort();
        // Fails only for bad codes.
        let _ = self.socket.close();
    }
}

fn close_reason(event: &CloseEvent) -> String {
    let reason = event.reason();
    if reason.is_empty() {
        format!("closed with code {}", event.code())
    } else {
        reason
    }
}

async fn fetch_ice_servers(url: ServerUrl) -> Result<IceServers, String> {
    let controller = AbortController::new().map_err(|error| describe(&error))?;
    let guard = AbortOnDrop(controller.clone());
    let init = RequestInit::new();
    init.set_signal(Some(&controller.signal()));
    let answer = Box::pin(async {
        let response: Response = JsFuture::from(window().fetch_with_str_and_init(&url.turn(), &init))
            .await?
            .unchecked_into();
        let text = JsFuture::from(response.text()?)
            .await?
            .as_string()
            .unwrap_or_default();
        Ok::<_, JsValue>((response.status(), text))
    });
    let (status, text) = match select(answer, Box::pin(sleep(TIMEOUT))).await {
        Either::Left((answer, _)) => answer.map_err(|error| describe(&error))?,
        Either::Right(_) => return Err("/turn did not answer in time".to_owned()),
    };
    drop(guard);
    if status != 200 {
        return Err(format!(
            "/turn answered {status}: {}",
            text.chars().take(200).collect::<String>()
        ));
    }
    serde_json::from_str(&text).map_err(|error| format!("/turn answered something else: {error}"))
}

/// Ends a request that nobody waits for any more.
struct AbortOnDrop(AbortController);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

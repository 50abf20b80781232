//! The WebSocket to the signal server and the request for ICE servers, both on the page's own origin.

use std::time::Duration;

use futures::channel::mpsc;
use futures::future::{AbortHandle, Either, abortable, select};
use gloo_timers::future::sleep;
use sazanami_core::node::{Input, SignalCommand, SignalEvent};
use sazanami_core::signaling::{IceServers, MAX_MESSAGE};
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
    socket: Option<Socket>,
    fetch: Option<AbortHandle>,
}

impl SignalShell {
    pub(super) fn new(inputs: mpsc::UnboundedSender<Input>) -> Self {
        Self {
            inputs,
            socket: None,
            fetch: None,
        }
    }

    pub(super) fn execute(&mut self, command: SignalCommand) {
        match command {
            SignalCommand::Connect => match Socket::open(&self.inputs) {
                Ok(socket) => self.socket = Some(socket),
                Err(reason) => self.closed(reason),
            },
            SignalCommand::Send(text) => {
                if let Some(Err(reason)) = self.socket.as_ref().map(|socket| socket.send(&text)) {
                    self.closed(reason);
                }
            }
            SignalCommand::Close => self.socket = None,
            SignalCommand::FetchIceServers => self.fetch_ice_servers(),
        }
    }

    fn closed(&mut self, reason: String) {
        self.socket = None;
        self.tell(Input::Signal(SignalEvent::Closed(reason)));
    }

    fn tell(&self, input: Input) {
        // The owner of the receiver owns this too.
        let _ = self.inputs.unbounded_send(input);
    }

    /// Asks for ICE servers; a request under way is replaced, since its answer would be older.
    fn fetch_ice_servers(&mut self) {
        self.stop_fetch();
        let (work, handle) = abortable(fetch_ice_servers());
        self.fetch = Some(handle);
        let inputs = self.inputs.clone();
        spawn_local(async move {
            if let Ok(answer) = work.await {
                let _ = inputs.unbounded_send(Input::IceServers(answer));
            }
        });
    }

    fn stop_fetch(&mut self) {
        if let Some(fetch) = self.fetch.take() {
            fetch.abort();
        }
    }
}

impl Drop for SignalShell {
    fn drop(&mut self) {
        self.stop_fetch();
    }
}

/// An open or opening WebSocket; closed when dropped, and silent from then on.
struct Socket {
    socket: WebSocket,
    _listeners: [Listener; 3],
    timeout: AbortHandle,
}

impl Socket {
    fn open(inputs: &mpsc::UnboundedSender<Input>) -> Result<Self, String> {
        let socket = WebSocket::new(&url()?).map_err(|error| describe(&error))?;
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
        let tell = |to: &mpsc::UnboundedSender<Input>, event| drop(to.unbounded_send(Input::Signal(event)));
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

fn url() -> Result<String, String> {
    let location = window().location();
    let (protocol, host) = location
        .protocol()
        .and_then(|p| Ok((p, location.host()?)))
        .map_err(|e| describe(&e))?;
    let scheme = if protocol == "https:" { "wss" } else { "ws" };
    Ok(format!("{scheme}://{host}/ws"))
}

async fn fetch_ice_servers() -> Result<IceServers, String> {
    let controller = AbortController::new().map_err(|error| describe(&error))?;
    let guard = AbortOnDrop(controller.clone());
    let init = RequestInit::new();
    init.set_signal(Some(&controller.signal()));
    let answer = Box::pin(async {
        let response: Response = JsFuture::from(window().fetch_with_str_and_init("/turn", &init))
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

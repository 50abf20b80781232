//! What page and workers say to each other: typed messages, encoded into an `ArrayBuffer` that is transferred, not
//! copied.
//!
//! The first byte names the encoding. Messages are postcard, but for the few that hold ICE servers: those skip absent
//! fields when serialised, which only a self-describing format can read back, so they are JSON.

use js_sys::{Array, ArrayBuffer, Uint8Array};
use sazanami_core::node::{Input, Output};
use sazanami_core::transport::{Route, TransportCommand};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast, JsValue};

/// From the page to the worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ToWorker {
    /// Open the store and start the node; the first message.
    Start {
        /// Which candidates links may use, whoever is at the other end; `None`: as chosen for each ring.
        route: Option<Route>,
    },
    /// The page runs: said when other tabs ask.
    Alive,
    /// For the node.
    Input(Input),
}

/// From the worker to the page.
// It is written to bytes at once.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum FromWorker {
    /// The worker listens: what was sent before this is lost.
    Listening,
    /// How the store was opened, or that the worker failed later.
    State(State),
    /// From the node.
    Output(Output),
    /// So many frames of links have been handled since the last report.
    Handled(u32),
    /// Another tab has taken the lock by force: the databases are closed and their files free.
    LetGo,
}

/// How the worker's node stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It answers, and what it keeps is durable.
    Ready,
    /// It answers, but keeps everything in memory, and why.
    Ephemeral(String),
    /// Somebody else holds the database's files.
    Busy(String),
    /// It could not start, or broke, and why.
    Failed(String),
    /// It puts a damaged database together again before it starts, which may take minutes.
    Recovering,
    /// It has put its damaged database aside and ended: the next worker finds it there.
    Damaged,
}

/// From the node's worker to a verifying one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToVerifier {
    /// Names the job in the answer.
    pub job: u64,
    /// It goes before those that are not.
    pub urgent: bool,
    /// As [`sazanami_core::verify::encode`] writes them.
    pub events: Vec<u8>,
}

/// From a verifying worker to the node's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum FromVerifier {
    /// The worker listens: what was sent before this is lost.
    Listening,
    /// Which events of a job hold, in their order.
    Verified {
        /// The job.
        job: u64,
        /// One answer for each event.
        holds: Vec<bool>,
    },
    /// It broke, and why.
    Failed(String),
}

/// A message that could not be read: page and worker are of different builds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("page and worker do not understand each other: {0}")]
pub struct BadMessage(String);

const POSTCARD: u8 = 0;
const JSON: u8 = 1;

/// A message of this bridge.
pub trait Message: Serialize + DeserializeOwned {
    /// Whether it holds something that postcard cannot carry.
    fn needs_json(&self) -> bool {
        false
    }
}

impl Message for ToVerifier {}

impl Message for FromVerifier {}

impl Message for ToWorker {
    fn needs_json(&self) -> bool {
        matches!(self, Self::Input(Input::IceServers(_, Ok(_))))
    }
}

impl Message for FromWorker {
    fn needs_json(&self) -> bool {
        matches!(
            self,
            Self::Output(Output::Transport(
                TransportCommand::Connect { .. } | TransportCommand::Restart { .. }
            ))
        )
    }
}

/// The bytes of a message.
pub fn encode<M: Message>(message: &M) -> Vec<u8> {
    const SERIALISES: &str = "the messages are plain data, which always serialises";
    if message.needs_json() {
        let mut bytes = vec![JSON];
        serde_json::to_writer(&mut bytes, message).expect(SERIALISES);
        bytes
    } else {
        postcard::to_extend(message, vec![POSTCARD]).expect(SERIALISES)
    }
}

/// Reads the bytes of a message.
///
/// # Errors
/// When they are not one.
pub fn decode<M: Message>(bytes: &[u8]) -> Result<M, BadMessage> {
    match bytes.split_first() {
        Some((&POSTCARD, body)) => postcard::from_bytes(body).map_err(|error| BadMessage(error.to_string())),
        Some((&JSON, body)) => serde_json::from_slice(body).map_err(|error| BadMessage(error.to_string())),
        _ => Err(BadMessage("unknown encoding".to_owned())),
    }
}

/// What to pass to `postMessage`: the buffer, and the list that transfers it.
pub fn to_js<M: Message>(message: &M) -> (ArrayBuffer, Array) {
    let buffer = Uint8Array::from(encode(message).as_slice()).buffer();
    let transfer = Array::of1(&buffer);
    (buffer, transfer)
}

/// Reads the data of a message event.
///
/// # Errors
/// When it is not a message of this bridge.
pub fn from_js<M: Message>(data: &JsValue) -> Result<M, BadMessage> {
    let buffer = data
        .dyn_ref::<ArrayBuffer>()
        .ok_or_else(|| BadMessage("not a buffer".to_owned()))?;
    decode(&Uint8Array::new(buffer).to_vec())
}

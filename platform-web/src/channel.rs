//! Typed messages between the tabs of one profile, on `BroadcastChannel`s (HTML, "Broadcasting to other browsing
//! contexts"). They reach other pages and their workers, even those of a page that hangs. Nobody hears what is said while
//! a channel is closed, and a sender hears nothing of its own.

use sazanami_core::tabs::{TabId, ToAll, ToNode, ToTab};
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsCast;
use web_sys::{BroadcastChannel, MessageEvent};

use crate::bridge::{self, Message};
use crate::dom::{Listener, describe};

/// The channel of all.
const ALL: &str = "sazanami-tabs";

/// What is said to all. As JSON, so that another build reads at least what it knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Public {
    /// Of which build the sender is: the address of its script, which bears a hash of its content.
    pub build: String,
    /// The message.
    pub said: ToAll,
}

/// What is said on the line between a tab and the node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
// Moved once and dropped.
#[allow(clippy::large_enum_variant)]
pub enum OnLine {
    /// By the tab.
    ToNode(ToNode),
    /// By the node.
    ToTab(ToTab),
}

impl Message for Public {
    fn needs_json(&self) -> bool {
        true
    }
}

impl Message for OnLine {}

/// An open channel; closed when dropped.
pub struct Channel {
    channel: BroadcastChannel,
    _listener: Listener,
}

impl Channel {
    /// Joins the channel of all. `None` where the browser has no such channels.
    pub fn all(heard: impl FnMut(Public) + 'static) -> Option<Self> {
        Self::join(ALL, heard)
    }

    /// Joins a tab's line.
    pub fn line(tab: TabId, heard: impl FnMut(OnLine) + 'static) -> Option<Self> {
        Self::join(&format!("sazanami-tab-{:016x}", tab.0), heard)
    }

    fn join<M: Message>(name: &str, mut heard: impl FnMut(M) + 'static) -> Option<Self> {
        let channel = BroadcastChannel::new(name).ok()?;
        let listener = Listener::new(&channel, "message", move |event| {
            // What is not understood comes from another build, with which nothing is shared.
            if let Ok(message) = bridge::from_js(&event.unchecked_ref::<MessageEvent>().data()) {
                heard(message);
            }
        });
        Some(Self {
            channel,
            _listener: listener,
        })
    }

    /// Says something to all others on the channel.
    pub fn post<M: Message>(&self, message: &M) {
        // It cannot be transferred, since there may be several who hear it.
        let (buffer, _) = bridge::to_js(message);
        if let Err(error) = self.channel.post_message(&buffer) {
            tracing::error!(error = describe(&error), "other tabs cannot be reached");
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.channel.close();
    }
}

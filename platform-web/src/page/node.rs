//! The worker, seen from the page.

use futures::channel::mpsc;
use wasm_bindgen::JsCast;
use web_sys::HtmlScriptElement;

use super::document;
use crate::bridge::{FromWorker, State, ToWorker};
use crate::child::Child;

/// A running worker; terminated when dropped.
pub(super) struct NodeWorker(Child);

impl NodeWorker {
    /// Starts the worker with the page's own script, which branches there.
    pub(super) fn start(inbox: mpsc::UnboundedSender<FromWorker>) -> Result<Self, String> {
        let script = script().ok_or("the page has no module script to start a worker with")?;
        let tell = move |message: Result<FromWorker, String>| {
            let failed = |reason| FromWorker::State(State::Failed(format!("the worker: {reason}")));
            // The owner of the inbox owns this too: sending fails only while both end.
            let _ = inbox.unbounded_send(message.unwrap_or_else(failed));
        };
        Child::start(&script, "sazanami-node", tell).map(Self)
    }

    pub(super) fn post(&self, message: &ToWorker) -> Result<(), String> {
        self.0.post(message)
    }
}

/// The address of the page's script, which names the build.
pub(super) fn script() -> Option<String> {
    let element = document().query_selector("script[type=module][src]").ok()??;
    Some(element.dyn_into::<HtmlScriptElement>().ok()?.src())
}

//! The worker, seen from the page.

use futures::channel::mpsc;
use wasm_bindgen::JsCast;
use web_sys::{ErrorEvent, HtmlScriptElement, MessageEvent, Worker, WorkerOptions, WorkerType};

use super::document;
use crate::bridge::{self, FromWorker, State, ToWorker};
use crate::dom::{Listener, describe};

/// A running worker; terminated when dropped.
pub(super) struct NodeWorker {
    worker: Worker,
    _listeners: [Listener; 3],
}

impl NodeWorker {
    /// Starts the worker with the page's own script, which branches there.
    pub(super) fn start(inbox: mpsc::UnboundedSender<FromWorker>) -> Result<Self, String> {
        let script = script().ok_or("the page has no module script to start a worker with")?;
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        options.set_name("sazanami-node");
        let worker = Worker::new_with_options(&script, &options).map_err(|error| describe(&error))?;
        // The owner of the inbox owns this too: sending fails only while both end.
        let tell = move |to: &mpsc::UnboundedSender<FromWorker>, message| drop(to.unbounded_send(message));
        let listeners = [
            Listener::new(&worker, "message", {
                let to = inbox.clone();
                move |event| {
                    let message = bridge::from_js(&event.unchecked_ref::<MessageEvent>().data());
                    tell(&to, message.unwrap_or_else(|error| failed(error.to_string())));
                }
            }),
            Listener::new(&worker, "error", {
                let to = inbox.clone();
                move |event| {
                    // A script that could not be loaded gives a plain event without words.
                    let words = event
                        .dyn_ref::<ErrorEvent>()
                        .map(ErrorEvent::message)
                        .filter(|text| !text.is_empty());
                    tell(
                        &to,
                        failed(words.unwrap_or_else(|| "its script could not be loaded".to_owned())),
                    );
                }
            }),
            Listener::new(&worker, "messageerror", {
                move |_| tell(&inbox, failed("a message was lost on the way".to_owned()))
            }),
        ];
        Ok(Self {
            worker,
            _listeners: listeners,
        })
    }

    pub(super) fn post(&self, message: &ToWorker) -> Result<(), String> {
        let (buffer, transfer) = bridge::to_js(message);
        self.worker
            .post_message_with_transfer(&buffer, &transfer)
            .map_err(|error| describe(&error))
    }
}

impl Drop for NodeWorker {
    fn drop(&mut self) {
        self.worker.terminate();
    }
}

fn failed(reason: String) -> FromWorker {
    FromWorker::State(State::Failed(format!("the worker: {reason}")))
}

fn script() -> Option<String> {
    let element = document().query_selector("script[type=module][src]").ok()??;
    Some(element.dyn_into::<HtmlScriptElement>().ok()?.src())
}

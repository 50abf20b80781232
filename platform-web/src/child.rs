//! A dedicated worker as the scope that started it sees it.

use wasm_bindgen::JsCast;
use web_sys::{ErrorEvent, MessageEvent, Worker, WorkerOptions, WorkerType};

use crate::bridge::{self, Message};
use crate::dom::{Listener, describe};

/// A running worker; terminated when dropped.
pub(crate) struct Child {
    worker: Worker,
    _listeners: [Listener; 3],
}

impl Child {
    /// Starts a worker with a module script, whose `main` branches by the name. What it says, or why nothing more is
    /// to be expected of it, is told.
    pub(crate) fn start<M: Message>(
        script: &str,
        name: &str,
        tell: impl Fn(Result<M, String>) + Clone + 'static,
    ) -> Result<Self, String> {
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        options.set_name(name);
        let worker = Worker::new_with_options(script, &options).map_err(|error| describe(&error))?;
        let listeners = [
            Listener::new(&worker, "message", {
                let tell = tell.clone();
                move |event| {
                    let message = bridge::from_js(&event.unchecked_ref::<MessageEvent>().data());
                    tell(message.map_err(|error| error.to_string()));
                }
            }),
            Listener::new(&worker, "error", {
                let tell = tell.clone();
                move |event| {
                    // A script that could not be loaded gives a plain event without words.
                    let words = event
                        .dyn_ref::<ErrorEvent>()
                        .map(ErrorEvent::message)
                        .filter(|text| !text.is_empty());
                    tell(Err(
                        words.unwrap_or_else(|| "its script could not be loaded".to_owned())
                    ));
                }
            }),
            Listener::new(&worker, "messageerror", {
                move |_| tell(Err("a message was lost on the way".to_owned()))
            }),
        ];
        Ok(Self {
            worker,
            _listeners: listeners,
        })
    }

    pub(crate) fn post<M: Message>(&self, message: &M) -> Result<(), String> {
        let (buffer, transfer) = bridge::to_js(message);
        self.worker
            .post_message_with_transfer(&buffer, &transfer)
            .map_err(|error| describe(&error))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.worker.terminate();
    }
}

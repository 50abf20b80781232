//! Whether the device has a network, and when it is at another place in it, as far as the browser tells.
//!
//! Browsers tell of it late, by halves, or not at all: pings find out in any case. Being told only makes it faster.

use futures::channel::mpsc;
use sazanami_core::node::Input;
use wasm_bindgen::JsCast;

use super::budget::connection;
use super::window;
use crate::dom::Listener;

/// Tells the node, until the listeners are dropped.
pub(super) fn watch(inputs: &mpsc::UnboundedSender<Input>) -> Vec<Listener> {
    // The owner of the receiver owns the listeners too.
    let tell = |input: Input| {
        let inputs = inputs.clone();
        move |_| drop(inputs.unbounded_send(input.clone()))
    };
    let mut listeners = vec![
        Listener::new(&window(), "online", tell(Input::Online)),
        Listener::new(&window(), "offline", tell(Input::Offline)),
    ];
    if let Some(connection) = connection() {
        // Also fires when only an estimate of the speed has changed, which is no change of place.
        let mut kind = kind_of(&connection);
        let inputs = inputs.clone();
        listeners.push(Listener::new(connection.unchecked_ref(), "change", move |_| {
            let now = super::budget::connection().and_then(|connection| kind_of(&connection));
            if now != kind {
                kind = now;
                let _ = inputs.unbounded_send(Input::NetworkChanged);
            }
        }));
    }
    if !window().navigator().on_line() {
        let _ = inputs.unbounded_send(Input::Offline);
    }
    listeners
}

fn kind_of(connection: &wasm_bindgen::JsValue) -> Option<String> {
    super::budget::get(connection, "type")?.as_string()
}

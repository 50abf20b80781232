//! Event listeners that end with their owner, and other small helpers over web-sys.

use wasm_bindgen::prelude::*;
use web_sys::{Event, EventTarget};

/// A listener that is removed when dropped, so that nothing of a finished thing can be called any more.
#[must_use]
pub struct Listener {
    target: EventTarget,
    kind: &'static str,
    closure: Closure<dyn FnMut(Event)>,
}

impl Listener {
    /// Listens for events of a kind.
    pub fn new(target: &EventTarget, kind: &'static str, handler: impl FnMut(Event) + 'static) -> Self {
        let closure = Closure::<dyn FnMut(Event)>::new(handler);
        // Fails only when the target is no event target, which its type excludes.
        let _ = target.add_event_listener_with_callback(kind, closure.as_ref().unchecked_ref());
        Self {
            target: target.clone(),
            kind,
            closure,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self
            .target
            .remove_event_listener_with_callback(self.kind, self.closure.as_ref().unchecked_ref());
    }
}

/// A thrown or rejected value in words.
pub fn describe(value: &JsValue) -> String {
    let property = |name: &str| {
        js_sys::Reflect::get(value, &name.into())
            .ok()
            .and_then(|v| v.as_string())
    };
    if let Some(text) = value.as_string() {
        return text;
    }
    match (property("name"), property("message")) {
        (Some(name), Some(message)) if !message.is_empty() => format!("{name}: {message}"),
        (Some(name), _) => name,
        (None, Some(message)) => message,
        (None, None) => format!("{value:?}"),
    }
}

/// Whether an object has a property that is neither missing, null nor undefined.
pub fn has(object: &JsValue, name: &str) -> bool {
    js_sys::Reflect::get(object, &name.into()).is_ok_and(|value| !value.is_undefined() && !value.is_null())
}

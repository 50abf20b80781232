//! What this device can afford in links: watched here, decided by [`sazanami_core::mesh::Affordable`].

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures::channel::mpsc;
use futures::future::{AbortHandle, abortable};
use gloo_timers::future::sleep;
use js_sys::Reflect;
use sazanami_core::mesh::{self, Device};
use sazanami_core::node::Input;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::EventTarget;

use super::{document, window};
use crate::clock::now;
use crate::dom::Listener;

/// The main pointer is a finger.
const COARSE: &str = "(pointer: coarse)";

/// Tells the node what the device can afford, for as long as it lives.
pub(super) struct Affordable {
    watch: Rc<Watch>,
    _listeners: Vec<Listener>,
}

struct Watch {
    inputs: mpsc::UnboundedSender<Input>,
    device: RefCell<mesh::Affordable>,
    /// The look at the moment at which a hidden page counts as in the background.
    later: RefCell<Option<AbortHandle>>,
}

impl Affordable {
    /// Watches the page and the network that it is on.
    pub(super) fn watch(inputs: mpsc::UnboundedSender<Input>) -> Self {
        let watch = Rc::new(Watch {
            inputs,
            device: RefCell::default(),
            later: RefCell::default(),
        });
        let mut listeners = Vec::new();
        let mut listen = |target: &EventTarget, kind| {
            let watch = watch.clone();
            listeners.push(Listener::new(target, kind, move |_| watch.look()));
        };
        listen(&document(), "visibilitychange");
        // A tablet gets a mouse, a window moves to another screen.
        listen(&window(), "resize");
        if let Some(connection) = connection() {
            listen(connection.unchecked_ref(), "change");
        }
        watch.look();
        Self {
            watch,
            _listeners: listeners,
        }
    }

    /// Tells a node that has just started.
    pub(super) fn tell(&self) {
        let budget = self.watch.device.borrow().budget(now());
        // The owner of the receiver owns this too.
        let _ = self.watch.inputs.unbounded_send(Input::Budget(budget));
    }
}

impl Drop for Affordable {
    fn drop(&mut self) {
        self.watch.cancel();
    }
}

impl Watch {
    fn look(self: &Rc<Self>) {
        self.cancel();
        let changed = self.device.borrow_mut().see(device(), now());
        if let Some(budget) = changed {
            let _ = self.inputs.unbounded_send(Input::Budget(budget));
        }
        let Some(due) = self.device.borrow().look_again(now()) else {
            return;
        };
        // Hidden pages wait up to a minute longer; a timer that is early would find nothing to tell.
        let wait = due.since(now()) + Duration::from_millis(1);
        let watch = self.clone();
        let (look, handle) = abortable(async move {
            sleep(wait).await;
            watch.look();
        });
        *self.later.borrow_mut() = Some(handle);
        spawn_local(async move {
            // Aborted, it does not look.
            let _ = look.await;
        });
    }

    fn cancel(&self) {
        if let Some(later) = self.later.borrow_mut().take() {
            later.abort();
        }
    }
}

/// What the browser tells now. What it does not know about is missing: then it is no phone's.
fn device() -> Device {
    let navigator: JsValue = window().navigator().into();
    let screen = get(&window(), "screen");
    let sides =
        ["width", "height"].map(|side| screen.as_ref().and_then(|screen| get(screen, side)?.as_f64()));
    let connection = connection();
    let told = |name| connection.as_ref().and_then(|connection| get(connection, name));
    Device {
        hidden: document().hidden(),
        mobile: get(&navigator, "userAgentData").and_then(|agent| get(&agent, "mobile")?.as_bool()),
        coarse_pointer: window()
            .match_media(COARSE)
            .is_ok_and(|query| query.is_some_and(|query| query.matches())),
        short_side: sides.into_iter().flatten().fold(f64::MAX, f64::min) as u32,
        metered: told("saveData").is_some_and(|saves| saves.is_truthy())
            || told("type").and_then(|kind| kind.as_string()).as_deref() == Some("cellular"),
    }
}

/// The Network Information API, where there is one.
fn connection() -> Option<JsValue> {
    get(&window().navigator(), "connection")
}

/// A property that is neither missing, null nor undefined.
fn get(object: &JsValue, name: &str) -> Option<JsValue> {
    let value = Reflect::get(object, &name.into()).ok()?;
    (!value.is_undefined() && !value.is_null()).then_some(value)
}

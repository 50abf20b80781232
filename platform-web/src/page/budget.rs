//! What this device can afford in links: watched here, decided by [`sazanami_core::mesh::Affordable`].

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures::channel::mpsc;
use futures::future::{AbortHandle, abortable};
use gloo_timers::future::sleep;
use js_sys::Reflect;
use sazanami_core::mesh::{self, Device};
use sazanami_core::node::Input;
use sazanami_core::time::Millis;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::EventTarget;

use super::{document, window};
use crate::clock::now;
use crate::dom::Listener;

/// The main pointer is a finger.
const COARSE: &str = "(pointer: coarse)";

/// For so long another tab counts as seen after it has said so; it does so several times a second.
const SEEN_FOR: Duration = Duration::from_secs(10);

/// Tells the node what the device can afford, for as long as it lives.
pub(super) struct Affordable {
    watch: Rc<Watch>,
    _listeners: Vec<Listener>,
}

struct Watch {
    inputs: mpsc::UnboundedSender<Input>,
    device: RefCell<mesh::Affordable>,
    /// When another tab of the profile was last known to be seen by the person.
    elsewhere: Cell<Option<Millis>>,
    /// The look at the moment at which a hidden page counts as in the background.
    later: RefCell<Option<AbortHandle>>,
}

impl Affordable {
    /// Watches the page and the network that it is on.
    pub(super) fn watch(inputs: mpsc::UnboundedSender<Input>) -> Self {
        let watch = Rc::new(Watch {
            inputs,
            device: RefCell::default(),
            elsewhere: Cell::new(None),
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

    /// The person sees another tab of this profile: this page serves it, so it is not in the background.
    pub(super) fn seen_elsewhere(&self) {
        if self.watch.elsewhere.replace(Some(now())).is_none() {
            self.watch.look();
        }
    }

    /// Time has passed: the other tab may not be seen any more.
    pub(super) fn tick(&self) {
        if self.watch.elsewhere.get().is_some() && !self.watch.is_seen_elsewhere() {
            self.watch.elsewhere.set(None);
            self.watch.look();
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
        let device = device(document().hidden() && !self.is_seen_elsewhere());
        let changed = self.device.borrow_mut().see(device, now());
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

    fn is_seen_elsewhere(&self) -> bool {
        self.elsewhere
            .get()
            .is_some_and(|seen| now().since(seen) < SEEN_FOR)
    }

    fn cancel(&self) {
        if let Some(later) = self.later.borrow_mut().take() {
            later.abort();
        }
    }
}

/// What the browser tells now. What it does not know about is missing: then it is no phone's.
fn device(hidden: bool) -> Device {
    let navigator: JsValue = window().navigator().into();
    let screen = get(&window(), "screen");
    let sides =
        ["width", "height"].map(|side| screen.as_ref().and_then(|screen| get(screen, side)?.as_f64()));
    let connection = connection();
    let told = |name| connection.as_ref().and_then(|connection| get(connection, name));
    Device {
        hidden,
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
pub(super) fn connection() -> Option<JsValue> {
    get(&window().navigator(), "connection")
}

/// A property that is neither missing, null nor undefined.
pub(super) fn get(object: &JsValue, name: &str) -> Option<JsValue> {
    let value = Reflect::get(object, &name.into()).ok()?;
    (!value.is_undefined() && !value.is_null()).then_some(value)
}

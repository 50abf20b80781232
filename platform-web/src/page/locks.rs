//! Which tab owns the store: a Web Lock (W3C Web Locks API). The browser lets go of it when its tab closes or crashes, and
//! gives it to the one who has waited longest.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures::channel::oneshot;
use gloo_timers::future::sleep;
use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::AbortController;

use super::window;
use crate::dom::has;

/// After a theft no other tab steals for so long: until then they have heard of the new owner.
const REST: Duration = Duration::from_secs(2);

#[wasm_bindgen]
extern "C" {
    // web-sys has this API only behind an unstable cfg.
    type LockManager;
    #[wasm_bindgen(method, catch)]
    fn request(
        this: &LockManager,
        name: &str,
        options: &LockOptions,
        callback: &Function,
    ) -> Result<Promise, JsValue>;

    #[wasm_bindgen(extends = js_sys::Object)]
    type LockOptions;
    #[wasm_bindgen(method, setter)]
    fn set_steal(this: &LockOptions, steal: bool);
    #[wasm_bindgen(method, setter, js_name = ifAvailable)]
    fn set_if_available(this: &LockOptions, if_available: bool);
    #[wasm_bindgen(method, setter)]
    fn set_signal(this: &LockOptions, signal: &web_sys::AbortSignal);
}

/// A held lock; dropping it lets go.
pub struct Guard {
    release: Function,
    /// Resolves when the lock is stolen.
    lost: oneshot::Receiver<()>,
}

impl Guard {
    /// Waits until another tab has stolen the lock.
    pub async fn lost(&mut self) {
        if (&mut self.lost).await.is_err() {
            // Let go, not stolen: whoever does that has dropped this guard.
            futures::future::pending::<()>().await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Resolving a promise does not throw.
        let _ = self.release.call0(&JsValue::UNDEFINED);
    }
}

/// A place in the queue for a lock; dropping it gives it up.
pub struct Waiting {
    granted: oneshot::Receiver<Guard>,
    controller: AbortController,
}

impl Waiting {
    /// Waits until the lock is granted. `None` when the browser has ended the wait.
    pub async fn granted(&mut self) -> Option<Guard> {
        (&mut self.granted).await.ok()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Without effect once the lock is granted: then dropping the guard lets go.
        self.controller.abort();
    }
}

/// Queues for a lock. `None` where this browser has no locks.
pub fn queue(name: &str) -> Option<Waiting> {
    // Every browser with locks has it.
    let controller = AbortController::new().ok()?;
    let options: LockOptions = js_sys::Object::new().unchecked_into();
    options.set_signal(&controller.signal());
    let granted = request(name, &options)?;
    Some(Waiting { granted, controller })
}

/// Takes the lock from whoever has it, asked or not. Of several tabs that want to, one does; `None` for the others.
pub async fn steal(name: &str) -> Option<Guard> {
    let options: LockOptions = js_sys::Object::new().unchecked_into();
    options.set_if_available(true);
    let alone = request(&format!("{name}-theft"), &options)?.await.ok()?;
    let options: LockOptions = js_sys::Object::new().unchecked_into();
    options.set_steal(true);
    let guard = request(name, &options)?.await.ok();
    spawn_local(async move {
        sleep(REST).await;
        drop(alone);
    });
    guard
}

/// Requests a lock. The receiver gets the guard, or is cancelled when the request ended without one.
fn request(name: &str, options: &LockOptions) -> Option<oneshot::Receiver<Guard>> {
    let navigator = window().navigator();
    if !has(&navigator, "locks") {
        return None;
    }
    let manager: LockManager = js_sys::Reflect::get(&navigator, &"locks".into())
        .ok()?
        .unchecked_into();
    let (grant, granted) = oneshot::channel();
    let (lose, lost) = oneshot::channel();
    let waiting = Rc::new(RefCell::new(Some((grant, lost))));
    let on_grant = {
        let waiting = waiting.clone();
        // The lock is held while the promise that this returns is pending.
        Closure::<dyn FnMut(JsValue) -> Promise>::new(move |lock: JsValue| {
            if lock.is_null() {
                // Not available: whoever waits hears that nothing comes.
                waiting.borrow_mut().take();
                return Promise::resolve(&JsValue::NULL);
            }
            let mut release = None;
            let held = Promise::new(&mut |resolve, _reject| release = Some(resolve));
            if let (Some(release), Some((grant, lost))) = (release, waiting.borrow_mut().take()) {
                // Nobody waits any more: the guard comes back and lets go by being dropped.
                let _ = grant.send(Guard {
                    release: release.unchecked_into(),
                    lost,
                });
            }
            held
        })
    };
    let Ok(ended) = manager.request(name, options, on_grant.as_ref().unchecked_ref()) else {
        return None;
    };
    spawn_local(async move {
        // Resolves when the lock is let go, rejects when it is stolen or the wait is aborted.
        let stolen = JsFuture::from(ended).await.is_err();
        drop(on_grant);
        waiting.borrow_mut().take();
        if stolen {
            let _ = lose.send(());
        }
    });
    Some(granted)
}

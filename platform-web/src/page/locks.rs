//! Which tab owns the store: a Web Lock (W3C Web Locks API), and a channel on which a tab asks the owner for it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::{Either, select};
use gloo_timers::future::sleep;
use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{AbortController, BroadcastChannel, MessageEvent};

use super::window;
use crate::dom::{Listener, has};

/// What a tab says to the owner.
const ASK: &str = "release";

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
    #[wasm_bindgen(method, setter)]
    fn set_signal(this: &LockOptions, signal: &web_sys::AbortSignal);
}

/// How a claim to a lock ended.
pub enum Claim {
    /// It is this tab's until the guard is dropped or stolen.
    Held(Guard),
    /// Another tab has it.
    Busy,
    /// This browser has no locks.
    Unsupported,
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

/// Claims the lock, waiting at most this long.
pub async fn claim(name: &str, limit: Duration) -> Claim {
    // Without a controller the wait could not be ended; every browser with locks has it.
    let Ok(controller) = AbortController::new() else {
        return Claim::Unsupported;
    };
    let options: LockOptions = js_sys::Object::new().unchecked_into();
    options.set_signal(&controller.signal());
    let Some(granted) = request(name, &options) else {
        return Claim::Unsupported;
    };
    match select(granted, Box::pin(sleep(limit))).await {
        Either::Left((granted, _)) => granted.map_or(Claim::Busy, Claim::Held),
        Either::Right(((), granted)) => {
            controller.abort();
            // It may have been granted at the very last moment.
            granted.await.map_or(Claim::Busy, Claim::Held)
        }
    }
}

/// Takes the lock from whoever has it, asked or not.
pub async fn steal(name: &str) -> Claim {
    let options: LockOptions = js_sys::Object::new().unchecked_into();
    options.set_steal(true);
    match request(name, &options) {
        Some(granted) => granted.await.map_or(Claim::Busy, Claim::Held),
        None => Claim::Unsupported,
    }
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
        Closure::<dyn FnMut(JsValue) -> Promise>::new(move |_lock| {
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

/// The channel between the tabs of one profile.
pub struct Tabs {
    channel: BroadcastChannel,
    _listener: Listener,
}

impl Tabs {
    /// Joins; `asked` is called when another tab asks for the lock. `None` where the browser has no such channel.
    pub fn join(name: &str, mut asked: impl FnMut() + 'static) -> Option<Self> {
        let channel = BroadcastChannel::new(name).ok()?;
        let listener = Listener::new(&channel, "message", move |event| {
            if event
                .unchecked_ref::<MessageEvent>()
                .data()
                .as_string()
                .as_deref()
                == Some(ASK)
            {
                asked();
            }
        });
        Some(Self {
            channel,
            _listener: listener,
        })
    }

    /// Asks the owner to let go.
    pub fn ask(&self) {
        // Fails only on a closed channel, which this one is not.
        let _ = self.channel.post_message(&ASK.into());
    }
}

impl Drop for Tabs {
    fn drop(&mut self) {
        self.channel.close();
    }
}

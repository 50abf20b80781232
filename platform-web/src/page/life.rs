//! Whether the person sees the page, and whether the browser lets it run (Page Lifecycle, W3C Page Visibility).

use futures::channel::mpsc;
use web_sys::EventTarget;

use super::{document, window};
use crate::dom::Listener;

/// What happened to the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// The person sees it, or does not any more.
    Visible(bool),
    /// It is about to be frozen, to be kept for going back to, or to end: nothing runs after this, the worker neither,
    /// and what that holds would stay held.
    Sleeps,
    /// It runs again.
    Wakes,
}

/// Tells of what happens to the page, for as long as it lives.
pub(super) struct Watch {
    _listeners: Vec<Listener>,
}

impl Watch {
    pub(super) fn start(tell: &mpsc::UnboundedSender<Life>) -> Self {
        let (document, window) = (document(), window());
        let listen = |target: &EventTarget, kind, life: fn() -> Life| {
            let tell = tell.clone();
            // The session lives as long as the page.
            Listener::new(target, kind, move |_| drop(tell.unbounded_send(life())))
        };
        Self {
            _listeners: vec![
                listen(&document, "visibilitychange", || Life::Visible(visible())),
                listen(&document, "freeze", || Life::Sleeps),
                listen(&document, "resume", || Life::Wakes),
                listen(&window, "pagehide", || Life::Sleeps),
                listen(&window, "pageshow", || Life::Wakes),
            ],
        }
    }
}

/// Whether the person sees the page.
pub(super) fn visible() -> bool {
    !document().hidden()
}

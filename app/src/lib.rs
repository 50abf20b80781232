//! Sazanami's component tree, the same on every platform.

mod backend;

pub use backend::{Backend, Host, NodeClient, NodeEvents, NodePort, SessionState};

use dioxus::prelude::*;

/// The whole style sheet, for the platform to put into the document.
pub const STYLES: &str = "";

/// The root component. Needs a [`Backend`] as root context.
#[component]
pub fn App() -> Element {
    rsx! {}
}

//! Sazanami's component tree, the same on every platform.
//!
//! - `backend`: what a platform provides: a node to talk to, the session's state, a few services
//! - `app`: the root component: session, first visit or home
//! - `node`: `use_node()`, and queries that refresh themselves when the node reports a change
//! - `state`: what the whole tree shares: identity, open sheets, draft, settings, clock
//! - `feed`: a list of notes as a timeline holds it: sorted, paged, live arrivals waiting or shown
//! - `screens`, `sheets`, `components`: what is seen, from whole to part
//! - `text`: links, names and times in plain text
//! - `i18n`: Japanese and English words (Fluent)

#[macro_use]
mod i18n;

mod app;
mod backend;
mod components;
mod feed;
mod node;
mod screens;
mod sheets;
mod state;
mod styles;
mod text;
mod use_feed;
mod words;

pub use app::App;
pub use backend::{Backend, Host, NodeClient, NodeEvents, NodePort, SessionState};
pub use styles::STYLES;

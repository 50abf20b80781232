//! Sazanami outside the browser: what the desktop app and the headless peer share.
//!
//! - [`transport`]: links to peers over WebRTC

pub mod transport;

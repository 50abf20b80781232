//! What fills the window.

mod gate;
mod home;
mod welcome;

pub(crate) use gate::{Elsewhere, Failed, Splash};
pub(crate) use home::Home;
pub(crate) use welcome::Welcome;

//! The interface as a person meets it, rendered without a browser, over a scripted node.
#![allow(clippy::unwrap_used)]

mod gallery;
mod home;
mod network;
mod start;
mod world;

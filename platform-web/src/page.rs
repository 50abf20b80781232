//! The page: renders the interface and moves what the node in the worker needs moved.
//!
//! - `session`: this tab among the others: waits for the store, owns it or speaks to who does, sleeps and wakes
//! - [`locks`]: which tab owns the store
//! - `owner`: the node's worker and its links, while this tab owns them
//! - `life`: whether the person sees the page, and whether the browser lets it run
//! - `node`: the worker, seen from here
//! - `signal`: the WebSocket and `/turn`
//! - `budget`: how many links the device can afford
//! - `place`: whether there is a network, and when it is another one
//! - `host`: what the interface asks of the browser

use std::rc::Rc;

use dioxus::prelude::VirtualDom;
use sazanami_app::Backend;
use sazanami_core::transport::Route;
use wasm_bindgen_futures::spawn_local;
use web_sys::CssStyleSheet;

mod budget;
mod host;
mod life;
pub mod locks;
mod node;
mod owner;
mod place;
mod session;
mod signal;

use host::WebHost;

/// Launches the interface.
pub fn start() {
    report_panics();
    adopt_styles();
    let (backend, port, states) = Backend::new(Rc::new(WebHost));
    spawn_local(session::run(route(), port, states));
    let dom = VirtualDom::new(sazanami_app::App).with_root_context(backend);
    dioxus_web::launch::launch_virtual_dom(dom, dioxus_web::Config::new());
}

/// The page's window.
pub(crate) fn window() -> web_sys::Window {
    web_sys::window().expect("the page runs in a window")
}

/// The page's document.
fn document() -> web_sys::Document {
    window().document().expect("the window shows a document")
}

/// `?route=relay` in the address keeps this session to TURN. There is none for the other way: whoever makes somebody
/// follow a link must not learn where they are by it.
fn route() -> Option<Route> {
    let query = window().location().search().unwrap_or_default();
    query
        .trim_start_matches('?')
        .split('&')
        .any(|pair| pair == "route=relay")
        .then_some(Route::RelayOnly)
}

/// Puts the style sheet into the document; as a constructed sheet, which a strict content security policy allows.
fn adopt_styles() {
    let adopted = CssStyleSheet::new().and_then(|sheet| {
        sheet.replace_sync(sazanami_app::STYLES)?;
        let sheets = document().adopted_style_sheets();
        sheets.push(&sheet);
        Ok(())
    });
    if let Err(error) = adopted {
        web_sys::console::error_2(&"sazanami: no styles:".into(), &error);
    }
}

/// After a panic the interface is dead: say so instead of leaving a page that does not answer.
fn report_panics() {
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        if let Some(notice) = document().get_element_by_id("crashed") {
            let _ = notice.remove_attribute("hidden");
        }
    }));
}

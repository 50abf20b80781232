//! The signal servers in use, and a field for another one.

use std::rc::Rc;

use dioxus::prelude::*;
use sazanami_core::node::api::{RequestError, ServerInfo, ServerOrigin, SignalState};

use super::{Notice, Tone};
use crate::node::use_node;
use crate::state::use_ui;
use crate::words;

/// Each with its state; those that the app was not started with can be given up.
#[component]
pub(crate) fn ServerList() -> Element {
    let ui = use_ui();
    let failure = use_signal(|| None::<RequestError>);
    let field = use_signal(|| None::<Rc<MountedData>>);
    let servers = ui.network.read().servers.clone();
    rsx! {
        section { class: "servers", aria_labelledby: "servers-title",
            h3 { class: "sheet-heading", id: "servers-title", {t!("servers-title")} }
            p { class: "sheet-text", {t!("servers-text")} }
            ul { class: "server-list",
                for server in servers {
                    ServerRow { key: "{server.url}", server, failure, field }
                }
            }
            AddServer { failure, field }
            if let Some(error) = &*failure.read() {
                Notice { tone: Tone::Error, {words::explain(error)} }
            }
        }
    }
}

#[component]
fn ServerRow(
    server: ServerInfo,
    failure: Signal<Option<RequestError>>,
    field: Signal<Option<Rc<MountedData>>>,
) -> Element {
    let mut failure = failure;
    let mut ui = use_ui();
    let node = use_node();
    let state = match server.state {
        SignalState::Online => "online",
        SignalState::Connecting => "connecting",
        SignalState::Offline => "offline",
    };
    let shown = server.url.shown().to_owned();
    let label = t!("servers-remove-label", server: shown.clone());
    let gone = t!("servers-removed", server: shown.clone());
    let url = server.url.clone();
    let remove = move |_| {
        let (node, url, gone) = (node.clone(), url.clone(), gone.clone());
        spawn(async move {
            match node.remove_server(url).await {
                Ok(()) => {
                    failure.set(None);
                    ui.announcer.say(gone);
                    // The button that had it is gone.
                    let field = field.peek().clone();
                    if let Some(field) = field {
                        let _ = field.set_focus(true).await;
                    }
                }
                Err(error) => failure.set(Some(error)),
            }
        });
    };
    rsx! {
        li { class: "server-row", "data-testid": "server-row", "data-server": "{server.url}", "data-state": state,
            div { class: "server-main",
                bdi { class: "server-name", {shown} }
                span { class: "server-facts server", "data-state": state,
                    span { class: "dot", "aria-hidden": "true" }
                    span {
                        {words::server_state(server.state)}
                        if server.origin == ServerOrigin::Recommended {
                            " · "
                            {t!("servers-recommended")}
                        }
                    }
                }
                if let Some(code) = server.refused {
                    span { class: "server-refused", {words::refused(code)} }
                }
            }
            if server.origin != ServerOrigin::Started {
                button { class: "button button-quiet", r#type: "button", aria_label: label, onclick: remove,
                    {t!("servers-remove")}
                }
            }
        }
    }
}

#[component]
fn AddServer(failure: Signal<Option<RequestError>>, field: Signal<Option<Rc<MountedData>>>) -> Element {
    let mut field = field;
    let mut failure = failure;
    let mut ui = use_ui();
    let node = use_node();
    let mut text = use_signal(String::new);
    let mut busy = use_signal(|| false);
    let onsubmit = move |event: FormEvent| {
        event.prevent_default();
        if busy() {
            return;
        }
        busy.set(true);
        let node = node.clone();
        let typed = text.peek().clone();
        spawn(async move {
            match node.add_server(typed).await {
                Ok(()) => {
                    failure.set(None);
                    text.set(String::new());
                    ui.announcer.say(t!("servers-added"));
                }
                Err(error) => failure.set(Some(error)),
            }
            busy.set(false);
        });
    };
    rsx! {
        form { class: "server-add", novalidate: true, onsubmit,
            label { class: "field-label", r#for: "add-server", {t!("servers-add-label")} }
            div { class: "server-add-row",
                input {
                    class: "field",
                    id: "add-server",
                    r#type: "url",
                    inputmode: "url",
                    autocomplete: "off",
                    autocapitalize: "none",
                    spellcheck: false,
                    placeholder: "example.org",
                    "aria-invalid": if failure.read().is_some() { "true" },
                    value: text,
                    onmounted: move |event| field.set(Some(event.data())),
                    oninput: move |event| text.set(event.value()),
                }
                button { class: "button", r#type: "submit", disabled: busy() || text.read().trim().is_empty(), {t!("servers-add")} }
            }
        }
    }
}

//! The app itself: the top bar, the timeline, and on wide screens a column for oneself and the network.

use std::rc::Rc;

use dioxus::prelude::*;
use sazanami_core::PublicKey;
use sazanami_core::store::Scope;

use crate::components::{
    Avatar, Compose, Glyph, Icon, KeyCard, Logo, Notice, PeerList, PersonName, RecoveredCard, StatusButton,
    Tab, Tabs, Timeline, Tone,
};
use crate::node::{Loaded, use_network, use_storage_full};
use crate::sheets::SheetLayer;
use crate::state::{Opener, Sheet, use_ui};
use crate::words;

const EVERYONE: &str = "everyone";
const FOLLOWING: &str = "following";

/// The screen.
#[component]
pub(crate) fn Home(me: PublicKey, ephemeral: Option<String>) -> Element {
    let ui = use_ui();
    let mut main = use_signal(|| None as Opener);
    keep_network(ui);

    // The focus goes back to where it came from once the last sheet has closed, and never gets lost.
    use_effect(move || {
        if !ui.sheets.any()
            && let Some(opener) = ui.sheets.take_opener()
        {
            spawn(async move {
                let _ = opener.set_focus(true).await;
            });
        }
    });

    let skip = move |_| {
        if let Some(main) = main.peek().clone() {
            spawn(async move {
                let _ = main.set_focus(true).await;
            });
        }
    };
    rsx! {
        div { class: "page", "inert": if ui.sheets.any() { "true" },
            button { class: "skip-link", r#type: "button", onclick: skip, {t!("skip-to-posts")} }
            TopBar { me }
            div { class: "columns",
                main {
                    class: "column",
                    tabindex: "-1",
                    aria_label: t!("main-label"),
                    onmounted: move |event: Event<MountedData>| main.set(Some(event.data())),
                    if ephemeral.is_some() {
                        Notice { tone: Tone::Quiet,
                            strong { {t!("ephemeral-title")} }
                            " "
                            {t!("ephemeral-text")}
                        }
                    }
                    FullNotice {}
                    RecoveredCard {}
                    KeyCard {}
                    Compose {}
                    Timelines { me }
                }
                aside { class: "side", aria_label: t!("side-label"),
                    OwnCard {}
                    // Never twice: the sheet shows the same list.
                    if !matches!(ui.sheets.top(), Some((Sheet::Network, _))) {
                        section { class: "side-card", "aria-labelledby": "side-network",
                            h2 { class: "side-title", id: "side-network", {t!("network-title")} }
                            PeerList {}
                        }
                    }
                }
            }
        }
        div { class: "visually-hidden", role: "status", "aria-live": "polite", "data-testid": "announcer",
            {ui.announcer.spoken.read().words()}
        }
        SheetLayer {}
    }
}

/// Keeps the shared picture of the network fresh.
fn keep_network(ui: crate::state::Ui) {
    let network = use_network();
    let mut known = ui.network;
    use_effect(move || {
        if let Loaded::Ready(network) = &*network.value.read()
            && *known.peek() != *network
        {
            known.set(network.clone());
        }
    });
}

#[component]
fn TopBar(me: PublicKey) -> Element {
    let ui = use_ui();
    let mut profile = use_signal(|| None::<Rc<MountedData>>);
    let mut settings = use_signal(|| None::<Rc<MountedData>>);
    let name = ui.me.read().as_ref().and_then(|me| me.name.clone());
    rsx! {
        header { class: "top-bar",
            div { class: "top-bar-inner",
                div { class: "brand",
                    Logo {}
                    h1 { class: "brand-name", {t!("app-name")} }
                }
                nav { class: "top-nav", aria_label: t!("nav-label"),
                    StatusButton {}
                    button {
                        class: "icon-button",
                        r#type: "button",
                        aria_label: t!("settings-title"),
                        title: t!("settings-title"),
                        onmounted: move |event| settings.set(Some(event.data())),
                        onclick: move |_| ui.sheets.open(Sheet::Settings, settings.peek().clone()),
                        Icon { glyph: Glyph::Settings }
                    }
                    button {
                        class: "icon-button own-button",
                        r#type: "button",
                        aria_label: t!("own-profile"),
                        title: t!("own-profile"),
                        onmounted: move |event| profile.set(Some(event.data())),
                        onclick: move |_| ui.sheets.open(Sheet::Profile(me), profile.peek().clone()),
                        Avatar { person: me, name }
                    }
                }
            }
        }
    }
}

#[component]
fn Timelines(me: PublicKey) -> Element {
    let mut selected = use_signal(|| EVERYONE);
    let tabs = vec![
        Tab {
            id: EVERYONE,
            label: t!("tab-everyone"),
        },
        Tab {
            id: FOLLOWING,
            label: t!("tab-following"),
        },
    ];
    let (scope, title, text) = if selected() == EVERYONE {
        (
            Scope::Everyone,
            t!("empty-everyone-title"),
            t!("empty-everyone-text"),
        )
    } else {
        (
            Scope::FollowedBy(me),
            t!("empty-following-title"),
            t!("empty-following-text"),
        )
    };
    rsx! {
        Tabs { label: t!("tabs-label"), tabs, selected: selected(), onselect: move |id| selected.set(id) }
        for id in [selected()] {
            section {
                key: "{id}",
                class: "panel",
                role: "tabpanel",
                id: "panel-{id}",
                "aria-labelledby": "tab-{id}",
                Timeline {
                    scope,
                    empty: rsx! {
                        div { class: "empty",
                            Logo {}
                            h2 { class: "empty-title", {title.clone()} }
                            p { {text.clone()} }
                        }
                    },
                }
            }
        }
    }
}

/// Oneself, on wide screens.
#[component]
fn OwnCard() -> Element {
    let ui = use_ui();
    let mut button = use_signal(|| None as Opener);
    let me = ui.me.read();
    let Some(me) = &*me else { return rsx! {} };
    let key = me.key;
    rsx! {
        section { class: "side-card own-card", aria_label: t!("own-profile"),
            Avatar { person: key, name: me.name.clone() }
            div { class: "own-card-main",
                PersonName { person: key, name: me.name.clone() }
                span { class: "own-card-facts", {words::notes(me.notes)} }
            }
            button {
                class: "button button-quiet",
                r#type: "button",
                onmounted: move |event| button.set(Some(event.data())),
                onclick: move |_| ui.sheets.open(Sheet::Profile(key), button.peek().clone()),
                {t!("own-open")}
            }
        }
    }
}

/// Says so when the disk is full, for as long as it is.
#[component]
fn FullNotice() -> Element {
    let full = use_storage_full();
    if !matches!(*full.value.read(), Loaded::Ready(true)) {
        return rsx! {};
    }
    rsx! {
        Notice { tone: Tone::Error,
            strong { {t!("storage-full-title")} }
            " "
            {t!("storage-full-text")}
        }
    }
}

//! What stands in place of the app while it cannot be used: starting, failed, kept from it by a tab that hangs.

use dioxus::prelude::*;

use crate::components::Logo;

/// The frame of a screen that holds one thing.
#[component]
pub(crate) fn Gate(title: String, children: Element) -> Element {
    rsx! {
        main { class: "gate",
            div { class: "gate-card",
                Logo {}
                h1 { class: "gate-title", {title} }
                {children}
            }
        }
    }
}

/// The node is opening its store.
#[component]
pub(crate) fn Splash() -> Element {
    rsx! {
        main { class: "gate", "aria-busy": "true",
            div { class: "splash", role: "status",
                Logo {}
                p { class: "splash-text", {t!("starting")} }
            }
        }
    }
}

/// The node could not start, or does not answer.
#[component]
pub(crate) fn Failed(what: String, detail: Option<String>, retry: Option<EventHandler<()>>) -> Element {
    rsx! {
        Gate { title: t!("failed-title"),
            div { role: "alert",
                p { {what} }
                p { {t!("failed-do")} }
            }
            if let Some(detail) = detail {
                details { class: "gate-detail",
                    summary { {t!("failed-detail")} }
                    code { {detail} }
                }
            }
            if let Some(retry) = retry {
                button { class: "button button-primary", r#type: "button", onclick: move |_| retry.call(()), {t!("retry")} }
            }
        }
    }
}

/// Another tab of this profile has the store and does not share it.
#[component]
pub(crate) fn Elsewhere() -> Element {
    rsx! {
        Gate { title: t!("elsewhere-title"),
            p { role: "status", {t!("elsewhere-text")} }
        }
    }
}

//! Who is connected directly, and who through a relay.

use dioxus::prelude::*;
use sazanami_core::social::Ring;
use sazanami_core::transport::Route;

use super::{Notice, Tone};
use crate::node::{Loaded, use_node, use_routes};
use crate::words;

/// The rings that one chooses for. Own devices are one's own; there are no rooms yet.
const RINGS: [Ring; 4] = [Ring::Friend, Ring::Followed, Ring::FriendOfFriend, Ring::Stranger];

/// One box for each ring.
#[component]
pub(crate) fn RouteChoice() -> Element {
    let node = use_node();
    let routes = use_routes();
    let mut failed = use_signal(|| None as Option<String>);
    let Loaded::Ready(routes) = &*routes.value.read() else {
        return rsx! {};
    };
    let route_to = |ring| {
        let chosen = routes.rings.iter().find(|choice| choice.ring == ring);
        routes.forced.or(chosen.map(|choice| choice.route))
    };
    rsx! {
        fieldset { class: "choice", "data-testid": "routes", disabled: routes.forced.is_some(),
            legend { {t!("routes-title")} }
            p { class: "sheet-text", {t!("routes-text")} }
            for ring in RINGS {
                label { key: "{ring:?}", class: "choice-option",
                    input {
                        r#type: "checkbox",
                        name: "route-{ring:?}",
                        checked: route_to(ring) == Some(Route::Any),
                        onchange: {
                            let node = node.clone();
                            move |event: FormEvent| {
                                let route = if event.checked() { Route::Any } else { Route::RelayOnly };
                                let node = node.clone();
                                async move {
                                    let answer = node.set_route(ring, route).await;
                                    failed.set(answer.err().map(|error| words::explain(&error)));
                                }
                            }
                        },
                    }
                    span { {words::ring(ring)} }
                }
            }
            if routes.forced.is_some() {
                p { class: "sheet-text", {t!("routes-forced")} }
            }
        }
        if let Some(reason) = failed() {
            Notice { tone: Tone::Error, {reason} }
        }
    }
}

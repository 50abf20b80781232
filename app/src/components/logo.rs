//! The mark: three ripples.

use dioxus::prelude::*;

/// The mark, as decoration beside the name.
#[component]
pub(crate) fn Logo() -> Element {
    rsx! {
        svg {
            class: "logo",
            view_box: "0 0 32 32",
            fill: "none",
            stroke: "currentColor",
            stroke_width: "2.6",
            stroke_linecap: "round",
            "aria-hidden": "true",
            "focusable": "false",
            path { class: "logo-wave", d: "M7 9.5c3-3 6-3 9 0s6 3 9 0" }
            path { class: "logo-wave", d: "M3.5 16.5c4.2-4 8.3-4 12.5 0s8.3 4 12.5 0" }
            path { class: "logo-wave", d: "M7 23.5c3-3 6-3 9 0s6 3 9 0" }
        }
    }
}

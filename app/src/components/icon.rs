//! Icons as inline SVG: nothing to fetch, and they take the text's colour.

use dioxus::prelude::*;

/// Which icon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Glyph {
    Close,
    Copy,
    Check,
    Download,
    Key,
    Settings,
    Trash,
    Up,
    Back,
}

/// An icon. Hidden from screen readers: its button carries the name.
#[component]
pub(crate) fn Icon(glyph: Glyph) -> Element {
    let path = match glyph {
        Glyph::Close => "M6 6l12 12M18 6L6 18",
        Glyph::Copy => "M9 9h10v11H9zM15 9V4H5v11h4",
        Glyph::Check => "M5 12.5l4.5 4.5L19 7.5",
        Glyph::Download => "M12 4v11M7.5 11l4.5 4.5 4.5-4.5M5 20h14",
        Glyph::Key => "M14.5 13.5a5 5 0 1 0-4-4L4 16v4h4v-2.5h2.5V15l1.5-1.5zM15.5 8.5v.01",
        Glyph::Settings => "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.8v4.4M9 14.8v4.4",
        Glyph::Trash => "M5 7h14M10 7V4.5h4V7M7 7l.8 12.5h8.4L17 7M10.5 11v5M13.5 11v5",
        Glyph::Up => "M12 19V6M6.5 11.5L12 6l5.5 5.5",
        Glyph::Back => "M19 12H6M11.5 6.5L6 12l5.5 5.5",
    };
    rsx! {
        svg {
            class: "icon",
            view_box: "0 0 24 24",
            fill: "none",
            stroke: "currentColor",
            stroke_width: "1.75",
            stroke_linecap: "round",
            stroke_linejoin: "round",
            "aria-hidden": "true",
            "focusable": "false",
            path { d: path }
        }
    }
}

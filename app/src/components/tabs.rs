//! Tabs after the ARIA pattern: one tab stop, arrow keys move and select.

use std::rc::Rc;

use dioxus::prelude::*;

/// One tab.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tab {
    /// Stable, for ids: the tab is `tab-{id}`, its panel `panel-{id}`.
    pub(crate) id: &'static str,
    /// Its words.
    pub(crate) label: String,
}

/// The list of tabs; the panel is the caller's.
#[component]
pub(crate) fn Tabs(
    label: String,
    tabs: Vec<Tab>,
    selected: &'static str,
    onselect: EventHandler<&'static str>,
) -> Element {
    let mut elements = use_signal(|| vec![None::<Rc<MountedData>>; tabs.len()]);
    let ids: Vec<&'static str> = tabs.iter().map(|tab| tab.id).collect();
    let onkeydown = move |event: KeyboardEvent| {
        let Some(at) = ids.iter().position(|id| *id == selected) else {
            return;
        };
        let to = match event.key() {
            Key::ArrowRight => (at + 1) % ids.len(),
            Key::ArrowLeft => (at + ids.len() - 1) % ids.len(),
            Key::Home => 0,
            Key::End => ids.len() - 1,
            _ => return,
        };
        event.prevent_default();
        onselect.call(ids[to]);
        if let Some(Some(element)) = elements.peek().get(to).cloned() {
            spawn(async move {
                let _ = element.set_focus(true).await;
            });
        }
    };
    rsx! {
        div { class: "tabs", role: "tablist", aria_label: label, onkeydown,
            for (index, tab) in tabs.into_iter().enumerate() {
                button {
                    key: "{tab.id}",
                    class: "tab",
                    r#type: "button",
                    role: "tab",
                    id: "tab-{tab.id}",
                    "aria-selected": if tab.id == selected { "true" } else { "false" },
                    "aria-controls": if tab.id == selected { "panel-{tab.id}" },
                    tabindex: if tab.id == selected { "0" } else { "-1" },
                    onmounted: move |event| {
                        if let Some(place) = elements.write().get_mut(index) {
                            *place = Some(event.data());
                        }
                    },
                    onclick: move |_| onselect.call(tab.id),
                    {tab.label}
                }
            }
        }
    }
}

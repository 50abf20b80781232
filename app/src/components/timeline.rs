//! A list of notes: pages, live arrivals, and every state in between.

use std::rc::Rc;

use dioxus::html::ScrollBehavior;
use dioxus::prelude::*;
use sazanami_core::store::Scope;

use super::{Glyph, Icon, NoteCard, Notice, Tone};
use crate::node::{Loaded, use_node};
use crate::text::names;
use crate::use_feed::{FeedHandle, use_feed};
use crate::words;

/// The list of a scope; give it a key when the scope may change. `empty` is what an empty one teaches.
#[component]
pub(crate) fn Timeline(scope: Scope, empty: Element) -> Element {
    let node = use_node();
    let timeline = use_feed(scope);
    let mut at_top = timeline.at_top;
    let mut top = use_signal(|| None::<Rc<MountedData>>);
    let waiting = timeline.feed.read().waiting();

    let show_waiting = {
        let node = node.clone();
        move |_| {
            timeline.release(node.clone());
            if let Some(top) = top.peek().clone() {
                spawn(async move {
                    let _ = top.scroll_to(ScrollBehavior::Instant).await;
                });
            }
        }
    };
    rsx! {
        div { class: "timeline",
            // In view as long as the reader is at the top; what arrives then may go straight into the list.
            div {
                class: "timeline-top",
                "aria-hidden": "true",
                onmounted: move |event| top.set(Some(event.data())),
                onvisible: move |event| {
                    if let Ok(visible) = event.is_intersecting() {
                        at_top.set(visible);
                    }
                },
            }
            if waiting > 0 {
                div { class: "pill-place",
                    button { class: "pill", r#type: "button", "data-testid": "new-posts", onclick: show_waiting,
                        Icon { glyph: Glyph::Up }
                        {t!("timeline-new", count: waiting)}
                    }
                }
            }
            match &*timeline.first.read() {
                Loaded::Loading => rsx! {
                    Skeleton {}
                },
                Loaded::Failed(_) => rsx! {
                    FirstFailed { timeline }
                },
                Loaded::Ready(()) => rsx! {
                    Notes { timeline, empty }
                },
            }
        }
    }
}

#[component]
fn Notes(timeline: FeedHandle, empty: Element) -> Element {
    let namesakes = use_memo(move || {
        let feed = timeline.feed.read();
        let named = feed
            .notes()
            .iter()
            .filter_map(|note| Some((note.author, note.author_name.as_deref()?)));
        names::namesakes(named)
    });
    let feed = timeline.feed.read();
    if feed.notes().is_empty() && feed.next().is_none() {
        return empty;
    }
    rsx! {
        div { class: "notes", role: "feed", aria_label: t!("timeline-label"),
            for note in feed.notes() {
                NoteCard { key: "{note.id}", note: note.clone(), ambiguous: namesakes.read().contains(&note.author) }
            }
        }
        if let Some(next) = feed.next() {
            if let Loaded::Failed(error) = &*timeline.further.read() {
                Notice { tone: Tone::Error, {words::explain(error)} }
            }
            // Keyed by the place, so that a button still in view after a short page asks again by itself.
            for next in [next] {
                OlderButton { key: "{next.id}", timeline }
            }
        } else {
            p { class: "timeline-end", {t!("timeline-end")} }
        }
    }
}

#[component]
fn OlderButton(timeline: FeedHandle) -> Element {
    let node = use_node();
    let loading = *timeline.further.read() == Loaded::Loading;
    let failed = matches!(&*timeline.further.read(), Loaded::Failed(_));
    let on_click = node.clone();
    rsx! {
        div { class: "timeline-older",
            button {
                class: "button",
                r#type: "button",
                "aria-busy": if loading { "true" },
                onclick: move |_| timeline.load_more(on_click.clone()),
                onvisible: move |event| {
                    // After a failure only the person tries again.
                    if matches!(event.is_intersecting(), Ok(true)) && !failed {
                        timeline.load_more(node.clone());
                    }
                },
                if loading {
                    {t!("loading")}
                } else {
                    {t!("timeline-older")}
                }
            }
        }
    }
}

#[component]
fn FirstFailed(timeline: FeedHandle) -> Element {
    let node = use_node();
    let Some(error) = timeline.failure() else {
        return rsx! {};
    };
    rsx! {
        Notice { tone: Tone::Error,
            p { {t!("timeline-failed")} " " {words::explain(&error)} }
            button {
                class: "button",
                r#type: "button",
                onclick: move |_| {
                    let node = node.clone();
                    async move { timeline.reload(&node).await }
                },
                {t!("retry")}
            }
        }
    }
}

/// Where notes will stand.
#[component]
fn Skeleton() -> Element {
    rsx! {
        div { class: "skeleton", role: "status", aria_label: t!("loading"),
            for line in 0..4 {
                div { key: "{line}", class: "skeleton-note", "aria-hidden": "true",
                    span { class: "skeleton-avatar" }
                    div { class: "skeleton-lines",
                        span { class: "skeleton-line" }
                        span { class: "skeleton-line" }
                        span { class: "skeleton-line" }
                    }
                }
            }
        }
    }
}

//! What is being written, kept over a reload.

use dioxus::prelude::*;

use crate::node::Node;

const DRAFT: &str = "draft";

/// Keeps the draft: at most one write is under way, and the latest text is always the one written last.
#[derive(Clone, Copy)]
pub(crate) struct Draft {
    latest: Signal<String>,
    writing: Signal<bool>,
    node: CopyValue<Node>,
}

impl Draft {
    pub(crate) fn new(node: Node) -> Self {
        Self {
            latest: Signal::new(String::new()),
            writing: Signal::new(false),
            node: CopyValue::new(node),
        }
    }

    /// Reads what was kept; called before anything is written.
    pub(crate) async fn load(mut self) {
        let node = self.node.read().clone();
        if let Ok(Some(text)) = node.setting(DRAFT).await {
            self.latest.set(text);
        }
    }

    /// The draft, without subscribing to it.
    pub(crate) fn text(&self) -> String {
        self.latest.peek().clone()
    }

    /// Keeps a text; an empty one forgets the draft.
    pub(crate) fn keep(mut self, text: String) {
        if *self.latest.peek() == text {
            return;
        }
        self.latest.set(text);
        if self.writing.replace(true) {
            return;
        }
        let node = self.node.read().clone();
        // Outlives the compose box: closing it must not lose the last words.
        dioxus::core::spawn_forever(async move {
            loop {
                let text = self.text();
                let value = (!text.is_empty()).then(|| text.clone());
                if let Err(error) = node.set_setting(DRAFT, value).await {
                    tracing::warn!(%error, "the draft is not kept");
                }
                if self.text() == text {
                    break;
                }
            }
            self.writing.set(false);
        });
    }
}

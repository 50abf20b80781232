//! The root component.

use dioxus::prelude::*;
use dioxus_i18n::prelude::use_init_i18n;
use futures::StreamExt;
use sazanami_core::node::api::RequestError;

use crate::backend::{Backend, SessionState};
use crate::i18n::{self, Language};
use crate::node::{Loaded, use_host, use_me, use_node};
use crate::screens::{Elsewhere, Failed, Home, Splash, Welcome};
use crate::state::use_ui_provider;
use crate::words;

/// The root component. Needs a [`Backend`] as root context.
#[component]
pub fn App() -> Element {
    let host = use_host();
    let language = use_hook(|| Language::best(&host.languages()));
    let mut translations = use_init_i18n(|| i18n::config(language));
    let ui = use_ui_provider(language);
    let session = use_session();

    use_effect(move || {
        let language = *ui.settings.language.read();
        host.set_document(language.code(), ui.settings.theme.read().code());
        if translations.language() != language.id() {
            translations.set_language(language.id());
        }
        host.set_title(&t!("app-name"));
    });

    let language = ui.settings.language.read().code();
    rsx! {
        div { class: "app", lang: language,
            match &*session.read() {
                SessionState::Starting => rsx! {
                    Splash {}
                },
                SessionState::Failed(reason) => rsx! {
                    Failed { what: t!("failed-session"), detail: reason.clone() }
                },
                SessionState::Elsewhere => rsx! {
                    Elsewhere {}
                },
                SessionState::Ready => rsx! {
                    Signed {}
                },
                SessionState::Ephemeral(reason) => rsx! {
                    Signed { ephemeral: reason.clone() }
                },
            }
        }
    }
}

/// How the session stands, as the platform tells.
fn use_session() -> Signal<SessionState> {
    let mut session = use_signal(|| SessionState::Starting);
    use_future(move || async move {
        let states = consume_context::<Backend>().session.borrow_mut().take();
        let Some(mut states) = states else { return };
        while let Some(state) = states.next().await {
            session.set(state);
        }
    });
    session
}

/// The node answers: welcome on the first visit, home on every other.
#[component]
fn Signed(ephemeral: Option<String>) -> Element {
    let node = use_node();
    let ui = crate::state::use_ui();
    let me = use_me();
    let mut settled = use_signal(|| false);

    use_future(move || {
        let node = node.clone();
        async move {
            ui.settings.load(&node).await;
            ui.draft.load().await;
            settled.set(true);
        }
    });
    let mut known = ui.me;
    use_effect(move || {
        if let Loaded::Ready(me) = &*me.value.read()
            && known.peek().as_ref() != me.as_ref()
        {
            known.set(me.clone());
        }
    });

    if !settled() {
        return rsx! {
            Splash {}
        };
    }
    let signed_up = ui.me.read().as_ref().map(|me| me.key);
    if let Some(me) = signed_up {
        return rsx! {
            Home { me, ephemeral }
        };
    }
    match &*me.value.read() {
        Loaded::Loading | Loaded::Ready(Some(_)) => rsx! {
            Splash {}
        },
        Loaded::Ready(None) => rsx! {
            Welcome { ephemeral }
        },
        Loaded::Failed(error) => rsx! {
            Failed { what: words::explain(error), detail: detail(error), retry: move |()| me.retry() }
        },
    }
}

/// What the storage says, for whoever can make something of it.
fn detail(error: &RequestError) -> Option<String> {
    if let RequestError::Storage(reason) = error {
        Some(reason.clone())
    } else {
        None
    }
}

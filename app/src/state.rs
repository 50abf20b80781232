//! What the whole tree shares.

mod announce;
mod draft;
mod settings;
mod sheet;

use dioxus::prelude::*;
use sazanami_core::PublicKey;
use sazanami_core::node::api::{Network, Person};
use sazanami_core::store::Note;
use sazanami_core::time::Millis;

use crate::i18n::Language;
use crate::node::{use_host, use_node};

pub(crate) use announce::Announcer;
pub(crate) use draft::Draft;
pub(crate) use settings::{Settings, Theme};
pub(crate) use sheet::{Opener, Sheet, Sheets};

/// How often relative times move on.
const CLOCK_STEP: std::time::Duration = std::time::Duration::from_secs(20);

/// What the whole tree shares. A handful of signals: copies are the same thing.
#[derive(Clone, Copy)]
pub(crate) struct Ui {
    /// The own identity, once there is one.
    pub(crate) me: Signal<Option<Person>>,
    /// The network around this device.
    pub(crate) network: Signal<Network>,
    /// The note that was posted last.
    pub(crate) posted: Signal<Option<Note>>,
    /// The clock, in steps.
    pub(crate) now: Signal<Millis>,
    /// Local time's distance from UTC, in minutes.
    pub(crate) utc_offset: Signal<i32>,
    /// What stands over the page.
    pub(crate) sheets: Sheets,
    /// What is being written.
    pub(crate) draft: Draft,
    /// Language and theme.
    pub(crate) settings: Settings,
    /// Speaks to screen readers.
    pub(crate) announcer: Announcer,
}

impl Ui {
    /// The own key, without subscribing to it.
    pub(crate) fn me_key(&self) -> Option<PublicKey> {
        self.me.peek().as_ref().map(|me| me.key)
    }

    /// Whether this key is the own one.
    pub(crate) fn is_me(&self, key: &PublicKey) -> bool {
        self.me.read().as_ref().is_some_and(|me| me.key == *key)
    }

    /// Tells a screen reader of notes that arrived.
    pub(crate) fn announce_notes(&mut self, notes: &[Note]) {
        self.announcer.notes(notes);
    }
}

/// The shared state.
pub(crate) fn use_ui() -> Ui {
    use_context::<Ui>()
}

/// Makes the shared state; called once, by the root component.
pub(crate) fn use_ui_provider(language: Language) -> Ui {
    let (host, node) = (use_host(), use_node());
    let now = host.now();
    let offset = host.utc_offset_minutes(now);
    let ui = use_context_provider(|| Ui {
        me: Signal::new(None),
        network: Signal::new(Network::default()),
        posted: Signal::new(None),
        now: Signal::new(now),
        utc_offset: Signal::new(offset),
        sheets: Sheets::new(),
        draft: Draft::new(node),
        settings: Settings::new(language),
        announcer: Announcer::new(host.clone()),
    });
    let mut ui_clock = ui;
    use_future(move || {
        let host = host.clone();
        async move {
            loop {
                host.sleep(CLOCK_STEP).await;
                let now = host.now();
                ui_clock.now.set(now);
                // Summer time, or a journey.
                let offset = host.utc_offset_minutes(now);
                if *ui_clock.utc_offset.peek() != offset {
                    ui_clock.utc_offset.set(offset);
                }
            }
        }
    });
    ui
}

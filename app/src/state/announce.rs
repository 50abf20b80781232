//! Speaks to screen readers, politely and never in a torrent.

use std::rc::Rc;
use std::time::Duration;

use dioxus::prelude::*;
use sazanami_core::store::Note;

use crate::backend::Host;
use crate::text::names;

/// How long arrivals are gathered into one announcement.
const GATHER: Duration = Duration::from_millis(1_500);
/// Older notes that arrive are history, not news.
const NEWS_SECS: u64 = 600;
/// Characters of a note that are read out.
const SPOKEN: usize = 120;

/// What the live region says, as data: the region puts it into the language of the moment.
// A handful of them exist at a time.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Spoken {
    /// These words.
    Words(String),
    /// One note arrived.
    Note(Note),
    /// Several did.
    Notes(usize),
}

impl Spoken {
    /// Its words. Only where the translations are provided: in a component.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Words(words) => words.clone(),
            Self::Note(note) => {
                let name = note.author_name.as_deref().and_then(names::clean);
                let name = name.unwrap_or_else(|| t!("person-unnamed"));
                let text: String = note.content.chars().take(SPOKEN).collect();
                t!("announce-note", name: name, text: text)
            }
            Self::Notes(count) => t!("announce-notes", count: *count),
        }
    }
}

/// Gathers what the live region says.
#[derive(Clone, Copy)]
pub(crate) struct Announcer {
    /// The live region's content.
    pub(crate) spoken: Signal<Spoken>,
    count: Signal<usize>,
    last: Signal<Option<Note>>,
    host: CopyValue<Rc<dyn Host>>,
}

impl Announcer {
    pub(crate) fn new(host: Rc<dyn Host>) -> Self {
        Self {
            spoken: Signal::new(Spoken::Words(String::new())),
            count: Signal::new(0),
            last: Signal::new(None),
            host: CopyValue::new(host),
        }
    }

    /// Says something at once.
    pub(crate) fn say(&mut self, text: String) {
        self.spoken.set(Spoken::Words(text));
    }

    /// Says that notes arrived: one by its beginning, several by their number.
    pub(crate) fn notes(&mut self, notes: &[Note]) {
        let host = self.host.read().clone();
        let now = host.now().0 / 1_000;
        let recent = notes
            .iter()
            .filter(|note| now.saturating_sub(note.created_at) < NEWS_SECS);
        let (number, last) = recent.fold((0, None), |(number, _), note| (number + 1, Some(note)));
        let Some(last) = last else { return };
        let gathering = *self.count.peek() > 0;
        *self.count.write() += number;
        self.last.set(Some(last.clone()));
        if gathering {
            return;
        }
        let mut this = *self;
        dioxus::core::spawn_forever(async move {
            host.sleep(GATHER).await;
            let count = std::mem::take(&mut *this.count.write());
            let last = this.last.write().take();
            this.spoken.set(match last {
                Some(note) if count == 1 => Spoken::Note(note),
                _ => Spoken::Notes(count),
            });
        });
    }
}

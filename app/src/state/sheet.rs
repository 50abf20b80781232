//! What stands over the page: one dialog above another, and where the focus goes back to.

use std::rc::Rc;

use dioxus::prelude::*;
use sazanami_core::PublicKey;
use sazanami_core::store::Note;

/// A dialog.
// A handful of them exist at a time.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Sheet {
    /// A person, with their notes.
    Profile(PublicKey),
    /// Peers and servers.
    Network,
    /// Connecting without a server.
    Meet,
    /// Language and theme.
    Settings,
    /// Show and save the secret key.
    SaveKey,
    /// Really delete this note?
    Delete(Note),
}

/// The element that opened a dialog.
pub(crate) type Opener = Option<Rc<MountedData>>;

/// The open dialogs, the topmost last.
#[derive(Clone, Copy)]
pub(crate) struct Sheets {
    stack: Signal<Vec<Sheet>>,
    opener: Signal<Opener>,
}

impl Sheets {
    pub(crate) fn new() -> Self {
        Self {
            stack: Signal::new(Vec::new()),
            opener: Signal::new(None),
        }
    }

    /// Opens a dialog above those that are open.
    pub(crate) fn open(mut self, sheet: Sheet, opener: Opener) {
        if self.stack.peek().last() == Some(&sheet) {
            return;
        }
        if self.stack.peek().is_empty() {
            self.opener.set(opener);
        }
        self.stack.write().push(sheet);
    }

    /// Closes the topmost dialog.
    pub(crate) fn close(mut self) {
        self.stack.write().pop();
    }

    /// The topmost dialog and how many are open.
    pub(crate) fn top(&self) -> Option<(Sheet, usize)> {
        let stack = self.stack.read();
        stack.last().cloned().map(|sheet| (sheet, stack.len()))
    }

    /// Whether the page is covered.
    pub(crate) fn any(&self) -> bool {
        !self.stack.read().is_empty()
    }

    /// What gets the focus when the last dialog has closed.
    pub(crate) fn take_opener(mut self) -> Opener {
        self.opener.write().take()
    }
}

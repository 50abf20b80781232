//! Pauses in which the browser delivers what has arrived.

use futures::StreamExt;
use futures::channel::mpsc;
use wasm_bindgen::JsValue;
use web_sys::{MessageChannel, MessagePort};

use crate::dom::Listener;

/// Lets other messages of this thread come first. (A timer would do, but browsers make it wait for milliseconds.)
pub(crate) struct Breath {
    out: MessagePort,
    back: MessagePort,
    returned: mpsc::UnboundedReceiver<()>,
    _listener: Listener,
}

impl Breath {
    /// # Errors
    /// Where there are no message channels.
    pub(crate) fn new() -> Result<Self, JsValue> {
        let channel = MessageChannel::new()?;
        let (sender, returned) = mpsc::unbounded();
        let back = channel.port2();
        let listener = Listener::new(&back, "message", move |_| drop(sender.unbounded_send(())));
        back.start();
        Ok(Self {
            out: channel.port1(),
            back,
            returned,
            _listener: listener,
        })
    }

    /// Returns when the messages that had arrived before have been delivered.
    pub(crate) async fn take(&mut self) {
        if self.out.post_message(&JsValue::NULL).is_ok() {
            self.returned.next().await;
        }
    }
}

impl Drop for Breath {
    fn drop(&mut self) {
        self.out.close();
        self.back.close();
    }
}

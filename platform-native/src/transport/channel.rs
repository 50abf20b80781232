//! Moves frames between a data channel and the transport, with back-pressure both ways: a node that does not fetch
//! its events stops the reader, SCTP's window closes, and the other side's buffer fills.

use std::sync::Arc;

use bytes::BytesMut;
use sazanami_core::transport::{LinkId, MAX_FRAME, SEND_BUFFER, TransportEvent};
use tokio::sync::mpsc;
use webrtc::data_channel::{DataChannel, DataChannelEvent};

/// Drained bytes are reported in steps of this size while more frames wait.
const REPORT_STEP: usize = SEND_BUFFER / 8;

/// What happened at the channel.
#[derive(Debug)]
pub(super) enum Notice {
    Opened,
    /// It ended without a fault.
    Ended,
    /// The other side broke the rules, or sending failed.
    Broken(String),
}

/// Hands incoming frames to the transport until the channel ends.
pub(super) async fn read(
    id: LinkId,
    channel: Arc<dyn DataChannel>,
    report: mpsc::Sender<TransportEvent>,
    notices: mpsc::Sender<Notice>,
) {
    let mut opened = false;
    let last = loop {
        let event = match channel.poll().await {
            Some(DataChannelEvent::OnOpen) => {
                opened = true;
                if notices.send(Notice::Opened).await.is_err() {
                    return;
                }
                TransportEvent::Opened { link: id }
            }
            Some(DataChannelEvent::OnMessage(message)) => {
                if message.is_string {
                    break Notice::Broken("the peer sent a text frame".to_owned());
                }
                if message.data.len() > MAX_FRAME {
                    break Notice::Broken(format!("the peer sent a frame of {} bytes", message.data.len()));
                }
                if !opened {
                    break Notice::Broken("the peer sent a frame before the channel was open".to_owned());
                }
                TransportEvent::Frame {
                    link: id,
                    frame: Vec::from(message.data),
                }
            }
            Some(DataChannelEvent::OnError) => break Notice::Broken("the data channel failed".to_owned()),
            Some(DataChannelEvent::OnClose) | None => break Notice::Ended,
            Some(_) => continue,
        };
        if report.send(event).await.is_err() {
            return;
        }
    };
    // The link's task may be gone.
    let _ = notices.send(last).await;
}

/// Sends queued frames until the link ends. A frame counts as drained when the channel has taken it, which it does
/// while less than [`SEND_BUFFER`] bytes are unacknowledged.
pub(super) async fn write(
    id: LinkId,
    channel: Arc<dyn DataChannel>,
    mut frames: mpsc::Receiver<Vec<u8>>,
    report: mpsc::Sender<TransportEvent>,
    notices: mpsc::Sender<Notice>,
) {
    let mut drained = 0;
    while let Some(frame) = frames.recv().await {
        let bytes = frame.len();
        if let Err(error) = channel.send(BytesMut::from(frame.as_slice())).await {
            let _ = notices.send(Notice::Broken(error.to_string())).await;
            return;
        }
        drained += bytes;
        if drained > 0 && (frames.is_empty() || drained >= REPORT_STEP) {
            if report
                .send(TransportEvent::Drained {
                    link: id,
                    bytes: drained,
                })
                .await
                .is_err()
            {
                return;
            }
            drained = 0;
        }
    }
}

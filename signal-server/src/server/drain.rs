//! Leaving: clients are told to go, but not all at once.

use std::time::Duration;

use tokio::time::{interval, sleep_until};

use crate::hub::Hub;

/// Between two groups of clients that are told to go.
const STEP: Duration = Duration::from_millis(100);
/// Clients that may be told at once, whatever their number: a small server is done at once.
const GROUP: usize = 50;

/// Lets nobody in any more, and tells connections to go: evenly over `time`, so that the servers to which they go are
/// not overrun. A client that is closed with 1001 waits for a random while and connects again; its links to other peers
/// live on.
pub(super) async fn drain(hub: &Hub, time: Duration) {
    hub.drain();
    tracing::info!(connections = hub.connections(), "draining");
    let steps = usize::try_from(time.as_millis() / STEP.as_millis()).unwrap_or(usize::MAX);
    let group = hub.connections().div_ceil(steps.max(1)).max(GROUP);
    let end = tokio::time::Instant::now() + time;
    let mut step = interval(STEP);
    loop {
        tokio::select! {
            _ = step.tick() => {
                if hub.send_away(group) == 0 {
                    return;
                }
            }
            () = sleep_until(end) => return,
        }
    }
}

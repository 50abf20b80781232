//! Waiting for a condition.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// Asks again and again until there is an answer.
///
/// # Errors
/// After `limit`, saying `what` was waited for; at once, when the question itself fails.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if Instant::now() >= end {
            bail!("not within {limit:?}: {what}");
        }
        sleep(Duration::from_millis(50)).await;
    }
}

//! The NATS shell: moves messages between [`Hub`]s on different servers, over core NATS.
//!
//! Each server listens to what is for all and to what is for it; subjects carry nothing but random ids. When NATS is
//! away, the hub goes on with its own clients, and the client here connects again by itself.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, Message, ServerAddr, StatusCode, Subscriber};
use futures::StreamExt;
use sazanami_core::signaling::SessionId;
use tokio::sync::oneshot;
use tokio::time::{interval, timeout};

use crate::hub::{ForOthers, Hub, ServerId};
use crate::metrics::Limit;
use crate::server::ServerError;
use crate::ws::now;

/// What everybody hears; the number is the version of what is said.
const ALL: &str = "sazanami.1.all";
/// Messages that wait for the hub; above, NATS drops.
const INCOMING: usize = 8_192;
/// Messages that wait for the socket; the hub's own queue is before it.
const OUTGOING: usize = 1_024;
/// How long a message may wait for room among them, and a farewell for its way out.
const SEND_LIMIT: Duration = Duration::from_millis(250);
/// Between two pings to NATS: two unanswered ones end the connection.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// Between two looks at what has waited for too long.
const TICK: Duration = Duration::from_millis(50);
/// Longest wait before connecting to NATS again.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// A hub's way to the others.
pub(crate) struct Nats {
    hub: Arc<Hub>,
    id: ServerId,
    client: Client,
    all: Subscriber,
    own: Subscriber,
}

impl Nats {
    /// Begins to connect to the NATS at `url`; it may not be there yet.
    ///
    /// # Errors
    /// When `url` is none.
    pub(crate) async fn connect(hub: Arc<Hub>, url: &str) -> Result<Self, ServerError> {
        let id = ServerId(rand::random());
        let failed = |error: &dyn std::fmt::Display| ServerError::Nats(error.to_string());
        let addresses = url.split(',').map(|url| url.trim().parse::<ServerAddr>());
        let addresses = addresses.collect::<Result<Vec<_>, _>>().map_err(|e| failed(&e))?;
        hub.be_one_of_many(id);
        let told = Arc::clone(&hub);
        let client = ConnectOptions::new()
            .name("sazanami-signal")
            .no_echo()
            .retry_on_initial_connect()
            .reconnect_delay_callback(|attempts| {
                let wait = Duration::from_millis(100)
                    .saturating_mul(1 << attempts.min(8))
                    .min(MAX_WAIT);
                wait.mul_f64(rand::random_range(0.5..1.0))
            })
            .ping_interval(PING_INTERVAL)
            .subscription_capacity(INCOMING)
            .client_capacity(OUTGOING)
            .event_callback(move |event| {
                let hub = Arc::clone(&told);
                async move { changed(&hub, &event) }
            })
            .connect(addresses)
            .await
            .map_err(|e| failed(&e))?;
        let all = client.subscribe(ALL).await.map_err(|e| failed(&e))?;
        let own = client
            .subscribe(format!("{}.>", own(id)))
            .await
            .map_err(|e| failed(&e))?;
        Ok(Self {
            hub,
            id,
            client,
            all,
            own,
        })
    }

    /// Moves messages until `ended`; then says goodbye.
    pub(crate) async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(message) = self.all.next() => self.hub.heard(&message.payload, now()),
                Some(message) = self.own.next() => self.receive(&message),
                next = self.hub.next_for_others() => self.send(next).await,
                _ = tick.tick() => self.hub.tick(now()),
                _ = &mut ended => break,
            }
        }
        self.hub.leave_others();
        while let Some(next) = self.hub.try_next_for_others() {
            self.send(next).await;
        }
        let _ = timeout(SEND_LIMIT, self.client.flush()).await;
    }

    async fn send(&self, ForOthers { to, bytes, relay }: ForOthers) {
        let subject = to.map_or_else(|| ALL.to_owned(), |to| format!("{}.say", own(to)));
        let published = async {
            match (to, relay) {
                // NATS itself answers when nobody listens there.
                (Some(_), Some((from, to))) => {
                    let reply = format!("{}.lost.{from}.{to}", own(self.id));
                    self.client.publish_with_reply(subject, reply, bytes.into()).await
                }
                _ => self.client.publish(subject, bytes.into()).await,
            }
        };
        if timeout(SEND_LIMIT, published).await.is_err() {
            self.hub.metrics().strike(Limit::ClusterQueue);
        }
    }

    fn receive(&self, message: &Message) {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            if let Some((from, to)) = lost(&message.subject) {
                self.hub.lost(from, to);
            }
        } else {
            self.hub.heard(&message.payload, now());
        }
    }
}

fn own(id: ServerId) -> String {
    format!("sazanami.1.to.{id}")
}

/// The sender and receiver in the subject that a relay's answer would come to.
fn lost(subject: &str) -> Option<(SessionId, SessionId)> {
    let (rest, to) = subject.rsplit_once('.')?;
    let (_, from) = rest.rsplit_once('.')?;
    let session = |hex: &str| Some(SessionId(hex.parse().ok()?));
    Some((session(from)?, session(to)?))
}

fn changed(hub: &Hub, event: &Event) {
    match event {
        Event::Connected => {
            tracing::info!("joined other servers through NATS");
            hub.joined(now());
        }
        Event::Disconnected | Event::Closed => {
            tracing::warn!("NATS is gone; going on alone until it is back");
            hub.parted();
        }
        Event::SlowConsumer(_) => hub.metrics().strike(Limit::ClusterQueue),
        other => tracing::warn!(%other, "NATS"),
    }
}

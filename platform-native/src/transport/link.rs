//! One link's life: negotiate, open, watch the path, close. What to do about a broken path, the node decides.

use std::pin::pin;
use std::time::Duration;

use sazanami_core::negotiation::{Action, Input, Negotiation};
use sazanami_core::signaling::{IceServer, PeerSignal};
use sazanami_core::transport::{
    CloseReason, ConnectOptions, IceState, LinkId, Path, PathKind, TransportEvent, candidates,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use webrtc::peer_connection::{RTCIceCandidateType, RTCIceConnectionState, StatsSelector};

use super::Order;
use super::channel::{self, Notice};
use super::peer::{Peer, PeerEvent};
use super::turn_stream::Ways;

/// How often the path is looked at.
const PATH_INTERVAL: Duration = Duration::from_secs(5);
/// How long closing may take before the connection is left to its fate.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// Relay addresses of the peer that are remembered to tell the path.
const MAX_RELAYS: usize = 32;

/// Runs a link until it ends. The transport ends it by dropping `orders`' sender.
pub(super) async fn run(
    id: LinkId,
    options: ConnectOptions,
    ways: Ways,
    mut orders: mpsc::Receiver<Order>,
    frames: mpsc::Receiver<Vec<u8>>,
    report: mpsc::Sender<TransportEvent>,
) {
    let reason = match Peer::new(&options, &ways).await {
        Ok(peer) => {
            let connection = peer.connection.clone();
            let mut link = Link {
                id,
                negotiation: Negotiation::new(options.polite),
                peer,
                report: report.clone(),
                opened: false,
                by_hand: options.by_hand,
                deadline: Some(Instant::now() + options.timeout()),
                ice: None,
                path: None,
                relays: Vec::new(),
            };
            if options.offer {
                link.negotiation.handle(Input::Needed);
            }
            let reason = link.live(&mut orders, frames).await;
            if !matches!(
                tokio::time::timeout(CLOSE_LIMIT, connection.close()).await,
                Ok(Ok(()))
            ) {
                tracing::warn!(%id, "the peer connection did not close cleanly");
            }
            reason
        }
        Err(error) => CloseReason::Failed(error.to_string()),
    };
    tracing::debug!(%id, ?reason, "link closed");
    // When the transport closed it or is gone, nobody listens.
    let _ = report.send(TransportEvent::Closed { link: id, reason }).await;
}

struct Link {
    id: LinkId,
    negotiation: Negotiation,
    peer: Peer,
    report: mpsc::Sender<TransportEvent>,
    opened: bool,
    /// People carry the signals.
    by_hand: bool,
    /// When it must be connected.
    deadline: Option<Instant>,
    /// What was told last of how the checks go.
    ice: Option<IceState>,
    path: Option<Path>,
    relays: Vec<(String, u16)>,
}

impl Link {
    async fn live(
        &mut self,
        orders: &mut mpsc::Receiver<Order>,
        frames: mpsc::Receiver<Vec<u8>>,
    ) -> CloseReason {
        // Dropped, and so ended, before `Closed` is reported: nothing comes after it.
        let mut channel_tasks = JoinSet::new();
        let (notify, mut notices) = mpsc::channel(4);
        let channel = self.peer.channel.clone();
        channel_tasks.spawn(channel::read(
            self.id,
            channel.clone(),
            self.report.clone(),
            notify.clone(),
        ));
        let mut frames = Some(frames);
        let mut path_ticks = tokio::time::interval(PATH_INTERVAL);
        path_ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);

        let reason = loop {
            if let Err(reason) = self.negotiate().await {
                break reason;
            }
            let overdue = pin!(sleep_until(self.deadline));
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Signal(signal)) => self.take_signal(signal),
                    Some(Order::Restart(ice_servers)) => {
                        if self.opened && let Err(reason) = self.restart(&ice_servers).await {
                            break reason;
                        }
                    }
                    None => break CloseReason::Local,
                },
                event = self.peer.events.recv() => match event {
                    Some(PeerEvent::Candidate(candidate)) => {
                        self.negotiation.handle(Input::LocalCandidate(candidate));
                    }
                    Some(PeerEvent::Ice(state)) => {
                        if let Err(reason) = self.take_ice(state).await {
                            break reason;
                        }
                    }
                    None => break failed("the peer connection has ended"),
                },
                Some(notice) = notices.recv() => match notice {
                    Notice::Opened => {
                        self.opened = true;
                        self.deadline = None;
                        if let Some(frames) = frames.take() {
                            let (report, notify) = (self.report.clone(), notify.clone());
                            channel_tasks.spawn(channel::write(self.id, channel.clone(), frames, report, notify));
                        }
                        path_ticks.reset_immediately();
                    }
                    Notice::Ended if self.opened => break CloseReason::Remote,
                    Notice::Ended => break failed("the data channel closed before it was open"),
                    Notice::Broken(reason) => break CloseReason::Failed(reason),
                },
                _ = path_ticks.tick(), if self.opened => self.watch_path().await,
                () = overdue => break CloseReason::Timeout,
            }
        };
        channel_tasks.shutdown().await;
        reason
    }

    /// Carries out what the negotiation has to do now.
    async fn negotiate(&mut self) -> Result<(), CloseReason> {
        while let Some(action) = self.negotiation.poll() {
            match action {
                Action::Send(signal) => {
                    let event = TransportEvent::Signal {
                        link: self.id,
                        signal,
                    };
                    self.report.send(event).await.map_err(|_| CloseReason::Local)?;
                }
                Action::Fail(reason) => return Err(CloseReason::Failed(reason)),
                action => {
                    let outcome = self.peer.carry_out(action).await;
                    self.negotiation.finished(outcome);
                }
            }
        }
        Ok(())
    }

    async fn restart(&mut self, ice_servers: &[IceServer]) -> Result<(), CloseReason> {
        self.peer
            .use_servers(ice_servers)
            .await
            .map_err(|error| CloseReason::Failed(error.to_string()))?;
        self.negotiation.handle(Input::Restart);
        Ok(())
    }

    fn take_signal(&mut self, signal: PeerSignal) {
        let text = match &signal {
            PeerSignal::Offer(sdp) | PeerSignal::Answer(sdp) => sdp,
            PeerSignal::Candidate { candidate, .. } => candidate,
        };
        let room = MAX_RELAYS.saturating_sub(self.relays.len());
        self.relays.extend(candidates::relay_addresses(text).take(room));
        self.negotiation.handle(Input::Remote(signal));
    }

    async fn take_ice(&mut self, state: RTCIceConnectionState) -> Result<(), CloseReason> {
        tracing::debug!(id = %self.id, ?state, "ICE");
        let state = match state {
            RTCIceConnectionState::Failed if !self.opened && self.by_hand => return Ok(()),
            RTCIceConnectionState::Failed if !self.opened => {
                return Err(failed("no way to the peer was found"));
            }
            RTCIceConnectionState::Connected | RTCIceConnectionState::Completed => IceState::Connected,
            RTCIceConnectionState::Disconnected => IceState::Disconnected,
            RTCIceConnectionState::Failed => IceState::Failed,
            _ => return Ok(()),
        };
        if !self.opened {
            return Ok(());
        }
        if state == IceState::Connected {
            self.watch_path().await;
        }
        if self.ice.replace(state).unwrap_or(IceState::Connected) != state {
            let event = TransportEvent::Ice { link: self.id, state };
            self.report.send(event).await.map_err(|_| CloseReason::Local)?;
        }
        Ok(())
    }

    async fn watch_path(&mut self) {
        let Some(path) = self.current_path().await else {
            return;
        };
        if self.path.is_none_or(|before| differs(before, path)) {
            // When the queue is full the next look reports it.
            if self
                .report
                .try_send(TransportEvent::Path { link: self.id, path })
                .is_ok()
            {
                self.path = Some(path);
            }
        }
    }

    async fn current_path(&self) -> Option<Path> {
        let connection = &self.peer.connection;
        let ice = connection.sctp().await?.transport().ice_transport();
        let pair = ice.get_selected_candidate_pair().await.ok()??;
        let remote = pair.remote();
        // A relay that is heard before it is told appears as peer-reflexive.
        let relayed = pair.local().typ == RTCIceCandidateType::Relay
            || remote.typ == RTCIceCandidateType::Relay
            || self
                .relays
                .iter()
                .any(|(address, port)| *address == remote.address && *port == remote.port);
        let stats = connection
            .get_stats(std::time::Instant::now(), StatsSelector::None)
            .await;
        let rtt_ms = stats
            .candidate_pairs()
            .filter(|pair| pair.nominated && pair.current_round_trip_time > 0.0)
            .map(|pair| (pair.current_round_trip_time * 1000.0).ceil() as u32)
            .min();
        Some(Path {
            kind: if relayed {
                PathKind::Relayed
            } else {
                PathKind::Direct
            },
            rtt_ms,
        })
    }
}

/// Whether a path has changed so much that it is worth telling.
fn differs(before: Path, now: Path) -> bool {
    before.kind != now.kind
        || match (before.rtt_ms, now.rtt_ms) {
            (Some(before), Some(now)) => before.abs_diff(now) > (before / 4).max(5),
            (before, now) => before != now,
        }
}

fn failed(reason: &str) -> CloseReason {
    CloseReason::Failed(reason.to_owned())
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

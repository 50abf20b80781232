//! Builds a peer connection with its one data channel, and carries out what the negotiation asks.

use std::sync::Arc;
use std::time::Duration;

use rtc::ice::mdns::MulticastDnsMode;
use sazanami_core::negotiation::{Action, Outcome};
use sazanami_core::signaling::{IceServer, PeerSignal};
use sazanami_core::transport::{ConnectOptions, Route, SEND_BUFFER, candidates};
use tokio::sync::mpsc;
use webrtc::data_channel::{DataChannel, RTCDataChannelInit};
use webrtc::error::Result;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfiguration,
    RTCConfigurationBuilder, RTCIceCandidateInit, RTCIceCandidateType, RTCIceConnectionState,
    RTCIceTransportPolicy, RTCPeerConnectionIceEvent, RTCSessionDescription, SettingEngineBuilder,
};

use super::runtime::RoomyRuntime;
use super::turn_stream::{TurnStreams, Ways};

/// The channel's name and stream id, the same at both ends, so that neither has to announce it.
const CHANNEL: (&str, u16) = ("sazanami", 0);
/// What a peer connection may report before it is read; gathering yields a few dozen candidates at most.
const MAX_PEER_EVENTS: usize = 256;

/// What a peer connection reports.
#[derive(Debug)]
pub(super) enum PeerEvent {
    Candidate(PeerSignal),
    Ice(RTCIceConnectionState),
}

/// A peer connection. It must be closed: dropping it leaves sockets and a task behind.
pub(super) struct Peer {
    pub(super) connection: Arc<dyn PeerConnection>,
    pub(super) channel: Arc<dyn DataChannel>,
    pub(super) events: mpsc::Receiver<PeerEvent>,
    route: Route,
    streams: Arc<TurnStreams>,
}

/// Between two connectivity checks of a pair where people carry the signals.
const PATIENT_CHECKS: Duration = Duration::from_millis(500);

struct Handler {
    route: Route,
    streams: Arc<TurnStreams>,
    events: mpsc::Sender<PeerEvent>,
}

impl Handler {
    /// Never waits: it is called on the connection's own task.
    fn report(&self, event: PeerEvent) {
        if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
            tracing::warn!(?event, "a peer connection reports faster than it is read");
        }
    }
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        if event.candidate.typ == RTCIceCandidateType::Relay {
            self.streams.relay_found(&event.url);
        }
        let Ok(init) = event.candidate.to_json() else {
            return;
        };
        let Some(candidate) = candidates::outgoing(&init.candidate, self.route) else {
            return;
        };
        self.report(PeerEvent::Candidate(PeerSignal::Candidate {
            candidate,
            sdp_mid: init.sdp_mid,
            sdp_m_line_index: init.sdp_mline_index,
        }));
    }

    async fn on_ice_connection_state_change(&self, state: RTCIceConnectionState) {
        self.report(PeerEvent::Ice(state));
    }
}

impl Peer {
    /// A new peer connection, not negotiated yet.
    pub(super) async fn new(options: &ConnectOptions, ways: &Ways) -> Result<Self> {
        // Browsers hide their addresses behind mDNS names. A machine without a network has no multicast, and the
        // connection is then made without.
        match Self::with_mdns(options, ways, MulticastDnsMode::QueryOnly).await {
            Ok(peer) => Ok(peer),
            Err(error) => {
                tracing::debug!(%error, "no multicast here: peers' .local names are not resolved");
                Self::with_mdns(options, ways, MulticastDnsMode::Disabled).await
            }
        }
    }

    async fn with_mdns(options: &ConnectOptions, ways: &Ways, mdns: MulticastDnsMode) -> Result<Self> {
        let streams = Arc::new(TurnStreams::new(ways.clone()));
        let configuration = configuration(&options.ice_servers, &streams, options.route);
        let mut settings = SettingEngineBuilder::new()
            .with_include_loopback_candidate(true)
            .with_multicast_dns_mode(mdns)
            .with_discard_local_candidates_during_ice_restart(true);
        if options.by_hand {
            // The other side may answer in minutes: neither the whole nor any pair of candidates is given up before.
            settings = settings
                .with_ice_timeouts(None, Some(options.timeout()), None)
                .with_ice_connection_attempts(Some(PATIENT_CHECKS), Some(u16::MAX));
        }
        let settings = settings.build();
        let (sender, events) = mpsc::channel(MAX_PEER_EVENTS);
        let connection: Arc<dyn PeerConnection> = Arc::new(
            PeerConnectionBuilder::new()
                .with_configuration(configuration)
                .with_setting_engine(settings)
                .with_runtime(Arc::new(RoomyRuntime(Arc::clone(&streams))))
                .with_handler(Arc::new(Handler {
                    route: options.route,
                    streams: Arc::clone(&streams),
                    events: sender,
                }))
                .with_udp_addrs(local_addresses())
                .with_data_channel_send_buffer_limit(SEND_BUFFER)
                .build()
                .await?,
        );
        let init = RTCDataChannelInit {
            negotiated: Some(CHANNEL.1),
            ..RTCDataChannelInit::default()
        };
        match connection.create_data_channel(CHANNEL.0, Some(init)).await {
            Ok(channel) => Ok(Self {
                connection,
                channel,
                events,
                route: options.route,
                streams,
            }),
            Err(error) => {
                connection.close().await?;
                Err(error)
            }
        }
    }

    /// From the next gathering on, these are the STUN and TURN servers.
    pub(super) async fn use_servers(&self, ice_servers: &[IceServer]) -> Result<()> {
        self.connection
            .set_configuration(configuration(ice_servers, &self.streams, self.route))
            .await
    }

    /// Carries out one step of the negotiation.
    pub(super) async fn carry_out(&self, action: Action) -> Outcome {
        let result = match action {
            Action::Offer => self.describe(true).await.map(Outcome::Local),
            Action::Answer => self.describe(false).await.map(Outcome::Local),
            action => self.apply(action).await.map(|()| Outcome::Done),
        };
        result.unwrap_or_else(|error| Outcome::Failed(error.to_string()))
    }

    async fn describe(&self, offer: bool) -> Result<String> {
        let description = if offer {
            self.connection.create_offer(None).await?
        } else {
            self.connection.create_answer(None).await?
        };
        self.connection.set_local_description(description.clone()).await?;
        // As set, it holds the candidates gathered so far: after a rollback they are not reported again.
        let description = self.connection.local_description().await.unwrap_or(description);
        Ok(candidates::outgoing_sdp(&description.sdp, self.route))
    }

    async fn apply(&self, action: Action) -> Result<()> {
        match action {
            Action::SetRemote(PeerSignal::Offer(sdp)) => {
                self.connection
                    .set_remote_description(RTCSessionDescription::offer(sdp)?)
                    .await
            }
            Action::SetRemote(PeerSignal::Answer(sdp)) => {
                self.connection
                    .set_remote_description(RTCSessionDescription::answer(sdp)?)
                    .await
            }
            Action::Rollback => {
                self.connection
                    .set_local_description(RTCSessionDescription::rollback(None)?)
                    .await
            }
            Action::AddCandidate(PeerSignal::Candidate {
                candidate,
                sdp_mid,
                sdp_m_line_index,
            }) => {
                let init = RTCIceCandidateInit {
                    candidate,
                    sdp_mid,
                    sdp_mline_index: sdp_m_line_index,
                    ..RTCIceCandidateInit::default()
                };
                self.connection.add_ice_candidate(init).await
            }
            Action::RestartIce => self.connection.restart_ice().await,
            Action::SetRemote(_) | Action::AddCandidate(_) | Action::Send(_) | Action::Fail(_) => Ok(()),
            Action::Offer | Action::Answer => Ok(()),
        }
    }
}

fn configuration(ice_servers: &[IceServer], streams: &TurnStreams, route: Route) -> RTCConfiguration {
    RTCConfigurationBuilder::new()
        .with_ice_servers(streams.servers(ice_servers))
        .with_ice_transport_policy(match route {
            Route::Any => RTCIceTransportPolicy::All,
            Route::RelayOnly => RTCIceTransportPolicy::Relay,
        })
        .build()
}

/// A wildcard stands for every interface but loopback, which peers on the same machine need, and TURN over streams.
fn local_addresses() -> Vec<&'static str> {
    let mut addresses = vec!["127.0.0.1:0", "0.0.0.0:0"];
    if std::net::UdpSocket::bind("[::]:0").is_ok() {
        addresses.push("[::]:0");
    }
    addresses
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::BytesMut;
    use sazanami_core::negotiation::{Input, Negotiation};
    use webrtc::data_channel::DataChannelEvent;

    use super::*;

    struct Side {
        peer: Peer,
        negotiation: Negotiation,
        opened: bool,
        connected: usize,
        heard: Vec<Vec<u8>>,
    }

    impl Side {
        async fn new(polite: bool) -> Self {
            let ice_servers = Vec::new();
            let options = ConnectOptions {
                by_hand: false,
                polite,
                offer: !polite,
                route: Route::Any,
                ice_servers,
            };
            let peer = Peer::new(&options, &Ways::new()).await.unwrap();
            Self {
                peer,
                negotiation: Negotiation::new(polite),
                opened: false,
                connected: 0,
                heard: Vec::new(),
            }
        }

        /// Negotiates as far as possible and takes what happens next; returns what is to be signalled.
        async fn step(&mut self) -> Vec<PeerSignal> {
            let mut signals = Vec::new();
            while let Some(action) = self.negotiation.poll() {
                match action {
                    Action::Send(signal) => signals.push(signal),
                    Action::Fail(reason) => panic!("{reason}"),
                    action => {
                        let outcome = self.peer.carry_out(action).await;
                        self.negotiation.finished(outcome);
                    }
                }
            }
            tokio::select! {
                Some(event) = self.peer.events.recv() => match event {
                    PeerEvent::Candidate(candidate) => self.negotiation.handle(Input::LocalCandidate(candidate)),
                    PeerEvent::Ice(RTCIceConnectionState::Connected) => self.connected += 1,
                    PeerEvent::Ice(_) => {}
                },
                event = self.peer.channel.poll() => match event.expect("the channel lives") {
                    DataChannelEvent::OnOpen => self.opened = true,
                    DataChannelEvent::OnMessage(message) => self.heard.push(message.data.to_vec()),
                    // The buffer's level is told when the other side acknowledges, which it may do at any time.
                    DataChannelEvent::OnBufferedAmountLow | DataChannelEvent::OnBufferedAmountHigh => {}
                    other => panic!("{other:?}"),
                },
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
            signals
        }
    }

    async fn until(sides: &mut [Side; 2], what: &str, condition: impl Fn(&[Side; 2]) -> bool) {
        let work = async {
            while !condition(sides) {
                for at in [0, 1] {
                    for signal in sides[at].step().await {
                        sides[1 - at].negotiation.handle(Input::Remote(signal));
                    }
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), work)
            .await
            .unwrap_or_else(|_| panic!("never: {what}"));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_restart_mends_the_path_and_loses_nothing() {
        let mut sides = [Side::new(true).await, Side::new(false).await];
        sides[1].negotiation.handle(Input::Needed);
        until(&mut sides, "both open", |sides| {
            sides.iter().all(|side| side.opened)
        })
        .await;
        let before = sides[0].connected;
        // New sockets replace the old ones, as after a change of network.
        sides[1].negotiation.handle(Input::Restart);
        until(&mut sides, "connected again", |sides| sides[0].connected > before).await;
        for side in &sides {
            side.peer
                .channel
                .send(BytesMut::from(&b"ripple"[..]))
                .await
                .unwrap();
        }
        until(&mut sides, "frames both ways", |sides| {
            sides.iter().all(|side| side.heard == [b"ripple"])
        })
        .await;
        for side in sides {
            side.peer.connection.close().await.unwrap();
        }
    }
}

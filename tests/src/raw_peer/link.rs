//! A peer connection with its data channel, without any of the checks that a real transport makes.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use bytes::BytesMut;
use sazanami_core::negotiation::{Action, Input, Negotiation, Outcome};
use sazanami_core::signaling::PeerSignal;
use sazanami_core::transport::{CloseReason, ConnectOptions, LinkId, TransportEvent};
use tokio::sync::mpsc;
use webrtc::data_channel::{DataChannelEvent, RTCDataChannelInit};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCIceCandidateInit, RTCPeerConnectionIceEvent, RTCSessionDescription, SettingEngineBuilder,
};
use webrtc::runtime::TokioRuntime;

/// What a link is to do.
pub(super) enum Said {
    Signal(PeerSignal),
    Frame(Vec<u8>),
    Text(String),
}

/// Dropping it closes the connection.
pub(super) struct LinkHandle(mpsc::Sender<Said>);

impl LinkHandle {
    pub(super) fn start(id: LinkId, options: ConnectOptions, report: mpsc::Sender<TransportEvent>) -> Self {
        let (sender, said) = mpsc::channel(256);
        tokio::spawn(async move {
            let reason = match live(id, &options, said, &report).await {
                Ok(reason) => reason,
                Err(error) => CloseReason::Failed(format!("{error:#}")),
            };
            let _ = report.send(TransportEvent::Closed { link: id, reason }).await;
        });
        Self(sender)
    }

    pub(super) async fn say(&self, said: Said) -> Result<()> {
        self.0.send(said).await.map_err(|_| anyhow!("the link is over"))
    }
}

struct Handler(mpsc::Sender<PeerSignal>);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        if let Ok(init) = event.candidate.to_json() {
            let RTCIceCandidateInit {
                candidate,
                sdp_mid,
                sdp_mline_index,
                ..
            } = init;
            let _ = self.0.try_send(PeerSignal::Candidate {
                candidate,
                sdp_mid,
                sdp_m_line_index: sdp_mline_index,
            });
        }
    }
}

async fn live(
    id: LinkId,
    options: &ConnectOptions,
    mut said: mpsc::Receiver<Said>,
    report: &mpsc::Sender<TransportEvent>,
) -> Result<CloseReason> {
    let (candidates, mut gathered) = mpsc::channel(256);
    let settings = SettingEngineBuilder::new()
        .with_include_loopback_candidate(true)
        .build();
    let connection: Arc<dyn PeerConnection> = Arc::new(
        PeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().build())
            .with_setting_engine(settings)
            .with_runtime(Arc::new(TokioRuntime))
            .with_handler(Arc::new(Handler(candidates)))
            .with_udp_addrs(vec!["127.0.0.1:0", "0.0.0.0:0"])
            .build()
            .await?,
    );
    let init = RTCDataChannelInit {
        negotiated: Some(0),
        ..RTCDataChannelInit::default()
    };
    let channel = connection.create_data_channel("sazanami", Some(init)).await?;
    let mut negotiation = Negotiation::new(options.polite);
    if options.offer {
        negotiation.handle(Input::Needed);
    }
    let reason = loop {
        while let Some(action) = negotiation.poll() {
            match action {
                Action::Send(signal) => report.send(TransportEvent::Signal { link: id, signal }).await?,
                Action::Fail(reason) => return Err(anyhow!(reason)),
                action => {
                    let outcome = carry_out(&*connection, action).await;
                    negotiation
                        .finished(outcome.unwrap_or_else(|error| Outcome::Failed(format!("{error:#}"))));
                }
            }
        }
        tokio::select! {
            said = said.recv() => match said {
                Some(Said::Signal(signal)) => negotiation.handle(Input::Remote(signal)),
                Some(Said::Frame(bytes)) => {
                    let length = bytes.len();
                    channel.send(BytesMut::from(bytes.as_slice())).await?;
                    report.send(TransportEvent::Drained { link: id, bytes: length }).await?;
                }
                Some(Said::Text(text)) => channel.send_text(&text).await?,
                None => break CloseReason::Local,
            },
            Some(candidate) = gathered.recv() => negotiation.handle(Input::LocalCandidate(candidate)),
            event = channel.poll() => match event {
                Some(DataChannelEvent::OnOpen) => report.send(TransportEvent::Opened { link: id }).await?,
                Some(DataChannelEvent::OnMessage(message)) => {
                    report.send(TransportEvent::Frame { link: id, frame: message.data.to_vec() }).await?;
                }
                Some(DataChannelEvent::OnClose) | None => break CloseReason::Remote,
                Some(_) => {}
            },
        }
    };
    connection.close().await?;
    Ok(reason)
}

async fn carry_out(connection: &dyn PeerConnection, action: Action) -> Result<Outcome> {
    match action {
        Action::Offer | Action::Answer => {
            let description = match action {
                Action::Offer => connection.create_offer(None).await?,
                _ => connection.create_answer(None).await?,
            };
            connection.set_local_description(description).await?;
            let description = connection
                .local_description()
                .await
                .context("it has just been set")?;
            return Ok(Outcome::Local(description.sdp));
        }
        Action::SetRemote(PeerSignal::Offer(sdp)) => {
            connection
                .set_remote_description(RTCSessionDescription::offer(sdp)?)
                .await?;
        }
        Action::SetRemote(PeerSignal::Answer(sdp)) => {
            connection
                .set_remote_description(RTCSessionDescription::answer(sdp)?)
                .await?;
        }
        Action::Rollback => {
            connection
                .set_local_description(RTCSessionDescription::rollback(None)?)
                .await?;
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
            connection.add_ice_candidate(init).await?;
        }
        Action::RestartIce => connection.restart_ice().await?,
        _ => {}
    }
    Ok(Outcome::Done)
}

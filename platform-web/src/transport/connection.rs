//! One `RTCPeerConnection` with its channel and listeners: made, driven and closed as one thing.

use std::rc::Rc;

use futures::channel::mpsc;
use js_sys::{Array, Uint8Array};
use sazanami_core::negotiation::{Action, Outcome};
use sazanami_core::signaling::{IceServer, PeerSignal};
use sazanami_core::transport::{CloseReason, ConnectOptions, MAX_FRAME, Path, Route};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Event, MessageEvent, RtcConfiguration, RtcDataChannel, RtcDataChannelInit, RtcDataChannelType,
    RtcIceCandidateInit, RtcIceServer, RtcIceTransportPolicy, RtcPeerConnection, RtcPeerConnectionIceEvent,
    RtcPeerConnectionState, RtcSdpType, RtcSessionDescriptionInit,
};

use super::{MAX_UNREAD, Shared};
use crate::dom::{Listener, describe};

/// Both sides declare the channel of this id and name themselves, so there is no moment in which one side's channel
/// is open and the other side's unknown.
const CHANNEL_ID: u16 = 0;
const CHANNEL_LABEL: &str = "sazanami";

/// What happens to a link.
pub(super) enum Happening {
    /// The other peer's offer, answer or candidate.
    Signal(PeerSignal),
    /// A candidate of this side.
    Candidate(PeerSignal),
    /// An action of the negotiation ended.
    Finished(Outcome),
    /// Frames can be sent.
    Opened,
    /// A frame arrived.
    Frame(Vec<u8>),
    /// `connectionState` changed.
    Connection(RtcPeerConnectionState),
    /// The send buffer has room again.
    Low,
    /// What `getStats` says of the path.
    Path(Option<Path>),
    /// Time to look at the path again.
    LookAtPath,
    /// The time to connect is over.
    ConnectTimeout,
    /// A path is to be looked for anew, with these servers.
    Restart(Vec<IceServer>),
    /// The end.
    Close(CloseReason),
}

#[wasm_bindgen]
extern "C" {
    // web-sys lacks restartIce, and the argument of setConfiguration.
    #[wasm_bindgen(extends = RtcPeerConnection)]
    type RestartablePeerConnection;
    #[wasm_bindgen(method, js_name = restartIce)]
    fn restart_ice(this: &RestartablePeerConnection);
    #[wasm_bindgen(method, catch, js_name = setConfiguration)]
    fn set_configuration(
        this: &RestartablePeerConnection,
        configuration: &RtcConfiguration,
    ) -> Result<(), JsValue>;
}

/// A peer connection and all that hangs on it. Closed when dropped: a browser allows 500 of them, counted until they
/// are closed and collected.
pub(super) struct Connection {
    pub(super) peer: RtcPeerConnection,
    pub(super) channel: RtcDataChannel,
    listeners: Vec<Listener>,
}

impl Connection {
    pub(super) fn new(
        options: &ConnectOptions,
        happenings: &mpsc::UnboundedSender<Happening>,
        shared: &Rc<Shared>,
    ) -> Result<Self, String> {
        let peer =
            RtcPeerConnection::new_with_configuration(&configuration(&options.ice_servers, options.route))
                .map_err(|e| describe(&e))?;
        let init = RtcDataChannelInit::new();
        init.set_negotiated(true);
        init.set_id(CHANNEL_ID);
        init.set_ordered(true);
        let channel = peer.create_data_channel_with_data_channel_dict(CHANNEL_LABEL, &init);
        channel.set_binary_type(RtcDataChannelType::Arraybuffer);
        let listeners = listeners(&peer, &channel, happenings, shared);
        Ok(Self {
            peer,
            channel,
            listeners,
        })
    }

    /// From the next gathering on, these are the STUN and TURN servers.
    pub(super) fn use_servers(&self, ice_servers: &[IceServer], route: Route) -> Result<(), String> {
        self.peer
            .unchecked_ref::<RestartablePeerConnection>()
            .set_configuration(&configuration(ice_servers, route))
            .map_err(|error| describe(&error))
    }

    /// Carries out an action of the negotiation.
    pub(super) async fn perform(peer: RtcPeerConnection, action: Action) -> Outcome {
        let result = match action {
            Action::Offer => describe_local(&peer, peer.create_offer(), RtcSdpType::Offer)
                .await
                .map(Outcome::Local),
            Action::Answer => describe_local(&peer, peer.create_answer(), RtcSdpType::Answer)
                .await
                .map(Outcome::Local),
            Action::Rollback => {
                let rollback = RtcSessionDescriptionInit::new(RtcSdpType::Rollback);
                JsFuture::from(peer.set_local_description(&rollback))
                    .await
                    .map(|_| Outcome::Done)
            }
            Action::SetRemote(signal) => {
                let (kind, sdp) = match &signal {
                    PeerSignal::Offer(sdp) => (RtcSdpType::Offer, sdp),
                    PeerSignal::Answer(sdp) => (RtcSdpType::Answer, sdp),
                    PeerSignal::Candidate { .. } => return Outcome::Done,
                };
                let description = RtcSessionDescriptionInit::new(kind);
                description.set_sdp(sdp);
                JsFuture::from(peer.set_remote_description(&description))
                    .await
                    .map(|_| Outcome::Done)
            }
            Action::AddCandidate(PeerSignal::Candidate {
                candidate,
                sdp_mid,
                sdp_m_line_index,
            }) => {
                let init = RtcIceCandidateInit::new(&candidate);
                init.set_sdp_mid(sdp_mid.as_deref());
                init.set_sdp_m_line_index(sdp_m_line_index);
                JsFuture::from(peer.add_ice_candidate_with_opt_rtc_ice_candidate_init(Some(&init)))
                    .await
                    .map(|_| Outcome::Done)
            }
            Action::RestartIce => {
                peer.unchecked_ref::<RestartablePeerConnection>().restart_ice();
                Ok(Outcome::Done)
            }
            Action::AddCandidate(_) | Action::Send(_) | Action::Fail(_) => Ok(Outcome::Done),
        };
        result.unwrap_or_else(|error| Outcome::Failed(describe(&error)))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // First the listeners: closing must not report itself.
        self.listeners.clear();
        self.channel.close();
        self.peer.close();
    }
}

async fn describe_local(
    peer: &RtcPeerConnection,
    description: js_sys::Promise,
    kind: RtcSdpType,
) -> Result<String, JsValue> {
    let description = JsFuture::from(description).await?;
    let sdp = js_sys::Reflect::get(&description, &"sdp".into())?
        .as_string()
        .unwrap_or_default();
    let init = RtcSessionDescriptionInit::new(kind);
    init.set_sdp(&sdp);
    JsFuture::from(peer.set_local_description(&init)).await?;
    Ok(sdp)
}

fn configuration(ice_servers: &[IceServer], route: Route) -> RtcConfiguration {
    let servers = Array::new();
    for server in ice_servers {
        let entry = RtcIceServer::new();
        let urls: Array = server.urls.iter().map(|url| JsValue::from_str(url)).collect();
        entry.set_urls(&urls);
        if let Some(username) = &server.username {
            entry.set_username(username);
        }
        if let Some(credential) = &server.credential {
            entry.set_credential(credential);
        }
        servers.push(&entry);
    }
    let configuration = RtcConfiguration::new();
    configuration.set_ice_servers(&servers);
    configuration.set_ice_transport_policy(match route {
        Route::Any => RtcIceTransportPolicy::All,
        Route::RelayOnly => RtcIceTransportPolicy::Relay,
    });
    configuration
}

fn listeners(
    peer: &RtcPeerConnection,
    channel: &RtcDataChannel,
    happenings: &mpsc::UnboundedSender<Happening>,
    shared: &Rc<Shared>,
) -> Vec<Listener> {
    // The task outlives its listeners, so that sending fails only while both are being dropped.
    let tell =
        |happening: Happening, to: &mpsc::UnboundedSender<Happening>| drop(to.unbounded_send(happening));
    let with = || happenings.clone();
    vec![
        Listener::new(peer, "icecandidate", {
            let to = with();
            move |event| {
                if let Some(candidate) = candidate(&event) {
                    tell(Happening::Candidate(candidate), &to);
                }
            }
        }),
        Listener::new(peer, "connectionstatechange", {
            let (to, peer) = (with(), peer.clone());
            move |_| tell(Happening::Connection(peer.connection_state()), &to)
        }),
        // Firefox may disconnect where nobody listens for this.
        Listener::new(peer, "iceconnectionstatechange", |_| {}),
        Listener::new(channel, "open", {
            let to = with();
            move |_| tell(Happening::Opened, &to)
        }),
        Listener::new(channel, "close", {
            let to = with();
            move |_| tell(Happening::Close(CloseReason::Remote), &to)
        }),
        Listener::new(channel, "bufferedamountlow", {
            let to = with();
            move |_| tell(Happening::Low, &to)
        }),
        Listener::new(channel, "message", {
            let (to, shared) = (with(), shared.clone());
            move |event| tell(received(&event, &shared), &to)
        }),
    ]
}

fn candidate(event: &Event) -> Option<PeerSignal> {
    let candidate = event.dyn_ref::<RtcPeerConnectionIceEvent>()?.candidate()?;
    let text = candidate.candidate();
    // An empty one says that these were all, which nobody needs to know.
    (!text.is_empty()).then(|| PeerSignal::Candidate {
        candidate: text,
        sdp_mid: candidate.sdp_mid(),
        sdp_m_line_index: candidate.sdp_m_line_index(),
    })
}

fn received(event: &Event, shared: &Shared) -> Happening {
    let fail = |reason: &str| Happening::Close(CloseReason::Failed(reason.to_owned()));
    let data = event.unchecked_ref::<MessageEvent>().data();
    let Some(buffer) = data.dyn_ref::<js_sys::ArrayBuffer>() else {
        return fail("the peer sent text");
    };
    let length = buffer.byte_length() as usize;
    if length > MAX_FRAME {
        return fail("the peer sent an oversized frame");
    }
    if shared.unread.get() + length > MAX_UNREAD {
        return fail("the peer sends faster than this device reads");
    }
    shared.unread.set(shared.unread.get() + length);
    Happening::Frame(Uint8Array::new(buffer).to_vec())
}

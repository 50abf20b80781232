//! The browser's transport keeps the contract that every transport keeps, over real peer connections.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::time::Duration;

use futures::future::{Either, select};
use gloo_timers::future::sleep;
use sazanami_core::signaling::{IceServer, PeerSignal};
use sazanami_core::transport::{
    CloseReason, ConnectOptions, LinkId, Route, Transport, TransportEvent, conformance,
};
use sazanami_web::transport::WebTransport;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::{RtcDataChannelInit, RtcPeerConnection, RtcSdpType, RtcSessionDescriptionInit};

wasm_bindgen_test_configure!(run_in_browser);

fn options(polite: bool, offer: bool) -> ConnectOptions {
    ConnectOptions {
        by_hand: false,
        polite,
        offer,
        route: Route::Any,
        ice_servers: Vec::new(),
    }
}

async fn within<T>(seconds: u64, what: &str, work: impl Future<Output = T>) -> T {
    match select(Box::pin(work), Box::pin(sleep(Duration::from_secs(seconds)))).await {
        Either::Left((done, _)) => done,
        Either::Right(_) => panic!("not within {seconds} s: {what}"),
    }
}

async fn closed(transport: &mut WebTransport) -> CloseReason {
    loop {
        if let TransportEvent::Closed { reason, .. } = poll_fn(|cx| transport.poll_event(cx)).await {
            return reason;
        }
    }
}

#[wasm_bindgen_test]
async fn keeps_the_contract() {
    sazanami_web::log::start(tracing::Level::INFO);
    within(
        240,
        "the conformance suite",
        conformance::suite(WebTransport::new, options),
    )
    .await;
}

#[wasm_bindgen_test]
async fn bad_ice_servers_fail_the_link() {
    let mut transport = WebTransport::new();
    let server = IceServer {
        urls: vec!["nonsense:x".into()],
        username: None,
        credential: None,
    };
    transport.connect(
        LinkId(1),
        ConnectOptions {
            ice_servers: vec![server],
            ..options(false, true)
        },
    );
    let reason = within(5, "the link to fail", closed(&mut transport)).await;
    assert!(matches!(reason, CloseReason::Failed(_)), "{reason:?}");
}

/// Connects a link to a peer connection that does not keep the rules, sends it `message`, and tells how it ended.
async fn ended_by(message: Result<&str, usize>) -> CloseReason {
    let mut transport = WebTransport::new();
    let link = LinkId(1);
    transport.connect(link, options(false, true));
    let peer = RtcPeerConnection::new().unwrap();
    let init = RtcDataChannelInit::new();
    init.set_negotiated(true);
    init.set_id(0);
    let channel = peer.create_data_channel_with_data_channel_dict("other", &init);
    loop {
        match poll_fn(|cx| transport.poll_event(cx)).await {
            TransportEvent::Signal {
                signal: PeerSignal::Offer(sdp),
                ..
            } => {
                let offer = RtcSessionDescriptionInit::new(RtcSdpType::Offer);
                offer.set_sdp(&sdp);
                JsFuture::from(peer.set_remote_description(&offer)).await.unwrap();
                let answer = JsFuture::from(peer.create_answer()).await.unwrap();
                JsFuture::from(peer.set_local_description(answer.unchecked_ref()))
                    .await
                    .unwrap();
                // Without trickling, the answer has to hold the candidates.
                while peer.ice_gathering_state() != web_sys::RtcIceGatheringState::Complete {
                    sleep(Duration::from_millis(20)).await;
                }
                let sdp = peer.local_description().unwrap().sdp();
                transport.signal(link, PeerSignal::Answer(sdp));
            }
            TransportEvent::Signal {
                signal:
                    PeerSignal::Candidate {
                        candidate,
                        sdp_mid,
                        sdp_m_line_index,
                    },
                ..
            } => {
                let init = web_sys::RtcIceCandidateInit::new(&candidate);
                init.set_sdp_mid(sdp_mid.as_deref());
                init.set_sdp_m_line_index(sdp_m_line_index);
                let added = peer.add_ice_candidate_with_opt_rtc_ice_candidate_init(Some(&init));
                JsFuture::from(added).await.unwrap();
            }
            TransportEvent::Opened { .. } => {
                while channel.ready_state() != web_sys::RtcDataChannelState::Open {
                    sleep(Duration::from_millis(20)).await;
                }
                match message {
                    Ok(text) => channel.send_with_str(text).unwrap(),
                    Err(length) => channel.send_with_u8_array(&vec![0; length]).unwrap(),
                }
            }
            TransportEvent::Closed { reason, .. } => {
                peer.close();
                return reason;
            }
            TransportEvent::Frame { .. } => panic!("the frame got through"),
            _ => {}
        }
    }
}

#[wasm_bindgen_test]
async fn text_closes_the_link() {
    let reason = within(20, "the link to close", ended_by(Ok("hello"))).await;
    assert_eq!(reason, CloseReason::Failed("the peer sent text".to_owned()));
}

#[wasm_bindgen_test]
async fn an_oversized_frame_closes_the_link() {
    let reason = within(20, "the link to close", ended_by(Err(16 * 1024 + 1))).await;
    assert_eq!(
        reason,
        CloseReason::Failed("the peer sent an oversized frame".to_owned())
    );
}

//! Which path a connection takes, by `getStats`.

use js_sys::Reflect;
use sazanami_core::transport::{Path, PathKind};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{RtcPeerConnection, RtcStatsReport};

/// The selected candidate pair's path; `None` where there is none yet.
pub(super) async fn of(peer: &RtcPeerConnection) -> Option<Path> {
    let report: RtcStatsReport = JsFuture::from(peer.get_stats()).await.ok()?.unchecked_into();
    let pair = selected_pair(&report)?;
    let relayed = ["localCandidateId", "remoteCandidateId"].into_iter().any(|side| {
        text(&pair, side)
            .and_then(|id| report.get(&id))
            .is_some_and(|candidate| text(&candidate, "candidateType").as_deref() == Some("relay"))
    });
    // Seconds.
    let rtt = get(&pair, "currentRoundTripTime").and_then(|value| value.as_f64());
    Some(Path {
        kind: if relayed {
            PathKind::Relayed
        } else {
            PathKind::Direct
        },
        rtt_ms: rtt.map(|seconds| (seconds * 1000.0).round() as u32),
    })
}

fn selected_pair(report: &RtcStatsReport) -> Option<JsValue> {
    let all: Vec<JsValue> = report.values().into_iter().filter_map(Result::ok).collect();
    let of_type = |kind: &'static str| {
        all.iter()
            .filter(move |stat| text(stat, "type").as_deref() == Some(kind))
    };
    let by_transport = of_type("transport")
        .find_map(|transport| report.get(&text(transport, "selectedCandidatePairId")?))
        .map(JsValue::from);
    // Firefox marks the pair itself.
    by_transport.or_else(|| {
        of_type("candidate-pair")
            .find(|pair| get(pair, "selected").is_some_and(|value| value.is_truthy()))
            .cloned()
    })
}

fn get(object: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(object, &name.into()).ok()
}

fn text(object: &JsValue, name: &str) -> Option<String> {
    get(object, name)?.as_string()
}

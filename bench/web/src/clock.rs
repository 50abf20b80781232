//! The clocks: `nostr` has none of its own on wasm.

use std::time::Duration;

use universal_time::{Instant, MonotonicClock, SystemTime, WallClock, define_time_provider};
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    pub(crate) fn now_ms() -> f64;
}

struct BrowserClock;

impl WallClock for BrowserClock {
    fn system_time(&self) -> SystemTime {
        SystemTime::from_unix_duration(Duration::from_secs_f64(js_sys::Date::now().max(0.0) / 1000.0))
    }
}

impl MonotonicClock for BrowserClock {
    fn instant(&self) -> Instant {
        Instant::from_ticks(Duration::from_secs_f64(now_ms().max(0.0) / 1000.0))
    }
}

define_time_provider!(BrowserClock);

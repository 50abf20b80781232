//! The clocks: for this crate, and for `nostr`, which has none of its own on wasm.

use std::time::Duration;

use sazanami_core::time::Millis;
use universal_time::{Instant, MonotonicClock, SystemTime, WallClock, define_time_provider};

/// The wall clock.
pub(crate) fn now() -> Millis {
    // `Date.now()` is a whole, positive number of milliseconds for every date since 1970.
    Millis(js_sys::Date::now().max(0.0) as u64)
}

struct BrowserClock;

impl WallClock for BrowserClock {
    fn system_time(&self) -> SystemTime {
        SystemTime::from_unix_duration(Duration::from_millis(now().0))
    }
}

impl MonotonicClock for BrowserClock {
    fn instant(&self) -> Instant {
        Instant::from_ticks(Duration::from_secs_f64(monotonic_ms().max(0.0) / 1000.0))
    }
}

/// `performance.now()`, which both windows and workers have.
fn monotonic_ms() -> f64 {
    use wasm_bindgen::JsCast;
    js_sys::Reflect::get(&js_sys::global(), &"performance".into())
        .ok()
        .and_then(|value| value.dyn_into::<web_sys::Performance>().ok())
        .map_or_else(js_sys::Date::now, |performance| performance.now())
}

define_time_provider!(BrowserClock);

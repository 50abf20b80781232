//! The in-memory transport keeps the contract of `Transport`.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake};

use sazanami_core::transport::memory::MemoryHub;
use sazanami_core::transport::{ConnectOptions, Route, conformance};

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Everything happens on this thread, so a future that waits without having been woken would wait for ever.
fn run(future: impl Future<Output = ()>) {
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = woken.clone().into();
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    while woken.0.swap(false, Ordering::SeqCst) {
        if future.as_mut().poll(&mut cx) == Poll::Ready(()) {
            return;
        }
    }
    panic!("the suite waits for something that never comes");
}

#[test]
fn memory_keeps_the_contract() {
    let hub = MemoryHub::new();
    let options = |polite, offer| ConnectOptions {
        by_hand: false,
        polite,
        offer,
        route: Route::Any,
        ice_servers: Vec::new(),
    };
    run(conformance::suite(|| hub.transport(), options));
}

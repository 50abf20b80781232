//! The window: the component tree on the main thread, the node elsewhere, and messages between them.

mod host;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dioxus::prelude::*;
use dioxus_desktop::tao::event::Event;
use dioxus_desktop::{Config, LogicalSize, WindowBuilder};
use futures::StreamExt;
use futures::channel::mpsc::UnboundedSender;
use sazanami_app::{App, Backend, NodePort, STYLES, SessionState};
use sazanami_core::node::api::{FromNode, RequestError};
use sazanami_native::data_dir::DataDir;
use sazanami_native::node_thread::{NodeThread, Options, StartError};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

/// How long the node may take to stop after the window has closed.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// The running node, for whoever ends the program.
type Running = Arc<Mutex<Option<NodeThread>>>;
/// A node's two channels, once it has started.
type Started = oneshot::Receiver<Result<Channels, StartError>>;

struct Channels {
    requests: mpsc::Sender<sazanami_core::node::api::Request>,
    messages: mpsc::Receiver<FromNode>,
}

/// The platform's ends of the tree's backend, taken once by the root component.
#[derive(Clone)]
struct Ends(Rc<RefCell<Option<PlatformEnds>>>);

type PlatformEnds = (NodePort, UnboundedSender<SessionState>, Started);

/// Opens the window and does not come back: closing the window ends the program.
pub(crate) fn run(runtime: &Runtime, data_dir: &DataDir, options: Options) -> ! {
    let _inside = runtime.enter();
    let running = Running::default();
    let started = start(runtime, options, running.clone());
    end_on_signal(runtime, running.clone());

    let (backend, port, states) = Backend::new(Rc::new(host::DesktopHost::default()));
    let dom = VirtualDom::new(Root)
        .with_root_context(backend)
        .with_root_context(Ends(Rc::new(RefCell::new(Some((port, states, started))))));
    let window = WindowBuilder::new()
        .with_title("Sazanami")
        .with_inner_size(LogicalSize::new(1080.0, 800.0))
        .with_min_inner_size(LogicalSize::new(320.0, 480.0));
    let handle = runtime.handle().clone();
    let config = Config::new()
        .with_window(window)
        .with_menu(None)
        .with_data_directory(data_dir.path().join("webview"))
        .with_custom_index(index())
        .with_custom_event_handler(move |event, _| {
            if matches!(event, Event::LoopDestroyed) {
                handle.block_on(stop(&running));
            }
        });
    dioxus_desktop::launch::launch_virtual_dom(dom, config)
}

/// The page that the tree is rendered into; nothing in it comes from elsewhere.
fn index() -> String {
    format!(
        "<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<title>Sazanami</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <style>{STYLES}</style>\n</head>\n<body>\n<div id=\"main\"></div>\n</body>\n</html>\n"
    )
}

fn start(runtime: &Runtime, options: Options, running: Running) -> Started {
    let (sender, started) = oneshot::channel();
    let handle = runtime.handle().clone();
    runtime.spawn(async move {
        let result = NodeThread::start(options, handle).await.map(|(node, messages)| {
            let requests = node.requests();
            *running.lock().unwrap_or_else(PoisonError::into_inner) = Some(node);
            Channels { requests, messages }
        });
        // The window may have closed meanwhile.
        let _ = sender.send(result);
    });
    started
}

async fn stop(running: &Running) {
    let node = running.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(node) = node
        && tokio::time::timeout(STOP_LIMIT, node.stopped()).await.is_err()
    {
        tracing::warn!("the node did not stop in time");
    }
}

/// SIGTERM and Ctrl+C end the program as closing its window does.
fn end_on_signal(runtime: &Runtime, running: Running) {
    runtime.spawn(async move {
        #[cfg(unix)]
        let terminated = async {
            use tokio::signal::unix::{SignalKind, signal};
            match signal(SignalKind::terminate()) {
                Ok(mut signal) => drop(signal.recv().await),
                Err(_) => std::future::pending().await,
            }
        };
        #[cfg(not(unix))]
        let terminated = std::future::pending::<()>();
        tokio::select! {
            () = terminated => {}
            result = tokio::signal::ctrl_c() => if result.is_err() { return },
        }
        stop(&running).await;
        std::process::exit(0);
    });
}

/// The tree's root on this platform: moves messages, then shows the app.
#[component]
fn Root() -> Element {
    let Ends(ends) = use_context();
    use_hook(|| {
        if let Some((port, states, started)) = ends.borrow_mut().take() {
            spawn(connect(port, states, started));
        }
    });
    rsx! { App {} }
}

/// Tells how the session stands, and moves messages between tree and node for as long as there is a node.
async fn connect(port: NodePort, states: UnboundedSender<SessionState>, started: Started) {
    let tell = |state| {
        // The tree is gone when nobody listens.
        let _ = states.unbounded_send(state);
    };
    tell(SessionState::Starting);
    let Channels {
        requests,
        mut messages,
    } = match started.await {
        Ok(Ok(channels)) => channels,
        Ok(Err(error)) => {
            tracing::error!("{error}");
            return tell(SessionState::Failed(error.to_string()));
        }
        Err(_) => return tell(SessionState::Failed("the node's start was given up".to_owned())),
    };
    tell(SessionState::Ready);
    let NodePort {
        requests: mut asked,
        events,
    } = port;
    let forward = async {
        while let Some(request) = asked.next().await {
            let id = request.id;
            if requests.send(request).await.is_err() {
                events.push(FromNode::Reply {
                    id,
                    result: Err(RequestError::Stopped),
                });
            }
        }
    };
    let listen = async {
        while let Some(message) = messages.recv().await {
            events.push(message);
        }
        tell(SessionState::Failed("the node has stopped".to_owned()));
    };
    futures::join!(forward, listen);
}

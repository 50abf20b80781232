//! The life of one link, as a task: negotiate, open, move frames, close. What to do about a broken path, the node decides.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use futures::channel::mpsc;
use futures::stream::FuturesUnordered;
use futures::{StreamExt, select};
use gloo_timers::future::sleep;
use sazanami_core::negotiation::{Action, Input, Negotiation, Outcome};
use sazanami_core::signaling::PeerSignal;
use sazanami_core::transport::{CloseReason, ConnectOptions, IceState, LinkId, Path, TransportEvent};
use web_sys::RtcPeerConnectionState;

use super::connection::{Connection, Happening};
use super::{Shared, path};

/// How often the path is looked at: it changes when ICE finds a better pair or a network goes away.
const PATH_INTERVAL: Duration = Duration::from_secs(5);

type Work = Pin<Box<dyn Future<Output = Happening>>>;

/// Runs a link to its end; the last thing it does is to report [`TransportEvent::Closed`].
pub(super) async fn run(
    link: LinkId,
    options: ConnectOptions,
    happenings: mpsc::UnboundedSender<Happening>,
    inbox: mpsc::UnboundedReceiver<Happening>,
    shared: Rc<Shared>,
    events: mpsc::UnboundedSender<TransportEvent>,
) {
    let reason = match Connection::new(&options, &happenings, &shared) {
        Ok(connection) => {
            let task = Link {
                link,
                connection,
                negotiation: Negotiation::new(options.polite),
                options,
                happenings,
                opened: false,
                ice: IceState::Connected,
                describing: false,
                early: Vec::new(),
                path: None,
                shared: shared.clone(),
                events: events.clone(),
                work: FuturesUnordered::new(),
            };
            task.live(inbox).await
        }
        Err(reason) => CloseReason::Failed(reason),
    };
    shared.channel.borrow_mut().take();
    // The transport may be gone.
    let _ = events.unbounded_send(TransportEvent::Closed { link, reason });
}

struct Link {
    link: LinkId,
    connection: Connection,
    negotiation: Negotiation,
    options: ConnectOptions,
    happenings: mpsc::UnboundedSender<Happening>,
    opened: bool,
    /// What was told last of how the checks go.
    ice: IceState,
    /// Whether a local description is being made, and the candidates that came meanwhile: sent before their
    /// description, they would reach a peer that does not know what they belong to, and be dropped.
    describing: bool,
    early: Vec<PeerSignal>,
    path: Option<Path>,
    shared: Rc<Shared>,
    events: mpsc::UnboundedSender<TransportEvent>,
    /// The action under way, timers and statistics: dropped with the link.
    work: FuturesUnordered<Work>,
}

impl Link {
    async fn live(mut self, mut inbox: mpsc::UnboundedReceiver<Happening>) -> CloseReason {
        self.after(self.options.timeout(), Happening::ConnectTimeout);
        if self.options.offer {
            self.negotiation.handle(Input::Needed);
        }
        loop {
            if let Some(reason) = self.negotiate() {
                return reason;
            }
            let happening = select! {
                happening = inbox.select_next_some() => happening,
                happening = self.work.select_next_some() => happening,
            };
            if let Some(reason) = self.take(happening) {
                return reason;
            }
        }
    }

    /// Does what the negotiation asks, one action at a time.
    fn negotiate(&mut self) -> Option<CloseReason> {
        while let Some(action) = self.negotiation.poll() {
            match action {
                Action::Send(signal) => self.emit(TransportEvent::Signal {
                    link: self.link,
                    signal,
                }),
                Action::Fail(reason) => return Some(CloseReason::Failed(reason)),
                Action::Rollback if !self.opened => {
                    // Chromium now and then gathers no candidates at all after a rollback. Nothing is connected yet,
                    // so a fresh connection takes the other side's offer instead.
                    match Connection::new(&self.options, &self.happenings, &self.shared) {
                        Ok(connection) => self.connection = connection,
                        Err(reason) => return Some(CloseReason::Failed(reason)),
                    }
                    self.negotiation.finished(Outcome::Done);
                }
                action => {
                    self.describing = matches!(action, Action::Offer | Action::Answer);
                    let peer = self.connection.peer.clone();
                    self.work.push(Box::pin(async move {
                        Happening::Finished(Connection::perform(peer, action).await)
                    }));
                }
            }
        }
        None
    }

    fn take(&mut self, happening: Happening) -> Option<CloseReason> {
        match happening {
            Happening::Signal(signal) => self.negotiation.handle(Input::Remote(signal)),
            Happening::Candidate(signal) if self.describing => self.early.push(signal),
            Happening::Candidate(signal) => self.negotiation.handle(Input::LocalCandidate(signal)),
            Happening::Finished(outcome) => {
                self.negotiation.finished(outcome);
                if std::mem::take(&mut self.describing) {
                    // Queued behind the description.
                    for candidate in std::mem::take(&mut self.early) {
                        self.negotiation.handle(Input::LocalCandidate(candidate));
                    }
                }
            }
            Happening::Opened => self.open(),
            Happening::Frame(frame) => self.emit(TransportEvent::Frame {
                link: self.link,
                frame,
            }),
            Happening::Connection(state) => return self.connection_changed(state),
            Happening::Low => self.report_drained(),
            Happening::Path(path) => self.path_seen(path),
            Happening::LookAtPath => {
                // Also catches what a lost `bufferedamountlow` would leave unreported.
                self.report_drained();
                self.look_at_path();
                self.after(PATH_INTERVAL, Happening::LookAtPath);
            }
            Happening::ConnectTimeout if !self.opened => return Some(CloseReason::Timeout),
            Happening::ConnectTimeout => {}
            Happening::Restart(ice_servers) if self.opened => {
                if let Err(reason) = self.connection.use_servers(&ice_servers, self.options.route) {
                    return Some(CloseReason::Failed(reason));
                }
                self.options.ice_servers = ice_servers;
                self.negotiation.handle(Input::Restart);
            }
            Happening::Restart(_) => {}
            Happening::Close(reason) => return Some(reason),
        }
        None
    }

    fn open(&mut self) {
        self.opened = true;
        *self.shared.channel.borrow_mut() = Some(self.connection.channel.clone());
        self.emit(TransportEvent::Opened { link: self.link });
        self.look_at_path();
        self.after(PATH_INTERVAL, Happening::LookAtPath);
    }

    fn connection_changed(&mut self, state: RtcPeerConnectionState) -> Option<CloseReason> {
        let state = match state {
            RtcPeerConnectionState::Closed => return Some(CloseReason::Remote),
            RtcPeerConnectionState::Failed if !self.opened && self.options.by_hand => return None,
            RtcPeerConnectionState::Failed if !self.opened => {
                return Some(CloseReason::Failed("no way to the peer was found".to_owned()));
            }
            RtcPeerConnectionState::Connected => IceState::Connected,
            RtcPeerConnectionState::Disconnected => IceState::Disconnected,
            RtcPeerConnectionState::Failed => IceState::Failed,
            _ => return None,
        };
        if self.opened {
            if state == IceState::Connected {
                self.look_at_path();
            }
            if std::mem::replace(&mut self.ice, state) != state {
                self.emit(TransportEvent::Ice {
                    link: self.link,
                    state,
                });
            }
        }
        None
    }

    fn report_drained(&mut self) {
        self.shared.arm();
        let bytes = self.shared.take_drained();
        if bytes > 0 {
            self.emit(TransportEvent::Drained {
                link: self.link,
                bytes,
            });
        }
    }

    fn look_at_path(&mut self) {
        let peer = self.connection.peer.clone();
        self.work
            .push(Box::pin(async move { Happening::Path(path::of(&peer).await) }));
    }

    fn path_seen(&mut self, path: Option<Path>) {
        if let Some(path) = path
            && self.path != Some(path)
        {
            self.path = Some(path);
            self.emit(TransportEvent::Path {
                link: self.link,
                path,
            });
        }
    }

    fn after(&mut self, delay: Duration, happening: Happening) {
        self.work.push(Box::pin(async move {
            sleep(delay).await;
            happening
        }));
    }

    fn emit(&self, event: TransportEvent) {
        // The transport may be gone; its drop ends this link.
        let _ = self.events.unbounded_send(event);
    }
}

//! Other tabs that use this node: their lines, and what is said on them.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use futures::channel::mpsc;
use sazanami_core::node::api::{FromNode, Request};
use sazanami_core::tabs::{Host, NodeId, TabId, ToAll, ToNode};
use sazanami_core::time::Millis;

use crate::channel::{Channel, OnLine, Public};
use crate::clock::now;

/// Between two signs of life: one serves all who ask.
const BETWEEN: Duration = Duration::from_millis(150);
/// The worker vouches for its page while that draws something large. A page that hangs for longer keeps the links from
/// working: then no sign of life is right.
const PAGE_MAY_HANG: Duration = Duration::from_secs(1);

/// What is heard from other tabs.
#[derive(Debug)]
pub(super) enum Heard {
    /// Said to all, and by which build.
    All(Public),
    /// On a tab's line.
    Line(TabId, ToNode),
}

/// The channel of all, from the worker's start on: the order to let go may come at any time.
pub(super) struct Tabs {
    build: String,
    all: Option<Channel>,
    heard: mpsc::UnboundedReceiver<Heard>,
    sender: mpsc::UnboundedSender<Heard>,
}

impl Tabs {
    pub(super) fn join(build: String) -> Self {
        let (sender, heard) = mpsc::unbounded();
        let tell = sender.clone();
        // The receiver lives as long as the worker; so for every line.
        let all = Channel::all(move |message| drop(tell.unbounded_send(Heard::All(message))));
        Self {
            build,
            all,
            heard,
            sender,
        }
    }

    /// Waits for the order to let go.
    pub(super) async fn robbed(&mut self) {
        loop {
            if let Heard::All(Public {
                said: ToAll::LetGo, ..
            }) = self.heard.select_next_some().await
            {
                return;
            }
        }
    }

    /// The node answers: shares it.
    pub(super) fn share(self, node: NodeId, ephemeral: Option<String>) -> Sharing {
        let sharing = Sharing {
            host: Host::new(node, ephemeral),
            tabs: self,
            lines: BTreeMap::new(),
            alive: Millis(0),
            page: now(),
        };
        sharing.say(ToAll::Started);
        sharing
    }
}

/// A node that is shared.
pub(super) struct Sharing {
    host: Host,
    tabs: Tabs,
    lines: BTreeMap<TabId, Channel>,
    /// When the worker last said that it lives.
    alive: Millis,
    /// When its page last said anything.
    page: Millis,
}

impl Sharing {
    /// The next thing that other tabs say.
    pub(super) async fn next(&mut self) -> Heard {
        self.tabs.heard.select_next_some().await
    }

    /// The own page has said something.
    pub(super) fn page_runs(&mut self) {
        self.page = now();
    }

    /// The own page asks: the node's request.
    pub(super) fn ask(&mut self, request: Request) -> Request {
        self.host.ask(request)
    }

    /// Another tab says something: the node's request, if it is one.
    pub(super) fn hear(&mut self, heard: Heard) -> Option<Request> {
        match heard {
            Heard::Line(tab, message) => self.host.hear(tab, message),
            // Of another build: its lines would not be understood.
            Heard::All(message) if message.build != self.tabs.build => None,
            Heard::All(message) => {
                let now = now();
                self.host.hear_all(message.said, now);
                if matches!(message.said, ToAll::Here { .. })
                    && now.since(self.alive) >= BETWEEN
                    && now.since(self.page) < PAGE_MAY_HANG
                {
                    self.alive = now;
                    self.say(ToAll::Alive);
                }
                None
            }
        }
    }

    /// The node says something: what of it is for the own page.
    pub(super) fn tell(&mut self, message: FromNode) -> Option<FromNode> {
        self.host.tell(message)
    }

    /// Sends what there is to send.
    pub(super) fn flush(&mut self) {
        while let Some((tab, message)) = self.host.poll() {
            let sender = &self.tabs.sender;
            let line = self.lines.entry(tab).or_insert_with(|| {
                let tell = sender.clone();
                let line = Channel::line(tab, move |message| {
                    if let OnLine::ToNode(message) = message {
                        drop(tell.unbounded_send(Heard::Line(tab, message)));
                    }
                });
                line.expect("there is a channel of all, so there are channels")
            });
            line.post(&OnLine::ToTab(message));
        }
        self.lines.retain(|tab, _| self.host.knows(*tab));
    }

    fn say(&self, said: ToAll) {
        if let Some(all) = &self.tabs.all {
            let build = self.tabs.build.clone();
            all.post(&Public { build, said });
        }
    }
}

//! What the simulated peers and the simulated signal servers say to each other.

use std::collections::BTreeSet;
use std::time::Duration;

use super::server::SignalServer;
use super::{Happening, PeerId, PeerOptions, Sim};
use crate::node::{Input, ServerId, SignalCommand, SignalEvent};
use crate::signaling::{IceServer, IceServers, ServerUrl};

/// The signal servers, which know nothing of each other.
pub(super) struct Servers {
    seed: u64,
    lost: f64,
    all: Vec<SignalServer>,
    dead: BTreeSet<usize>,
}

impl Servers {
    pub(super) fn new(seed: u64, lost: f64) -> Self {
        Self {
            seed,
            lost,
            all: Vec::new(),
            dead: BTreeSet::new(),
        }
    }

    fn get(&mut self, server: usize) -> &mut SignalServer {
        while self.all.len() <= server {
            let seed = self.seed.wrapping_add(self.all.len() as u64);
            self.all.push(SignalServer::new(seed, self.lost));
        }
        &mut self.all[server]
    }

    /// A peer is gone.
    pub(super) fn disconnect(&mut self, id: PeerId) {
        for server in &mut self.all {
            server.disconnect(id);
        }
    }

    pub(super) fn most_topics(&self) -> usize {
        self.all
            .iter()
            .map(|server| server.most_topics)
            .max()
            .unwrap_or_default()
    }
}

impl PeerOptions {
    fn numbers(&self) -> &'static [usize] {
        if self.servers.is_empty() {
            &[0]
        } else {
            self.servers
        }
    }

    pub(super) fn servers(&self) -> Vec<ServerUrl> {
        let url = |server: &usize| format!("https://server-{server}.example").parse();
        self.numbers()
            .iter()
            .map(|server| url(server).expect("this is an address"))
            .collect()
    }

    /// A node numbers its servers as they are configured.
    fn number(&self, id: ServerId) -> usize {
        self.numbers()[id.0 as usize]
    }

    fn id(&self, server: usize) -> ServerId {
        let place = self.numbers().iter().position(|number| *number == server);
        ServerId(place.expect("it uses this server") as u32)
    }
}

impl Sim {
    /// A signal server dies: whoever is connected to it notices.
    pub fn kill_server(&mut self, server: usize) {
        self.servers.dead.insert(server);
        for id in 0..self.peers.len() {
            if self.servers.get(server).disconnect(id) {
                self.lose_server(id, self.peers[id].options.id(server));
            }
        }
    }

    /// It is there again, and knows nobody.
    pub fn revive_server(&mut self, server: usize) {
        self.servers.dead.remove(&server);
    }

    pub(super) fn signal(&mut self, id: PeerId, server: ServerId, command: SignalCommand) {
        let after = self.links.delay();
        let number = self.peers[id].options.number(server);
        match command {
            SignalCommand::Connect(_) if !self.reaches(id, number) => self.lose_server(id, server),
            SignalCommand::Connect(_) => {
                let challenge = self.servers.get(number).connect(id, self.now);
                for event in [SignalEvent::Opened, SignalEvent::Message(challenge)] {
                    self.plan(id, after, Happening::Input(Input::Signal(server, event)));
                }
            }
            SignalCommand::Send(text) => self.plan(id, after, Happening::ToServer(server, text)),
            SignalCommand::Close => {
                self.servers.get(number).disconnect(id);
            }
            SignalCommand::FetchIceServers(_) => {
                let turn = IceServer {
                    urls: vec!["turn:relay.example".to_owned()],
                    username: None,
                    credential: None,
                };
                let servers = IceServers {
                    ice_servers: self.links.has_relay().then_some(turn).into_iter().collect(),
                    ttl: 3_600,
                };
                self.plan(
                    id,
                    after,
                    Happening::Input(Input::IceServers(server, Ok(servers))),
                );
            }
        }
    }

    pub(super) fn tell_server(&mut self, id: PeerId, server: ServerId, text: &str) {
        let number = self.peers[id].options.number(server);
        if !self.reaches(id, number) {
            return;
        }
        for (to, message) in self.servers.get(number).message(id, text, self.now) {
            let (after, server) = (self.links.delay(), self.peers[to].options.id(number));
            let input = Input::Signal(server, SignalEvent::Message(message));
            self.plan(to, after, Happening::Input(input));
        }
    }

    fn reaches(&self, id: PeerId, server: usize) -> bool {
        self.is_served(id) && !self.servers.dead.contains(&server)
    }

    pub(super) fn is_served(&self, id: PeerId) -> bool {
        let part = self.links.part(id);
        self.served.as_ref().is_none_or(|parts| parts.contains(&part))
    }

    /// A peer is cut off from the servers that it is connected to.
    pub(super) fn lose_servers(&mut self, id: PeerId) {
        for number in self.peers[id].options.numbers() {
            if self.servers.get(*number).disconnect(id) {
                self.lose_server(id, self.peers[id].options.id(*number));
            }
        }
    }

    fn lose_server(&mut self, id: PeerId, server: ServerId) {
        let closed = SignalEvent::Closed("the server is out of reach".to_owned());
        self.plan(
            id,
            Duration::ZERO,
            Happening::Input(Input::Signal(server, closed)),
        );
    }
}

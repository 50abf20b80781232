//! Links whose path broke, changes of the network, sleep and wake.
//!
//! A broken path is looked for anew (an ICE restart), a few times, later and later, and while the server can carry what
//! that takes; a link that stays broken is given up, and made anew by the mesh. What the device tells of its network only
//! makes this faster: without it, pings find out ([`crate::sync`]).

use std::time::Duration;

use rand::RngExt;

use super::Node;
use crate::store::Store;
use crate::time::Millis;
use crate::transport::{IceState, LinkId, PathKind};

/// How long a path may be without an answer before it is looked for anew: it may come back by itself.
const PATIENCE: Duration = Duration::from_secs(2);
/// How much longer the side waits that gives way: the other side's restart serves both.
const COURTESY: Duration = Duration::from_secs(2);
/// Between the first two restarts; doubles.
const AGAIN: Duration = Duration::from_secs(4);
/// Restarts of one repair.
const MAX_RESTARTS: u32 = 3;
/// How long a repair may take. A peer that is silent meanwhile, and does not look for a path itself, is given up sooner.
const LIMIT: Duration = Duration::from_secs(20);

/// Sleep after which the connection to the server is made anew; longer than throttled timers are apart.
const LONG: Duration = Duration::from_secs(120);

/// A repair under way.
#[derive(Debug)]
pub(super) struct Repair {
    since: Millis,
    restarts: u32,
    next: Millis,
}

impl<S: Store> Node<S> {
    /// The transport says how the path is.
    pub(super) fn ice_changed(&mut self, id: LinkId, state: IceState, now: Millis) {
        match state {
            IceState::Connected => {
                if let Some(link) = self.links.get_mut(&id) {
                    link.repair = None;
                }
            }
            IceState::Disconnected => self.repair(id, PATIENCE, now),
            IceState::Failed => self.repair(id, Duration::ZERO, now),
        }
        self.tend_repairs(now);
    }

    /// The peer does not answer.
    pub(super) fn suspect(&mut self, id: LinkId, now: Millis) {
        self.repair(id, Duration::ZERO, now);
    }

    fn repair(&mut self, id: LinkId, wait: Duration, now: Millis) {
        let Some(peer) = self.links.get(&id).map(|link| link.peer) else {
            return;
        };
        let courtesy = if self.is_polite_to(peer) {
            COURTESY
        } else {
            Duration::ZERO
        };
        self.begin_repair(id, now + wait + courtesy, now);
    }

    fn begin_repair(&mut self, id: LinkId, next: Millis, now: Millis) {
        let Some(link) = self.links.get_mut(&id).filter(|link| link.session.is_some()) else {
            return;
        };
        match &mut link.repair {
            Some(repair) if repair.restarts == 0 => repair.next = repair.next.min(next),
            Some(_) => {}
            none => {
                *none = Some(Repair {
                    since: now,
                    restarts: 0,
                    next,
                });
            }
        }
    }

    pub(super) fn tend_repairs(&mut self, now: Millis) {
        // Candidates travel by a server: without it a restart would be spent on nothing.
        let carried = self.servers.any_online() && !self.servers.no_network;
        let (mut lost, mut restarted) = (Vec::new(), Vec::new());
        for (id, link) in &mut self.links {
            let Some(repair) = &mut link.repair else {
                continue;
            };
            repair.since = repair.since.min(now);
            if now.since(repair.since) >= LIMIT {
                lost.push(*id);
            } else if carried && now >= repair.next && repair.restarts < MAX_RESTARTS {
                let wait = AGAIN * 2_u32.pow(repair.restarts);
                repair.next = now + wait.mul_f64(self.rng.random_range(0.75..1.25));
                repair.restarts += 1;
                restarted.push(*id);
            }
        }
        for id in restarted {
            self.restart_link(id);
        }
        for id in lost {
            tracing::info!(%id, "the path broke and did not come back");
            self.drop_link(id, now, true);
        }
    }

    /// The device has a network again.
    pub(super) fn network_came(&mut self, now: Millis) {
        if std::mem::take(&mut self.servers.no_network) {
            return self.network_became_another(now);
        }
        self.check_servers(now);
        self.mesh.try_now(now);
        self.tick(now);
    }

    /// The device has no network, as it says. Open connections may know better, and are kept until they break.
    pub(super) fn network_went(&mut self, now: Millis) {
        self.servers.no_network = true;
        self.tick(now);
    }

    /// The device is at another place in the network.
    pub(super) fn network_became_another(&mut self, now: Millis) {
        if self.me.is_none() {
            return;
        }
        // Through the old address nothing goes any more, and nobody says so.
        self.call_all_again(now);
        self.mesh.try_now(now);
        for id in self.links.keys().copied().collect::<Vec<_>>() {
            // The other side knows of nothing: this one begins. What was tried from the old address does not count.
            if let Some(link) = self.links.get_mut(&id) {
                link.repair = None;
            }
            self.begin_repair(id, now, now);
        }
        self.tick(now);
    }

    /// The device slept, or its clock was set: whatever is open may have broken meanwhile.
    pub(super) fn woke(&mut self, before: Millis, now: Millis) {
        self.mesh.clock_set_back(now);
        self.servers.clock_set_back(now);
        for link in self.links.values_mut() {
            link.since = link.since.min(now);
            link.opened = link.opened.map(|at| at.min(now));
            if let Some(session) = &mut link.session {
                session.woke(now);
            }
        }
        // After long, the server has hung up, or the clock is another one, which the server's challenge tells.
        if now < before || now.since(before) >= LONG {
            self.call_all_again(now);
        } else {
            self.check_servers(now);
        }
    }

    /// There are new credentials: what goes by the old ones goes by these before those end.
    pub(super) fn renew_relays(&mut self) {
        let relayed: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| link.path.is_some_and(|path| path.kind == PathKind::Relayed))
            .map(|(id, _)| *id)
            .collect();
        for id in relayed {
            self.restart_link(id);
        }
    }
}

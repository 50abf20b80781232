//! Notifications.

use nostr::prelude::{Kind, PublicKey};

use super::{Held, MemoryStore, Place, place, to_place};
use crate::social::concerns;
use crate::store::{Cause, Cursor, MAX_UNREAD, Notification, Notifications, Query};

impl MemoryStore {
    pub(super) fn become_me(&mut self, me: Option<PublicKey>) {
        if self.me == me {
            return;
        }
        self.me = me;
        self.followers.clear();
        for (person, list) in &self.follows {
            if let Some(me) = me.filter(|me| me != person && list.contains(me))
                && let Some(event) = self.latest_of(person, Kind::ContactList, "")
            {
                debug_assert!(list.contains(&me));
                self.followers.insert(*person, place(event));
            }
        }
        self.read_until = None;
        self.read_mutes();
        self.changes.queries.insert(Query::Notifications);
    }

    pub(super) fn read_notifications(
        &self,
        causes: &[Cause],
        before: Option<Cursor>,
        limit: usize,
    ) -> Notifications {
        let all = self.all_notifications();
        let is_unread =
            |(place, _): &&(Place, Notification)| self.read_until.is_none_or(|read| *place < read);
        let unread = all.iter().filter(is_unread).take(MAX_UNREAD as usize).count();
        let before = before.map(|cursor| self.notice_place(cursor));
        let mut list: Vec<Notification> = all
            .into_iter()
            .filter(|(place, _)| before.is_none_or(|before| *place > before))
            .map(|(_, notice)| notice)
            .filter(|notice| causes.is_empty() || causes.contains(&notice.cause))
            .take(limit.saturating_add(1))
            .collect();
        let more = list.len() > limit;
        list.truncate(limit);
        let next = list.last().filter(|_| more).map(|notice| Cursor {
            created_at: notice.created_at,
            id: notice.id,
        });
        Notifications {
            list,
            next,
            unread: unread as u32,
        }
    }

    fn all_notifications(&self) -> Vec<(Place, Notification)> {
        let Some(me) = self.me else {
            return Vec::new();
        };
        let found = self
            .events
            .values()
            .filter_map(|held| self.notification(held, &me));
        let mut found: Vec<_> = found.collect();
        found.sort_unstable_by_key(|(place, _)| *place);
        found
    }

    fn notification(&self, held: &Held, me: &PublicKey) -> Option<(Place, Notification)> {
        let Held {
            event, references, ..
        } = held;
        let (cause, target) = concerns(event, references, me)?;
        let is_muted = match cause {
            Cause::Follow => self.mutes.people.contains(&event.pubkey),
            _ => self.mutes.hides(event, references),
        };
        if is_muted {
            return None;
        }
        let place = match cause {
            Cause::Follow => *self.followers.get(&event.pubkey)?,
            _ => place(event),
        };
        let has_text = matches!(event.kind, Kind::TextNote | Kind::Reaction);
        let notice = Notification {
            id: event.id,
            created_at: place.0.0,
            by: event.pubkey,
            by_name: self.names.get(&event.pubkey).cloned(),
            cause,
            content: if has_text {
                event.content.clone()
            } else {
                String::new()
            },
            target,
        };
        Some((place, notice))
    }

    /// A follower stands where they first followed, not where their list stands now.
    pub(super) fn notice_place(&self, cursor: Cursor) -> Place {
        let list = self
            .held(&cursor.id)
            .filter(|held| held.event.kind == Kind::ContactList);
        let follower = list.and_then(|held| self.followers.get(&held.event.pubkey));
        follower.copied().unwrap_or_else(|| to_place(cursor))
    }
}

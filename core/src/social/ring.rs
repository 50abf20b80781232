//! How near a person is to the person of this device: decides everything that costs something.

use serde::{Deserialize, Serialize};

/// A trust ring, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Ring {
    /// The person of this device.
    Me,
    /// Both follow each other.
    Friend,
    /// Followed, and does not follow back as far as known here.
    Followed,
    /// Shares a room.
    RoomMember,
    /// Followed by a friend.
    FriendOfFriend,
    /// Everybody else.
    Stranger,
}

impl Ring {
    /// All of them, the nearest first.
    pub const ALL: [Self; 6] = [
        Self::Me,
        Self::Friend,
        Self::Followed,
        Self::RoomMember,
        Self::FriendOfFriend,
        Self::Stranger,
    ];
}

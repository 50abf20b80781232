//! Where an event stands among the rows: in the order of time, so that a page is a range.
//!
//! A place is the second of the event, then 16 bits by which the lower id stands higher, as timelines have it (newest
//! first, of one second the lower id first). Two events of one second whose ids begin alike (one in 65,536 pairs) go to
//! neighbouring places; many made to collide move to ever earlier places, bounded in steps, never refused.

use nostr::prelude::EventId;

const BITS: u32 = 16;
/// Seconds of places before the epoch: an event of the first second may have to move as well.
const BEFORE: i64 = 1 << (FAR + 1);
/// Neighbouring places that are tried; then places twice as far away each time.
const NEAR: i64 = 32;
/// Doublings: about nine hours at most.
const FAR: u32 = 16;
/// Places tried at each distance.
const TRIES: u64 = 8;
/// How far before its best place an event may stand.
pub(super) const FARTHEST: i64 = 1 << (BITS + FAR);

/// The place that an event should have.
pub(super) fn place(created_at: u64, id: &EventId) -> i64 {
    let bytes = id.as_bytes();
    let slot = i64::from(u16::MAX - u16::from_be_bytes([bytes[0], bytes[1]]));
    first_of(created_at) | slot
}

/// The lowest place of a second. Seconds beyond what fits count as the last one; none such is stored.
pub(super) fn first_of(second: u64) -> i64 {
    let second = i64::try_from(second).unwrap_or(i64::MAX).saturating_add(BEFORE);
    second.min(i64::MAX >> BITS) << BITS
}

/// The second that a place stands for.
pub(super) fn second_of(place: i64) -> u64 {
    u64::try_from((place >> BITS) - BEFORE).unwrap_or(0)
}

/// The places to try, best first.
///
/// `salt` is this database's own: what nobody else knows decides where a crowd goes, so nobody can fill all places that
/// an event may take.
pub(super) fn candidates(created_at: u64, id: &EventId, salt: u64) -> impl Iterator<Item = i64> {
    let best = place(created_at, id);
    // Which of the places farther away depends on the rest of the id, so that a crowd spreads out.
    let mut rest = [0; 8];
    rest.copy_from_slice(&id.as_bytes()[2..10]);
    let rest = u64::from_be_bytes(rest);
    let far = (0..FAR).flat_map(move |step| {
        let reach = 1 << (BITS + step);
        (0..TRIES).map(move |again| {
            let mixed = (rest ^ salt ^ again)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(step * 3);
            best - 1 - (mixed % reach).cast_signed()
        })
    });
    (0..NEAR)
        .map(move |near| best - near)
        .chain(far)
        .filter(|place| *place > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(first: u8) -> EventId {
        let mut bytes = [0; 32];
        bytes[0] = first;
        EventId::from_byte_array(bytes)
    }

    #[test]
    fn newer_stands_higher_and_of_one_second_the_lower_id() {
        assert!(place(6, &id(9)) > place(5, &id(0)));
        assert!(place(5, &id(1)) > place(5, &id(2)));
        assert_eq!(second_of(place(5, &id(1))), 5);
        assert_eq!(second_of(place(5, &id(255))), 5);
        assert!(place(u64::MAX, &id(0)) > 0, "a date beyond everything is no trap");
    }

    #[test]
    fn a_crowd_in_one_place_finds_others_in_few_steps() {
        let at = 1_700_000_000;
        let mut taken = std::collections::BTreeSet::new();
        let mut longest = 0;
        for n in 0..5_000u32 {
            let mut bytes = [0; 32];
            bytes[4..8].copy_from_slice(&n.wrapping_mul(2_654_435_761).to_be_bytes());
            let id = EventId::from_byte_array(bytes);
            let (steps, place) = candidates(at, &id, 7)
                .enumerate()
                .find(|(_, place)| !taken.contains(place))
                .unwrap();
            assert!(second_of(place) <= at);
            longest = longest.max(steps);
            taken.insert(place);
        }
        assert!(longest < 96, "{longest}");
    }

    #[test]
    fn the_first_second_has_places_to_move_to() {
        let id = EventId::from_byte_array([0xff; 32]);
        let places: Vec<i64> = candidates(0, &id, 1).collect();
        assert!(places.len() > 100 && places.iter().all(|place| *place > 0));
        assert_ne!(
            places,
            candidates(0, &id, 2).collect::<Vec<_>>(),
            "by the database's own salt"
        );
    }
}

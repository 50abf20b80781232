use sazanami_core::Keys;

use super::*;

/// A note of a given second; `n` makes the id.
fn note(created_at: u64, n: u16) -> Note {
    let mut id = [0; 32];
    id[..2].copy_from_slice(&n.to_be_bytes());
    id[2..10].copy_from_slice(&created_at.to_be_bytes());
    let author =
        PublicKey::from_hex("3bf0c63fcb93463407af97a5e5ee64fa883d107ef9e558472c4eb9aaaefa459d").unwrap();
    Note {
        id: EventId::from_byte_array(id),
        author,
        author_name: None,
        created_at,
        content: String::new(),
        references: Default::default(),
        counts: Default::default(),
        repost: None,
    }
}

fn page(times: impl IntoIterator<Item = u64>, more: bool) -> Page {
    let notes: Vec<Note> = times.into_iter().map(|time| note(time, 0)).collect();
    let next = if more {
        notes.last().map(Note::cursor)
    } else {
        None
    };
    Page { notes, next }
}

fn times(feed: &Feed) -> Vec<u64> {
    feed.notes().iter().map(|note| note.created_at).collect()
}

fn loaded(times: impl IntoIterator<Item = u64>, more: bool) -> Feed {
    let mut feed = Feed::default();
    feed.load(page(times, more));
    feed
}

#[test]
fn arrivals_go_to_their_place_when_the_top_is_in_view() {
    let mut feed = loaded([30, 10], false);
    assert_eq!(feed.arrive(note(20, 0), false, true), Arrival::Shown);
    assert_eq!(feed.arrive(note(40, 0), false, true), Arrival::Shown);
    assert_eq!(feed.arrive(note(40, 0), false, true), Arrival::Known);
    assert_eq!(feed.arrive(note(5, 0), false, true), Arrival::Shown);
    assert_eq!(times(&feed), [40, 30, 20, 10, 5]);
}

#[test]
fn notes_of_one_second_stand_in_the_order_of_their_ids() {
    let mut feed = loaded([], false);
    for n in [2, 3, 1] {
        feed.arrive(note(7, n), false, true);
    }
    let ids: Vec<u8> = feed.notes().iter().map(|note| note.id.as_bytes()[1]).collect();
    assert_eq!(ids, [1, 2, 3]);
}

#[test]
fn nothing_moves_under_the_reader() {
    let mut feed = loaded([30, 10], false);
    let before = times(&feed);
    assert_eq!(feed.arrive(note(40, 0), false, false), Arrival::Held);
    assert_eq!(feed.arrive(note(20, 0), false, false), Arrival::Held);
    assert_eq!(feed.arrive(note(20, 0), false, false), Arrival::Known);
    assert_eq!(feed.arrive(note(5, 0), false, false), Arrival::Beyond);
    assert_eq!(times(&feed), before);
    assert_eq!(feed.waiting(), 2);
    assert_eq!(
        feed.next(),
        Some(note(10, 0).cursor()),
        "the older one comes by paging"
    );
    assert!(feed.release());
    assert_eq!((times(&feed), feed.waiting()), (vec![40, 30, 20, 10], 0));
}

#[test]
fn own_notes_never_wait() {
    let mut feed = loaded([30], false);
    assert_eq!(feed.arrive(note(40, 0), true, false), Arrival::Shown);
    assert_eq!(times(&feed), [40, 30]);
}

#[test]
fn what_lies_beyond_the_loaded_part_waits_for_paging() {
    let mut feed = loaded([30, 20], true);
    assert_eq!(feed.arrive(note(10, 0), true, true), Arrival::Beyond);
    assert_eq!(times(&feed), [30, 20]);
    feed.extend(page([10, 5], false));
    assert_eq!((times(&feed), feed.next()), (vec![30, 20, 10, 5], None));
}

#[test]
fn pages_that_overlap_show_each_note_once() {
    let mut feed = loaded([30, 20], true);
    feed.extend(page([20, 10], false));
    assert_eq!(times(&feed), [30, 20, 10]);
}

#[test]
fn an_arrival_during_the_first_load_is_kept() {
    let mut feed = Feed::default();
    feed.arrive(note(50, 0), false, true);
    feed.arrive(note(1, 0), false, true);
    feed.load(page([30, 20], true));
    assert_eq!(times(&feed), [50, 30, 20], "the old one lies beyond the page");
}

#[test]
fn a_removed_note_stays_away_even_when_a_page_under_way_holds_it() {
    let mut feed = loaded([30], true);
    feed.arrive(note(40, 0), false, false);
    feed.remove(note(40, 0).id);
    feed.remove(note(20, 0).id);
    assert_eq!(feed.waiting(), 0);
    feed.extend(page([20, 10], false));
    assert_eq!(times(&feed), [30, 10]);
    assert_eq!(feed.arrive(note(40, 0), true, true), Arrival::Known);
}

#[test]
fn lists_stay_bounded() {
    let mut feed = loaded([], false);
    for time in 0..2_000 {
        feed.arrive(note(time, 0), false, true);
    }
    assert_eq!(feed.notes().len(), KEPT);
    assert_eq!(feed.next(), feed.notes().last().map(Note::cursor));
    for time in 2_000..4_000 {
        feed.arrive(note(time, 0), false, false);
    }
    assert_eq!((feed.held.len(), feed.waiting()), (HELD, 2_000));
    assert!(
        !feed.release(),
        "too much waited: the first page must be asked for"
    );
    for n in 0..2_000 {
        feed.remove(note(n, 1).id);
    }
    assert_eq!(feed.gone.len(), GONE);
}

#[test]
fn a_name_that_becomes_known_shows_everywhere() {
    let mut feed = loaded([30], false);
    feed.arrive(note(40, 0), false, false);
    let author = note(30, 0).author;
    assert!(feed.has_author(&author) && !feed.has_author(&Keys::generate().public_key()));
    feed.rename(&author, Some("葵"));
    feed.release();
    assert!(
        feed.notes()
            .iter()
            .all(|note| note.author_name.as_deref() == Some("葵"))
    );
}

#[test]
fn what_was_missed_arrives_and_what_is_gone_leaves() {
    let mut feed = loaded([50, 40, 30, 20, 10], true);
    // 60 and 35 are new, 40 is gone, 10 lies beyond the page.
    feed.catch_up(page([60, 50, 35, 30, 20], true), None, true);
    assert_eq!(times(&feed), [60, 50, 35, 30, 20, 10]);
    assert_eq!(
        feed.next(),
        Some(note(10, 0).cursor()),
        "paging goes on where it was"
    );
    // The end of everything: nothing lies beyond it.
    feed.catch_up(page([60, 50], false), None, true);
    assert_eq!(times(&feed), [60, 50]);
}

#[test]
fn what_was_missed_does_not_move_a_reader() {
    let mut feed = loaded([50, 40, 30], true);
    feed.catch_up(page([70, 60, 50, 40, 30], true), None, false);
    assert_eq!((times(&feed), feed.waiting()), (vec![50, 40, 30], 2));
    let before = feed.clone();
    feed.catch_up(page([70, 60, 50, 40, 30], true), None, false);
    assert_eq!(feed, before, "the same page again changes nothing");
    let mine = note(40, 0).author;
    feed.catch_up(page([80, 70, 60, 50, 40, 30], true), Some(mine), false);
    assert_eq!(times(&feed)[0], 80, "an own one does not wait");
}

#[test]
fn a_gap_asks_for_the_first_page() {
    let mut feed = loaded([30, 20, 10], false);
    feed.catch_up(page([90, 80, 70], true), None, false);
    assert_eq!((times(&feed), feed.waiting()), (vec![30, 20, 10], 3));
    assert!(!feed.release(), "the first page is to be asked for");
    let mut feed = loaded([30, 20, 10], false);
    feed.catch_up(page([90, 80, 70], true), None, true);
    assert_eq!(times(&feed), [90, 80, 70]);
}

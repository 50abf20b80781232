//! Nothing is lost for good: not when peers come and go, when the network is cut, when author and reader are never
//! online together, when a newcomer has years to catch up on, and when clocks are wrong.

mod crowd;

use crowd::{complete, complete_with};
use sazanami_core::sim::scenarios;

#[test]
fn a_third_of_the_peers_leaves_each_minute() {
    complete(31, scenarios::leaving, |_| {});
}

#[test]
fn two_halves_that_were_apart_for_an_hour_become_one() {
    // An hour of everybody's pings takes long to simulate; the halves are large enough to need several hops.
    complete_with(60, 32, scenarios::split, |_| {});
}

#[test]
fn a_follower_never_online_with_the_author_has_everything_through_a_common_friend() {
    complete(33, scenarios::never_together, |_| {});
}

#[test]
fn a_newcomer_fetches_fifty_thousand_events_while_all_goes_on() {
    complete(34, scenarios::newcomer, |_| {});
}

#[test]
fn clocks_that_are_days_wrong_keep_nobody_apart() {
    complete(35, scenarios::wrong_clocks, |_| {});
}

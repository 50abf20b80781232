//! Sessions that want less than everything.

use super::*;

#[test]
fn a_session_gets_what_it_wants_and_the_rest_when_it_wants_that() {
    let (near, far) = (notes(50), notes(40));
    let mut pair = Pair::new(&[near.clone(), far.clone()].concat(), &[]);
    let of_near = Filter::new().kinds(KINDS).author(near[0].pubkey);
    let wants = Wants {
        live: vec![of_near.clone()],
        history: vec![of_near],
    };
    let now = pair.now;
    let End {
        session, store, sets, ..
    } = &mut pair.b;
    session.want(wants, &mut End::env(store, sets, now)).unwrap();
    pair.settle();
    for _ in 0..5 {
        pair.now = pair.now + Duration::from_secs(1);
        pair.a.tick(pair.now);
        pair.b.tick(pair.now);
        pair.settle();
    }
    assert_eq!((pair.b.notes(), pair.b.live), (50, 1));
    let stranger = note_event(&Keys::generate(), "live".into(), pair.now);
    pair.a.write(&stranger, pair.now);
    pair.settle();
    assert_eq!(pair.b.notes(), 50, "nor is it sent what is new");

    let now = pair.now;
    let End {
        session, store, sets, ..
    } = &mut pair.b;
    session
        .want(Wants::everything(), &mut End::env(store, sets, now))
        .unwrap();
    pair.settle();
    assert_eq!(pair.b.notes(), 91);
    let stranger = note_event(&Keys::generate(), "live again".into(), pair.now);
    pair.a.write(&stranger, pair.now);
    pair.settle();
    assert_eq!(pair.b.notes(), 92);
    assert_eq!((&pair.a.ended, &pair.b.ended), (&None, &None));
}

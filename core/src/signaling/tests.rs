use super::*;

#[test]
fn messages_have_a_stable_json_form() {
    let join = serde_json::to_string(&ClientMessage::Join {
        topic: Topic::lobby(),
    })
    .unwrap();
    assert_eq!(
        join,
        format!(r#"{{"type":"join","topic":"{}"}}"#, Topic::lobby().as_str())
    );
    assert_eq!(
        serde_json::to_string(&ClientMessage::Ping).unwrap(),
        r#"{"type":"ping"}"#
    );
    let error = ServerMessage::Error {
        code: ErrorCode::RateLimited,
        message: "slow down".into(),
    };
    assert_eq!(
        serde_json::to_string(&error).unwrap(),
        r#"{"type":"error","code":"rate_limited","message":"slow down"}"#
    );
}

#[test]
fn a_topic_is_a_hash_and_nothing_else() {
    for bad in ["", "lobby", &"A".repeat(64), &"a".repeat(63)] {
        assert!(Topic::try_from(bad.to_owned()).is_err(), "{bad}");
    }
    assert!(Topic::try_from("a".repeat(64)).is_ok());
}

#[test]
fn a_hello_proves_the_session_key_for_one_challenge() {
    let session = Keys::generate();
    let now = Millis(1_700_000_000_000);
    let proof = hello_proof(&session, "abc", now);
    assert_eq!(
        check_hello(&proof, "abc", now),
        Ok(SessionId(session.public_key()))
    );
    assert!(check_hello(&proof, "other", now).is_err());
    assert!(check_hello(&proof, "abc", Millis(now.0 + 1_000_000)).is_err());
    let mut forged = proof;
    forged.pubkey = Keys::generate().public_key();
    assert!(check_hello(&forged, "abc", now).is_err());
}

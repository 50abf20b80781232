//! What a server does not start with.

use sazanami_signal::{Config, IceConfig, Server, ServerError};

use crate::harness::TestServer;

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let server = TestServer::start().await;
    let same = Config {
        listen: server.address,
        ..Config::on_any_port()
    };
    let error = Server::bind(same).await.err().unwrap();
    assert!(matches!(error, ServerError::Listen { address, .. } if address == server.address));

    let turn = server.turn.unwrap();
    let ice = IceConfig::Embedded {
        port: turn.port(),
        tcp_port: None,
        relay_ports: IceConfig::RELAY_PORTS,
    };
    let error = Server::bind(Config {
        ice,
        ..Config::on_any_port()
    })
    .await
    .err()
    .unwrap();
    assert!(matches!(error, ServerError::ListenTurn { address, .. } if address == turn));
}

#[tokio::test]
async fn a_public_host_without_an_address_is_said() {
    let config = Config {
        public_host: Some("nowhere.invalid".into()),
        ..Config::on_any_port()
    };
    assert!(matches!(
        Server::bind(config).await.err(),
        Some(ServerError::NoRelayAddress(_))
    ));
}

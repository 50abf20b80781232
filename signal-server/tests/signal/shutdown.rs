//! A server that stops.

use crate::harness::{Peer, TestServer, until, within};

#[tokio::test]
async fn stopping_says_goodbye_and_frees_the_ports() {
    let mut server = TestServer::start().await;
    let mut peer = Peer::welcomed(&server).await;
    let mut no_hello = Peer::connect(&server).await;
    let idle = tokio::net::TcpStream::connect(server.address).await.unwrap();
    until("all three", || server.hub.connections() == 2).await;
    let (stopped, code) = tokio::join!(server.stop(), peer.close_code());
    assert_eq!(((), 1001), (stopped, code));
    assert_eq!(no_hello.close_code().await, 1001);
    assert_eq!(server.hub.connections(), 0);
    drop(idle);
    tokio::net::TcpListener::bind(server.address).await.unwrap();
    within("the TURN port", async {
        while tokio::net::UdpSocket::bind(server.turn.unwrap()).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

//! Streams against real servers: TCP and TLS listeners of our own, and a coturn.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sazanami_core::signaling::IceServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Runtime, TokioRuntime};

use super::{Socket, TurnStreams, UDP_PATIENCE, Ways, is_stand_in, stand_in};

const LIMIT: Duration = Duration::from_secs(20);

/// A binding request (RFC 8489 §5), which needs no credentials.
const BINDING: [u8; 20] = [
    0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
];

fn server(urls: &[String]) -> IceServer {
    IceServer {
        urls: urls.to_vec(),
        username: Some("user".to_owned()),
        credential: Some("secret".to_owned()),
    }
}

fn socket(streams: &Arc<TurnStreams>) -> Socket {
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    Socket::new(TokioRuntime.wrap_udp_socket(udp).unwrap(), Arc::clone(streams)).unwrap()
}

async fn receive(socket: &Socket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 2_000];
    let mut meta = [RecvMeta::default()];
    let received =
        std::future::poll_fn(|cx| socket.poll_recv(cx, &mut [IoSliceMut::new(&mut buffer)], &mut meta));
    assert_eq!(
        timeout(LIMIT, received)
            .await
            .expect("a message in time")
            .unwrap(),
        1
    );
    (buffer[..meta[0].len].to_vec(), meta[0].addr)
}

/// Waits until sending fails, as it does once a stream has ended.
async fn ends(socket: &Socket) -> io::ErrorKind {
    let sending = async {
        loop {
            if let Err(error) = socket.send_to(&BINDING, stand_in(0)).await {
                return error.kind();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LIMIT, sending).await.expect("the stream ends in time")
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("turn:{}?transport=tcp", listener.local_addr().unwrap());
    (listener, url)
}

#[test]
fn a_server_keeps_what_stands_for_it() {
    let streams = TurnStreams::new(Ways::new());
    let tcp = |host: &str| format!("turn:{host}?transport=tcp");
    let urls = |servers: &[IceServer]| -> Vec<Vec<String>> {
        streams
            .servers(servers)
            .into_iter()
            .map(|server| server.urls)
            .collect()
    };
    let stands = |place| format!("turn:{}?transport=udp", stand_in(place));
    let (a, b, c) = (
        server(&[tcp("a")]),
        server(&[tcp("b"), "turns:b".to_owned()]),
        server(&[tcp("c")]),
    );
    assert_eq!(urls(&[a.clone(), b.clone()]), [[stands(0)], [stands(1)]]);
    assert_eq!(urls(&[b.clone(), c.clone()]), [[stands(1)], [stands(0)]]);
    assert_eq!(urls(&[c, b]), [[stands(0)], [stands(1)]]);
    let mixed = server(&[
        "stun:m".to_owned(),
        "turn:m".to_owned(),
        tcp("m"),
        "turns:m?transport=udp".to_owned(),
    ]);
    assert_eq!(
        urls(&[mixed]),
        [["stun:m".to_owned(), "turn:m".to_owned(), stands(0)]]
    );
    let many: Vec<IceServer> = (0..9).map(|n| server(&[tcp(&n.to_string())])).collect();
    assert_eq!(urls(&many).len(), super::MAX_SERVERS);
    assert!(urls(&[server(&[tcp("a:22")])]).is_empty(), "no port of TURN");
    assert!(is_stand_in(stand_in(3)) && !is_stand_in("127.0.0.1:9".parse().unwrap()));
}

#[tokio::test]
async fn messages_go_both_ways_and_the_stream_ends_with_the_socket() {
    let (listener, url) = listener().await;
    let streams = Arc::new(TurnStreams::new(Ways::new()));
    streams.servers(&[server(&[url])]);
    let socket = socket(&streams);
    socket.send_to(b"\xFFnoise", stand_in(0)).await.unwrap();
    socket.send_to(&BINDING, stand_in(0)).await.unwrap();
    let (mut stream, _) = timeout(LIMIT, listener.accept()).await.unwrap().unwrap();
    // What is no TURN does not get onto it.
    let mut first = [0; 20];
    timeout(LIMIT, stream.read_exact(&mut first))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(first, BINDING);
    // ChannelData without padding, as datagrams have it.
    socket.send_to(&[0x40, 0, 0, 1, 7], stand_in(0)).await.unwrap();
    let mut padded = [0; 8];
    timeout(LIMIT, stream.read_exact(&mut padded))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(padded, [0x40, 0, 0, 1, 7, 0, 0, 0]);
    let answer = [&[1, 1], &BINDING[2..]].concat();
    stream.write_all(&answer).await.unwrap();
    assert_eq!(receive(&socket).await, (answer, stand_in(0)));

    stream.write_all(&[0x40, 0, 0, 2, 5, 6, 0]).await.unwrap();
    stream.write_all(&[0, 0x41]).await.unwrap();
    stream.write_all(&[0, 0, 0]).await.unwrap();
    assert_eq!(receive(&socket).await, (vec![0x40, 0, 0, 2, 5, 6], stand_in(0)));
    assert_eq!(receive(&socket).await, (vec![0x41, 0, 0, 0], stand_in(0)));
    // UDP goes on beside.
    let other = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    other
        .send_to(b"hello", socket.local_addr().unwrap())
        .await
        .unwrap();
    assert_eq!(
        receive(&socket).await,
        (b"hello".to_vec(), other.local_addr().unwrap())
    );

    socket.send_to(&[0x42, 0, 0, 0], stand_in(0)).await.unwrap();
    drop(socket);
    let mut rest = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut rest))
        .await
        .expect("it ends in time")
        .unwrap();
    assert!(
        rest.ends_with(&[0x42, 0, 0, 0]),
        "the last words are sent: {rest:?}"
    );
}

#[tokio::test]
async fn a_server_that_breaks_the_rules_or_is_not_there_is_left() {
    let (listener, url) = listener().await;
    let streams = Arc::new(TurnStreams::new(Ways::new()));
    streams.servers(&[server(&[url])]);
    let first = socket(&streams);
    first.send_to(&BINDING, stand_in(0)).await.unwrap();
    let (mut stream, _) = timeout(LIMIT, listener.accept()).await.unwrap().unwrap();
    stream
        .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(ends(&first).await, io::ErrorKind::BrokenPipe);
    drop((listener, stream));
    let second = socket(&streams);
    assert_eq!(ends(&second).await, io::ErrorKind::BrokenPipe);
    // Sockets that are not on loopback open none: one allocation for a server is enough.
    let any = std::net::UdpSocket::bind("127.0.0.2:0").unwrap();
    let any = Socket::new(TokioRuntime.wrap_udp_socket(any).unwrap(), streams).unwrap();
    let refused = any.send_to(&BINDING, stand_in(0)).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AddrNotAvailable);
}

#[tokio::test]
async fn no_stream_is_opened_while_udp_does_it() {
    let (listener, url) = listener().await;
    let urls = ["turn:127.0.0.1:1025?transport=udp".to_owned(), url];
    let ways = Ways::new();
    let streams = Arc::new(TurnStreams::new(ways.clone()));
    streams.servers(&[server(&urls)]);
    let patient = socket(&streams);
    patient.send_to(&BINDING, stand_in(0)).await.unwrap();
    streams.relay_found(&urls[0]);
    assert_eq!(ends(&patient).await, io::ErrorKind::BrokenPipe);
    let nobody = timeout(Duration::from_millis(1), listener.accept()).await;
    assert!(nobody.is_err(), "a stream was opened");

    // Without a relay address by UDP it is opened after a while, and remembered once it has brought something.
    let begun = tokio::time::Instant::now();
    let socket_without = socket(&streams);
    socket_without.send_to(&BINDING, stand_in(0)).await.unwrap();
    let (mut stream, _) = timeout(LIMIT, listener.accept()).await.unwrap().unwrap();
    assert!(begun.elapsed() >= UDP_PATIENCE);
    assert!(!ways.udp_fails.load(Ordering::Relaxed));
    stream.write_all(&BINDING).await.unwrap();
    receive(&socket_without).await;
    assert!(ways.udp_fails.load(Ordering::Relaxed));
    assert!(streams.patience().is_zero());
    // A relay address by the stream says nothing of UDP.
    streams.relay_found(&format!("turn:{}?transport=udp", stand_in(0)));
    assert!(streams.patience().is_zero());
    streams.relay_found(&urls[0]);
    assert_eq!(streams.patience(), UDP_PATIENCE);
}

#[tokio::test]
async fn only_a_server_with_a_trusted_certificate_is_spoken_to() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut bytes = [0; 20];
                while stream.read_exact(&mut bytes).await.is_ok() {
                    stream.write_all(&bytes).await.unwrap();
                }
            });
        }
    });
    for (ways, name, trusted) in [
        (Ways::trusting(roots.clone()), "localhost", true),
        (Ways::trusting(roots), "127.0.0.1", false),
        (Ways::new(), "localhost", false),
    ] {
        let streams = Arc::new(TurnStreams::new(ways));
        streams.servers(&[server(&[format!("turns:{name}:{port}?transport=tcp")])]);
        let socket = socket(&streams);
        socket.send_to(&BINDING, stand_in(0)).await.unwrap();
        if trusted {
            assert_eq!(receive(&socket).await, (BINDING.to_vec(), stand_in(0)));
        } else {
            assert_eq!(ends(&socket).await, io::ErrorKind::BrokenPipe, "{name}");
        }
    }
}

#[tokio::test]
async fn a_coturn_answers_by_tcp_and_tls() {
    if std::process::Command::new("turnserver")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("SKIPPED: no coturn here (./test installs it)");
        return;
    }
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(file("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let free = || {
        std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port()
    };
    let (plain, tls) = (free(), free());
    let option = |name: &str, value: &dyn std::fmt::Display| format!("--{name}={value}");
    let _coturn = tokio::process::Command::new("turnserver")
        .args([
            "-n",
            "--no-dtls",
            "--no-cli",
            "--log-file=stdout",
            "--realm=x",
            "--user=user:secret",
        ])
        .args([
            option("listening-ip", &"127.0.0.1"),
            option("relay-ip", &"127.0.0.1"),
        ])
        .args([
            option("listening-port", &plain),
            option("tls-listening-port", &tls),
        ])
        .args([
            option("cert", &file("cert.pem").display()),
            option("pkey", &file("key.pem").display()),
        ])
        .arg(option("pidfile", &file("pid").display()))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let up = async {
        for port in [plain, tls] {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    timeout(LIMIT, up).await.expect("coturn listens in time");
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    for url in [
        format!("turn:127.0.0.1:{plain}?transport=tcp"),
        format!("turns:localhost:{tls}"),
    ] {
        let streams = Arc::new(TurnStreams::new(Ways::trusting(roots.clone())));
        streams.servers(&[server(std::slice::from_ref(&url))]);
        let socket = socket(&streams);
        socket.send_to(&BINDING, stand_in(0)).await.unwrap();
        let (answer, from) = receive(&socket).await;
        assert_eq!((&answer[..2], from), (&[1, 1][..], stand_in(0)), "{url}");
        assert_eq!(answer[8..20], BINDING[8..], "{url}: the answer to this request");
    }
}

//! HTTPS from certificate files.

use std::path::Path;

use sazanami_core::signaling::{ClientMessage, ServerMessage};
use sazanami_signal::{Config, Server, ServerError, TlsFiles};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio_tungstenite::{Connector, connect_async_tls_with_config};

use crate::harness::{Peer, TestServer, within};

/// Writes a new certificate for localhost, and gives its PEM.
fn certify(files: &TlsFiles) -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    std::fs::write(&files.cert, made.cert.pem()).unwrap();
    made.cert.pem()
}

fn files(folder: &Path) -> TlsFiles {
    TlsFiles {
        cert: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    }
}

fn client(pem: &str) -> reqwest::Client {
    let certificate = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
    reqwest::Client::builder()
        .tls_built_in_root_certs(false)
        .add_root_certificate(certificate)
        .pool_max_idle_per_host(0)
        .build()
        .unwrap()
}

async fn welcomed(server: &TestServer, pem: &str) -> Peer {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(std::sync::Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let url = format!("wss://localhost:{}/ws", server.address.port());
    let connector = Connector::Rustls(std::sync::Arc::new(config));
    let connecting = connect_async_tls_with_config(url, None, false, Some(connector));
    let (socket, _) = within("connecting", connecting).await.unwrap();
    let mut peer = Peer {
        socket,
        keys: sazanami_core::Keys::generate(),
    };
    let challenge = peer.challenge().await;
    peer.hello(&challenge).await;
    assert_eq!(
        peer.receive().await,
        ServerMessage::Welcome { servers: Vec::new() }
    );
    peer
}

#[tokio::test]
async fn a_changed_certificate_is_taken_without_dropping_anybody() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let old = certify(&files);
    let mut server = TestServer::with(Config {
        tls: Some(files.clone()),
        ..Config::on_any_port()
    })
    .await;
    let url = format!("https://localhost:{}/healthz", server.address.port());
    let answers = async |pem: &str| client(pem).get(&url).send().await.is_ok();
    assert!(answers(&old).await);
    assert!(
        reqwest::get(server.url("/healthz")).await.is_err(),
        "no plain HTTP"
    );
    let mut alice = welcomed(&server, &old).await;

    // Half of a change, and rubbish, are not used.
    std::fs::write(&files.cert, "rubbish").unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert!(answers(&old).await);

    let new = certify(&files);
    within("the new certificate", async {
        while !answers(&new).await {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    assert!(!answers(&old).await);
    let mut bob = welcomed(&server, &new).await;
    let to = bob.session();
    alice
        .say(&ClientMessage::Relay {
            to,
            sealed: "x".into(),
        })
        .await;
    assert!(matches!(bob.receive().await, ServerMessage::Relayed { .. }));
    let (_, code) = tokio::join!(server.stop(), alice.close_code());
    assert_eq!(code, 1001);
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let bind = async || {
        let tls = Some(files.clone());
        let config = Config {
            tls,
            ..Config::on_any_port()
        };
        match Server::bind(config).await.err() {
            Some(ServerError::Tls(words)) => words,
            other => panic!("{other:?}"),
        }
    };
    assert!(bind().await.contains("cert.pem"));
    certify(&files);
    let key = std::fs::read(&files.key).unwrap();
    certify(&files);
    std::fs::write(&files.key, key).unwrap();
    bind().await;
    std::fs::write(&files.key, "rubbish").unwrap();
    assert!(bind().await.contains("key.pem"));
}

//! The web app's files and their headers.

use std::fs;

use sazanami_signal::Config;
use tempfile::TempDir;

use crate::harness::{TestServer, within};

const HASHED: &str = "/assets/sazanami-web-dxh1a2b3c4d5e6f.js";

async fn with_web_app() -> (TestServer, TempDir) {
    let root = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &str| {
        fs::write(root.path().join(path.trim_start_matches('/')), content).unwrap();
    };
    fs::create_dir(root.path().join("assets")).unwrap();
    write("index.html", "<!doctype html>index");
    write("index.html.br", "brotli index");
    write("manifest.webmanifest", "{}");
    write(HASHED, "script");
    write(&format!("{HASHED}.br"), "brotli script");
    write(&format!("{HASHED}.gz"), "gzip script");
    write("/assets/app_bg-dxhdeadbeef.wasm", "wasm");
    let config = Config {
        web_root: Some(root.path().to_owned()),
        ..Config::on_any_port()
    };
    (TestServer::with(config).await, root)
}

async fn get(server: &TestServer, path: &str, encodings: &str) -> reqwest::Response {
    let request = reqwest::Client::new()
        .get(server.url(path))
        .header("accept-encoding", encodings);
    within(path, request.send()).await.unwrap()
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let (server, _root) = with_web_app().await;
    for path in ["/", HASHED, "/missing.js", "/turn", "/healthz"] {
        let response = server.get(path).await;
        let header = |name: &str| response.headers()[name].to_str().unwrap();
        assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{path}");
        assert_eq!(header("cross-origin-embedder-policy"), "require-corp");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        let policy = header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self';")
        );
        let address = server.address;
        assert!(
            policy.contains(&format!(
                "connect-src 'self' ws://{address} wss://{address} https: wss:"
            )),
            "{policy}"
        );
        assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"));
    }
}

#[tokio::test]
async fn compressed_siblings_are_served_to_who_takes_them() {
    let (server, _root) = with_web_app().await;
    for (encodings, encoding, body) in [
        ("gzip, deflate, br", Some("br"), "brotli script"),
        ("gzip", Some("gzip"), "gzip script"),
        ("identity", None, "script"),
    ] {
        let response = get(&server, HASHED, encodings).await;
        let got = response
            .headers()
            .get("content-encoding")
            .map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(got.as_deref(), encoding);
        assert_eq!(response.headers()["content-type"], "text/javascript");
        assert_eq!(response.text().await.unwrap(), body);
    }
    assert_eq!(
        get(&server, "/note/abc", "br").await.text().await.unwrap(),
        "brotli index"
    );
    let wasm = get(&server, "/assets/app_bg-dxhdeadbeef.wasm", "br").await;
    assert_eq!(wasm.headers()["content-type"], "application/wasm");
}

#[tokio::test]
async fn only_hashed_files_are_immutable_and_the_rest_is_asked_for_again() {
    let (server, _root) = with_web_app().await;
    let hashed = server.get(HASHED).await;
    assert_eq!(
        hashed.headers()["cache-control"],
        "public, max-age=31536000, immutable"
    );
    for path in ["/", "/index.html", "/manifest.webmanifest"] {
        assert_eq!(
            server.get(path).await.headers()["cache-control"],
            "no-cache",
            "{path}"
        );
    }
    let modified = server.get("/").await.headers()["last-modified"].clone();
    let again = reqwest::Client::new()
        .get(server.url("/"))
        .header("if-modified-since", modified)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            again.status().as_u16(),
            again.headers()["cache-control"].to_str().unwrap()
        ),
        (304, "no-cache")
    );
}

#[tokio::test]
async fn app_routes_get_the_index_and_missing_files_do_not() {
    let (server, _root) = with_web_app().await;
    for path in [
        "/",
        "/@npub1abc",
        "/note/1f",
        "/tag/%E6%B5%B7",
        "/tag/web3.0",
        "/settings?tab=keys",
    ] {
        let response = server.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], "text/html");
        assert_eq!(response.text().await.unwrap(), "<!doctype html>index");
    }
    for path in [
        "/missing.js",
        "/assets/missing",
        "/assets/x-dxh1a2b3c4d.js",
        "/favicon.ico",
        "/note/x.js",
    ] {
        let response = server.get(path).await;
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(response.headers()["cache-control"], "no-cache");
    }
    let posted = reqwest::Client::new().post(server.url("/")).send().await.unwrap();
    assert_eq!(posted.status(), 405);
}

#[tokio::test]
async fn nothing_outside_the_web_root_is_served() {
    let (server, root) = with_web_app().await;
    let secret = root.path().parent().unwrap().join("sazanami-secret.txt");
    fs::write(&secret, "secret").unwrap();
    for path in [
        "/../sazanami-secret.txt",
        "/%2e%2e/sazanami-secret.txt",
        "/assets/..%2f..%2fsazanami-secret.txt",
    ] {
        // Raw: an HTTP client would tidy the path.
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within("an answer", stream.read_to_string(&mut answer))
            .await
            .unwrap();
        assert!(!answer.contains("\r\n\r\nsecret"), "{path}");
    }
    fs::remove_file(secret).unwrap();
}

#[tokio::test]
async fn without_a_web_app_it_says_how_to_build_one() {
    let server = TestServer::start().await;
    let response = server.get("/").await;
    assert_eq!(response.status(), 200);
    assert!(response.text().await.unwrap().contains("./run"));
    assert_eq!(server.get("/note/1").await.status(), 404);
}

#[tokio::test]
async fn health_is_ok_and_a_plain_request_to_the_websocket_is_refused() {
    let server = TestServer::start().await;
    let response = server.get("/healthz").await;
    assert_eq!(
        (
            response.status().as_u16(),
            response.text().await.unwrap().as_str()
        ),
        (200, "ok")
    );
    assert!(server.get("/ws").await.status().is_client_error());
}

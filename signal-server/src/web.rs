//! The built web app: files, their headers, and `index.html` for the app's own routes.

use std::path::{Path, PathBuf};

use axum::Router;
use axum::extract::Request;
use axum::http::uri::{PathAndQuery, Uri};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower::ServiceExt;
use tower_http::services::ServeDir;

use crate::address::host_name;

/// What `/` says when there is no web app to serve.
const NO_WEB_APP: &str = "This is a Sazanami signal server. It serves no web app, since --web-root was not given.\n\
    Build the app with `./run`, or with `dx bundle --web -p sazanami-web --release`, and give its `public` folder as \
    --web-root.\n";

/// The app's files under `root`, or a word on how to get them.
pub(crate) fn routes(root: Option<PathBuf>) -> Router {
    match root {
        Some(root) => {
            let files = ServeDir::new(root)
                .append_index_html_on_directories(false)
                .precompressed_br()
                .precompressed_gzip();
            Router::new().fallback(move |request| serve(files.clone(), request))
        }
        None => Router::new().route("/", get(|| async { NO_WEB_APP })),
    }
}

async fn serve(files: ServeDir, mut request: Request) -> Response {
    let path = request.uri().path();
    let immutable = is_immutable(path);
    if is_app_route(path) {
        *request.uri_mut() = Uri::from(PathAndQuery::from_static("/index.html"));
    }
    let mut response = match files.oneshot(request).await {
        Ok(response) => response.into_response(),
        Err(never) => match never {},
    };
    if response.status() == StatusCode::NOT_FOUND {
        response = (StatusCode::NOT_FOUND, "not found\n").into_response();
    }
    // Only what is there is there for ever: a file that is missing today may come with the next build.
    let found = response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED;
    let cache = if immutable && found {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}

/// Whether the app, not the file system, knows this path: no file extension, or a tag, which may have dots in it.
fn is_app_route(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    let asset = path == "/assets" || path.starts_with("/assets/");
    !asset && (!last.contains('.') || path.starts_with("/tag/"))
}

/// Whether a file's name holds the hash of its content, so that it never changes: dx writes `name-dxh<hex>.ext`.
fn is_immutable(path: &str) -> bool {
    let Some(name) = path.strip_prefix("/assets/") else {
        return false;
    };
    let Some((_, hash)) = name.rsplit_once("-dxh") else {
        return false;
    };
    let digits = hash.bytes().take_while(u8::is_ascii_hexdigit).count();
    digits >= 8 && (hash.len() == digits || hash.as_bytes()[digits] == b'.')
}

/// Whether `root` is a built web app.
pub(crate) fn is_web_app(root: &Path) -> bool {
    root.join("index.html").is_file()
}

/// Puts the security headers on every answer.
pub(crate) async fn secure(request: Request, next: Next) -> Response {
    let policy = content_security_policy(request.headers().get(header::HOST));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// Cross-origin isolation (for SQLite's shared memory and precise timers), and no guessing, embedding or referring.
const SECURITY_HEADERS: [(&str, &str); 5] = [
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("cross-origin-resource-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
];

/// Where signal servers may be, beside this origin.
const SERVERS: &str = "https: wss: http://127.0.0.1:* ws://127.0.0.1:* http://localhost:* ws://localhost:*";

/// Everything from this origin alone, wasm allowed, no inline script or style.
///
/// Connections may go to any server over TLS, and to this machine, since people choose the signal servers that they use.
/// It gives away nothing: data channels go to any peer, and no policy limits them.
///
/// `connect-src 'self'` covers a WebSocket of the same origin in today's browsers but not in Safari before 15.4, so
/// the server's own name is there with `ws:` and `wss:` too. The `Host` header is the requester's own, and only a plain
/// host and port is taken from it.
fn content_security_policy(host: Option<&HeaderValue>) -> HeaderValue {
    let host = host
        .and_then(|host| host.to_str().ok())
        .filter(|host| is_host_and_port(host));
    let sockets = host
        .map(|host| format!(" ws://{host} wss://{host}"))
        .unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data: blob:; \
         font-src 'self'; connect-src 'self'{sockets} {SERVERS}; worker-src 'self'; manifest-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

fn is_host_and_port(host: &str) -> bool {
    // CSP's grammar has no IPv6 addresses: a source in brackets would only be warned about.
    let name = host_name(host).filter(|name| !name.starts_with('['));
    let port = name.and_then(|name| host.strip_prefix(name));
    port.is_some_and(|port| {
        port.is_empty() || port.strip_prefix(':').is_some_and(|p| p.parse::<u16>().is_ok())
    })
}

/// Applies [`secure`] to all routes.
pub(crate) fn secured(router: Router) -> Router {
    router.layer(middleware::from_fn(secure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashed_assets_are_immutable() {
        for path in [
            "/assets/app-dxh1a2b3c4d5e.js",
            "/assets/app_bg-dxhdeadbeef01.wasm",
            "/assets/css/a-dxh12345678.css",
        ] {
            assert!(is_immutable(path), "{path}");
        }
        for path in [
            "/app-dxh1a2b3c4d.js",
            "/assets/app.js",
            "/assets/app-dxhxyz.js",
            "/assets/app-dxh12.js",
            "/assets/",
        ] {
            assert!(!is_immutable(path), "{path}");
        }
    }

    #[test]
    fn app_routes_are_those_without_an_extension() {
        for path in ["/", "/@npub1xyz", "/note/abc", "/tag/web3.0", "/settings/"] {
            assert!(is_app_route(path), "{path}");
        }
        for path in ["/favicon.ico", "/assets/x", "/assets/x.js", "/sw.js", "/assets"] {
            assert!(!is_app_route(path), "{path}");
        }
    }

    #[test]
    fn the_policy_takes_nothing_from_a_host_that_is_none() {
        let policy = |host: &str| content_security_policy(HeaderValue::from_str(host).ok().as_ref());
        assert!(
            policy("example.org:8080")
                .to_str()
                .unwrap()
                .contains("'self' ws://example.org:8080 wss://example.org:8080 https: wss:")
        );
        for bad in [
            "a b",
            "x; script-src *",
            "example.org:x",
            "[::1]:80",
            "*",
            "example.org:80:90",
        ] {
            assert!(
                policy(bad)
                    .to_str()
                    .unwrap()
                    .contains("connect-src 'self' https:"),
                "{bad}"
            );
        }
    }
}

//! Binding, serving, stopping.

mod drain;
mod ready;
mod tls;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

pub(crate) use self::ready::Probe;
use self::tls::Certificate;
use crate::bucket::KeyedBuckets;
use crate::config::{Config, IceConfig};
use crate::http::{self, Shared};
use crate::hub::Hub;
use crate::ice::{Cloudflare, Ice};
use crate::metrics::Limit;
use crate::nats::Nats;
use crate::turn_server::{self, TurnServer};

/// How long a client may take to send its request headers, and to leave a kept connection unused.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// hyper's buffer for one connection, and so the most that request headers may take.
const HTTP_BUFFER: usize = 16 * 1024;
/// How long connections have to end once the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after an accept that failed for want of file descriptors: they come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Why a server does not start or run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The HTTP port cannot be had.
    #[error("cannot listen on {address} for HTTP: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// The STUN/TURN port cannot be had.
    #[error(
        "cannot listen on {address} for STUN/TURN: {error}; choose another --turn-port or --turn-tcp-port, or --no-turn"
    )]
    ListenTurn {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// The relay address is not known.
    #[error("no relay address for TURN: {0}; give an IP address, or a name that has one, as --public-host")]
    NoRelayAddress(String),
    /// The port for metrics cannot be had.
    #[error("cannot listen on {address} for metrics: {error}")]
    ListenMetrics {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// The certificate cannot be used.
    #[error("no TLS: {0}")]
    Tls(String),
    /// NATS cannot be used.
    #[error("--nats: {0}")]
    Nats(String),
    /// The HTTP client for Cloudflare cannot be made.
    #[error("cannot make an HTTPS client: {0}")]
    Client(#[from] reqwest::Error),
}

/// A server that listens, but does not answer before [`Server::serve`].
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    router: Router,
    hub: Arc<Hub>,
    turn: Option<TurnServer>,
    drain_time: Duration,
    tls: Option<TlsAcceptor>,
    metrics_addr: Option<SocketAddr>,
    /// What runs beside; it ends when this is dropped.
    beside: JoinSet<()>,
    nats: Option<Nats>,
    alive: mpsc::Sender<()>,
    /// Ends when every WebSocket task has, and `alive` is dropped.
    ended: mpsc::Receiver<()>,
}

impl Server {
    /// Takes the ports and starts the embedded STUN/TURN.
    ///
    /// # Errors
    /// When a port is taken, or the relay address cannot be found.
    pub async fn bind(config: Config) -> Result<Self, ServerError> {
        let address = config.listen;
        let listen = |error| ServerError::Listen { address, error };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let local_addr = listener.local_addr().map_err(listen)?;
        let hub = Hub::new(config.limits.clone(), rand::random()).recommending(&config.recommend);
        let hub = Arc::new(hub);
        let (ice, turn) = ice(&config, &hub).await?;
        let probe = match (&ice, &turn) {
            (_, Some(turn)) => Some(Probe::of_listener(turn.local_addr())),
            (Ice::Coturn { urls, .. }, None) => Probe::of_urls(urls),
            _ => None,
        };
        let nats = match &config.nats {
            Some(url) => Some(Nats::connect(Arc::clone(&hub), url).await?),
            None => None,
        };
        let mut beside = JoinSet::new();
        let tls = match config.tls.clone() {
            Some(files) => {
                let certificate = Certificate::load(files)?;
                beside.spawn(Arc::clone(&certificate).follow());
                Some(certificate.acceptor()?)
            }
            None => None,
        };
        let (alive, ended) = mpsc::channel(1);
        let shared = Shared {
            hub: Arc::clone(&hub),
            ice,
            probe,
            ice_host: ice_host(&config),
            turn_requests: Mutex::new(KeyedBuckets::new(config.limits.turn_per_address)),
            behind_proxy: config.behind_proxy,
            alive: alive.downgrade(),
        };
        let shared = Arc::new(shared);
        let metrics_addr = match config.metrics_listen {
            Some(address) => Some(serve_metrics(address, Arc::clone(&shared), &mut beside).await?),
            None => None,
        };
        let router = http::router(&config, shared);
        Ok(Self {
            listener,
            local_addr,
            router,
            hub,
            turn,
            drain_time: config.drain_time,
            tls,
            metrics_addr,
            beside,
            nats,
            alive,
            ended,
        })
    }

    /// Where it listens for HTTP.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Where the embedded STUN/TURN listens, if it runs.
    pub fn turn_addr(&self) -> Option<SocketAddr> {
        self.turn.as_ref().map(TurnServer::local_addr)
    }

    /// Where it listens for `/metrics`, if it does.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics_addr
    }

    /// The connections and topics, for a look from outside.
    pub fn hub(&self) -> Arc<Hub> {
        Arc::clone(&self.hub)
    }

    /// Serves until `shutdown` is done; then sends clients away over the drain time, and closes whatever is left
    /// politely, for at most 5 seconds.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let Self {
            listener,
            router,
            hub,
            turn,
            drain_time,
            tls,
            beside,
            nats,
            alive,
            mut ended,
            ..
        } = self;
        let (stop, stopped) = watch::channel(());
        let mut tasks = JoinSet::new();
        let room = Arc::new(Semaphore::new(hub.limits().http_connections));
        // Until the last client has gone: others may still have something for it.
        let (end_nats, nats_ended) = oneshot::channel();
        let nats = nats.map(|nats| tokio::spawn(nats.run(nats_ended)));
        // While it drains, HTTP goes on: /readyz says no, and new WebSockets are refused in words.
        let mut drained = std::pin::pin!(async {
            shutdown.await;
            drain::drain(&hub, drain_time).await;
        });
        loop {
            tokio::select! {
                () = &mut drained => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        // When full, the stream is dropped: a client sees a reset rather than a hanging page.
                        if let Ok(permit) = Arc::clone(&room).try_acquire_owned() {
                            let connection =
                                accepted_connection(stream, peer, tls.clone(), router.clone(), stopped.clone());
                            tasks.spawn(async move {
                                connection.await;
                                drop(permit);
                            });
                        } else {
                            hub.metrics().strike(Limit::HttpConnections);
                        }
                    }
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = tasks.join_next() => {}
            }
        }
        tracing::info!(connections = hub.connections(), "stopping");
        drop((listener, stopped, router, alive));
        hub.stop();
        let _ = stop.send(());
        let all_end = async {
            while tasks.join_next().await.is_some() {}
            // Nobody sends on it: it ends when the last clone is dropped.
            while ended.recv().await.is_some() {}
        };
        if timeout(STOP_TIMEOUT, all_end).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
        drop((end_nats, beside));
        if let Some(nats) = nats {
            let _ = nats.await;
        }
        if let Some(turn) = turn {
            turn.close().await;
        }
    }
}

/// Accepts TLS, where there is to be any, and serves.
async fn accepted_connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    stopped: watch::Receiver<()>,
) {
    // Small messages must not wait for the acknowledgement of earlier ones.
    let _ = stream.set_nodelay(true);
    match tls {
        None => connection(stream, peer, router, stopped).await,
        Some(tls) => match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => connection(stream, peer, router, stopped).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        },
    }
}

/// Serves one connection; a WebSocket that it becomes goes on by itself.
async fn connection(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    peer: SocketAddr,
    router: Router,
    mut stopped: watch::Receiver<()>,
) {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let mut http = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(HTTP_BUFFER)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    let ended = tokio::select! {
        ended = http.as_mut() => ended,
        _ = stopped.changed() => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended badly");
    }
}

/// Serves `/metrics` beside the rest.
async fn serve_metrics(
    address: SocketAddr,
    shared: Arc<Shared>,
    beside: &mut JoinSet<()>,
) -> Result<SocketAddr, ServerError> {
    let failed = |error| ServerError::ListenMetrics { address, error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local_addr = listener.local_addr().map_err(failed)?;
    beside.spawn(async move {
        let _ = axum::serve(listener, http::metrics_router(shared)).await;
    });
    Ok(local_addr)
}

/// Errors that accept(2) passes on from the connection that it would have accepted.
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

async fn ice(config: &Config, hub: &Hub) -> Result<(Ice, Option<TurnServer>), ServerError> {
    let ttl = config.turn_ttl.as_secs();
    match config.ice.clone() {
        IceConfig::None => Ok((Ice::None, None)),
        IceConfig::Coturn { secret, urls } => Ok((Ice::Coturn { secret, urls, ttl }, None)),
        IceConfig::Cloudflare {
            request_url,
            api_token,
            timeout,
        } => Ok((
            Ice::Cloudflare(Cloudflare::new(request_url, api_token, timeout)?),
            None,
        )),
        IceConfig::Embedded {
            port,
            tcp_port,
            relay_ports,
        } => {
            let address = SocketAddr::new(config.listen.ip(), port);
            let secret = hex::encode(rand::random::<[u8; 32]>());
            let options = turn_server::Options {
                listen: address,
                tcp_port,
                relay_ip: relay_ip(config).await?,
                relay_ports,
                limits: config.limits.clone(),
                metrics: Arc::clone(hub.metrics()),
                secret: secret.clone(),
            };
            let listen = |error| ServerError::ListenTurn { address, error };
            let turn = TurnServer::bind(options).await.map_err(listen)?;
            Ok((
                Ice::Embedded {
                    secret,
                    port: turn.local_addr().port(),
                    tcp_port: turn.tcp_port(),
                    ttl,
                },
                Some(turn),
            ))
        }
    }
}

/// The host for ICE URLs, where it does not depend on the client's request.
fn ice_host(config: &Config) -> Option<String> {
    let listened = || match config.listen.ip() {
        ip if ip.is_unspecified() => None,
        IpAddr::V4(ip) => Some(ip.to_string()),
        IpAddr::V6(ip) => Some(format!("[{ip}]")),
    };
    config.public_host.clone().or_else(listened)
}

async fn relay_ip(config: &Config) -> Result<IpAddr, ServerError> {
    let listen = config.listen.ip();
    let failed = |error: std::io::Error| ServerError::NoRelayAddress(error.to_string());
    let Some(host) = &config.public_host else {
        return if listen.is_unspecified() {
            outgoing_ip(listen).await.map_err(failed)
        } else {
            Ok(listen)
        };
    };
    let host = host.trim_matches(['[', ']']);
    let mut found = tokio::net::lookup_host((host, 0))
        .await
        .map_err(failed)?
        .map(|address| address.ip());
    // An unspecified IPv6 listener takes IPv4 as well, but one allocation has one family: that of its sockets.
    found
        .find(|ip| ip.is_ipv4() == listen.is_ipv4())
        .ok_or_else(|| ServerError::NoRelayAddress(format!("{host} has no address of the listener's family")))
}

/// The address from which this machine reaches others. Connecting a UDP socket sends nothing.
async fn outgoing_ip(listen: IpAddr) -> std::io::Result<IpAddr> {
    // Addresses for documentation (RFC 5737, RFC 3849): routed like any other.
    let far = match listen {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    };
    let socket = UdpSocket::bind((listen, 0)).await?;
    socket.connect((far, 9)).await?;
    Ok(socket.local_addr()?.ip())
}

//! Options from the command line, the environment and a TOML file, in this order of precedence.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use sazanami_core::signaling::{MAX_RECOMMENDED, ServerUrl};
use serde::Deserialize;

use super::limit_options::{LimitOptions, Seconds};
use super::{Config, IceConfig, TlsFiles};
use crate::address::host_name;

/// Sazanami's signal server: introduces peers to each other, hands out ICE servers (STUN/TURN), serves the web app.
///
/// It stores nothing and can read nothing of what peers say to each other. Every option can be given as a flag, as an
/// environment variable, or in a TOML file under the same name (`public-host = "example.org"`); a flag wins over the
/// environment, the environment over the file.
#[derive(Clone, Debug, Default, Parser, Deserialize)]
#[command(name = "sazanami-signal", version)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Options {
    /// A TOML file with any of these options
    #[arg(long, env = "SAZANAMI_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// The IP address to listen on, for HTTP and for the embedded STUN/TURN [default: 127.0.0.1]
    #[arg(long, env = "SAZANAMI_LISTEN", value_name = "IP")]
    pub listen: Option<IpAddr>,

    /// The TCP port for HTTP; 0 takes any free one [default: 8080]
    #[arg(long, env = "SAZANAMI_PORT")]
    pub port: Option<u16>,

    /// The name or IP address by which clients reach this server: ICE URLs carry it, and the embedded TURN announces
    /// it as its relay address [default: the address listened on; with 0.0.0.0 the host that the client asked for,
    /// and this machine's outgoing address for the relay]
    #[arg(long, env = "SAZANAMI_PUBLIC_HOST", value_name = "HOST")]
    pub public_host: Option<String>,

    /// The folder of the built web app; without it, `/` says how to build it
    #[arg(long, env = "SAZANAMI_WEB_ROOT", value_name = "DIR")]
    pub web_root: Option<PathBuf>,

    /// The UDP port of the embedded STUN/TURN; 0 takes any free one [default: 3478]
    #[arg(long, env = "SAZANAMI_TURN_PORT", value_name = "PORT")]
    pub turn_port: Option<u16>,

    /// The TCP port of the embedded TURN, for clients whose network lets no UDP through [default: as --turn-port]
    #[arg(long, env = "SAZANAMI_TURN_TCP_PORT", value_name = "PORT")]
    pub turn_tcp_port: Option<u16>,

    /// Run the embedded TURN over UDP alone
    #[arg(long, env = "SAZANAMI_NO_TURN_TCP", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub no_turn_tcp: Option<bool>,

    /// The UDP ports that the embedded TURN relays on, one per allocation [default: 49160-53159]
    #[arg(long, env = "SAZANAMI_RELAY_PORTS", value_name = "MIN-MAX")]
    pub relay_ports: Option<PortRange>,

    /// How long credentials for the embedded TURN or a coturn hold [default: 3600]
    #[arg(long, env = "SAZANAMI_TURN_TTL", value_name = "SECONDS")]
    pub turn_ttl: Option<Seconds>,

    /// Run without the embedded STUN/TURN; `/turn` then answers an empty list
    #[arg(long, env = "SAZANAMI_NO_TURN", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub no_turn: Option<bool>,

    /// Where `/turn` gets ICE servers [default: embedded]
    #[arg(long, env = "SAZANAMI_ICE", value_name = "SOURCE")]
    pub ice: Option<IceKind>,

    /// For `--ice coturn`: the `static-auth-secret` of the coturn
    #[arg(
        long,
        env = "SAZANAMI_COTURN_SECRET",
        value_name = "SECRET",
        hide_env_values = true
    )]
    pub coturn_secret: Option<String>,

    /// For `--ice coturn`: a URL of the coturn, such as turn:turn.example.org:3478?transport=udp; may be repeated, in
    /// the environment separated by commas
    #[arg(long, env = "SAZANAMI_COTURN_URL", value_name = "URL", value_delimiter = ',')]
    pub coturn_url: Option<Vec<String>>,

    /// For `--ice cloudflare`: the URL that generates ICE servers,
    /// <https://rtc.live.cloudflare.com/v1/turn/keys/KEY_ID/credentials/generate-ice-servers>
    #[arg(
        long,
        env = "CLOUDFLARE_TURN_REQUEST_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub cloudflare_turn_request_url: Option<String>,

    /// For `--ice cloudflare`: the API token of the TURN key
    #[arg(
        long,
        env = "CLOUDFLARE_TURN_API_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub cloudflare_turn_api_token: Option<String>,

    /// A reverse proxy stands in front: take the client's address, for the limits, from the last entry of
    /// X-Forwarded-For
    #[arg(long, env = "SAZANAMI_BEHIND_PROXY", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub behind_proxy: Option<bool>,

    /// A PEM file with the TLS certificate and its chain: HTTPS instead of HTTP. Read again when it changes
    #[arg(long, env = "SAZANAMI_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// A PEM file with the certificate's private key
    #[arg(long, env = "SAZANAMI_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// Join the servers that share this NATS, such as nats://user:password@127.0.0.1:4222, into one
    #[arg(long, env = "SAZANAMI_NATS", value_name = "URL", hide_env_values = true)]
    pub nats: Option<String>,

    /// Another server that clients are told to use beside this one, such as https://example.net, at most 3: when this one
    /// dies, they still find each other there. May be repeated, in the environment separated by commas
    #[arg(long, env = "SAZANAMI_RECOMMEND", value_name = "URL", value_delimiter = ',')]
    pub recommend: Option<Vec<ServerUrl>>,

    /// The address for `/metrics` (Prometheus), such as 127.0.0.1:9090; whoever reaches it can read them [default: none]
    #[arg(long, env = "SAZANAMI_METRICS_LISTEN", value_name = "IP:PORT")]
    pub metrics_listen: Option<SocketAddr>,

    /// On SIGTERM: the time over which clients are told to go to another server or to come back [default: 10]
    #[arg(long, env = "SAZANAMI_DRAIN_TIME", value_name = "SECONDS")]
    pub drain_time: Option<Seconds>,

    /// How to write the log, which goes to the standard error [default: text]
    #[arg(long, env = "SAZANAMI_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,

    /// What to log: error, warn, info, debug, trace, or tracing-subscriber directives [default: info]
    #[arg(long, env = "SAZANAMI_LOG", value_name = "FILTER")]
    pub log: Option<String>,

    /// What one client may cost
    #[command(flatten)]
    #[serde(flatten)]
    pub limits: LimitOptions,
}

/// Where ICE servers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IceKind {
    /// The STUN/TURN server inside this process
    Embedded,
    /// A coturn with a shared secret
    Coturn,
    /// Cloudflare Realtime TURN
    Cloudflare,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object per line
    Json,
}

/// `MIN-MAX`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PortRange {
    min: u16,
    max: u16,
}

impl std::str::FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('-').and_then(|(min, max)| {
            let (min, max) = (min.trim().parse().ok()?, max.trim().parse().ok()?);
            (1024 <= min && min <= max).then_some(Self { min, max })
        });
        parsed.ok_or_else(|| format!("{text:?} is not MIN-MAX with 1024 ≤ MIN ≤ MAX ≤ 65535"))
    }
}

impl TryFrom<String> for PortRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PortRange> for RangeInclusive<u16> {
    fn from(range: PortRange) -> Self {
        range.min..=range.max
    }
}

/// Options that do not make a configuration.
#[derive(Debug, thiserror::Error)]
pub enum BadConfig {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// The file is not TOML with the options that there are.
    #[error("{}: {error}", .path.display())]
    Unparsable {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: Box<toml::de::Error>,
    },
    /// The web root has no `index.html`.
    #[error("--web-root {}: there is no index.html in it; build the web app first", .0.display())]
    NoWebApp(PathBuf),
    /// Not a host.
    #[error("--public-host {0:?}: give a name or an IP address, without scheme and port")]
    PublicHost(String),
    /// TLS needs both of its files.
    #[error("TLS needs both --tls-cert and --tls-key")]
    Tls,
    /// More servers than clients take.
    #[error("--recommend: {0} servers; clients take {MAX_RECOMMENDED} at most")]
    Recommend(usize),
    /// coturn needs both of its options.
    #[error("--ice coturn needs --coturn-secret and at least one --coturn-url")]
    Coturn,
    /// Not a URL of an ICE server.
    #[error("--coturn-url {0:?}: must begin with stun:, stuns:, turn: or turns:")]
    CoturnUrl(String),
}

impl Options {
    /// Takes from the file that `--config` names, if any, what neither flags nor the environment say.
    ///
    /// # Errors
    /// When the file cannot be read, or has something else in it.
    pub fn with_file(self) -> Result<Self, BadConfig> {
        let Some(path) = self.config.clone() else {
            return Ok(self);
        };
        let text = std::fs::read_to_string(&path).map_err(|error| BadConfig::Unreadable {
            path: path.clone(),
            error,
        })?;
        let file = toml::from_str(&text).map_err(|error| BadConfig::Unparsable {
            path,
            error: Box::new(error),
        })?;
        Ok(self.or(file))
    }

    fn or(self, file: Self) -> Self {
        Self {
            config: self.config,
            listen: self.listen.or(file.listen),
            port: self.port.or(file.port),
            public_host: self.public_host.or(file.public_host),
            web_root: self.web_root.or(file.web_root),
            turn_port: self.turn_port.or(file.turn_port),
            turn_tcp_port: self.turn_tcp_port.or(file.turn_tcp_port),
            no_turn_tcp: self.no_turn_tcp.or(file.no_turn_tcp),
            relay_ports: self.relay_ports.or(file.relay_ports),
            turn_ttl: self.turn_ttl.or(file.turn_ttl),
            no_turn: self.no_turn.or(file.no_turn),
            ice: self.ice.or(file.ice),
            coturn_secret: self.coturn_secret.or(file.coturn_secret),
            coturn_url: self.coturn_url.or(file.coturn_url),
            cloudflare_turn_request_url: self
                .cloudflare_turn_request_url
                .or(file.cloudflare_turn_request_url),
            cloudflare_turn_api_token: self.cloudflare_turn_api_token.or(file.cloudflare_turn_api_token),
            behind_proxy: self.behind_proxy.or(file.behind_proxy),
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            nats: self.nats.or(file.nats),
            recommend: self.recommend.or(file.recommend),
            metrics_listen: self.metrics_listen.or(file.metrics_listen),
            drain_time: self.drain_time.or(file.drain_time),
            limits: self.limits.or(file.limits),
            log_format: self.log_format.or(file.log_format),
            log: self.log.or(file.log),
        }
    }

    /// The configuration that they make.
    ///
    /// # Errors
    /// When something is missing or does not fit.
    pub fn into_config(self) -> Result<Config, BadConfig> {
        let ip = self.listen.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let mut config = Config::new(SocketAddr::new(ip, self.port.unwrap_or(Config::PORT)));
        if let Some(host) = &self.public_host {
            let host = bracketed(host);
            if host_name(&host) != Some(&host) {
                return Err(BadConfig::PublicHost(host));
            }
            config.public_host = Some(host);
        }
        if let Some(root) = self.web_root.clone() {
            if !crate::web::is_web_app(&root) {
                return Err(BadConfig::NoWebApp(root));
            }
            config.web_root = Some(root);
        }
        config.behind_proxy = self.behind_proxy.unwrap_or(false);
        self.limits.clone().apply(&mut config.limits);
        config.tls = match (self.tls_cert.clone(), self.tls_key.clone()) {
            (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
            (None, None) => None,
            _ => return Err(BadConfig::Tls),
        };
        config.nats.clone_from(&self.nats);
        config.recommend = self.recommend.clone().unwrap_or_default();
        if config.recommend.len() > MAX_RECOMMENDED {
            return Err(BadConfig::Recommend(config.recommend.len()));
        }
        config.metrics_listen = self.metrics_listen;
        if let Some(time) = self.turn_ttl {
            config.turn_ttl = time.into();
        }
        if let Some(time) = self.drain_time {
            config.drain_time = time.into();
        }
        config.ice = self.into_ice()?;
        Ok(config)
    }

    fn into_ice(self) -> Result<IceConfig, BadConfig> {
        // An empty variable is one that somebody forgot to fill in.
        let filled = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        match self.ice.unwrap_or(IceKind::Embedded) {
            IceKind::Embedded if self.no_turn == Some(true) => Ok(IceConfig::None),
            IceKind::Embedded => Ok(IceConfig::Embedded {
                port: self.turn_port.unwrap_or(IceConfig::TURN_PORT),
                tcp_port: (self.no_turn_tcp != Some(true)).then(|| self.turn_tcp_port.unwrap_or(0)),
                relay_ports: self.relay_ports.map_or(IceConfig::RELAY_PORTS, Into::into),
            }),
            IceKind::Coturn => {
                let urls = self.coturn_url.unwrap_or_default();
                let known = |url: &&String| {
                    ["stun:", "stuns:", "turn:", "turns:"]
                        .iter()
                        .any(|s| url.starts_with(s))
                };
                if let Some(bad) = urls.iter().find(|url| !known(url)) {
                    return Err(BadConfig::CoturnUrl(bad.clone()));
                }
                match filled(self.coturn_secret) {
                    Some(secret) if !urls.is_empty() => Ok(IceConfig::Coturn { secret, urls }),
                    _ => Err(BadConfig::Coturn),
                }
            }
            IceKind::Cloudflare => Ok(IceConfig::Cloudflare {
                request_url: filled(self.cloudflare_turn_request_url),
                api_token: filled(self.cloudflare_turn_api_token),
                timeout: IceConfig::CLOUDFLARE_TIMEOUT,
            }),
        }
    }
}

/// An IPv6 address as URLs want it.
fn bracketed(host: &str) -> String {
    if host.parse::<std::net::Ipv6Addr>().is_ok() {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Limits, Rate};

    fn from(flags: &[&str], file: &str) -> Result<Config, BadConfig> {
        let flags = Options::try_parse_from([&["sazanami-signal"], flags].concat()).unwrap();
        flags.or(toml::from_str(file).unwrap()).into_config()
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Options::command().debug_assert();
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let file = "port = 9000\nlisten = '::1'\nrelay-ports = '50000-50010'";
        let config = from(&["--port", "9001"], file).unwrap();
        assert_eq!(config.listen, "[::1]:9001".parse().unwrap());
        let IceConfig::Embedded {
            port,
            tcp_port,
            relay_ports,
        } = config.ice
        else {
            panic!("{:?}", config.ice)
        };
        assert_eq!((port, tcp_port, relay_ports), (3478, Some(0), 50_000..=50_010));
        assert_eq!(from(&[], "").unwrap().listen, "127.0.0.1:8080".parse().unwrap());
    }

    #[test]
    fn limits_follow_the_listener() {
        assert!(from(&[], "").unwrap().limits.connections_per_address >= 1_100);
        assert_eq!(
            from(&["--listen", "0.0.0.0"], "")
                .unwrap()
                .limits
                .connections_per_address,
            64
        );
        let flags = ["--max-connections-per-address=7", "--messages=5/0.5"];
        let file = "messages = '9/9'\nidle-timeout = 30\nhello-timeout = 0.5\nmax-topics = 3";
        let limits = from(&flags, file).unwrap().limits;
        let expected = Limits {
            connections_per_address: 7,
            messages: Rate::new(5.0, 0.5),
            idle_timeout: Duration::from_secs(30),
            hello_timeout: Duration::from_millis(500),
            topics: 3,
            ..from(&[], "").unwrap().limits
        };
        assert_eq!(limits, expected);
    }

    #[test]
    fn every_limit_can_be_set() {
        use clap::CommandFactory;
        let command = Options::command();
        let limits = command
            .get_arguments()
            .filter(|it| it.get_help_heading() == Some("Limits"));
        let flags = limits.map(|option| {
            let value = match option.get_value_names().unwrap()[0].as_str() {
                "RATE" => "123/45",
                _ => "123",
            };
            format!("--{}={value}", option.get_long().unwrap())
        });
        let flags: Vec<String> = flags.collect();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let set = format!("{:?}", from(&flags, "").unwrap().limits);
        // What Debug prints of each field: one that was not set has another value.
        let values = set.matches("123").count();
        assert_eq!(
            values,
            set.matches(": ").count() - 2 * set.matches("Rate {").count(),
            "{set}"
        );
        assert_eq!(values, flags.len());
    }

    #[test]
    fn ice_comes_from_where_it_was_asked_for() {
        assert!(matches!(from(&["--no-turn"], "").unwrap().ice, IceConfig::None));
        assert!(matches!(
            from(&["--no-turn=false"], "no-turn = true").unwrap().ice,
            IceConfig::Embedded { .. }
        ));
        for (flags, expected) in [
            (&["--turn-tcp-port=443"][..], Some(443)),
            (&["--no-turn-tcp"], None),
        ] {
            let ice = from(flags, "").unwrap().ice;
            assert!(
                matches!(ice, IceConfig::Embedded { tcp_port, .. } if tcp_port == expected),
                "{ice:?}"
            );
        }
        assert!(matches!(from(&["--ice", "coturn"], ""), Err(BadConfig::Coturn)));
        let coturn = from(
            &[
                "--ice=coturn",
                "--coturn-secret=s",
                "--coturn-url=turn:a",
                "--coturn-url=stun:b",
            ],
            "",
        );
        let IceConfig::Coturn { urls, .. } = coturn.unwrap().ice else {
            panic!()
        };
        assert_eq!(urls, ["turn:a", "stun:b"]);
        let http = from(&["--ice=coturn", "--coturn-secret=s", "--coturn-url=http:a"], "");
        assert!(matches!(http, Err(BadConfig::CoturnUrl(_))));
        let cloudflare = from(&["--ice=cloudflare", "--cloudflare-turn-api-token= "], "")
            .unwrap()
            .ice;
        assert!(matches!(
            cloudflare,
            IceConfig::Cloudflare {
                request_url: None,
                api_token: None,
                ..
            }
        ));
    }

    #[test]
    fn what_does_not_fit_is_said() {
        assert!(matches!(
            from(&["--public-host", "http://x"], ""),
            Err(BadConfig::PublicHost(_))
        ));
        assert!(matches!(
            from(&["--public-host", "x:80"], ""),
            Err(BadConfig::PublicHost(_))
        ));
        assert_eq!(
            from(&["--public-host", "::1"], "")
                .unwrap()
                .public_host
                .as_deref(),
            Some("[::1]")
        );
        assert!(matches!(
            from(&["--web-root", "/nonexistent"], ""),
            Err(BadConfig::NoWebApp(_))
        ));
        for bad in ["1-2", "50000", "60000-50000", "50000-70000"] {
            assert!(bad.parse::<PortRange>().is_err(), "{bad}");
        }
        assert!(toml::from_str::<Options>("prot = 1").is_err());
        assert!(matches!(from(&["--tls-cert=x"], ""), Err(BadConfig::Tls)));
        for bad in [
            "--messages=5",
            "--messages=-1/2",
            "--idle-timeout=-1",
            "--idle-timeout=inf",
        ] {
            assert!(
                Options::try_parse_from(["sazanami-signal", bad]).is_err(),
                "{bad}"
            );
        }
        assert!(toml::from_str::<Options>("messages = '5'").is_err());
    }
}

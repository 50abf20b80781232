//! The limits as options.

use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use crate::bucket::Rate;
use crate::limits::Limits;

/// Seconds, with a fraction if need be.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Seconds(Duration);

impl TryFrom<f64> for Seconds {
    type Error = String;

    fn try_from(seconds: f64) -> Result<Self, String> {
        // A day: longer would be no limit.
        let fits = (0.0..=86_400.0).contains(&seconds);
        fits.then(|| Self(Duration::from_secs_f64(seconds)))
            .ok_or_else(|| format!("{seconds} is not a number of seconds between 0 and 86400"))
    }
}

impl std::str::FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<f64>().map_err(|error| error.to_string())?.try_into()
    }
}

impl From<Seconds> for Duration {
    fn from(seconds: Seconds) -> Self {
        seconds.0
    }
}

/// `BURST/PER_SECOND`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct RateOption(Rate);

impl std::str::FromStr for RateOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            text.trim()
                .parse()
                .ok()
                .filter(|n: &f64| n.is_finite() && *n >= 0.0)
        };
        text.split_once('/')
            .and_then(|(burst, per_second)| Some(Self(Rate::new(number(burst)?, number(per_second)?))))
            .ok_or_else(|| format!("{text:?} is not BURST/PER_SECOND, such as 400/50"))
    }
}

impl TryFrom<String> for RateOption {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RateOption> for Rate {
    fn from(rate: RateOption) -> Self {
        rate.0
    }
}

/// One option for each limit: its words, name, type, variable, and the field of [`Limits`] that it sets.
macro_rules! limit_options {
    ($($words:literal, $option:ident: $type:ty, $value:literal, $variable:literal => $field:ident;)*) => {
        /// What one client may cost. Rates are given as what may happen at once and what comes back per second.
        #[derive(Clone, Debug, Default, PartialEq, Args, Deserialize)]
        #[command(next_help_heading = "Limits")]
        #[serde(rename_all = "kebab-case")]
        pub struct LimitOptions {
            $(
                #[doc = $words]
                #[arg(long, env = $variable, value_name = $value)]
                pub $option: Option<$type>,
            )*
        }

        impl LimitOptions {
            pub(super) fn or(self, file: Self) -> Self {
                Self { $($option: self.$option.or(file.$option),)* }
            }

            pub(super) fn apply(self, limits: &mut Limits) {
                $(if let Some(value) = self.$option {
                    limits.$field = value.into();
                })*
            }
        }
    };
}

limit_options! {
    "Most WebSocket connections in all [default: 20000]",
    max_connections: usize, "COUNT", "SAZANAMI_MAX_CONNECTIONS" => connections;
    "Most WebSocket connections from one address (IPv6: from one /64) [default: 64; on loopback 2000]",
    max_connections_per_address: usize, "COUNT", "SAZANAMI_MAX_CONNECTIONS_PER_ADDRESS" => connections_per_address;
    "Most plain HTTP connections at once; WebSockets do not count [default: 4096]",
    max_http_connections: usize, "COUNT", "SAZANAMI_MAX_HTTP_CONNECTIONS" => http_connections;
    "Hellos from one address [default: 128/4; on loopback 4000/500]",
    hellos_per_address: RateOption, "RATE", "SAZANAMI_HELLOS_PER_ADDRESS" => hellos_per_address;
    "Requests to `/turn` from one address [default: 60/0.5; on loopback 4000/500]",
    turn_per_address: RateOption, "RATE", "SAZANAMI_TURN_PER_ADDRESS" => turn_per_address;
    "Messages from one connection [default: 400/50]",
    messages: RateOption, "RATE", "SAZANAMI_MESSAGES" => messages;
    "Bytes from one connection [default: 1048576/65536]",
    bytes: RateOption, "RATE", "SAZANAMI_BYTES" => bytes;
    "Nonsense from one connection: 5 for a broken message, 1 for one above the rate [default: 100/1]",
    patience: RateOption, "RATE", "SAZANAMI_PATIENCE" => patience;
    "Most topics of one connection [default: 64]",
    max_topics: usize, "COUNT", "SAZANAMI_MAX_TOPICS" => topics;
    "Time for a client's hello [default: 10]",
    hello_timeout: Seconds, "SECONDS", "SAZANAMI_HELLO_TIMEOUT" => hello_timeout;
    "Time that a client may say nothing; it pings every 25 seconds [default: 90]",
    idle_timeout: Seconds, "SECONDS", "SAZANAMI_IDLE_TIMEOUT" => idle_timeout;
    "Time that one write to a client may take [default: 10]",
    write_timeout: Seconds, "SECONDS", "SAZANAMI_WRITE_TIMEOUT" => write_timeout;
    "Most messages that wait for one slow reader [default: 256]",
    queue_messages: usize, "COUNT", "SAZANAMI_QUEUE_MESSAGES" => queue_messages;
    "Most bytes that wait for one slow reader [default: 262144]",
    queue_bytes: usize, "COUNT", "SAZANAMI_QUEUE_BYTES" => queue_bytes;
    "Most allocations of one address on the embedded TURN [default: 128; on loopback 4000]",
    max_allocations_per_address: usize, "COUNT", "SAZANAMI_MAX_ALLOCATIONS_PER_ADDRESS" => allocations_per_address;
    "Most allocations of one credential on the embedded TURN [default: 64]",
    max_allocations_per_credential: usize, "COUNT", "SAZANAMI_MAX_ALLOCATIONS_PER_CREDENTIAL" => allocations_per_credential;
    "Most TCP connections to the embedded TURN in all [default: 2048]",
    max_turn_streams: usize, "COUNT", "SAZANAMI_MAX_TURN_STREAMS" => turn_streams;
    "The same from one address [default: 64; on loopback 2000]",
    max_turn_streams_per_address: usize, "COUNT", "SAZANAMI_MAX_TURN_STREAMS_PER_ADDRESS" => turn_streams_per_address;
    "Bytes that the embedded TURN relays for one credential, both ways [default: 16777216/2097152; on loopback without]",
    turn_bytes_per_credential: RateOption, "RATE", "SAZANAMI_TURN_BYTES_PER_CREDENTIAL" => turn_bytes_per_credential;
    "Allocate and refresh requests of one address to the embedded TURN [default: 512/16]",
    turn_requests_per_address: RateOption, "RATE", "SAZANAMI_TURN_REQUESTS_PER_ADDRESS" => turn_requests_per_address;
    "The same from everybody together [default: 8192/256]",
    turn_requests: RateOption, "RATE", "SAZANAMI_TURN_REQUESTS" => turn_requests;
}

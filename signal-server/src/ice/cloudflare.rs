//! ICE servers from Cloudflare Realtime TURN
//! (<https://developers.cloudflare.com/realtime/turn/generate-credentials/>).

use std::time::{Duration, Instant};

use sazanami_core::signaling::{IceServer, IceServers};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::IceError;

/// Asked for: a day. Cloudflare allows two.
const TTL: Duration = Duration::from_secs(86_400);
/// Fresh ones are asked for when the cached ones have less than this left: the time that a peer may hold them before
/// it uses them.
const RENEW_BEFORE: Duration = Duration::from_secs(2 * 3600);
/// After a failure nobody asks again for this long: else every waiting client would wait for its own timeout.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Largest answer that is read; a real one has about 700 bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Asks Cloudflare and remembers the answer.
pub(crate) struct Cloudflare {
    request_url: Option<String>,
    api_token: Option<String>,
    client: reqwest::Client,
    /// Held while asking, so that clients arriving together lead to one request.
    last: Mutex<Option<Answer>>,
}

impl std::fmt::Debug for Cloudflare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token is a secret.
        f.debug_struct("Cloudflare")
            .field("request_url", &self.request_url)
            .finish_non_exhaustive()
    }
}

struct Answer {
    at: Instant,
    outcome: Result<Vec<IceServer>, String>,
}

/// `iceServers` is a list in today's answer (`generate-ice-servers`) and one object in the older one (`generate`).
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<AnyIceServer>),
    One(AnyIceServer),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    ice_servers: OneOrMany,
}

#[derive(Deserialize)]
struct AnyIceServer {
    urls: Urls,
    username: Option<String>,
    credential: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Urls {
    Many(Vec<String>),
    One(String),
}

impl Cloudflare {
    /// # Errors
    /// When no TLS client can be made.
    pub(crate) fn new(
        request_url: Option<String>,
        api_token: Option<String>,
        timeout: Duration,
    ) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            request_url,
            api_token,
            client,
            last: Mutex::new(None),
        })
    }

    /// # Errors
    /// When the URL or the token is missing.
    pub(crate) fn is_configured(&self) -> Result<(), IceError> {
        self.settings().map(drop)
    }

    fn settings(&self) -> Result<(&str, &str), IceError> {
        let (Some(url), Some(token)) = (&self.request_url, &self.api_token) else {
            let missing = [
                ("CLOUDFLARE_TURN_REQUEST_URL", &self.request_url),
                ("CLOUDFLARE_TURN_API_TOKEN", &self.api_token),
            ];
            return Err(IceError::Missing(
                missing
                    .iter()
                    .filter(|(_, v)| v.is_none())
                    .map(|(name, _)| *name)
                    .collect(),
            ));
        };
        Ok((url, token))
    }

    pub(crate) async fn servers(&self) -> Result<IceServers, IceError> {
        let (url, token) = self.settings()?;
        let mut last = self.last.lock().await;
        let usable = last.as_ref().filter(|answer| {
            let keep = if answer.outcome.is_ok() {
                TTL - RENEW_BEFORE
            } else {
                RETRY_AFTER
            };
            answer.at.elapsed() < keep
        });
        let answer = match usable {
            Some(answer) => answer,
            None => {
                let at = Instant::now();
                let outcome = self.ask(url, token).await;
                if let Err(error) = &outcome {
                    tracing::warn!(error, "Cloudflare gave no ICE servers");
                }
                last.insert(Answer { at, outcome })
            }
        };
        let left = TTL.saturating_sub(answer.at.elapsed()).as_secs();
        match &answer.outcome {
            Ok(servers) => Ok(IceServers {
                ice_servers: servers.clone(),
                ttl: left,
            }),
            Err(error) => Err(IceError::Upstream(error.clone())),
        }
    }

    async fn ask(&self, url: &str, token: &str) -> Result<Vec<IceServer>, String> {
        // The URL holds the key's id: keep it out of errors, which reach clients and logs.
        let words = |error: reqwest::Error| {
            if error.is_timeout() {
                "no answer in time".to_owned()
            } else {
                error.without_url().to_string()
            }
        };
        let request = self
            .client
            .post(url)
            .bearer_auth(token)
            .json(&serde_json::json!({ "ttl": TTL.as_secs() }));
        let mut response = request.send().await.map_err(words)?;
        if !response.status().is_success() {
            return Err(format!("status {}", response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(words)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                return Err("the answer is too large".to_owned());
            }
        }
        let body: Body =
            serde_json::from_slice(&body).map_err(|_| "the answer is not a list of ICE servers")?;
        let servers = match body.ice_servers {
            OneOrMany::Many(servers) => servers,
            OneOrMany::One(server) => vec![server],
        };
        Ok(servers.into_iter().filter_map(usable).collect())
    }
}

/// Without the URLs on port 53: browsers block that port, and gathering would wait for it.
fn usable(server: AnyIceServer) -> Option<IceServer> {
    let mut urls = match server.urls {
        Urls::Many(urls) => urls,
        Urls::One(url) => vec![url],
    };
    urls.retain(|url| {
        url.split('?')
            .next()
            .is_some_and(|address| !address.ends_with(":53"))
    });
    let AnyIceServer {
        username, credential, ..
    } = server;
    (!urls.is_empty()).then_some(IceServer {
        urls,
        username,
        credential,
    })
}

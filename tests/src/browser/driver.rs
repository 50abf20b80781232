//! chromedriver and the browser under it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Launch;
use crate::internet::{Host, installed};
use crate::paths::chromium;
use crate::{Process, START, free_port, until};

/// A closed network, root, no GPU: see the flags' own documentation.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // /dev/shm is tiny in containers.
    "--disable-dev-shm-usage",
];

/// A chromedriver with one session. Dropping it kills both.
pub(super) struct Driver {
    process: Process,
    client: Client,
    endpoint: String,
    web: reqwest::Client,
}

impl Driver {
    /// On a `host` of an internet the site's address comes with it: browsers count none but this machine's own as
    /// secure without TLS.
    pub(super) async fn start(
        name: &str,
        profile: &Path,
        launch: &Launch,
        host: Option<(&Host, &str)>,
    ) -> Result<Self> {
        let port = free_port()?;
        let folder = profile.parent().context("a profile lies in a site's folder")?;
        let mut command = match host {
            None => Command::new("chromedriver"),
            Some((host, _)) => {
                let mut command = host.command(&installed("chromedriver")?);
                command.args(["--allowed-ips=", "--allowed-origins=*"]);
                command
            }
        };
        command.arg(format!("--port={port}"));
        let mut process = Process::start(&format!("chromedriver-{name}"), &mut command, folder)?;
        let address = host.map_or(std::net::Ipv4Addr::LOCALHOST, |(host, _)| host.address());
        let base = format!("http://{address}:{port}");
        let web = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()?;
        until("chromedriver is ready", START, async || {
            if let Some(status) = process.ended()? {
                return Err(anyhow!("chromedriver ended: {status}"));
            }
            Ok(web
                .get(format!("{base}/status"))
                .send()
                .await
                .is_ok()
                .then_some(()))
        })
        .await
        .with_context(|| process.log())?;
        let mut flags: Vec<String> = FLAGS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}", profile.display()));
        flags.push(format!("--accept-lang={}", launch.languages));
        flags.push(format!("--window-size={},{}", launch.size.0, launch.size.1));
        if let Some((_, site)) = host {
            flags.push(format!("--unsafely-treat-insecure-origin-as-secure={site}"));
        }
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": chromium().context("chromium is missing")?, "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
            "timeouts": { "pageLoad": 60_000, "script": 60_000 },
        });
        let Value::Object(capabilities) = capabilities else {
            unreachable!("an object is written above")
        };
        let client = timeout(
            START,
            ClientBuilder::new(HttpConnector::new())
                .capabilities(capabilities)
                .connect(&base),
        )
        .await
        .map_err(|_| anyhow!("chromium does not start"))
        .and_then(|client| client.context("chromium does not start"))
        .with_context(|| process.log())?;
        let session = client.session_id().await?.context("a session has an id")?;
        Ok(Self {
            process,
            client,
            endpoint: format!("{base}/session/{session}"),
            web,
        })
    }

    pub(super) fn process(&self) -> &Process {
        &self.process
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) async fn close(mut self) -> Result<()> {
        timeout(Duration::from_secs(20), self.client.clone().close())
            .await
            .context("chromium does not close")??;
        self.process.stop(Duration::from_secs(20)).await?;
        Ok(())
    }

    /// The name under which assistive technology knows an element (WebDriver, "Get Computed Label").
    pub(super) async fn accessible_name(&self, element: &Element) -> Result<String> {
        let id = element.element_id();
        let answer: Value = self
            .web
            .get(format!("{}/element/{}/computedlabel", self.endpoint, &*id))
            .send()
            .await?
            .json()
            .await?;
        Ok(answer["value"].as_str().unwrap_or_default().to_owned())
    }

    /// Runs a command of the Chrome DevTools Protocol.
    pub(super) async fn cdp(&self, command: &str, parameters: Value) -> Result<Value> {
        let url = format!("{}/goog/cdp/execute", self.endpoint);
        let body = json!({ "cmd": command, "params": parameters });
        let answer = self.web.post(url).json(&body).send().await?;
        if answer.status().is_success() {
            Ok(answer.json::<Value>().await?["value"].take())
        } else {
            Err(anyhow!("{command}: {}", answer.text().await?))
        }
    }

    pub(super) async fn console_errors(&self) -> Result<Vec<String>> {
        Ok(self
            .console()
            .await?
            .into_iter()
            .filter(|(level, _)| level == "SEVERE")
            .map(|(_, text)| text)
            .collect())
    }

    /// Level and text of what was written to the console since the last call.
    pub(super) async fn console(&self) -> Result<Vec<(String, String)>> {
        let answer: Value = self
            .web
            .post(format!("{}/se/log", self.endpoint))
            .json(&json!({ "type": "browser" }))
            .send()
            .await?
            .json()
            .await?;
        let entries = answer["value"].as_array().cloned().unwrap_or_default();
        let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        Ok(entries
            .iter()
            .map(|entry| (text(entry, "level"), text(entry, "message")))
            .collect())
    }
}

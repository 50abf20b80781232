//! One Chromium profile, driven by WebDriver.
//!
//! - `driver`: chromedriver, the browser under it, and its console
//! - `page`: what a person does and sees on the page
//! - `tabs`: several tabs of it, and what befalls them
//! - `opfs`: its database files, while it is closed

mod driver;
mod opfs;
mod page;
mod tabs;

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::json;

pub use page::PeerRow;

use crate::internet::Host;
use crate::{Process, Site};
use driver::Driver;

/// How a browser is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The person's languages, best first (`navigator.languages`).
    pub languages: &'static str,
    /// What follows the site's address: `/?route=relay`.
    pub path: &'static str,
    /// Window size in CSS pixels.
    pub size: (u32, u32),
}

impl Default for Launch {
    fn default() -> Self {
        Self {
            languages: "en",
            path: "/",
            size: (1100, 800),
        }
    }
}

#[derive(serde::Deserialize)]
struct Metric {
    name: String,
    value: f64,
}

/// A profile, and the browser that is open on it, if one is.
pub struct Browser {
    name: String,
    address: String,
    profile: PathBuf,
    launch: Launch,
    host: Option<Host>,
    driver: Option<Driver>,
}

impl Browser {
    /// A fresh profile, opened on the site.
    ///
    /// # Errors
    /// When the browser does not start or the page does not load.
    pub async fn open(site: &Site, name: &str) -> Result<Self> {
        Self::open_with(site, name, Launch::default()).await
    }

    /// The same, started in another way.
    ///
    /// # Errors
    /// As [`Browser::open`].
    pub async fn open_with(site: &Site, name: &str, launch: Launch) -> Result<Self> {
        Self::open_somewhere(site.address(), site, name, launch, None).await
    }

    /// The same, by another way to the site than its own address.
    ///
    /// # Errors
    /// As [`Browser::open`].
    pub async fn open_through(address: &str, site: &Site, name: &str) -> Result<Self> {
        Self::open_somewhere(address, site, name, Launch::default(), None).await
    }

    /// The same, on a host of an internet.
    ///
    /// # Errors
    /// As [`Browser::open`].
    pub async fn open_on(host: &Host, site: &Site, name: &str, launch: Launch) -> Result<Self> {
        Self::open_somewhere(site.address(), site, name, launch, Some(host.clone())).await
    }

    async fn open_somewhere(
        address: &str,
        site: &Site,
        name: &str,
        launch: Launch,
        host: Option<Host>,
    ) -> Result<Self> {
        let mut browser = Self {
            name: name.to_owned(),
            address: address.to_owned(),
            profile: site.folder().join(format!("profile-{name}")),
            launch,
            host,
            driver: None,
        };
        browser.reopen().await?;
        Ok(browser)
    }

    /// Opens the profile again after [`Browser::close`] or [`Browser::kill`].
    ///
    /// # Errors
    /// As [`Browser::open`].
    pub async fn reopen(&mut self) -> Result<()> {
        std::fs::create_dir_all(&self.profile)?;
        let host = self.host.as_ref().map(|host| (host, self.address.as_str()));
        let driver = Driver::start(&self.name, &self.profile, &self.launch, host).await?;
        let address = format!("{}{}", self.address, self.launch.path);
        self.driver = Some(driver);
        self.client()?
            .goto(&address)
            .await
            .with_context(|| format!("{} cannot open {address}", self.name))?;
        Ok(())
    }

    /// Closes the browser as a person does.
    ///
    /// # Errors
    /// When it does not close.
    pub async fn close(&mut self) -> Result<()> {
        match self.driver.take() {
            Some(driver) => driver.close().await,
            None => Ok(()),
        }
    }

    /// Kills every process of the browser without warning (SIGKILL).
    pub fn kill(&mut self) {
        self.driver = None;
    }

    /// The profile's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The WebDriver client, for what has no helper here.
    ///
    /// # Errors
    /// When the browser is closed.
    pub fn client(&self) -> Result<&fantoccini::Client> {
        Ok(self.driver()?.client())
    }

    fn driver(&self) -> Result<&Driver> {
        self.driver
            .as_ref()
            .with_context(|| format!("{} is closed", self.name))
    }

    /// Errors on the page's console since the last call.
    ///
    /// # Errors
    /// When the browser does not tell.
    pub async fn console_errors(&self) -> Result<Vec<String>> {
        self.driver()?.console_errors().await
    }

    /// Level and text of everything on the console, workers' included, since the last call or that of
    /// [`Self::console_errors`].
    ///
    /// # Errors
    /// When the browser does not tell.
    pub async fn console(&self) -> Result<Vec<(String, String)>> {
        self.driver()?.console().await
    }

    /// Lets the site store so many bytes beyond what it stores now, as a browser does when the disk is nearly full.
    ///
    /// # Errors
    /// When the browser refuses.
    pub async fn leave_room(&self, bytes: u64) -> Result<()> {
        let estimate = "navigator.storage.estimate().then(e => arguments[0](e.usage));";
        let used: f64 = self.script_async(estimate, vec![]).await?;
        let limit = json!({ "origin": self.address, "quotaSize": used as u64 + bytes });
        self.driver()?
            .cdp("Storage.overrideQuotaForOrigin", limit)
            .await
            .map(drop)
    }

    /// What Chromium counts of the page, garbage collected before: `JSHeapUsedSize` in bytes, `RTCPeerConnections`, and
    /// so on (`Performance.getMetrics`).
    ///
    /// # Errors
    /// When the browser does not tell.
    pub async fn metrics(&self) -> Result<HashMap<String, f64>> {
        let driver = self.driver()?;
        for command in ["Performance.enable", "HeapProfiler.collectGarbage"] {
            driver.cdp(command, json!({})).await?;
        }
        let mut answer = driver.cdp("Performance.getMetrics", json!({})).await?;
        let metrics: Vec<Metric> = serde_json::from_value(answer["metrics"].take())?;
        Ok(metrics
            .into_iter()
            .map(|metric| (metric.name, metric.value))
            .collect())
    }

    /// chromedriver, whose descendants the browser's processes are.
    ///
    /// # Errors
    /// When the browser is closed.
    pub fn process(&self) -> Result<&Process> {
        Ok(self.driver()?.process())
    }
}

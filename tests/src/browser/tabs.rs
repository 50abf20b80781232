//! Several tabs of one profile: opened, closed, crashed, frozen and hung.

use std::time::Duration;

use anyhow::{Context, Result};
use fantoccini::wd::WindowHandle;
use serde_json::{Value, json};

use super::Browser;
use crate::{SOON, until};

/// Whether this tab holds the lock of the store: a lock of the tab's own tells its id in the list of all.
const OWNS: &str = "
    const [done] = arguments;
    const name = 'test-' + Math.random();
    navigator.locks.request(name, async () => {
        const { held } = await navigator.locks.query();
        const holder = name => held.find(lock => lock.name === name)?.clientId;
        done(holder(name) === holder('sazanami-store'));
    });";
/// Keeps the page's thread busy, after a while.
const HANG: &str = "const [wait, duration] = arguments;
    setTimeout(() => { const end = performance.now() + duration; while (performance.now() < end); }, wait);";

impl Browser {
    /// The tab that commands go to.
    ///
    /// # Errors
    /// When the browser does not tell. So for every call below.
    pub async fn tab(&self) -> Result<WindowHandle> {
        Ok(self.client()?.window().await?)
    }

    /// Opens another tab of this profile on the site and goes to it.
    pub async fn open_tab(&self) -> Result<WindowHandle> {
        let client = self.client()?;
        let tab = client.new_window(true).await?.handle;
        client.switch_to_window(tab.clone()).await?;
        client
            .goto(&format!("{}{}", self.address, self.launch.path))
            .await?;
        Ok(tab)
    }

    /// Goes to a tab, as a person does: it is seen then, and the others are not.
    pub async fn go_to(&self, tab: &WindowHandle) -> Result<()> {
        Ok(self.client()?.switch_to_window(tab.clone()).await?)
    }

    /// Closes a tab; another one is to be gone to afterwards.
    pub async fn close_tab(&self, tab: &WindowHandle) -> Result<()> {
        self.go_to(tab).await?;
        Ok(self.client()?.close_window().await?)
    }

    /// Kills the process of a tab, which stays there as a "sad tab"; another one is to be gone to afterwards.
    pub async fn crash_tab(&self, tab: &WindowHandle) -> Result<()> {
        self.go_to(tab).await?;
        // The answer is that the tab has crashed.
        match self.driver()?.cdp("Page.crash", json!({})).await {
            Err(error) if format!("{error:#}").contains("crash") => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Ok(()),
        }
    }

    /// Removes a tab that has crashed; from another one.
    pub async fn remove_tab(&self, tab: &WindowHandle) -> Result<()> {
        // A window is named after its target.
        let target = json!({ "targetId": String::from(tab.clone()) });
        self.driver()?.cdp("Target.closeTarget", target).await.map(drop)
    }

    /// Freezes a tab as browsers freeze those in the background, or lets it run again.
    pub async fn freeze_tab(&self, tab: &WindowHandle, frozen: bool) -> Result<()> {
        self.go_to(tab).await?;
        let state = json!({ "state": if frozen { "frozen" } else { "active" } });
        self.driver()?
            .cdp("Page.setWebLifecycleState", state)
            .await
            .map(drop)
    }

    /// Keeps the thread of the tab that is gone to busy for a while, beginning after `wait`: by then another one is to
    /// be gone to, for which the driver needs this one's answer.
    pub async fn hang_tab(&self, wait: Duration, duration: Duration) -> Result<()> {
        let arguments = [wait, duration]
            .map(|time| json!(time.as_secs_f64() * 1e3))
            .into();
        self.script::<Value>(HANG, arguments).await.map(drop)
    }

    /// Whether the tab that is gone to owns the node.
    pub async fn owns_node(&self) -> Result<bool> {
        self.script_async(OWNS, vec![]).await
    }

    /// Which of these tabs owns the node; it is gone to.
    pub async fn owner(&self, tabs: &[WindowHandle]) -> Result<WindowHandle> {
        let what = format!("{}: one of {} tabs owns the node", self.name(), tabs.len());
        let owner = until(&what, SOON, async || {
            for tab in tabs {
                self.go_to(tab).await?;
                if self.owns_node().await? {
                    return Ok(Some(tab.clone()));
                }
            }
            Ok(None)
        });
        owner.await.context("nobody owns the node")
    }
}

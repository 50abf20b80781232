//! What the interface asks of the browser.

use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use gloo_timers::future::sleep;
use js_sys::{Array, Date};
use sazanami_app::Host;
use sazanami_core::time::Millis;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Blob, BlobPropertyBag, HtmlAnchorElement, Url};

use super::{document, window};
use crate::clock;
use crate::dom::{describe, has};

/// How long a saved file's data stays: the browser reads it after the click, and does not say when.
const DOWNLOAD_LIFETIME: Duration = Duration::from_secs(60);

pub(super) struct WebHost;

impl Host for WebHost {
    fn languages(&self) -> Vec<String> {
        window()
            .navigator()
            .languages()
            .iter()
            .filter_map(|tag| tag.as_string())
            .collect()
    }

    fn now(&self) -> Millis {
        clock::now()
    }

    fn utc_offset_minutes(&self, at: Millis) -> i32 {
        // The offset of JavaScript is what to add to local time for UTC.
        let offset = Date::new(&JsValue::from_f64(at.0 as f64)).get_timezone_offset();
        -offset as i32
    }

    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()> {
        sleep(duration).boxed_local()
    }

    fn copy(&self, text: String) -> LocalBoxFuture<'static, Result<(), String>> {
        let navigator = window().navigator();
        async move {
            // Missing outside secure contexts.
            if !has(&navigator, "clipboard") {
                return Err("the browser gives no clipboard here".to_owned());
            }
            JsFuture::from(navigator.clipboard().write_text(&text))
                .await
                .map(drop)
                .map_err(|error| describe(&error))
        }
        .boxed_local()
    }

    fn save_file(
        &self,
        name: String,
        text: String,
    ) -> LocalBoxFuture<'static, Result<Option<String>, String>> {
        // At once, within the click that asked for it: browsers refuse downloads that nobody asked for.
        let saved = download(&name, &text)
            .map(|()| None)
            .map_err(|error| describe(&error));
        async move { saved }.boxed_local()
    }

    fn set_title(&self, title: &str) {
        document().set_title(title);
    }

    fn set_document(&self, language: &str, theme: &str) {
        if let Some(root) = document().document_element() {
            // Fails only for names that are no attribute names.
            let _ = root.set_attribute("lang", language);
            let _ = root.set_attribute("data-theme", theme);
        }
    }
}

fn download(name: &str, text: &str) -> Result<(), JsValue> {
    let kind = BlobPropertyBag::new();
    kind.set_type("text/plain;charset=utf-8");
    let blob = Blob::new_with_str_sequence_and_options(&Array::of1(&text.into()), &kind)?;
    let url = Url::create_object_url_with_blob(&blob)?;
    let anchor: HtmlAnchorElement = document().create_element("a")?.unchecked_into();
    anchor.set_href(&url);
    anchor.set_download(name);
    anchor.click();
    spawn_local(async move {
        sleep(DOWNLOAD_LIFETIME).await;
        let _ = Url::revoke_object_url(&url);
    });
    Ok(())
}

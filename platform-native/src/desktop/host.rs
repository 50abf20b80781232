//! What the tree asks of the desktop: languages, clock, clipboard, files, the window.

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use arboard::Clipboard;
use chrono::{Local, Offset, TimeZone};
use futures::future::{FutureExt, LocalBoxFuture};
use sazanami_app::Host;
use sazanami_core::time::Millis;
use sazanami_native::node_thread;

/// How often a name is tried with another number before saving gives up.
const MAX_COPIES: u32 = 100;

/// The desktop's services.
#[derive(Default)]
pub(super) struct DesktopHost {
    /// Kept, because on X11 the clipboard's content lives as long as its owner.
    clipboard: Rc<RefCell<Option<Clipboard>>>,
}

impl Host for DesktopHost {
    fn languages(&self) -> Vec<String> {
        // The order of precedence of gettext.
        let named = ["LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"];
        languages(named.into_iter().filter_map(|name| std::env::var(name).ok()))
    }

    fn now(&self) -> Millis {
        node_thread::now()
    }

    fn utc_offset_minutes(&self, at: Millis) -> i32 {
        let at = i64::try_from(at.0)
            .ok()
            .and_then(|at| Local.timestamp_millis_opt(at).earliest());
        at.map_or(0, |at| at.offset().fix().local_minus_utc() / 60)
    }

    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()> {
        tokio::time::sleep(duration).boxed_local()
    }

    fn copy(&self, text: String) -> LocalBoxFuture<'static, Result<(), String>> {
        let clipboard = self.clipboard.clone();
        async move {
            let mut clipboard = clipboard.borrow_mut();
            let opened = match clipboard.take() {
                Some(opened) => Ok(opened),
                None => Clipboard::new(),
            };
            let opened = clipboard.insert(opened.map_err(|error| error.to_string())?);
            opened.set_text(text).map_err(|error| error.to_string())
        }
        .boxed_local()
    }

    fn save_file(
        &self,
        name: String,
        text: String,
    ) -> LocalBoxFuture<'static, Result<Option<String>, String>> {
        async move {
            let folder = downloads().ok_or("there is no home directory")?;
            let saved = tokio::task::spawn_blocking(move || save(&folder, &name, text.as_bytes())).await;
            let path = saved
                .map_err(|error| error.to_string())?
                .map_err(|error| error.to_string())?;
            Ok(Some(path.display().to_string()))
        }
        .boxed_local()
    }

    fn set_title(&self, title: &str) {
        dioxus_desktop::window().set_title(title);
    }

    fn set_document(&self, language: &str, theme: &str) {
        let [language, theme] = [language, theme].map(|text| serde_json::Value::from(text).to_string());
        let script = format!(
            "const root = document.documentElement; root.lang = {language}; root.dataset.theme = {theme};"
        );
        // In a function of its own: this runs again when either changes.
        if let Err(error) = dioxus_desktop::window()
            .webview
            .evaluate_script(&format!("(() => {{ {script} }})()"))
        {
            tracing::warn!(%error, "the page refused its language and theme");
        }
    }
}

/// Languages as BCP 47 tags from locale names such as `ja_JP.UTF-8` and lists such as `en_GB:en`.
fn languages(locales: impl Iterator<Item = String>) -> Vec<String> {
    let mut tags = Vec::new();
    for locale in locales {
        for name in locale.split(':') {
            let name = name.split(['.', '@']).next().unwrap_or_default();
            let tag = name.replace('_', "-");
            if !tag.is_empty() && !matches!(tag.as_str(), "C" | "POSIX") && !tags.contains(&tag) {
                tags.push(tag);
            }
        }
    }
    tags
}

fn downloads() -> Option<PathBuf> {
    let user = directories::UserDirs::new()?;
    Some(
        user.download_dir()
            .filter(|folder| folder.is_dir())
            .unwrap_or_else(|| user.home_dir())
            .to_owned(),
    )
}

/// Saves a file that only its owner can read, under a name that is free.
fn save(folder: &Path, name: &str, content: &[u8]) -> io::Result<PathBuf> {
    let name = Path::new(name)
        .file_name()
        .map(Path::new)
        .ok_or(io::ErrorKind::InvalidInput)?;
    let stem = name.file_stem().unwrap_or_default().to_string_lossy();
    let extension = name
        .extension()
        .map(|e| format!(".{}", e.to_string_lossy()))
        .unwrap_or_default();
    for copy in 1..=MAX_COPIES {
        let path = match copy {
            1 => folder.join(name),
            copy => folder.join(format!("{stem} ({copy}){extension}")),
        };
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&path) {
            Ok(mut file) => {
                file.write_all(content)?;
                file.sync_all()?;
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales_become_languages() {
        let of = |names: &[&str]| languages(names.iter().map(|name| (*name).to_owned()));
        assert_eq!(of(&["ja_JP.UTF-8"]), ["ja-JP"]);
        assert_eq!(
            of(&["en_GB:en", "de_DE@euro", "en_GB.UTF-8"]),
            ["en-GB", "en", "de-DE"]
        );
        assert_eq!(of(&["C.UTF-8", "POSIX", ""]), [""; 0]);
    }

    #[test]
    fn a_saved_file_replaces_none_and_stays_in_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = save(folder.path(), "key.txt", b"1").unwrap();
        let second = save(folder.path(), "../key.txt", b"2").unwrap();
        assert_eq!(first, folder.path().join("key.txt"));
        assert_eq!(second, folder.path().join("key (2).txt"));
        assert_eq!(std::fs::read(first).unwrap(), b"1");
        assert!(save(folder.path(), "..", b"3").is_err());
    }
}

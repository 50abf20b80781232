//! The files of a pool while it has let go of them: what the pool itself cannot do, renaming one.
//!
//! The pool keeps each file under a random name in `.opaque`. It begins with the name by which SQLite knows it, ended by
//! zeros; what SQLite wrote follows from byte 4096 on (`sqlite_wasm_vfs::sahpool`).

use js_sys::{Array, IteratorNext};
use sazanami_core::media::slab::SlabFile;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::blobs::{OpfsFile, open_folder};

/// Bytes for the name; one sector, so that a rename is done or not.
const NAME: usize = 512;
/// Where the content begins.
pub(super) const CONTENT: usize = 4096;

/// Finds a file of the pool in a folder by its name.
///
/// # Errors
/// In words, when the folder cannot be read, or somebody has its files.
pub(super) async fn find(folder: &str, name: &str) -> Result<Option<OpfsFile>, String> {
    search(folder, name)
        .await
        .map_err(|error| crate::dom::describe(&error))
}

async fn search(folder: &str, name: &str) -> Result<Option<OpfsFile>, JsValue> {
    let wanted = padded(name)?;
    let entries = open_folder(&format!("{folder}/.opaque")).await?.entries();
    loop {
        let next: IteratorNext = JsFuture::from(entries.next()?).await?.unchecked_into();
        if next.done() {
            return Ok(None);
        }
        let entry: Array = next.value().unchecked_into();
        let file = OpfsFile::open(&entry.get(1).unchecked_into()).await?;
        let mut found = [0; NAME];
        // A slot that was never used is shorter.
        if file.read_at(0, &mut found).map_err(words)? == NAME && found == wanted {
            return Ok(Some(file));
        }
    }
}

/// Gives a file another name, durably: the old one or the new one is there, whatever happens.
///
/// # Errors
/// In words, when it is not there, or keeps its name.
pub(super) async fn rename(folder: &str, from: &str, to: &str) -> Result<(), String> {
    let to = padded(to).map_err(|error| crate::dom::describe(&error))?;
    let Some(mut file) = find(folder, from).await? else {
        return Err(format!("there is no {from}"));
    };
    // What is in it goes first.
    file.flush()
        .and_then(|()| file.write_at(0, &to))
        .and_then(|()| file.flush())
        .map_err(|error| error.to_string())
}

fn padded(name: &str) -> Result<[u8; NAME], JsValue> {
    let mut padded = [0; NAME];
    match padded[..NAME - 1].get_mut(..name.len()) {
        Some(place) if !name.is_empty() => place.copy_from_slice(name.as_bytes()),
        _ => return Err(JsValue::from("a name that the pool does not take")),
    }
    Ok(padded)
}

fn words(error: impl ToString) -> JsValue {
    JsValue::from(error.to_string())
}

//! Images and files on the browser's private file system: three files of a slab, opened once.
//!
//! Opening is asynchronous there, reading and writing open files is not; so nothing is opened later, and the node's
//! calls can block as they do elsewhere. See [`sazanami_core::media::slab`].

use js_sys::Reflect;
use sazanami_core::media::slab::{Slab, SlabFile};
use sazanami_core::media::{BlobError, Blobs};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    FileSystemDirectoryHandle, FileSystemFileHandle, FileSystemGetDirectoryOptions, FileSystemGetFileOptions,
    FileSystemReadWriteOptions, FileSystemSyncAccessHandle, WorkerGlobalScope,
};

/// The bytes; the index, whose two files take turns.
const FILES: [&str; 3] = ["media", "media-index-a", "media-index-b"];

/// Blobs on the private file system.
pub type OpfsBlobs = Blobs<Slab<OpfsFile>>;

/// Opens the blobs in a folder of the origin's private file system, making it if need be. An index that cannot be
/// read is forgotten, and so are the blobs: others have them, and events name them.
///
/// # Errors
/// Outside a worker, without such a file system, or while another worker has the files.
pub async fn open(folder: &str, budget: u64) -> Result<OpfsBlobs, BlobError> {
    let [data, first, second] = take(folder).await?;
    let error = match Slab::open(data, [first, second]) {
        Ok(slab) => return Blobs::open(slab, budget),
        Err(error) => error,
    };
    tracing::error!(%error, "the index of media is damaged, it is made anew");
    let [mut data, first, second] = take(folder).await?;
    let mut logs = [first, second];
    Slab::clear(&mut data, &mut logs)?;
    Blobs::open(Slab::open(data, logs)?, budget)
}

async fn take(folder: &str) -> Result<[OpfsFile; 3], BlobError> {
    let opening = failed("opening the files of media");
    let folder = open_folder(folder).await.map_err(&opening)?;
    let mut files = Vec::new();
    for name in FILES {
        let options = FileSystemGetFileOptions::new();
        options.set_create(true);
        let file = JsFuture::from(folder.get_file_handle_with_options(name, &options))
            .await
            .map_err(&opening)?;
        let file = OpfsFile::open(&file.unchecked_into()).await;
        files.push(file.map_err(&opening)?);
    }
    files.try_into().map_err(|_| BlobError::Storage {
        context: "opening the files of media",
        reason: "one is missing".to_owned(),
    })
}

/// A folder of the origin's private file system, made if need be.
pub(super) async fn open_folder(path: &str) -> Result<FileSystemDirectoryHandle, JsValue> {
    let scope: WorkerGlobalScope = js_sys::global()
        .dyn_into()
        .map_err(|_| JsValue::from("this is not a worker"))?;
    let options = FileSystemGetDirectoryOptions::new();
    options.set_create(true);
    let root = JsFuture::from(scope.navigator().storage().get_directory()).await?;
    let mut folder: FileSystemDirectoryHandle = root.unchecked_into();
    for name in path.split('/') {
        let inner = folder.get_directory_handle_with_options(name, &options);
        folder = JsFuture::from(inner).await?.unchecked_into();
    }
    Ok(folder)
}

/// An open file of the private file system; closed when dropped, which frees it for others.
#[derive(Debug)]
pub struct OpfsFile(FileSystemSyncAccessHandle);

impl OpfsFile {
    /// Takes a file, which nobody else may have open.
    pub(super) async fn open(file: &FileSystemFileHandle) -> Result<Self, JsValue> {
        let handle = JsFuture::from(file.create_sync_access_handle()).await?;
        Ok(Self(handle.unchecked_into()))
    }
}

impl Drop for OpfsFile {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn failed(context: &'static str) -> impl Fn(JsValue) -> BlobError {
    move |error| {
        let name = Reflect::get(&error, &"name".into())
            .ok()
            .and_then(|name| name.as_string());
        if name.as_deref() == Some("QuotaExceededError") {
            return BlobError::DiskFull;
        }
        BlobError::Storage {
            context,
            reason: format!("{error:?}"),
        }
    }
}

/// Files are far smaller than the 2^53 bytes that a double counts exactly.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
mod double {
    pub(super) fn from(bytes: u64) -> f64 {
        bytes as f64
    }

    pub(super) fn to(bytes: f64) -> u64 {
        bytes as u64
    }
}

fn at(offset: u64) -> FileSystemReadWriteOptions {
    let options = FileSystemReadWriteOptions::new();
    options.set_at(double::from(offset));
    options
}

impl SlabFile for OpfsFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize, BlobError> {
        let read = self
            .0
            .read_with_u8_array_and_options(into, &at(offset))
            .map_err(failed("reading media"))?;
        usize::try_from(double::to(read)).map_err(|_| BlobError::Storage {
            context: "reading media",
            reason: "more was read than there is".to_owned(),
        })
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), BlobError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let written = self
            .0
            .write_with_u8_array_and_options(bytes, &at(offset))
            .map_err(failed("writing media"))?;
        // A full quota may also show as a write that ends early.
        if double::to(written) == bytes.len() as u64 {
            Ok(())
        } else {
            Err(BlobError::DiskFull)
        }
    }

    fn flush(&mut self) -> Result<(), BlobError> {
        self.0.flush().map_err(failed("flushing media"))
    }

    fn size(&self) -> Result<u64, BlobError> {
        self.0
            .get_size()
            .map(double::to)
            .map_err(failed("measuring media"))
    }

    fn truncate(&mut self, size: u64) -> Result<(), BlobError> {
        self.0
            .truncate_with_f64(double::from(size))
            .map_err(failed("cutting media"))
    }
}

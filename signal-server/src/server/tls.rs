//! TLS with certificate files that may change.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};

use super::ServerError;
use crate::config::TlsFiles;
use crate::lock;

/// Between two looks at the files. Looking at their times works on every file system, also with links that are swapped.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The certificate in use: a change is for new connections, the open ones go on with what they have.
#[derive(Debug)]
pub(super) struct Certificate {
    files: TlsFiles,
    current: Mutex<Arc<CertifiedKey>>,
}

impl Certificate {
    /// # Errors
    /// When the files cannot be read, or do not fit each other.
    pub(super) fn load(files: TlsFiles) -> Result<Arc<Self>, ServerError> {
        let current = Mutex::new(Arc::new(read(&files)?));
        Ok(Arc::new(Self { files, current }))
    }

    pub(super) fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, ServerError> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| ServerError::Tls(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Reads the files again whenever they change, until it is dropped. What does not hold is not used.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut seen = self.times();
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let times = self.times();
            if times == seen {
                continue;
            }
            // On failure as well: else a broken file would be read every second. The second of two files that are
            // written one after the other changes the times once more.
            seen = times;
            match read(&self.files) {
                Ok(new) => {
                    *lock(&self.current) = Arc::new(new);
                    tracing::info!("the TLS certificate was changed");
                }
                Err(error) => tracing::warn!(%error, "keeping the TLS certificate in use"),
            }
        }
    }

    fn times(&self) -> [Option<(SystemTime, u64)>; 2] {
        [&self.files.cert, &self.files.key].map(|path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&lock(&self.current)))
    }
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, ServerError> {
    let failed =
        |path: &Path, error: &dyn std::fmt::Display| ServerError::Tls(format!("{}: {error}", path.display()));
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(&files.cert, &error))?;
    if chain.is_empty() {
        return Err(failed(&files.cert, &"there is no certificate in it"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| failed(&files.key, &error))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|error: rustls::Error| failed(&files.cert, &error))
}

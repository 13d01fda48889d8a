//! TLS: whom to trust, and who we are.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use crate::ClientError;
use crate::url::Address;

/// Whom to trust behind `stomps://` and `wss://`, and who to be.
///
/// Without anything said, the system's certificate authorities vouch for the broker, and it learns of this program only
/// what CONNECT says.
///
/// ```no_run
/// use stompbox_client::{Connection, Tls};
///
/// # async fn example() -> Result<(), stompbox_client::ClientError> {
/// let tls = Tls::default()
///     .authority_file("/etc/stompbox/ca.pem")?
///     .identity_files("/etc/billing/cert.pem", "/etc/billing/key.pem")?;
/// let connection = Connection::builder("stomps://broker.example.org").tls(tls).connect().await?;
/// # connection.close().await }
/// ```
#[derive(Clone, Default)]
pub struct Tls {
    /// Those given; empty is the system's.
    authorities: Vec<CertificateDer<'static>>,
    identity: Option<Arc<Identity>>,
    server_name: Option<String>,
    config: Option<Arc<ClientConfig>>,
}

struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Tls {
    /// Trusts these authorities, and no longer the system's. More than one call adds up.
    ///
    /// ```no_run
    /// # fn example(pem: &str) -> Result<(), stompbox_client::ClientError> {
    /// let tls = stompbox_client::Tls::default().authority(pem)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// It is not PEM, or has no certificate.
    pub fn authority(mut self, pem: impl AsRef<[u8]>) -> Result<Self, ClientError> {
        self.authorities.extend(certificates(pem.as_ref())?);
        Ok(self)
    }

    /// As [`authority`](Self::authority), from a file.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), stompbox_client::ClientError> {
    /// let tls = stompbox_client::Tls::default().authority_file("/etc/stompbox/ca.pem")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// It cannot be read, is not PEM, or has no certificate.
    pub fn authority_file(self, path: impl AsRef<Path>) -> Result<Self, ClientError> {
        self.authority(read(path.as_ref())?)
    }

    /// Shows this certificate, with what leads from it to its authority, to brokers that ask for one.
    ///
    /// ```no_run
    /// # fn example(chain: &str, key: &str) -> Result<(), stompbox_client::ClientError> {
    /// let tls = stompbox_client::Tls::default().identity(chain, key)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// It is not PEM, or a certificate or a key is missing.
    pub fn identity(
        mut self,
        chain_pem: impl AsRef<[u8]>,
        key_pem: impl AsRef<[u8]>,
    ) -> Result<Self, ClientError> {
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_ref())
            .map_err(|error| ClientError::invalid("private key", error))?;
        let chain = certificates(chain_pem.as_ref())?;
        self.identity = Some(Arc::new(Identity { chain, key }));
        Ok(self)
    }

    /// As [`identity`](Self::identity), from files.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), stompbox_client::ClientError> {
    /// let tls = stompbox_client::Tls::default().identity_files("/etc/billing/cert.pem", "/etc/billing/key.pem")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// One cannot be read, is not PEM, or a certificate or a key is missing.
    pub fn identity_files(
        self,
        chain: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, ClientError> {
        let (chain, key) = (read(chain.as_ref())?, read(key.as_ref())?);
        self.identity(chain, key)
    }

    /// The name that the broker's certificate must be for, where it is not the host of the address.
    ///
    /// ```
    /// let tls = stompbox_client::Tls::default().server_name("broker.example.org");
    /// ```
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Takes a whole configuration of rustls 0.23 instead, for what has no call of its own here.
    ///
    /// ```
    /// # fn example(config: std::sync::Arc<tokio_rustls::rustls::ClientConfig>) {
    /// let tls = stompbox_client::Tls::default().rustls(config);
    /// # }
    /// ```
    #[must_use]
    pub fn rustls(mut self, config: Arc<ClientConfig>) -> Self {
        self.config = Some(config);
        self
    }

    fn config(&self) -> Result<Arc<ClientConfig>, ClientError> {
        if let Some(config) = &self.config {
            return Ok(Arc::clone(config));
        }
        let mut roots = RootCertStore::empty();
        if self.authorities.is_empty() {
            // One that cannot be read does not spoil the others.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        for authority in &self.authorities {
            roots
                .add(authority.clone())
                .map_err(|error| ClientError::invalid("certificate authority", error))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ClientError::invalid("TLS", error))?
            .with_root_certificates(roots);
        let config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder
                .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
                .map_err(|error| ClientError::invalid("client certificate", error))?,
        };
        Ok(Arc::new(config))
    }
}

/// Shows no key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("authorities", &self.authorities.len())
            .field("has_identity", &self.identity.is_some())
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ClientError> {
    std::fs::read(path)
        .map_err(|error| ClientError::invalid("file", format!("{}: {error}", path.display())))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| ClientError::invalid("certificate", error))?;
    if certificates.is_empty() {
        return Err(ClientError::invalid("certificate", "there is none in it"));
    }
    Ok(certificates)
}

/// Makes a TCP connection secure.
pub(super) async fn connect(
    tcp: TcpStream,
    address: &Address,
    tls: &Tls,
) -> Result<TlsStream<TcpStream>, ClientError> {
    let name = tls.server_name.as_ref().unwrap_or(&address.host);
    let name = ServerName::try_from(name.clone())
        .map_err(|error| ClientError::invalid("server name", error))?;
    let handshake = TlsConnector::from(tls.config()?).connect(name, tcp);
    Box::pin(handshake).await.map_err(|error| {
        if error
            .get_ref()
            .is_some_and(|inner| inner.is::<rustls::Error>())
        {
            ClientError::Insecure {
                address: address.to_string(),
                source: Arc::new(error),
            }
        } else {
            super::unreachable(address, error)
        }
    })
}

//! TLS: trust, identity, and refusals, with certificates made here.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use stompbox_client::{AcknowledgeMode, ClientError, Connection, Tls};
use stompbox_protocol::{Command, Version};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

use crate::deadline::within;
use crate::peer::{Host, Peer, client};

/// A certificate authority.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
pub(crate) struct Identity {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        Authority { issuer }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub(crate) fn identity(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity {
            chain: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// A server for this name. With `clients` it wants a certificate that they have signed.
    pub(crate) fn server(&self, name: &str, clients: Option<&Authority>) -> TlsAcceptor {
        let identity = self.identity(name);
        let chain = CertificateDer::pem_slice_iter(identity.chain.as_bytes());
        let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let provider = Arc::new(crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                let pem = authority.pem();
                roots
                    .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
                    .unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let config = builder.with_single_cert(chain, key).unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Connects with `tls` to a server that does its part as far as it gets.
async fn connected(acceptor: TlsAcceptor, tls: Tls) -> Result<(Connection, Peer), ClientError> {
    let host = Host::start().await;
    let connect = client(&format!("stomps://{}", host.address))
        .tls(tls)
        .connect();
    let broker = async {
        let stream = acceptor.accept(host.accept_tcp().await).await.ok()?;
        let mut peer = Peer::new(stream);
        // A client that is not content leaves after the handshake.
        let frame = peer.next_frame().await?;
        assert_eq!(frame.command(), Command::Connect);
        peer.welcome_connect(Version::V1_2, "stompbox/0").await;
        Some(peer)
    };
    let (connection, peer) = within(async { tokio::join!(connect, broker) }).await;
    connection.map(|connection| (connection, peer.expect("a session on both sides")))
}

fn insecure(outcome: Result<(Connection, Peer), ClientError>) {
    match outcome {
        Err(error @ ClientError::Insecure { .. }) => assert!(!error.is_transient()),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("that should not have been accepted"),
    }
}

#[tokio::test]
async fn a_broker_with_a_certificate_of_a_trusted_authority_is_spoken_to() {
    let authority = Authority::new();
    let tls = Tls::default().authority(authority.pem()).unwrap();
    let (connection, mut peer) = connected(authority.server("127.0.0.1", None), tls)
        .await
        .unwrap();
    let session = connection.session(AcknowledgeMode::Individual);
    let (consumer, id) = tokio::join!(session.consumer("/queue/a"), peer.subscribed());
    let body = vec![7; 300_000];
    let producer = session.producer("/queue/b");
    let (sent, frame) = tokio::join!(
        within(producer.send(body.clone())),
        peer.confirm(Command::Send)
    );
    sent.unwrap();
    assert_eq!(frame.body(), body);
    peer.deliver(&id, 1).await;
    within(consumer.unwrap().receive()).await.unwrap();
    tokio::join!(async { within(connection.close()).await.unwrap() }, async {
        while peer
            .next_frame()
            .await
            .is_some_and(|frame| frame.command() != Command::Disconnect)
        {}
        peer.say("RECEIPT\nreceipt-id:3\n\n^@").await;
    });
}

#[tokio::test]
async fn a_broker_that_nobody_vouches_for_is_not() {
    let (ours, other) = (Authority::new(), Authority::new());
    let tls = Tls::default().authority(ours.pem()).unwrap();
    insecure(connected(other.server("127.0.0.1", None), tls).await);
    // Nor by the system's authorities.
    insecure(connected(other.server("127.0.0.1", None), Tls::default()).await);
}

#[tokio::test]
async fn a_certificate_is_for_a_name() {
    let authority = Authority::new();
    let trusting = || Tls::default().authority(authority.pem()).unwrap();
    insecure(connected(authority.server("broker.example.org", None), trusting()).await);
    let named = trusting().server_name("broker.example.org");
    connected(authority.server("broker.example.org", None), named)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_broker_may_want_to_know_who_connects() {
    let (brokers, clients) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let identity = clients.identity("billing");
    std::fs::write(path("ca.pem"), brokers.pem()).unwrap();
    std::fs::write(path("cert.pem"), &identity.chain).unwrap();
    std::fs::write(path("key.pem"), &identity.key).unwrap();
    let anonymous = Tls::default().authority_file(path("ca.pem")).unwrap();
    let known = anonymous
        .clone()
        .identity_files(path("cert.pem"), path("key.pem"))
        .unwrap();
    let server = || brokers.server("127.0.0.1", Some(&clients));
    connected(server(), known).await.unwrap();
    let refused = connected(server(), anonymous).await.map(|_| ());
    refused.expect_err("nobody may connect without a certificate");
}

#[tokio::test]
async fn what_is_no_certificate_is_said_to_be_none() {
    for (outcome, what) in [
        (Tls::default().authority("nothing"), "certificate"),
        (Tls::default().authority_file("/nowhere"), "file"),
        (Tls::default().identity("nothing", "nothing"), "private key"),
    ] {
        match outcome {
            Err(ClientError::Invalid { what: said, .. }) => assert_eq!(said, what),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_is_no_secure_one() {
    let host = Host::start().await;
    let connect = client(&format!("stomps://{}", host.address)).connect();
    let broker = async {
        let mut peer = host.accept().await;
        peer.say("ERROR\nmessage:TLS is spoken elsewhere\n\n^@")
            .await;
        // Until the client has seen it.
        peer
    };
    let (connection, _peer) = within(async { tokio::join!(connect, broker) }).await;
    let error = connection.expect_err("no TLS");
    assert!(matches!(error, ClientError::Insecure { .. }), "{error:?}");
}

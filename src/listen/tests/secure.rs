//! TLS over a pipe: how long a handshake may take, and who waits for whom.

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, sign::CertifiedKey};
use rustls_pki_types::{PrivateKeyDer, ServerName};
use tokio::sync::Semaphore;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    super::{
        certs::{Keyring, ticketer},
        secure::{Desk, HANDSHAKES_MAX, secured},
    },
    *,
};
use crate::{
    fields::host::HostPattern,
    site::{Certificate, Names},
    time::Timestamp,
};

/// A worker that shows one certificate, and a viewer that trusts it.
struct Vault {
    house: House,
    desk: Desk,
    viewer: Arc<ClientConfig>,
}

impl Vault {
    fn open() -> Self {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let chain = vec![made.cert.der().clone()];
        let mut roots = RootCertStore::empty();
        roots.add(chain[0].clone()).unwrap();
        let provider = aws_lc_rs::default_provider();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let certificate = Certificate {
            file: "test.pem".to_owned(),
            names: Arc::new(Names::new([HostPattern::parse("a.example").unwrap()])),
            key: Arc::new(CertifiedKey::from_der(chain, key, &provider).unwrap()),
            expires: Timestamp::from_unix(u64::MAX),
        };
        let keyring = Keyring::of(&[certificate], &ticketer().unwrap());
        let mut viewer = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        viewer.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self {
            house: House::open(),
            desk: Desk {
                keyring: Arc::new(keyring.unwrap().unwrap()),
                turns: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
            },
            viewer: Arc::new(viewer),
        }
    }

    /// A viewer's end of a new connection, before any handshake.
    fn connect(&self) -> DuplexStream {
        let (viewers, ours) = duplex(PIPE);
        let viewer = Viewer {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000)),
            scheme: Scheme::Http,
            covered: None,
            interims: None,
        };
        let (clinic, place) = (self.house.clinic.clone(), self.house.roll.admit());
        tokio::spawn(secured(ours, self.desk.clone(), viewer, clinic, place));
        viewers
    }

    async fn shake(&self, pipe: DuplexStream) -> TlsStream<DuplexStream> {
        let name = ServerName::try_from("a.example").unwrap();
        let connector = TlsConnector::from(Arc::clone(&self.viewer));
        connector.connect(name, pipe).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn r1_a_handshake_that_never_begins_is_closed() {
    let vault = Vault::open();
    let mut pipe = vault.connect();
    assert_within(rest(&mut pipe).await.1, 10, 11);
    assert_eq!(vault.house.roll.tally().overdue, 1);
}

#[tokio::test(start_paused = true)]
async fn r2_a_handshake_has_the_deadline_of_the_first_byte() {
    let vault = Vault::open();
    // Bytes that could begin one: a record of 512, of which one comes in a second.
    let mut pipe = vault.connect();
    let start = now();
    pipe.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252])
        .await
        .unwrap();
    while pipe.write_all(&[3]).await.is_ok() {
        sleep(Duration::from_secs(1)).await;
    }
    assert_within(now() - start, 10, 12);

    // And one that was completed, after which nothing is asked.
    let mut stream = vault.shake(vault.connect()).await;
    let start = now();
    let _ = stream.read(&mut [0]).await;
    assert_within(now() - start, 10, 11);
    assert_within(vault.house.emptied().await, 0, 1);
}

#[tokio::test(start_paused = true)]
async fn many_handshakes_at_once_all_end() {
    let vault = Vault::open();
    let shakes: Vec<_> = (0..5 * HANDSHAKES_MAX)
        .map(|_| vault.shake(vault.connect()))
        .collect();
    for shake in shakes {
        let mut stream = shake.await;
        stream
            .write_all(b"GET /hello HTTP/1.1\r\nhost: a.example\r\n\r\n")
            .await
            .unwrap();
        let mut bytes = vec![0; 1024];
        let read = stream.read(&mut bytes).await.unwrap();
        assert!(bytes[..read].ends_with(b"hello"));
    }
    assert_eq!(vault.desk.turns.available_permits(), HANDSHAKES_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_parked_connection_is_secure_as_before() {
    let vault = Vault::open();
    let mut stream = vault.shake(vault.connect()).await;
    for _ in 0..3 {
        stream
            .write_all(b"GET /hello HTTP/1.1\r\nhost: a.example\r\n\r\n")
            .await
            .unwrap();
        let mut bytes = vec![0; 1024];
        let read = stream.read(&mut bytes).await.unwrap();
        assert!(bytes[..read].ends_with(b"hello"));
        sleep(Duration::from_secs(6)).await;
    }
    // Its end is said: a clean one, as an idle connection's.
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    assert_within(vault.house.emptied().await, 0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_under_way_is_waited_for_when_retiring() {
    let vault = Vault::open();
    let pipe = vault.connect();
    tokio::task::yield_now().await;
    let roll = Arc::clone(&vault.house.roll);
    let retiring = tokio::spawn(async move { roll.retire().await });
    tokio::task::yield_now().await;
    let mut stream = vault.shake(pipe).await;
    let _ = stream
        .write_all(b"GET /hello HTTP/1.1\r\nhost: a.example\r\n\r\n")
        .await;
    let _ = stream.read_to_end(&mut Vec::new()).await;
    retiring.await.unwrap();
}

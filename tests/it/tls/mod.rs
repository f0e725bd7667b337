//! TLS towards viewers, over real sockets: what is shown, agreed on and kept.

mod daemon;
mod doors;

use std::{net::SocketAddr, sync::Arc};

use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_RSA_SHA256, RsaKeySize,
};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs},
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

const H2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// Whoever signs every certificate of a test.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// Which key a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ecdsa,
    Rsa,
}

/// A chain and its key, as files hold them.
struct Issued {
    chain: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, kind: Kind, names: &[&str]) -> Issued {
        let key = match kind {
            Kind::Ecdsa => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Kind::Rsa => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        };
        let key = key.unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).unwrap();
        Issued {
            chain: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    /// A viewer that trusts this authority, and speaks the newest.
    fn viewer(&self, alpn: &[&[u8]]) -> ClientConfig {
        self.viewer_of(&[&TLS13, &TLS12], alpn, aws_lc_rs::default_provider())
    }

    fn viewer_of(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&[u8]],
        provider: CryptoProvider,
    ) -> ClientConfig {
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(self.roots())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config
    }
}

impl Issued {
    fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.chain.as_bytes()).unwrap()
    }
}

/// What a viewer knows that verifies signatures of one kind alone.
fn only(kind: Kind) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    let all = provider.signature_verification_algorithms;
    let known = |scheme: &rustls::SignatureScheme| {
        let is_rsa = format!("{scheme:?}").starts_with("RSA");
        is_rsa == (kind == Kind::Rsa)
    };
    let mapping: Vec<_> = all
        .mapping
        .iter()
        .filter(|(scheme, _)| known(scheme))
        .copied()
        .collect();
    provider.signature_verification_algorithms = WebPkiSupportedAlgorithms {
        all: all.all,
        mapping: Vec::leak(mapping),
    };
    provider
}

/// A connection that asks for `name`.
async fn connect(
    to: SocketAddr,
    viewer: &Arc<ClientConfig>,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TcpStream::connect(to).await?;
    TlsConnector::from(Arc::clone(viewer))
        .connect(name, stream)
        .await
}

/// What is shown to who asks for `name`.
fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let (_, session) = stream.get_ref();
    session.peer_certificates().unwrap()[0].clone().into_owned()
}

/// One exchange in HTTP/1.1, the last of its connection; the head and the body.
async fn http1(stream: &mut TlsStream<TcpStream>, host: &str, path: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    // An error would be a connection that ended without saying so (RFC 8446 §6.1).
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

type Http2 = hyper::client::conn::http2::SendRequest<Empty<Bytes>>;

async fn http2(stream: TlsStream<TcpStream>) -> (Http2, tokio::task::JoinHandle<()>) {
    let (send, driver) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    (
        send,
        tokio::spawn(async { driver.await.unwrap_or_default() }),
    )
}

fn get(uri: &str) -> Request<Empty<Bytes>> {
    Request::get(uri).body(Empty::new()).unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

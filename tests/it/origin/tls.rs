//! TLS towards origins: whom we trust, and what is agreed on.
//!
//! Over loopback in real time where the network itself is meant, else over pipes.

use std::convert::Infallible;

use http_body_util::Full;
use hyper_util::rt::TokioExecutor;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use warmfront::origin::Network;

use super::*;

/// An authority, and what it issues.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// The same, as a file holds it.
    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server's side of TLS: a certificate for `name`, and the protocols it speaks.
    pub(super) fn server(&self, name: &str, alpn: &[&str]) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let chain = vec![params.signed_by(&key, &self.0).unwrap().der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// An origin that is verified against this authority.
    pub(super) fn origin(&self, host: &str) -> Origin {
        Origin {
            protocol: Protocol::Https,
            host: host.to_owned(),
            port: 443,
            ca: Some(vec![self.certificate()]),
            ..origin_of(true)
        }
    }
}

/// A pipe's other end, secured.
pub(super) async fn secured(world: &mut World, server: &TlsAcceptor) -> TlsStream<DuplexStream> {
    let peer = world.peer().await;
    server.accept(peer.0).await.unwrap()
}

/// Answers every stream with what came in `:authority` and `host`.
async fn echoed(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    assert!(!request.headers().contains_key("host"));
    let (uri, version) = (request.uri(), request.version());
    Ok(Response::new(Full::from(format!("{version:?} {uri}"))))
}

#[tokio::test]
async fn a_trusted_origin_over_loopback_speaks_http1() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = authority.server("localhost", &["http/1.1"]);
    let served = tokio::spawn(async move {
        let mut stream = server
            .accept(listener.accept().await.unwrap().0)
            .await
            .unwrap();
        let sni = stream.get_ref().1.server_name().map(str::to_owned);
        for _ in 0..2 {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await
                .unwrap();
        }
        sni
    });
    let origins = Origins::new(Arc::new(Network), Clock::System);
    let origin = Arc::new(Origin {
        port,
        ..authority.origin("localhost")
    });
    for kept in [false, true] {
        let fetched = send(&origins, &origin, request("GET", "/")).await.unwrap();
        assert_eq!(fetched.timings.connect.is_none(), kept);
        assert_eq!(text(fetched.body).await.unwrap(), "ok");
    }
    assert_eq!(served.await.unwrap().as_deref(), Some("localhost"));
}

#[tokio::test]
async fn a_trusted_origin_over_loopback_speaks_http2_by_alpn() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = authority.server("127.0.0.1", &["h2", "http/1.1"]);
    tokio::spawn(async move {
        let stream = server
            .accept(listener.accept().await.unwrap().0)
            .await
            .unwrap();
        let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        http2
            .serve_connection(TokioIo::new(stream), service_fn(echoed))
            .await
    });
    let origins = Origins::new(Arc::new(Network), Clock::System);
    let origin = Arc::new(Origin {
        port,
        ..authority.origin("127.0.0.1")
    });
    let mut request = request("GET", "/a?b");
    request
        .headers_mut()
        .insert("host", HeaderValue::from_static("api.example.com:8443"));
    let fetched = send(&origins, &origin, request).await.unwrap();
    assert!(fetched.body.framed());
    assert_eq!(
        text(fetched.body).await.unwrap(),
        "HTTP/2.0 https://api.example.com:8443/a?b"
    );
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let origins = Origins::new(Arc::new(Network), Clock::System);
    let origin = Arc::new(Origin {
        host: "127.0.0.1".to_owned(),
        port,
        ..origin_of(true)
    });
    let error = send(&origins, &origin, request("GET", "/"))
        .await
        .unwrap_err();
    check(&error, Blame::Network, Phase::Connect, "origin_unreachable");
}

#[tokio::test(start_paused = true)]
async fn a_certificate_for_another_name_is_untrusted_and_asked_once() {
    let authority = Authority::new();
    let mut world = World::of(authority.origin("api.example.com"));
    let fetched = world.get("/");
    let peer = world.peer().await;
    authority
        .server("other.example.com", &[])
        .accept(peer.0)
        .await
        .unwrap_err();
    let error = fetched.await.unwrap().unwrap_err();
    check(&error, Blame::Origin, Phase::Verify, "origin_untrusted");
    let said = error.to_string();
    assert!(
        said.starts_with(r#"origin "api" (https://api.example.com): certificate: "#),
        "{said}"
    );
    assert_eq!(world.unseen(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_authority_is_untrusted() {
    let mut world = World::of(Authority::new().origin("api.example.com"));
    let fetched = world.get("/");
    let peer = world.peer().await;
    Authority::new()
        .server("api.example.com", &[])
        .accept(peer.0)
        .await
        .unwrap_err();
    let error = fetched.await.unwrap().unwrap_err();
    check(&error, Blame::Origin, Phase::Verify, "origin_untrusted");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_breaks_is_tried_again_and_is_not_distrust() {
    let mut world = World::of(Authority::new().origin("api.example.com"));
    let fetched = world.get("/");
    world
        .peer()
        .await
        .says("HTTP/1.1 400 Bad Request\r\n\r\n")
        .await;
    world.peer().await;
    world.peer().await;
    let error = fetched.await.unwrap().unwrap_err();
    check(&error, Blame::Network, Phase::Tls, "origin_tls");
    assert_eq!(world.unseen(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_stalls_is_a_connect_timeout() {
    let authority = Authority::new();
    let mut world = World::of(Origin {
        connect_attempts: 1,
        ..authority.origin("a.example")
    });
    let started = now();
    let fetched = world.get("/");
    let _silent = world.peer().await;
    let error = fetched.await.unwrap().unwrap_err();
    check(&error, Blame::Network, Phase::Tls, "origin_connect_timeout");
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn an_authority_that_is_none_is_our_failure() {
    let ca = Some(vec![CertificateDer::from(b"no certificate".to_vec())]);
    let world = World::of(Origin {
        ca,
        ..Authority::new().origin("api.example.com")
    });
    let error = world.get("/").await.unwrap().unwrap_err();
    check(&error, Blame::Us, Phase::Verify, "origin_trust_missing");
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_goes_over_http1_even_where_http2_is_spoken() {
    let authority = Authority::new();
    let server = authority.server("api.example.com", &["h2", "http/1.1"]);
    let mut world = World::of(authority.origin("api.example.com"));
    let mut request = request("GET", "/chat");
    request
        .headers_mut()
        .insert("connection", HeaderValue::from_static("upgrade"));
    request
        .headers_mut()
        .insert("upgrade", HeaderValue::from_static("websocket"));
    let fetched = world.send(request);
    let mut peer = secured(&mut world, &server).await;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(peer.read_u8().await.unwrap());
    }
    peer.write_all(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n")
        .await
        .unwrap();
    let mut stream = TokioIo::new(
        fetched
            .await
            .unwrap()
            .unwrap()
            .upgraded
            .unwrap()
            .await
            .unwrap(),
    );
    stream.write_all(b"hello").await.unwrap();
    let mut hello = [0; 5];
    peer.read_exact(&mut hello).await.unwrap();
    assert_eq!(&hello, b"hello");
}

#[tokio::test(start_paused = true)]
async fn an_http1_origin_is_connected_to_in_parallel_once_that_is_known() {
    let authority = Authority::new();
    let server = authority.server("api.example.com", &["http/1.1"]);
    let mut world = World::of(authority.origin("api.example.com"));
    let fetched: Vec<_> = (0..3).map(|_| world.get("/")).collect();
    let first = world.peer().await;
    pass(Duration::from_secs(1)).await;
    assert_eq!(world.unseen(), 0, "one connection might do for all");
    let _busy = server.accept(first.0).await.unwrap();
    let known = now();
    let (_second, _third) = (world.peer().await, world.peer().await);
    assert!(
        known.elapsed() < Duration::from_millis(10),
        "one waited for the other"
    );
    fetched.iter().for_each(JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_given_up_does_not_wait_for_its_peer() {
    let authority = Authority::new();
    let server = authority.server("api.example.com", &["http/1.1"]);
    let mut world = World::of(authority.origin("api.example.com"));
    let (mut viewer, request) = upload("POST", "content-length: 1000000").await;
    tokio::spawn(async move { viewer.write_all(&[0; 1_000_000]).await.map(|()| viewer) });
    let fetched = world.send(request);
    let mut unread = secured(&mut world, &server).await;
    let error = fetched.await.unwrap().unwrap_err();
    check(&error, Blame::Origin, Phase::Send, "origin_timeout");
    pass(Duration::from_millis(1)).await;
    // The pipe is full, so that a goodbye could not be written.
    unread.get_mut().0.write_u8(0).await.unwrap_err();
}

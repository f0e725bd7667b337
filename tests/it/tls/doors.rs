//! Workers behind TLS.

use std::convert::Infallible;

use http_body_util::Full;
use rustls::{
    ClientConnection, HandshakeKind, NamedGroup, crypto::CryptoProvider, sign::CertifiedKey,
};
use rustls_pki_types::PrivateKeyDer;
use warmfront::{
    fields::host::HostPattern,
    listen::{Respond, Workers},
    policy::{Scheme, lines::Lines},
    serve::{Plain, PlainHead, Viewer},
    site::{Certificate, Names, Transport},
    time::Timestamp,
};

use super::*;

/// Says how it was reached.
#[derive(Clone)]
struct Teller;

impl Respond for Teller {
    type Body = Full<Bytes>;
    type Asked = Infallible;

    fn at_hand(
        &self,
        _: impl FnOnce() -> Option<PlainHead>,
        _: &Viewer,
        _: &mut Lines,
    ) -> Option<Plain<Infallible>> {
        None
    }

    async fn respond_plain(self, asked: Infallible, _: Viewer) -> Response<Full<Bytes>> {
        match asked {}
    }

    async fn respond(self, request: Request<Incoming>, viewer: Viewer) -> Response<Full<Bytes>> {
        assert_eq!(viewer.scheme, Scheme::Https);
        let covered = viewer.covered.expect("a certificate was shown");
        let text = format!("{:?} {:?}", request.version(), covered.parts());
        Response::new(Full::from(text))
    }
}

fn certificate(issued: &Issued, names: &[&str]) -> Certificate {
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let provider: CryptoProvider = aws_lc_rs::default_provider();
    let key = CertifiedKey::from_der(vec![issued.certificate()], key, &provider).unwrap();
    let names = names.iter().map(|name| HostPattern::parse(name).unwrap());
    Certificate {
        file: "test.pem".to_owned(),
        names: Arc::new(Names::new(names)),
        key: Arc::new(key),
        expires: Timestamp::from_unix(u64::MAX),
    }
}

/// Workers that show one certificate for each of `lists`, in that order.
fn open(authority: &Authority, lists: &[(Kind, &[&str])]) -> (Workers, SocketAddr, Vec<Issued>) {
    let issued: Vec<Issued> = lists
        .iter()
        .map(|(kind, names)| authority.issue(*kind, names))
        .collect();
    let certificates: Vec<Certificate> = issued
        .iter()
        .zip(lists)
        .map(|(issued, (_, names))| certificate(issued, names))
        .collect();
    let workers = Workers::start(2, |_| Teller).unwrap();
    workers.set_certificates(&certificates).unwrap();
    let address = workers
        .open("127.0.0.1:0".parse().unwrap(), Transport::Tls)
        .unwrap();
    (workers, address, issued)
}

#[tokio::test]
async fn a_connection_speaks_what_was_negotiated() {
    let authority = Authority::new();
    let (_workers, address, _) = open(&authority, &[(Kind::Ecdsa, &["a.example"])]);
    for version in [&TLS12, &TLS13] {
        let viewer = |alpn: &[&[u8]]| {
            let provider = aws_lc_rs::default_provider();
            Arc::new(authority.viewer_of(&[version], alpn, provider))
        };
        for alpn in [&[HTTP1][..], &[]] {
            let mut stream = connect(address, &viewer(alpn), "a.example").await.unwrap();
            assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
            let (head, body) = http1(&mut stream, "a.example", "/").await;
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert_eq!(body, "HTTP/1.1 ([\"a.example\"], [])");
        }
        let stream = connect(address, &viewer(&[H2, HTTP1]), "a.example")
            .await
            .unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(H2));
        let (mut send, _driver) = http2(stream).await;
        let answer = send.send_request(get("https://a.example/")).await.unwrap();
        assert_eq!(text(answer).await, "HTTP/2.0 ([\"a.example\"], [])");

        // "the server SHALL send a fatal 'no_application_protocol' alert" (RFC 7301 §3.2).
        let error = connect(address, &viewer(&[b"smtp"]), "a.example").await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("NoApplicationProtocol"), "{error}");
    }
}

#[tokio::test]
async fn the_key_exchange_withstands_quantum_computers() {
    let authority = Authority::new();
    let (_workers, address, _) = open(&authority, &[(Kind::Ecdsa, &["a.example"])]);
    let viewer = Arc::new(authority.viewer(&[HTTP1]));
    let stream = connect(address, &viewer, "a.example").await.unwrap();
    let group = stream.get_ref().1.negotiated_key_exchange_group().unwrap();
    assert_eq!(group.name(), NamedGroup::X25519MLKEM768);
}

#[tokio::test]
async fn the_name_that_is_asked_for_chooses_the_certificate() {
    let authority = Authority::new();
    let lists: &[(Kind, &[&str])] = &[
        (Kind::Ecdsa, &["first.example", "127.0.0.1"]),
        (Kind::Ecdsa, &["*.b.example"]),
        (Kind::Ecdsa, &["x.b.example", "b.example"]),
    ];
    let (_workers, address, issued) = open(&authority, lists);
    // It looks at what is shown, whatever that is.
    let viewer = Arc::new(authority.viewer(&[HTTP1]));
    for (name, wanted) in [
        ("first.example", 0),
        ("a.b.example", 1),
        ("A.B.EXAMPLE", 1),
        ("x.b.example", 2),
        ("b.example", 2),
        // An address is not asked for: "Literal IPv4 and IPv6 addresses are not permitted
        // in "HostName"" (RFC 6066 §3).
        ("127.0.0.1", 0),
    ] {
        let stream = connect(address, &viewer, name).await.unwrap();
        assert_eq!(shown(&stream), issued[wanted].certificate(), "{name}");
    }
    for unknown in ["y.x.b.example", "other.example"] {
        let error = connect(address, &viewer, unknown).await.unwrap_err();
        // The first was shown, and does not name it.
        assert!(error.to_string().contains("first.example"), "{error}");
    }
}

#[tokio::test]
async fn of_two_keys_for_a_name_the_viewers_signatures_choose() {
    let authority = Authority::new();
    let lists: &[(Kind, &[&str])] = &[
        (Kind::Rsa, &["a.example"]),
        (Kind::Ecdsa, &["a.example"]),
        (Kind::Rsa, &["b.example"]),
    ];
    let (workers, address, issued) = open(&authority, lists);
    for version in [&TLS12, &TLS13] {
        let shown_to = async |provider, name: &str| {
            let viewer = Arc::new(authority.viewer_of(&[version], &[], provider));
            let stream = connect(address, &viewer, name).await?;
            std::io::Result::Ok(shown(&stream))
        };
        let both = shown_to(aws_lc_rs::default_provider(), "a.example").await;
        assert_eq!(both.unwrap(), issued[1].certificate());
        let rsa = shown_to(only(Kind::Rsa), "a.example").await;
        assert_eq!(rsa.unwrap(), issued[0].certificate());
        let none = shown_to(only(Kind::Ecdsa), "b.example").await.unwrap_err();
        assert!(none.to_string().contains("HandshakeFailure"), "{none}");
    }
    while workers.tally().handshakes_failed < 2 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_ticket_resumes_on_every_worker_and_after_a_reload() {
    let authority = Authority::new();
    let (workers, address, issued) = open(&authority, &[(Kind::Ecdsa, &["a.example"])]);
    for version in [&TLS12, &TLS13] {
        let provider = aws_lc_rs::default_provider();
        let viewer = Arc::new(authority.viewer_of(&[version], &[HTTP1], provider));
        for turn in 0..16 {
            let mut stream = connect(address, &viewer, "a.example").await.unwrap();
            // With the answer come the tickets.
            let (_, body) = http1(&mut stream, "a.example", "/").await;
            assert_eq!(body, "HTTP/1.1 ([\"a.example\"], [])");
            let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
            assert_eq!(resumed, turn > 0, "{version:?} {turn}");
            workers
                .set_certificates(&[certificate(&issued[0], &["a.example"])])
                .unwrap();
        }
    }
}

/// A request in early data could be replayed by whoever saw it.
#[tokio::test]
async fn r11_early_data_is_never_taken() {
    let authority = Authority::new();
    let (_workers, address, _) = open(&authority, &[(Kind::Ecdsa, &["a.example"])]);
    let mut viewer = authority.viewer(&[HTTP1]);
    viewer.enable_early_data = true;
    let viewer = Arc::new(viewer);
    for resumed in [false, true] {
        let mut stream = connect(address, &viewer, "a.example").await.unwrap();
        http1(&mut stream, "a.example", "/").await;
        let (_, session) = stream.get_ref();
        let seen = session.handshake_kind() == Some(HandshakeKind::Resumed);
        assert_eq!(seen, resumed);
        assert!(!session.is_early_data_accepted());
        // What the tickets allow.
        let name = ServerName::try_from("a.example").unwrap();
        let mut next = ClientConnection::new(Arc::clone(&viewer), name).unwrap();
        assert!(next.early_data().is_none());
    }
}

#[tokio::test]
async fn new_certificates_are_shown_to_new_connections() {
    let authority = Authority::new();
    let (workers, address, old) = open(&authority, &[(Kind::Ecdsa, &["a.example"])]);
    let viewer = || Arc::new(authority.viewer(&[HTTP1]));
    let mut kept = connect(address, &viewer(), "a.example").await.unwrap();
    let new = authority.issue(Kind::Ecdsa, &["a.example"]);
    workers
        .set_certificates(&[certificate(&new, &["a.example"])])
        .unwrap();
    let stream = connect(address, &viewer(), "a.example").await.unwrap();
    assert_eq!(shown(&stream), new.certificate());
    assert_eq!(shown(&kept), old[0].certificate());
    assert!(
        http1(&mut kept, "a.example", "/")
            .await
            .0
            .contains("200 OK")
    );
}

#[tokio::test]
async fn who_does_not_speak_tls_is_closed() {
    let authority = Authority::new();
    let (workers, address, _) = open(&authority, &[(Kind::Ecdsa, &["a.example"])]);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n")
        .await
        .unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    assert!(!bytes.starts_with(b"HTTP"), "{}", bytes.escape_ascii());
    while workers.tally().handshakes_failed == 0 || workers.connections() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn without_a_certificate_nobody_is_served() {
    let authority = Authority::new();
    let (workers, address, _) = open(&authority, &[]);
    let viewer = Arc::new(authority.viewer(&[HTTP1]));
    assert!(connect(address, &viewer, "a.example").await.is_err());
    assert_eq!(workers.connections(), 0);
}

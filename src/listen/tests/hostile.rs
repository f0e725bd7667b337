//! HTTP/2 that no client of ours would send, frame by frame (security cases H1 to H13).

use super::{
    super::overdue::{STALL_SWEEPS, SWEEP_EVERY},
    *,
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const PROTOCOL_ERROR: u8 = 1;
const ENHANCE_YOUR_CALM: u8 = 0xb;

/// A viewer that writes its frames itself.
struct Hand {
    viewer: DuplexStream,
    read: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A field, as HPACK writes one that it does not remember (RFC 7541 §6.2.2).
fn field(name: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name.as_bytes(), value] {
        // 7 bits, then 7 in each byte (§5.1).
        let mut rest = text.len();
        if rest < 127 {
            bytes.push(u8::try_from(rest).unwrap());
        } else {
            bytes.push(127);
            rest -= 127;
            while rest >= 128 {
                bytes.push(u8::try_from(rest % 128).unwrap() | 0x80);
                rest /= 128;
            }
            bytes.push(u8::try_from(rest).unwrap());
        }
        bytes.extend(text);
    }
    bytes
}

fn fields(list: &[(&str, &[u8])]) -> Vec<u8> {
    list.iter()
        .flat_map(|(name, value)| field(name, value))
        .collect()
}

/// A request's head.
fn get_of(path: &str) -> Vec<u8> {
    fields(&[
        (":method", b"GET"),
        (":scheme", b"http"),
        (":path", path.as_bytes()),
        (":authority", b"a"),
    ])
}

impl Hand {
    async fn connect(house: &House) -> Self {
        Self::with(house, &[]).await
    }

    /// Begins with these settings.
    async fn with(house: &House, settings: &[(u16, u32)]) -> Self {
        let mut hand = Self {
            viewer: house.connect_as(Expected::Http2, 1 << 20),
            read: Vec::new(),
        };
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        hand.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        hand.send(&frame(SETTINGS, 0, 0, &payload)).await;
        hand
    }

    /// Sends, unless the connection has ended.
    async fn send(&mut self, bytes: &[u8]) -> bool {
        self.viewer.write_all(bytes).await.is_ok()
    }

    async fn ask(&mut self, stream: u32, head: &[u8]) -> bool {
        let flags = END_HEADERS | END_STREAM;
        self.send(&frame(HEADERS, flags, stream, head)).await
    }

    /// The next frame, pings answered; `None` at the end.
    async fn next(&mut self) -> Option<Frame> {
        let frame = self.any().await?;
        if frame.kind == PING && frame.flags == 0 {
            let answer = self::frame(PING, 1, 0, &frame.payload);
            self.send(&answer).await;
        }
        Some(frame)
    }

    async fn any(&mut self) -> Option<Frame> {
        loop {
            if let Some((header, rest)) = self.read.split_first_chunk::<9>() {
                let [high, middle, low, kind, flags, stream @ ..] = *header;
                let length = u32::from_be_bytes([0, high, middle, low]) as usize;
                if let Some(payload) = rest.get(..length) {
                    let frame = Frame {
                        kind,
                        flags,
                        stream: u32::from_be_bytes(stream),
                        payload: payload.to_vec(),
                    };
                    self.read.drain(..9 + length);
                    return Some(frame);
                }
            }
            match self.viewer.read_buf(&mut self.read).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The code with which the connection was ended, and the answers before.
    async fn goaway(&mut self) -> (Option<u8>, Vec<Frame>) {
        let mut before = Vec::new();
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                return (frame.payload.get(7).copied(), before);
            }
            before.push(frame);
        }
        (None, before)
    }

    /// What became of a stream: the code it was reset with, what begins its answer, or the
    /// end of the connection.
    async fn fate(&mut self, stream: u32) -> Frame {
        loop {
            let frame = self.next().await.expect("the connection goes on");
            if frame.kind == GOAWAY {
                return frame;
            }
            if frame.stream == stream && matches!(frame.kind, HEADERS | RST_STREAM) {
                return frame;
            }
        }
    }

    /// Another request is answered as ever.
    async fn still_works(&mut self, stream: u32) {
        self.ask(stream, &get_of("/hello")).await;
        let fate = self.fate(stream).await;
        assert_eq!(
            (fate.kind, fate.payload[0]),
            (HEADERS, STATUS_200),
            "{fate:?}"
        );
    }

    /// Floods until the connection ends; with which code, and after how many.
    async fn flooded(
        &mut self,
        most: usize,
        bytes: impl Fn(u32) -> Vec<u8>,
    ) -> (Option<u8>, usize) {
        let mut sent = 0;
        while sent < most && self.send(&bytes(sent as u32)).await {
            sent += 1;
            tokio::task::yield_now().await;
        }
        (self.goaway().await.0, sent)
    }
}

/// `:status: 200` and `400`, as HPACK writes them first (RFC 7541 appendix A).
const STATUS_200: u8 = 0x88;
const STATUS_400: u8 = 0x8c;
/// A name that it knows, with a value that follows.
const STATUS_431: u8 = 0x48;

/// The stream fails, or the connection; nobody was asked.
async fn is_refused(head: &[u8], seen: &str) {
    let house = House::open();
    let mut hand = Hand::connect(&house).await;
    hand.ask(1, head).await;
    let fate = hand.fate(1).await;
    assert_eq!(house.clinic.asked.load(Relaxed), 0, "{seen}");
    match fate.kind {
        RST_STREAM => assert_eq!(fate.payload[3], PROTOCOL_ERROR, "{seen}: {fate:?}"),
        HEADERS => assert_eq!(fate.payload[0], STATUS_400, "{seen}: {fate:?}"),
        // Bytes that are no fields at all end the connection.
        _ => return assert_eq!(fate.payload[7], PROTOCOL_ERROR, "{seen}: {fate:?}"),
    }
    hand.still_works(3).await;
}

#[tokio::test(start_paused = true)]
async fn h1_fields_that_http1_could_not_carry_are_refused() {
    for (name, value) in [
        ("x", &b"a\rb"[..]),
        ("x", b"a\nb"),
        ("x", b"a\r\nevil: b"),
        ("x", b"a\0b"),
        ("X", b"a"),
        ("", b"a"),
        ("x y", b"a"),
        ("x:", b"a"),
        ("x\r\ny", b"a"),
        ("x", b" a"),
        ("x", b"a "),
        ("x", b"\ta"),
    ] {
        let head = [get_of("/hello"), field(name, value)].concat();
        is_refused(&head, &format!("{name}: {}", value.escape_ascii())).await;
    }
}

#[tokio::test(start_paused = true)]
async fn h2_fields_of_one_connection_are_refused() {
    for (name, value) in [
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("connection", "x"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
    ] {
        let head = [get_of("/hello"), field(name, value.as_bytes())].concat();
        is_refused(&head, name).await;
    }
}

#[tokio::test(start_paused = true)]
async fn h3_a_length_that_disagrees_breaks_the_body() {
    for (length, body, ends) in [("5", "abc", true), ("2", "abc", true), ("2", "abc", false)] {
        let house = House::open();
        let mut hand = Hand::connect(&house).await;
        let head = fields(&[
            (":method", b"POST"),
            (":scheme", b"http"),
            (":path", b"/echo"),
            (":authority", b"a"),
            ("content-length", length.as_bytes()),
        ]);
        hand.send(&frame(HEADERS, END_HEADERS, 1, &head)).await;
        let flags = if ends { END_STREAM } else { 0 };
        hand.send(&frame(DATA, flags, 1, body.as_bytes())).await;
        let fate = hand.fate(1).await;
        assert_eq!((fate.kind, fate.payload[3]), (RST_STREAM, PROTOCOL_ERROR));
        hand.still_works(3).await;
    }
    let lengths = [
        get_of("/hello"),
        field("content-length", b"1"),
        field("content-length", b"2"),
    ];
    is_refused(&lengths.concat(), "two lengths").await;
    let none = [get_of("/hello"), field("content-length", b"5")].concat();
    is_refused(&none, "a length without a body").await;
}

#[tokio::test(start_paused = true)]
async fn h4_pseudo_fields_come_first_once_and_whole() {
    let of = |list: &[(&str, &str)]| -> Vec<u8> {
        list.iter()
            .flat_map(|(name, value)| field(name, value.as_bytes()))
            .collect()
    };
    let (method, scheme) = ((":method", "GET"), (":scheme", "http"));
    let (path, host) = ((":path", "/hello"), (":authority", "a"));
    for list in [
        &[method, scheme, (":path", ""), host][..],
        &[method, scheme, (":path", "hello"), host],
        &[method, scheme, (":path", "/hel lo"), host],
        &[method, scheme, host],
        &[method, path, host],
        &[scheme, path, host],
        &[method, scheme, path, path, host],
        &[method, method, scheme, path, host],
        &[method, scheme, path, ("x", "y"), host],
        &[method, scheme, path, host, (":x", "y")],
        &[method, scheme, path, host, (":status", "200")],
        &[method, scheme, path, (":authority", "a b")],
        &[(":method", "G T"), scheme, path, host],
    ] {
        is_refused(&of(list), &format!("{list:?}")).await;
    }
}

/// hyper has cut it off before anybody could see it: match, key and origin see one path.
#[tokio::test(start_paused = true)]
async fn h4_a_fragment_is_no_part_of_a_path() {
    let house = House::open();
    let mut hand = Hand::connect(&house).await;
    hand.ask(1, &get_of("/hello#x")).await;
    assert_eq!(hand.fate(1).await.payload[0], STATUS_200);
}

#[tokio::test(start_paused = true)]
async fn h5_streams_reset_as_soon_as_begun_end_the_connection() {
    let reset = |at: u32| {
        let stream = 2 * at + 1;
        let head = frame(HEADERS, END_HEADERS | END_STREAM, stream, &get_of("/wait"));
        [head, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    };
    let house = House::open();
    let mut hand = Hand::connect(&house).await;
    let (code, sent) = hand.flooded(10_000, reset).await;
    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
    assert!(sent < 300, "{sent}");
    assert!(house.clinic.asked.load(Relaxed) <= 200);
    assert_within(house.emptied().await, 0, 1);

    // All at once, before anybody looks.
    let mut hand = Hand::connect(&house).await;
    let before = house.clinic.asked.load(Relaxed);
    let all: Vec<u8> = (0..1_000).flat_map(reset).collect();
    hand.send(&all).await;
    assert_eq!(hand.goaway().await.0, Some(ENHANCE_YOUR_CALM));
    assert!(house.clinic.asked.load(Relaxed) - before <= 200);
    assert_within(house.emptied().await, 0, 1);
}

#[tokio::test(start_paused = true)]
async fn h5_a_search_that_follows_every_key_is_served() {
    let house = House::open();
    let mut hand = Hand::connect(&house).await;
    for at in 0..600 {
        let stream = 2 * at + 1;
        assert!(hand.ask(stream, &get_of("/wait")).await);
        sleep(Duration::from_millis(100)).await;
        hand.send(&frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]))
            .await;
    }
    hand.still_works(1_201).await;
    assert_eq!(house.roll.tally().flooded, 0);
}

/// One connection may carry a balancer's viewers, of whom some leave at any time.
#[tokio::test(start_paused = true)]
async fn h5_as_many_may_leave_as_are_answered() {
    let house = House::open();
    let mut hand = Hand::connect(&house).await;
    for at in 0..2_000 {
        let (left, answered) = (4 * at + 1, 4 * at + 3);
        assert!(hand.ask(left, &get_of("/wait")).await);
        hand.send(&frame(RST_STREAM, 0, left, &[0, 0, 0, 8])).await;
        hand.still_works(answered).await;
    }
    assert_eq!(house.roll.tally().flooded, 0);
}

#[tokio::test(start_paused = true)]
async fn h6_a_head_without_end_ends_the_connection() {
    for piece in [vec![0; 0], field("x", &[b'y'; 1_000])] {
        let house = House::open();
        let mut hand = Hand::connect(&house).await;
        hand.send(&frame(HEADERS, END_STREAM, 1, &get_of("/hello")))
            .await;
        let (code, sent) = hand
            .flooded(10_000, |_| frame(CONTINUATION, 0, 1, &piece))
            .await;
        assert_eq!(code, Some(ENHANCE_YOUR_CALM));
        assert!(sent < 1_500, "{sent}");
        assert_eq!(house.clinic.asked.load(Relaxed), 0);
        assert_within(house.emptied().await, 0, 1);
    }
}

/// Each of these makes us reset the stream ("MadeYouReset").
#[tokio::test(start_paused = true)]
async fn h7_streams_we_are_made_to_reset_end_the_connection() {
    for provoke in [
        |stream| frame(WINDOW_UPDATE, 0, stream, &[0, 0, 0, 0]),
        |stream| frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]),
        |stream| frame(DATA, 0, stream, b"late"),
        |stream| frame(HEADERS, END_HEADERS, stream, &field("x", b"late")),
        |stream| frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 0]),
    ] {
        let house = House::open();
        let mut hand = Hand::connect(&house).await;
        let both = |at| {
            let stream = 2 * at + 1;
            let head = frame(HEADERS, END_HEADERS | END_STREAM, stream, &get_of("/wait"));
            [head, provoke(stream)].concat()
        };
        let (code, sent) = hand.flooded(2_000, both).await;
        assert!(code.is_some(), "after {sent}");
        assert!(sent < 400, "{sent}");
        assert!(house.clinic.asked.load(Relaxed) < 400);
        assert_within(house.emptied().await, 0, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn h8_frames_that_are_worth_nothing_end_the_connection() {
    for bytes in [
        frame(PING, 0, 0, &[0; 8]),
        frame(SETTINGS, 0, 0, &[]),
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]),
        frame(PRIORITY, 0, 7, &[0, 0, 0, 0, 7]),
        frame(0x10, 0, 0, &[0, 0, 0, 7]),
        frame(0xbe, 0, 0, &[]),
    ] {
        let house = House::open();
        let mut hand = Hand::connect(&house).await;
        let (code, sent) = hand.flooded(5_000, |_| bytes.clone()).await;
        assert_eq!(code, Some(ENHANCE_YOUR_CALM), "{bytes:?}");
        assert!(sent < 600, "{sent}");
        assert_within(house.emptied().await, 0, 1);
    }
    let house = House::open();
    let mut hand = Hand::connect(&house).await;
    let head = fields(&[
        (":method", b"POST"),
        (":scheme", b"http"),
        (":path", b"/echo"),
        (":authority", b"a"),
    ]);
    hand.send(&frame(HEADERS, END_HEADERS, 1, &head)).await;
    let (code, sent) = hand.flooded(5_000, |_| frame(DATA, 0, 1, &[])).await;
    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
    assert!(sent < 400, "{sent}");
}

#[tokio::test(start_paused = true)]
async fn h8_a_ping_now_and_then_is_answered() {
    let house = House::open();
    let mut hand = Hand::connect(&house).await;
    let ping = frame(PING, 0, 0, &[7; 8]);
    for _ in 0..500 {
        hand.send(&ping).await;
        while hand.next().await.unwrap().payload != [7; 8] {}
        sleep(Duration::from_millis(50)).await;
    }
    hand.still_works(1).await;
}

#[tokio::test(start_paused = true)]
async fn h9_fields_are_counted_each() {
    // `x: y` is remembered, then named by one byte (RFC 7541 §6.1).
    let bomb = [
        &get_of("/hello")[..],
        &[0x40, 1, b'x', 1, b'y'],
        &[0xbe; 4_000],
    ]
    .concat();
    let crumbs = [get_of("/hello"), field("cookie", b"a").repeat(1_600)].concat();
    let small = [get_of("/hello"), field("a", b"").repeat(500)].concat();
    for head in [bomb, crumbs, small] {
        let house = House::open();
        let mut hand = Hand::connect(&house).await;
        hand.ask(1, &head).await;
        let fate = hand.fate(1).await;
        // A literal, as 431 is not among those that HPACK knows.
        let text = String::from_utf8_lossy(&fate.payload).into_owned();
        assert_eq!(house.clinic.asked.load(Relaxed), 0);
        match fate.kind {
            GOAWAY => assert_eq!(fate.payload[7], ENHANCE_YOUR_CALM),
            HEADERS => {
                assert!(
                    text.contains("431") || fate.payload[0] == STATUS_431,
                    "{text:?}"
                );
                hand.still_works(3).await;
            }
            _ => panic!("{fate:?}"),
        }
    }
    let house = House::open();
    let mut hand = Hand::connect(&house).await;
    let many = [get_of("/hello"), field("cookie", b"a").repeat(100)].concat();
    hand.ask(1, &many).await;
    assert_eq!(hand.fate(1).await.payload[0], STATUS_200);
}

#[tokio::test(start_paused = true)]
async fn h10_streams_that_are_never_taken_are_reaped() {
    const INITIAL_WINDOW_SIZE: u16 = 4;
    for window in [0, 1] {
        let house = House::open();
        let mut hand = Hand::with(&house, &[(INITIAL_WINDOW_SIZE, window)]).await;
        for stream in 0..100 {
            hand.ask(2 * stream + 1, &get_of("/endless")).await;
        }
        let start = now();
        hand.goaway().await;
        assert_within(now() - start, 60, 62);
        assert_within(house.emptied().await, 0, 1);
    }
}

/// As long as other answers of the connection are taken, those end first.
#[tokio::test(start_paused = true)]
async fn h10_streams_that_are_never_taken_are_reaped_beside_others() {
    const INITIAL_WINDOW_SIZE: u16 = 4;
    let house = House::open();
    let mut hand = Hand::with(&house, &[(INITIAL_WINDOW_SIZE, 1)]).await;
    for stream in 0..100 {
        hand.ask(2 * stream + 1, &get_of("/endless")).await;
    }
    let mut stream = 201;
    let start = now();
    // A request every second, whose answer is taken.
    while hand.ask(stream, &get_of("/hello")).await {
        let grant = 100_u32.to_be_bytes();
        hand.send(&frame(WINDOW_UPDATE, 0, stream, &grant)).await;
        stream += 2;
        sleep(Duration::from_secs(1)).await;
    }
    let span = u64::from(STALL_SWEEPS) * SWEEP_EVERY.as_millis() as u64 / 1_000;
    assert_within(now() - start, 2 * span, 3 * span + 2);
    // It was told first: no error, and which streams it may still wait for.
    assert_eq!(hand.goaway().await.0, Some(0));
    assert_within(house.emptied().await, 0, 1);
}

#[tokio::test(start_paused = true)]
async fn h11_a_dribbled_head_has_a_deadline() {
    for first in [HEADERS, CONTINUATION] {
        let house = House::open();
        let mut hand = Hand::connect(&house).await;
        sleep(Duration::from_secs(30)).await;
        let start = now();
        if first == CONTINUATION {
            hand.send(&frame(HEADERS, END_STREAM, 1, &get_of("/hello")))
                .await;
        }
        hand.send(&frame(first, 0, 1, &[0; 100])[..9]).await;
        while hand.send(&[0]).await {
            sleep(Duration::from_secs(5)).await;
        }
        assert_within(now() - start, 10, 16);
    }
}

#[tokio::test(start_paused = true)]
async fn h12_an_upgrade_to_http2_is_ignored() {
    let house = House::open();
    let mut viewer = house.connect();
    let request = "GET /hello HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\n\
                   upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n";
    let text = exchange(&mut viewer, request, "hello").await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    let next = "GET /next HTTP/1.1\r\nhost: a\r\n\r\n";
    exchange(&mut viewer, next, "no /next").await;
}

#[tokio::test(start_paused = true)]
async fn h13_extended_connect_is_refused() {
    let head = fields(&[
        (":method", b"CONNECT"),
        (":protocol", b"websocket"),
        (":scheme", b"http"),
        (":path", b"/hello"),
        (":authority", b"a"),
    ]);
    is_refused(&head, "extended CONNECT").await;
}

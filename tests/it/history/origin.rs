//! A drawn origin: slow, fickle, sometimes broken or away, but honest about what it says.
//!
//! Each answer is a new representation with its own tag; it is good until the next whole one
//! for the same path, or until a POST. A 304 is only given for one that is good.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncWriteExt, DuplexStream, WriteHalf, duplex, split},
    sync::{Notify, mpsc},
    time::sleep,
};
use warmfront::{
    origin::{Dial, DialError, Dialling, Io},
    time::Timestamp,
};

use super::{
    dice::{Dice, For},
    facts::Fetch,
    rules::OBJECT_BYTES_MAX,
    witness::{FETCH, Witness},
    word::{Vary, Word},
};
use crate::harness::{
    date,
    wire::{self, Head, Shared},
};

/// Before any history begins; versions are modified so many seconds after it.
const MODIFIED: u64 = 1_700_000_000;

/// The origin of a history; clones are the same.
#[derive(Clone)]
pub(super) struct Origin {
    seed: u64,
    start: Timestamp,
    witness: Witness,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The fetch whose answer is good, for each path.
    good: BTreeMap<&'static str, usize>,
    dials: usize,
    /// Until when every connection is refused.
    away_until: u64,
}

/// How one request is answered.
struct Plan {
    told: Fetch,
    /// Nothing for so long, before the head.
    stall: Duration,
    /// Closes instead of answering.
    closes: bool,
    /// Sends the body in so many pieces, with pauses between.
    pieces: usize,
    pause: Duration,
}

impl Origin {
    /// An origin whose answers `seed` fixes; a history begins at `start`.
    pub(super) fn new(seed: u64, start: Timestamp, witness: Witness) -> Self {
        Self {
            seed,
            start,
            witness,
            state: Arc::default(),
        }
    }

    /// Refuses every connection until then.
    pub(super) fn away_until(&self, until: u64) {
        self.state.lock().unwrap().away_until = until;
    }

    /// The latest version of anything that is asked for.
    pub(super) fn good(&self, path: &str) -> Option<usize> {
        self.state.lock().unwrap().good.get(path).copied()
    }

    async fn connect(&self) -> io::Result<DuplexStream> {
        let (number, away) = {
            let mut state = self.state.lock().unwrap();
            state.dials += 1;
            (state.dials, self.witness.now() < state.away_until)
        };
        if away {
            self.witness.unreachable("refused");
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        if Dice::of(self.seed, For::Dial, number).percent(3) {
            let _given_up = Hanging(self.witness.clone());
            std::future::pending::<()>().await;
        }
        let (near, far) = duplex(16 << 10);
        tokio::spawn(self.clone().serve(far));
        Ok(near)
    }

    /// Serves one connection.
    async fn serve(self, pipe: DuplexStream) {
        let (from, mut to) = split(pipe);
        let (requests, mut asked) = mpsc::unbounded_channel::<Shared>();
        let arrived = move |request| {
            let _ = requests.send(request);
        };
        let bell = Arc::new(Notify::new());
        let reading = wire::read_messages(from, bell, Head::request_framing, arrived);
        let mut reading = tokio::spawn(reading);
        while let Some(request) = asked.recv().await {
            let head = request.lock().head.clone();
            let asker = head.all("x-request-id").next().unwrap_or_default();
            let asker = asker.trim_start_matches('v').parse().unwrap_or_default();
            let id = self.witness.fetched(asker, &head);
            tokio::select! {
                biased;
                _ = &mut reading => return self.witness.ended(id, "given up"),
                kept = self.answer(id, &head, &mut to) => if !kept { break },
            }
        }
        reading.abort();
    }

    /// Answers fetch `id`; whether the connection is kept.
    async fn answer(&self, id: usize, request: &Head, to: &mut WriteHalf<DuplexStream>) -> bool {
        let plan = self.plan(id, request);
        sleep(plan.stall).await;
        if plan.closes {
            self.witness.ended(id, "closes");
            return false;
        }
        let told = plan.told.conditional(self, id, request);
        let (head, body) = self.message(id, &told, request);
        let (cut, unframed) = (told.cut.filter(|&cut| cut < body.len()), told.unframed);
        if told.status < 400 && request.word(0) == "POST" {
            self.state.lock().unwrap().good.clear();
        }
        let chunked = !told.announced && !unframed;
        self.witness.headed(id, Fetch { cut, ..told });
        wire::ignore_closed(to.write_all(&head).await);
        let body = &body[..cut.unwrap_or(body.len())];
        let pieces = body.chunks(body.len().div_ceil(plan.pieces).max(1));
        for (place, piece) in pieces.enumerate() {
            if place > 0 {
                sleep(plan.pause).await;
            }
            let mut bytes = Vec::new();
            if chunked {
                bytes.extend(format!("{:x}\r\n", piece.len()).into_bytes());
            }
            bytes.extend_from_slice(piece);
            if chunked {
                bytes.extend_from_slice(b"\r\n");
            }
            wire::ignore_closed(to.write_all(&bytes).await);
        }
        if cut.is_none() && chunked && !bodiless(request, &head) {
            wire::ignore_closed(to.write_all(b"0\r\n\r\n").await);
        }
        let how = if cut.is_some() { "breaks off" } else { "ends" };
        self.witness.ended(id, how);
        cut.is_none() && !unframed
    }

    /// The dice of fetch `id`: those of its viewer, however many others came before.
    fn dice(&self, id: usize) -> Dice {
        let seen = self.witness.seen();
        let asker = |id: usize| seen.model.fetches[id].asker;
        let again = (0..id).filter(|&other| asker(other) == asker(id)).count();
        Dice::of(self.seed, For::Fetch, asker(id) << 8 | again)
    }

    fn plan(&self, id: usize, request: &Head) -> Plan {
        let dice = &mut self.dice(id);
        let steady = request.word(1).starts_with("/steady/");
        let status = match dice.below(100) {
            0..7 => 503,
            7..10 => 500,
            10..14 if !steady => 404,
            _ => 200,
        };
        let word = match steady {
            true if status != 200 => Word::default(),
            true => Word::steady(dice),
            false => Word::any(dice),
        };
        let length = match dice.below(100) {
            0..5 => 0,
            5..12 if !steady => dice.between(OBJECT_BYTES_MAX - 1_500, 40_000),
            _ => dice.between(1, 2_500),
        };
        let stall = match dice.below(100) {
            0..85 if steady => dice.between(0, 1_500),
            0..50 => 0,
            50..80 => dice.between(1, 2_000),
            80..96 => dice.between(2_000, 9_000),
            _ => dice.between(9_000, 15_000),
        };
        let pause = match dice.below(100) {
            0..65 => 0,
            65..95 => dice.between(1, 2_000),
            _ => dice.between(5_000, 12_000),
        };
        let text = format!("{id}.");
        let framing = dice.below(100);
        let told = Fetch {
            status,
            word,
            version: id,
            body: text.bytes().cycle().take(length as usize).collect(),
            cut: dice.percent(6).then(|| dice.below(length.max(1)) as usize),
            unframed: framing < 4 && !steady,
            announced: framing >= 40,
            ..Fetch::default()
        };
        Plan {
            told: told.sound(),
            stall: Duration::from_millis(stall),
            closes: dice.percent(4),
            pieces: dice.between(1, 4) as usize,
            pause: Duration::from_millis(pause),
        }
    }

    /// The message that tells `told`; its body apart.
    fn message(&self, id: usize, told: &Fetch, request: &Head) -> (Vec<u8>, Vec<u8>) {
        let mut fields = told.word.fields();
        let mut add = |name: &str, value: String| fields.push((name.to_owned(), value));
        let now = self.start.after(Duration::from_millis(self.witness.now()));
        add("date", date(now));
        add(FETCH, id.to_string());
        // Some parts have no validator.
        let tagged = told.status == 206 && !id.is_multiple_of(5);
        if tagged || told.status == 200 || told.status == 304 {
            add("etag", format!("\"f{}\"", told.version));
        }
        if let Some(value) = told.word.vary.value().filter(|_| told.status != 304) {
            add("vary", value.to_owned());
        }
        if told.status == 200 && told.version.is_multiple_of(3) {
            let modified = MODIFIED + told.version as u64;
            add("last-modified", date(Timestamp::from_unix(modified)));
        }
        let mut body = told.body.clone();
        if let Some((first, last)) = told.part {
            add(
                "content-range",
                format!("bytes {first}-{last}/{}", body.len()),
            );
            body = body[first..=last].to_vec();
        }
        if told.status != 304 {
            match (told.unframed, told.announced) {
                (true, _) => add("connection", "close".to_owned()),
                (false, true) => add("content-length", body.len().to_string()),
                (false, false) => add("transfer-encoding", "chunked".to_owned()),
            }
        }
        let status = http::StatusCode::from_u16(told.status).unwrap();
        let head = wire::head(&format!("HTTP/1.1 {status}"), &fields);
        if bodiless(request, &head) {
            body.clear();
        }
        (head, body)
    }
}

impl Fetch {
    /// Without what contradicts itself.
    fn sound(self) -> Self {
        let unframed = self.unframed && self.cut.is_none();
        Self {
            announced: self.announced && !unframed,
            unframed,
            ..self
        }
    }

    /// As the answer to a request with conditions, at the moment when it is sent.
    fn conditional(self, origin: &Origin, id: usize, request: &Head) -> Self {
        let mut dice = origin.dice(id);
        let mut state = origin.state.lock().unwrap();
        let seen = origin.witness.seen();
        let asker = &seen.model.questions[seen.model.fetches[id].asker];
        if self.status != 200 || asker.method == "POST" {
            return self;
        }
        let good = state.good.get(asker.path).copied();
        let good = good.filter(|&good| {
            let version = &seen.model.fetches[good];
            let theirs = &seen.model.questions[version.asker];
            let same = version.word.vary != Vary::Language || theirs.same_language(asker);
            let tag = format!("\"f{good}\"");
            let tagged = request.all("if-none-match").any(|held| held == tag);
            same && tagged && dice.percent(75)
        });
        if let Some(version) = good {
            return Self {
                status: 304,
                word: self.word.confirming(seen.model.fetches[version].word.vary),
                version,
                body: Vec::new(),
                cut: None,
                unframed: false,
                announced: false,
                ..self
            };
        }
        let good = state.good.get(asker.path).copied();
        let good = good.filter(|&good| {
            let version = &seen.model.fetches[good];
            let theirs = &seen.model.questions[version.asker];
            version.word.vary != Vary::Language || theirs.same_language(asker)
        });
        let part = wanted(request).filter(|_| dice.percent(80));
        let within = |body: &[u8]| {
            let (first, last) = part?;
            (first < body.len()).then(|| (first, last.min(body.len() - 1)))
        };
        let known = |good: &usize| {
            request
                .all("if-range")
                .any(|tag| tag == format!("\"f{good}\""))
        };
        let conditional = request.all("if-range").next().is_some();
        // One in ten takes no notice of a condition, and one of a good version.
        let minds = dice.percent(90);
        let of_good = good.filter(|good| minds && (!conditional || known(good)));
        if let Some(good) = of_good {
            let version = &seen.model.fetches[good];
            if let Some(part) = within(&version.body) {
                return Self {
                    status: 206,
                    word: self.word.confirming(version.word.vary),
                    version: good,
                    body: version.body.clone(),
                    part: Some(part),
                    ..self
                };
            }
        }
        state.good.insert(asker.path, id);
        let part = within(&self.body).filter(|_| !minds || !conditional);
        Self {
            status: if part.is_some() { 206 } else { self.status },
            part,
            ..self
        }
    }
}

impl std::fmt::Display for Fetch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} [{}]", self.status, self.word.cache_control())?;
        for (is, what) in [
            (self.word.sets_cookie, ", set-cookie"),
            (self.unframed, ", until close"),
            (
                !self.announced && !self.unframed && self.status != 304,
                ", chunked",
            ),
        ] {
            f.write_str(if is { what } else { "" })?;
        }
        if let Some(vary) = self.word.vary.value() {
            write!(f, ", vary {vary}")?;
        }
        if self.word.age > 0 {
            write!(f, ", age {}", self.word.age)?;
        }
        match self.cut {
            Some(cut) => write!(f, ", {cut} of {} bytes", self.body.len()),
            None if self.status == 304 => write!(f, ", confirms f{}", self.version),
            None => write!(f, ", {} bytes", self.body.len()),
        }
    }
}

impl Dial for Origin {
    fn dial<'a>(&'a self, _host: &'a str, _port: u16) -> Dialling<'a> {
        Box::pin(async {
            let stream = self.connect().await.map_err(DialError::Connect)?;
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }
}

/// A connection that does not open; that it was given up is a failure, too.
struct Hanging(Witness);

impl Drop for Hanging {
    fn drop(&mut self) {
        self.0.unreachable("did not open");
    }
}

/// The one range that is wanted; an open one ends nowhere.
fn wanted(request: &Head) -> Option<(usize, usize)> {
    let range = request.all("range").next()?.strip_prefix("bytes=")?;
    let (first, last) = range.split_once('-')?;
    let last = if last.is_empty() {
        usize::MAX
    } else {
        last.parse().ok()?
    };
    Some((first.parse().ok()?, last))
}

/// Whether the answer with `head` has no body.
fn bodiless(request: &Head, head: &[u8]) -> bool {
    request.word(0) == "HEAD" || head.starts_with(b"HTTP/1.1 304")
}

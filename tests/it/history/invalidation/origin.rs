//! An origin that answers as chance has it, and tags what it answers.
//!
//! Each answer is a new representation with its own tag and time; a 304 has a time of its own,
//! so that the next condition tells which answer is being confirmed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncWriteExt, DuplexStream, WriteHalf, duplex, split},
    sync::{Notify, mpsc},
    time::sleep,
};
use warmfront::{
    origin::{Dial, Dialling, Io},
    time::Timestamp,
};

use super::{facts::Fetch, pages::TAGS, witness::Witness};
use crate::{
    harness::{
        date,
        wire::{self, Head, Shared},
    },
    history::{
        dice::{Dice, For},
        witness::FETCH,
        word::Word,
    },
};

/// Before any history begins; the answer to fetch n was modified n seconds after it.
const MODIFIED: u64 = 1_700_000_000;

/// The fields that carry tags, and what parts them there.
const TAG_FIELDS: [(&str, &str); 2] = [("cache-tag", ", "), ("surrogate-key", " ")];

/// The origin of a history; clones are the same.
#[derive(Clone)]
pub(super) struct Origin {
    seed: u64,
    start: Timestamp,
    witness: Witness,
    /// How often it fails, in a hundred.
    failing: u64,
    good: Arc<Mutex<Good>>,
}

/// The fetch whose answer is good, for each page and language.
type Good = BTreeMap<(&'static str, Option<&'static str>), usize>;

/// How one request is answered.
struct Plan {
    told: Fetch,
    /// Nothing for so long, before the head.
    stall: Duration,
    /// Closes: at once, or in the middle of the body.
    closes: Option<Closes>,
    /// Sends the body in so many pieces, with pauses between.
    pieces: usize,
    pause: Duration,
    /// Confirms what it may.
    confirms: bool,
    /// Announces the length.
    announced: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Closes {
    Silent,
    Halfway,
}

impl Origin {
    /// An origin whose answers `seed` fixes; a history begins at `start`.
    pub(super) fn new(seed: u64, start: Timestamp, witness: Witness) -> Self {
        let failing = Dice::of(seed, For::Setting, 1).one(&[6, 6, 6, 45]);
        Self {
            seed,
            start,
            witness,
            failing,
            good: Arc::default(),
        }
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
            let id = self.witness.fetched(asker, &head, validated(&head));
            tokio::select! {
                biased;
                _ = &mut reading => return self.witness.over(id, "given up"),
                kept = self.answer(id, &head, &mut to) => if !kept { break },
            }
        }
        reading.abort();
    }

    /// Answers fetch `id`; whether the connection is kept.
    async fn answer(&self, id: usize, request: &Head, to: &mut WriteHalf<DuplexStream>) -> bool {
        let plan = self.plan(id);
        sleep(plan.stall).await;
        if plan.closes == Some(Closes::Silent) {
            self.witness.over(id, "closes");
            return false;
        }
        let told = self.conditional(id, &plan, request);
        let (head, body) = self.message(id, &told, request, plan.announced);
        let halfway = (plan.closes.is_some() && !body.is_empty()).then_some(body.len() / 2);
        self.witness.headed(id, told);
        wire::ignore_closed(to.write_all(&head).await);
        let body = &body[..halfway.unwrap_or(body.len())];
        let pieces = body.chunks(body.len().div_ceil(plan.pieces).max(1));
        for (place, piece) in pieces.enumerate() {
            if place > 0 {
                sleep(plan.pause).await;
            }
            let mut bytes = piece.to_vec();
            if !plan.announced {
                bytes = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
            }
            wire::ignore_closed(to.write_all(&bytes).await);
        }
        if halfway.is_some() {
            self.witness.over(id, "breaks off");
            return false;
        }
        if !plan.announced && !bodiless(request, &head) {
            wire::ignore_closed(to.write_all(b"0\r\n\r\n").await);
        }
        self.witness.ended(id);
        true
    }

    fn plan(&self, id: usize) -> Plan {
        let dice = &mut {
            let seen = self.witness.seen();
            let asker = |id: usize| seen.model.fetches[id].asker;
            let again = (0..id).filter(|&other| asker(other) == asker(id)).count();
            Dice::of(self.seed, For::Fetch, asker(id) << 8 | again)
        };
        let status = match dice.below(100) {
            0..5 => 500,
            5..14 => 404,
            below if below < 14 + self.failing => 503,
            _ => 200,
        };
        let word = Word {
            max_age: dice.seconds(85, 2, 40),
            s_maxage: dice.seconds(4, 5, 40),
            while_revalidate: dice.seconds(40, 1, 20),
            if_error: dice.seconds(40, 1, 60),
            public: dice.percent(25),
            no_cache: dice.percent(4),
            must_revalidate: dice.percent(12),
            ..Word::default()
        };
        let tags = [(); 2].map(|()| {
            let some = dice.below(3);
            let tags = (0..some).map(|_| dice.one(TAGS)).collect();
            dice.percent(60).then_some(tags)
        });
        let stall = match dice.below(100) {
            0..35 => 0,
            35..70 => dice.between(1, 2_000),
            _ => dice.between(2_000, 9_000),
        };
        let pause = match dice.below(100) {
            0..50 => 0,
            50..80 => dice.between(1, 1_500),
            _ => dice.between(3_000, 8_000),
        };
        let length = dice.between(0, 1_500) as usize;
        let closes = match dice.below(100) {
            0..4 => Some(Closes::Silent),
            4..7 => Some(Closes::Halfway),
            _ => None,
        };
        let told = Fetch {
            status,
            word,
            tags,
            version: id,
            body: format!("{id}.").bytes().cycle().take(length).collect(),
            ..Fetch::default()
        };
        Plan {
            told,
            stall: Duration::from_millis(stall),
            closes,
            pieces: dice.between(1, 3) as usize,
            pause: Duration::from_millis(pause),
            confirms: dice.percent(88),
            announced: dice.percent(60),
        }
    }

    /// What is told at the moment when it is sent.
    fn conditional(&self, id: usize, plan: &Plan, request: &Head) -> Fetch {
        let told = plan.told.clone();
        let seen = self.witness.seen();
        let asker = &seen.model.questions[seen.model.fetches[id].asker];
        let language = asker.language.filter(|_| asker.page.varies);
        let mut all = self.good.lock().unwrap();
        let good = all.get(&(asker.page.text, language)).copied();
        if request.word(0) == "HEAD" {
            // It speaks of what is good, and changes nothing about it.
            let version = good.unwrap_or(id);
            return Fetch {
                status: 200,
                word: Word::default(),
                tags: [None, None],
                version,
                ..told
            };
        }
        if told.status != 200 {
            return told;
        }
        let completed = good.filter(|good| {
            let tag = format!("\"f{good}\"");
            plan.confirms && request.all("if-range").any(|held| held == tag)
        });
        if let Some(version) = completed {
            return Fetch {
                status: 206,
                version,
                body: seen.model.fetches[version].body.clone(),
                ..told
            };
        }
        let held = good.filter(|good| {
            let tag = format!("\"f{good}\"");
            plan.confirms && request.all("if-none-match").any(|held| held == tag)
        });
        if let Some(version) = held {
            return Fetch {
                status: 304,
                word: told.word.confirming(told.word.vary),
                version,
                body: Vec::new(),
                ..told
            };
        }
        all.insert((asker.page.text, language), id);
        let part = wanted(request).is_some_and(|first| first < told.body.len());
        let anew = request.all("if-range").next().is_none();
        if plan.confirms && part && anew {
            return Fetch {
                status: 206,
                ..told
            };
        }
        told
    }

    /// The message that tells `told`; its body apart.
    fn message(
        &self,
        id: usize,
        told: &Fetch,
        request: &Head,
        announced: bool,
    ) -> (Vec<u8>, Vec<u8>) {
        let mut fields = told.word.fields();
        let mut add = |name: &str, value: String| fields.push((name.to_owned(), value));
        let now = self.start.after(Duration::from_millis(self.witness.now()));
        add("date", date(now));
        if matches!(told.status, 200 | 206 | 304) {
            add("etag", format!("\"f{}\"", told.version));
        }
        if request.word(0) != "HEAD" {
            add(FETCH, id.to_string());
            let modified = Timestamp::from_unix(MODIFIED + id as u64);
            add("last-modified", date(modified));
        }
        add("content-type", "text/plain".to_owned());
        if self.witness.varies(id) && matches!(told.status, 200 | 206) {
            add("vary", "accept-language".to_owned());
        }
        for ((name, parting), tags) in TAG_FIELDS.iter().zip(&told.tags) {
            if let Some(tags) = tags {
                add(name, tags.join(parting));
            }
        }
        let mut body = told.body.clone();
        if told.status == 206 {
            let (first, length) = (wanted(request).unwrap_or_default(), body.len());
            let end = length.min(last(request).map_or(length, |last| last + 1));
            add(
                "content-range",
                format!("bytes {first}-{}/{length}", end - 1),
            );
            body = body[first..end].to_vec();
        }
        if told.status != 304 {
            match announced {
                true => add("content-length", body.len().to_string()),
                false => add("transfer-encoding", "chunked".to_owned()),
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

impl Dial for Origin {
    fn dial<'a>(&'a self, _host: &'a str, _port: u16) -> Dialling<'a> {
        Box::pin(async {
            let (near, far) = duplex(16 << 10);
            tokio::spawn(self.clone().serve(far));
            Ok(Box::new(near) as Box<dyn Io>)
        })
    }
}

/// The first byte of the range that is wanted.
fn wanted(request: &Head) -> Option<usize> {
    let (first, _) = range(request)?;
    first.parse().ok()
}

/// The last one, where it is named.
fn last(request: &Head) -> Option<usize> {
    let (_, last) = range(request)?;
    last.parse().ok()
}

fn range(request: &Head) -> Option<(&str, &str)> {
    let range = request.all("range").next()?.strip_prefix("bytes=")?;
    range.split_once('-')
}

/// The fetch whose answer a request would confirm or complete: its time, or its tag, says so.
fn validated(request: &Head) -> Option<usize> {
    if let Some(tag) = request.all("if-range").next() {
        return tag.trim_matches('"').strip_prefix('f')?.parse().ok();
    }
    let time = request.all("if-modified-since").next()?;
    let time = httpdate::parse_http_date(time).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
    Some(since.checked_sub(MODIFIED)? as usize)
}

/// Whether the answer with `head` has no body.
fn bodiless(request: &Head, head: &[u8]) -> bool {
    request.word(0) == "HEAD" || head.starts_with(b"HTTP/1.1 304")
}

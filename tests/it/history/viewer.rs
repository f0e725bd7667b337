//! A drawn viewer: one request on a connection of its own, read fast, slowly, or not to its end.

use std::{
    collections::VecDeque,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWriteExt, DuplexStream, ReadBuf, split},
    sync::Notify,
    time::{Sleep, sleep},
};

use super::{dice::Dice, facts::Question, rules::Rules, witness::Witness};
use crate::harness::wire::{self, Framing, Head, Shared};

/// What is asked for. The first two are never anything but shareable.
pub(super) const PATHS: &[&str] = &["/steady/a", "/steady/b", "/c", "/d", "/e", "/f"];

/// A head fits in this, so that a slow viewer hears it when it is sent.
const HEAD_BYTES_MAX: usize = 4 << 10;

/// How a viewer goes about it.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    /// Reads so many bytes, then pauses; `None` reads all at once.
    pace: Option<(usize, Duration)>,
    /// Leaves after so long.
    patience: Option<Duration>,
}

impl Manner {
    /// Any manner.
    pub(super) fn drawn(dice: &mut Dice) -> Self {
        let pace = (
            dice.between(200, 2_000) as usize,
            Duration::from_millis(dice.between(50, 3_000)),
        );
        let patience = Duration::from_millis(dice.one(&[0, 1, 40, 700, 3_000, 9_000]));
        Self {
            pace: dice.percent(15).then_some(pace),
            patience: dice.percent(15).then_some(patience),
        }
    }

    /// What the connection holds that the viewer has not read.
    pub(super) fn pipe_bytes(self) -> usize {
        if self.pace.is_some() {
            HEAD_BYTES_MAX
        } else {
            64 << 10
        }
    }
}

impl std::fmt::Display for Manner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some((bytes, pause)) = self.pace {
            write!(f, ", {bytes} bytes every {pause:?}")?;
        }
        self.patience
            .map_or(Ok(()), |left| write!(f, ", leaves after {left:?}"))
    }
}

impl Question {
    /// Any question about `path`.
    pub(super) fn drawn(path: &'static str, rules: Rules, known: usize, dice: &mut Dice) -> Self {
        let method = match dice.below(100) {
            0..4 => "POST",
            4..9 => "HEAD",
            _ => "GET",
        };
        let first = dice.one(&[0, 0, 1]) * dice.below(60);
        let range = (first, first + dice.below(60));
        let holds = known.checked_sub(1 + dice.below(6) as usize);
        Self {
            method,
            path,
            rules,
            language: dice.one(&[None, None, Some("de"), Some("en"), Some("EN")]),
            bearer: dice.percent(12),
            cookie: dice.percent(10),
            range: (method == "GET" && dice.percent(20)).then_some(range),
            holds: holds.filter(|_| method != "POST" && dice.percent(15)),
            ..Self::default()
        }
    }

    fn fields(&self, number: usize) -> Vec<(String, String)> {
        let range = self
            .range
            .map(|(first, last)| format!("bytes={first}-{last}"));
        let fields = [
            ("host", Some("example.test".to_owned())),
            ("x-request-id", Some(format!("v{number}"))),
            ("accept-language", self.language.map(str::to_owned)),
            (
                "authorization",
                self.bearer.then(|| format!("Bearer {number}")),
            ),
            ("cookie", self.cookie.then(|| format!("s={number}"))),
            ("range", range),
            (
                "if-none-match",
                self.holds.map(|fetch| format!("\"f{fetch}\"")),
            ),
            (
                "content-length",
                (self.method == "POST").then(|| "3".to_owned()),
            ),
        ];
        let sent = fields.into_iter();
        sent.filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

impl std::fmt::Display for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        for (name, value) in self.fields(0) {
            match name.as_str() {
                "host" | "x-request-id" | "content-length" => {}
                "authorization" | "cookie" => write!(f, ", {name}")?,
                _ => write!(f, ", {name}: {value}")?,
            }
        }
        Ok(())
    }
}

/// Asks question `number` on `pipe`, and reads the answer.
pub(super) async fn ask(
    pipe: DuplexStream,
    (number, question): (usize, Question),
    manner: Manner,
    witness: Witness,
) {
    let (from, mut to) = split(pipe);
    let mut request = wire::head(
        &format!("{} {} HTTP/1.1", question.method, question.path),
        &question.fields(number),
    );
    if question.method == "POST" {
        request.extend_from_slice(b"new");
    }
    wire::ignore_closed(to.write_all(&request).await);
    let (answer, bell) = (
        Arc::new(Mutex::new(None::<Shared>)),
        Arc::new(Notify::new()),
    );
    let framing = |head: &Head| -> Framing { head.response_framing(question.method) };
    let arrived = |message: Shared| {
        witness.answered(number, &message.lock().head);
        *answer.lock().unwrap() = Some(message);
    };
    let paced = Paced {
        pipe: from,
        pace: manner.pace,
        pause: None,
        piece: VecDeque::new(),
    };
    let reading = pin!(wire::read_messages(paced, bell.clone(), framing, arrived));
    let ended = pin!(async {
        loop {
            bell.notified().await;
            let answer = answer.lock().unwrap();
            if answer
                .as_ref()
                .is_some_and(|answer| answer.lock().end.is_some())
            {
                break;
            }
        }
    });
    let patience = pin!(async {
        match manner.patience {
            Some(patience) => sleep(patience).await,
            None => std::future::pending().await,
        }
    });
    tokio::select! {
        biased;
        _ = reading => {}
        () = ended => {}
        () = patience => return witness.left(number),
    }
    match answer.lock().unwrap().as_ref().map(|answer| answer.lock()) {
        Some(answer) => match answer.end {
            Some(end) => witness.read(number, &answer.head, &answer.body, end),
            None => witness.unanswered(number),
        },
        None => witness.unanswered(number),
    }
}

/// A pipe that is read piece by piece, the first of them at least a head.
struct Paced<P> {
    pipe: P,
    pace: Option<(usize, Duration)>,
    pause: Option<Pin<Box<Sleep>>>,
    /// The rest of the last piece.
    piece: VecDeque<u8>,
}

impl<P: AsyncRead + Unpin> AsyncRead for Paced<P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some((bytes, pause)) = self.pace else {
            return Pin::new(&mut self.pipe).poll_read(cx, buffer);
        };
        if self.piece.is_empty() {
            let mut piece = match &mut self.pause {
                None => vec![0; HEAD_BYTES_MAX],
                Some(pause) => {
                    ready!(pause.as_mut().poll(cx));
                    vec![0; bytes]
                }
            };
            let mut piece = ReadBuf::new(&mut piece);
            ready!(Pin::new(&mut self.pipe).poll_read(cx, &mut piece))?;
            self.piece.extend(piece.filled());
            self.pause = Some(Box::pin(sleep(pause)));
        }
        let here = buffer.remaining().min(self.piece.len());
        let here: Vec<u8> = self.piece.drain(..here).collect();
        buffer.put_slice(&here);
        Poll::Ready(Ok(()))
    }
}

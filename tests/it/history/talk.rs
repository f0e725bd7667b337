//! One request on a connection of its own, its answer read fast, slowly, or not to its end.

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

use super::dice::Dice;
use crate::harness::wire::{self, End, Framing, Head, Shared};

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

/// What came of a request.
pub(super) enum Heard {
    /// The viewer left before the answer had ended.
    Left,
    /// The connection closed without an answer.
    Nothing,
    /// An answer, and how it ended.
    Answer(Head, Vec<u8>, End),
}

/// Sends `request` on `pipe`, and reads the answer; `arrived` takes its head at once.
pub(super) async fn talk(
    pipe: DuplexStream,
    request: &[u8],
    method: &str,
    manner: Manner,
    mut arrived: impl FnMut(&Head),
) -> Heard {
    let (from, mut to) = split(pipe);
    wire::ignore_closed(to.write_all(request).await);
    let (answer, bell) = (
        Arc::new(Mutex::new(None::<Shared>)),
        Arc::new(Notify::new()),
    );
    let framing = |head: &Head| -> Framing { head.response_framing(method) };
    let arrived = |message: Shared| {
        arrived(&message.lock().head);
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
        () = patience => return Heard::Left,
    }
    let answer = answer.lock().unwrap().take();
    let Some(answer) = answer.as_ref().map(Shared::lock) else {
        return Heard::Nothing;
    };
    match answer.end {
        Some(end) => Heard::Answer(answer.head.clone(), answer.body.clone(), end),
        None => Heard::Nothing,
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

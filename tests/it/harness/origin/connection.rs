//! One connection from the edge to the scripted origin.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncWriteExt, DuplexStream, WriteHalf, split},
    sync::mpsc,
    task::AbortHandle,
};

use super::{
    Origin,
    exchange::{Exchange, Progress},
};
use crate::harness::{
    date,
    wire::{self, Head, Shared},
};

/// A connection, as far as scripts act on it.
#[derive(Clone)]
pub(super) struct Connection(Arc<State>);

#[derive(Default)]
struct State {
    /// Set when the edge closed it.
    gone: AtomicBool,
    /// How many of its requests have no whole answer.
    busy: AtomicUsize,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Connection {
    /// Whether the edge closed it.
    pub(super) fn is_gone(&self) -> bool {
        self.0.gone.load(SeqCst)
    }

    /// Whether it is kept, and nothing is asked on it.
    pub(super) fn is_idle(&self) -> bool {
        self.0.busy.load(SeqCst) == 0 && !self.is_gone()
    }

    /// Closes it.
    pub(super) fn close(&self) {
        self.0
            .tasks
            .lock()
            .unwrap()
            .iter()
            .for_each(AbortHandle::abort);
        self.0.gone.store(true, SeqCst);
    }
}

/// What a connection's writer does next.
pub(super) enum Order {
    /// Nothing for a while.
    Stall(Duration),
    /// Sends a head; `Date` is added when it is sent, if it is wanted.
    Head(String, Vec<(String, String)>, Dated),
    /// Sends bytes.
    Bytes(Vec<u8>),
    /// Goes on with the next exchange: this answer has ended.
    Done,
    /// Closes the connection.
    Close,
}

/// Whose date a head has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dated {
    /// That of the moment when it is sent.
    Now,
    /// The script's, or none.
    AsWritten,
}

/// Serves one connection: requests go on to the board, and what is ordered is sent.
pub(super) fn serve(origin: &Origin, pipe: DuplexStream) {
    let (from, to) = split(pipe);
    let (turns, mut in_turn) = mpsc::unbounded_channel();
    let connection = Connection(Arc::default());
    origin.board().connections.push(connection.clone());
    let (board, asked) = (origin.clone(), connection.clone());
    let arrived = move |request: Shared| {
        let (orders, ordered) = mpsc::unbounded_channel();
        // The writer outlives the reader.
        let _ = turns.send(ordered);
        asked.0.busy.fetch_add(1, SeqCst);
        let exchange = Exchange::new(request, orders, asked.clone());
        board.board().waiting.push_back(exchange);
    };
    let (bell, read) = (origin.bell.clone(), connection.clone());
    let reader = tokio::spawn(async move {
        let end = wire::read_messages(from, bell, Head::request_framing, arrived).await;
        read.0.gone.store(true, SeqCst);
        assert_eq!(
            end,
            Ok(()),
            "the edge sent the origin something that is no HTTP/1.1"
        );
    });
    let (reading, answered) = (reader.abort_handle(), connection.clone());
    let mut writer = Writer {
        to,
        origin: origin.clone(),
    };
    let writer = tokio::spawn(async move {
        while let Some(ordered) = in_turn.recv().await {
            let progress = writer.exchange(ordered).await;
            answered.0.busy.fetch_sub(1, SeqCst);
            if progress == Progress::Ended {
                break;
            }
        }
        wire::ignore_closed(writer.to.shutdown().await);
        reading.abort();
    });
    *connection.0.tasks.lock().unwrap() = vec![reader.abort_handle(), writer.abort_handle()];
}

/// The sending half of a connection.
struct Writer {
    to: WriteHalf<DuplexStream>,
    origin: Origin,
}

impl Writer {
    /// Does what is ordered for one exchange; whether the connection ends with it.
    async fn exchange(&mut self, mut ordered: mpsc::UnboundedReceiver<Order>) -> Progress {
        let mut closes = Progress::Open;
        while let Some(order) = ordered.recv().await {
            match order {
                Order::Stall(time) => {
                    tokio::time::sleep(time).await;
                    self.origin.has_stalled();
                }
                Order::Head(start, mut fields, dated) => {
                    if dated == Dated::Now {
                        fields.push(("date".to_owned(), date(self.origin.clock.now())));
                    }
                    let close = |(name, value): &(String, String)| {
                        name.eq_ignore_ascii_case("connection") && value == "close"
                    };
                    if fields.iter().any(close) {
                        closes = Progress::Ended;
                    }
                    self.write(&wire::head(&start, &fields)).await;
                }
                Order::Bytes(bytes) => self.write(&bytes).await,
                Order::Done => return closes,
                Order::Close => return Progress::Ended,
            }
        }
        Progress::Ended
    }

    async fn write(&mut self, bytes: &[u8]) {
        wire::ignore_closed(self.to.write_all(bytes).await);
    }
}

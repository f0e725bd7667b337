//! The scripted origin: every connection the edge opens ends here.
//!
//! A request that arrives waits until a script line answers it; nothing is
//! answered by itself. A script names the exchanges it has open by numbers: the
//! first line with a number takes a waiting request, the last one gives the
//! number back.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncWriteExt, DuplexStream, WriteHalf, duplex, split},
    sync::{Notify, mpsc},
    task::AbortHandle,
};
use warmfront::time::Clock;

use super::{
    check,
    line::{Body, Field, Rest},
    script::{Answer, Asked, OriginAct},
    wire::{self, Bare, Framing, Head, Shared},
};

/// What a pipe holds that the other end has not read, as a socket's buffer would.
pub(crate) const PIPE_BYTES: usize = 64 << 10;

/// The origin, as the script holds it and as the edge dials it.
#[derive(Clone)]
pub(crate) struct Origin {
    board: Arc<Mutex<Board>>,
    clock: Clock,
    bell: Arc<Notify>,
    /// How many exchanges wait before what they do next.
    stalled: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Board {
    /// Requests that no script line took, oldest first.
    waiting: VecDeque<Exchange>,
    /// Those that one did.
    open: BTreeMap<u32, Exchange>,
    connections: Vec<Connection>,
    refuse: usize,
    hang: usize,
}

/// One request, and what is sent back.
struct Exchange {
    request: Shared,
    orders: mpsc::UnboundedSender<Order>,
    connection: Connection,
    /// How the answer's body goes on, once its head was sent.
    answering: Option<Framing>,
    /// How much of the answer's body is sent before the connection closes.
    cut: Option<usize>,
}

/// A connection, as far as scripts act on it.
#[derive(Clone)]
struct Connection {
    /// Set when the edge closed it.
    gone: Arc<AtomicBool>,
    /// How many of its requests have no whole answer.
    busy: Arc<AtomicUsize>,
    tasks: Arc<Mutex<Vec<AbortHandle>>>,
}

/// What a connection's writer does next.
enum Order {
    Stall(Duration),
    /// A head; `Date` is added when it is sent, if it is wanted.
    Head(String, Vec<(String, String)>, Dated),
    Bytes(Vec<u8>),
    /// The answer has ended.
    Done,
    Close,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dated {
    Now,
    AsWritten,
}

impl Origin {
    /// An origin whose `Date` is the clock's; `bell` rings whenever anything comes.
    pub(crate) fn new(clock: Clock, bell: Arc<Notify>) -> Self {
        Self {
            board: Arc::default(),
            clock,
            bell,
            stalled: Arc::default(),
        }
    }

    /// Opens a connection, unless the script wants it refused.
    pub(crate) async fn connect(&self) -> io::Result<DuplexStream> {
        let hangs = {
            let mut board = self.board();
            if board.refuse > 0 {
                board.refuse -= 1;
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let hangs = board.hang > 0;
            board.hang -= usize::from(hangs);
            hangs
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        let (near, far) = duplex(PIPE_BYTES);
        self.serve(far);
        Ok(near)
    }

    /// How many exchanges are stalling.
    pub(crate) fn stalled(&self) -> usize {
        self.stalled.load(Ordering::SeqCst)
    }

    /// The requests that wait and that no script line took.
    pub(crate) fn waiting(&self) -> Vec<String> {
        let board = self.board();
        board
            .waiting
            .iter()
            .map(|one| one.request.lock().to_string())
            .collect()
    }

    /// What a script left undone.
    pub(crate) fn leftover(&self) -> Option<String> {
        if let Some(request) = self.waiting().first() {
            return Some(format!(
                "a request that nobody scripted reached the origin:\n{request}"
            ));
        }
        let board = self.board();
        if board.refuse + board.hang > 0 {
            let left = board.refuse + board.hang;
            return Some(format!(
                "{left} connections that were to fail were never opened"
            ));
        }
        let (_, open) = board
            .open
            .iter()
            .find(|(_, one)| !one.connection.is_gone())?;
        Some(format!(
            "the origin never answered to the end:\n{}",
            open.request.lock()
        ))
    }

    /// Does what a script line says; `fields` are its fields, their dates filled in.
    pub(crate) fn act(&self, lane: u32, act: &OriginAct, fields: &[Field]) -> Result<(), String> {
        let mut board = self.board();
        match act {
            OriginAct::Refuse(times) => board.refuse += times,
            OriginAct::Hang(times) => board.hang += times,
            OriginAct::Hangup => return board.hangup(),
            OriginAct::Asked(asked) => {
                let fits = |one: &Exchange| one.asked(asked, fields).is_ok();
                let exchange = board.take(lane, fits)?;
                exchange.asked(asked, fields)?;
                if asked.body.is_some() {
                    exchange.request.lock().body.clear();
                }
            }
            OriginAct::Gone => {
                if !board
                    .take(lane, |one| one.connection.is_gone())?
                    .connection
                    .is_gone()
                {
                    return Err("the edge still waits for the answer".to_owned());
                }
                board.open.remove(&lane);
            }
            act => {
                let exchange = board.take(lane, |_| true)?;
                if exchange.connection.is_gone() {
                    let request = exchange.request.lock();
                    return Err(format!("the edge has given this request up:\n{request}"));
                }
                if self.answer(exchange, act, fields)? == Progress::Ended {
                    board.open.remove(&lane);
                }
            }
        }
        Ok(())
    }

    /// Orders what `act` says; whether the exchange ends with it.
    fn answer(
        &self,
        exchange: &mut Exchange,
        act: &OriginAct,
        fields: &[Field],
    ) -> Result<Progress, String> {
        let no_answer = "there is no answer that goes on: it begins with its status";
        match act {
            OriginAct::Stall(time) => {
                self.stalled.fetch_add(1, Ordering::SeqCst);
                exchange.order(Order::Stall(*time));
            }
            OriginAct::Cut(bytes) => exchange.cut = Some(*bytes),
            OriginAct::Interim(answer) => exchange.head(answer, fields, Bare::Empty),
            OriginAct::Answer(_) if exchange.answering.is_some() => {
                return Err("the answer before goes on: end it with `origin |`".to_owned());
            }
            OriginAct::Answer(answer) => return Ok(exchange.begin(answer, fields)),
            OriginAct::More(body) => {
                let framing = exchange.answering.ok_or(no_answer)?;
                return Ok(exchange.piece(framing, body));
            }
            OriginAct::Trailers(_) => {
                if exchange.answering != Some(Framing::Chunked) {
                    return Err("trailers end a chunked body that is open".to_owned());
                }
                let written = wire::framed(fields, None, Bare::Empty).fields;
                exchange.order(Order::Bytes(wire::head("0", &written)));
                return Ok(exchange.done());
            }
            OriginAct::Raw(bytes) => {
                exchange.order(Order::Bytes(bytes.clone()));
                return Ok(exchange.done());
            }
            OriginAct::Close => {
                exchange.order(Order::Close);
                return Ok(Progress::Ended);
            }
            OriginAct::Asked(_)
            | OriginAct::Gone
            | OriginAct::Hangup
            | OriginAct::Refuse(_)
            | OriginAct::Hang(_) => unreachable!("not about one exchange"),
        }
        Ok(Progress::Open)
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap()
    }

    /// Serves one connection: reads requests on to the board, sends what is ordered.
    fn serve(&self, pipe: DuplexStream) {
        let (from, to) = split(pipe);
        let (turns, mut in_turn) = mpsc::unbounded_channel();
        let connection = Connection {
            gone: Arc::default(),
            busy: Arc::default(),
            tasks: Arc::default(),
        };
        self.board().connections.push(connection.clone());
        let (origin, conn) = (self.clone(), connection.clone());
        let arrived = move |request: Shared| {
            let (orders, ordered) = mpsc::unbounded_channel();
            // The writer outlives the reader.
            let _ = turns.send(ordered);
            conn.busy.fetch_add(1, Ordering::SeqCst);
            let connection = conn.clone();
            let exchange = Exchange {
                request,
                orders,
                connection,
                answering: None,
                cut: None,
            };
            origin.board().waiting.push_back(exchange);
        };
        let (bell, gone) = (self.bell.clone(), connection.gone.clone());
        let reader = tokio::spawn(async move {
            let end = wire::read_messages(from, bell, Head::request_framing, arrived).await;
            assert_eq!(
                end,
                Ok(()),
                "the edge sent the origin something that is no HTTP/1.1"
            );
            gone.store(true, Ordering::SeqCst);
        });
        let reading = reader.abort_handle();
        let (origin, busy) = (self.clone(), connection.busy.clone());
        let writer = tokio::spawn(async move {
            let mut writer = Writer { to, origin };
            while let Some(ordered) = in_turn.recv().await {
                let progress = writer.exchange(ordered).await;
                busy.fetch_sub(1, Ordering::SeqCst);
                if progress == Progress::Ended {
                    break;
                }
            }
            wire::ignore_closed(writer.to.shutdown().await);
            reading.abort();
        });
        *connection.tasks.lock().unwrap() = vec![reader.abort_handle(), writer.abort_handle()];
    }
}

impl Board {
    /// The exchange that `lane` names; a new name takes the first request that `fits`, or the
    /// first there is.
    fn take(
        &mut self,
        lane: u32,
        fits: impl Fn(&Exchange) -> bool,
    ) -> Result<&mut Exchange, String> {
        if !self.open.contains_key(&lane) {
            let at = self.waiting.iter().position(fits).unwrap_or(0);
            let exchange = self
                .waiting
                .remove(at)
                .ok_or("no request waits at the origin")?;
            self.open.insert(lane, exchange);
        }
        Ok(self.open.get_mut(&lane).expect("it was there or put there"))
    }

    fn hangup(&self) -> Result<(), String> {
        let idle = |one: &&Connection| one.is_idle();
        let idle: Vec<_> = self.connections.iter().filter(idle).collect();
        if idle.is_empty() {
            return Err("no kept connection is idle".to_owned());
        }
        for connection in idle {
            connection
                .tasks
                .lock()
                .unwrap()
                .iter()
                .for_each(AbortHandle::abort);
            connection.gone.store(true, Ordering::SeqCst);
        }
        Ok(())
    }
}

impl Connection {
    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    fn is_idle(&self) -> bool {
        self.busy.load(Ordering::SeqCst) == 0 && !self.is_gone()
    }
}

/// Whether an exchange, or a connection, goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Open,
    Ended,
}

impl Exchange {
    fn order(&self, order: Order) {
        // A writer that is gone has nobody to write to.
        let _ = self.orders.send(order);
    }

    /// Whether the request is as wanted.
    fn asked(&self, asked: &Asked, fields: &[Field]) -> Result<(), String> {
        let request = self.request.lock();
        let line = format!("{} {}", request.head.word(0), request.head.word(1));
        let mut wrong = Vec::new();
        if let Some(wanted) = asked
            .line
            .as_ref()
            .filter(|wanted| !check::matches(wanted, &line))
        {
            wrong.push(format!("wanted {wanted}\nseen   {line}"));
        }
        wrong.extend(check::fields(fields, &request.head).err());
        if let Some(body) = &asked.body {
            wrong.extend(check::body(body, &request).err());
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(format!(
            "{}\nthe whole request:\n{request}",
            wrong.join("\n")
        ))
    }

    /// Sends the head of an answer and what is written of its body.
    fn begin(&mut self, answer: &Answer, fields: &[Field]) -> Progress {
        let method = self.request.lock().head.word(0).to_owned();
        let bodiless = matches!(answer.status, 100..=199 | 204 | 304);
        let bare = if bodiless {
            Bare::Empty
        } else {
            Bare::LengthZero
        };
        let framed = wire::framed(fields, answer.body.as_ref(), bare);
        self.head(answer, fields, bare);
        self.answering = Some(framed.framing);
        match &answer.body {
            Some(body) if method != "HEAD" => self.piece(framed.framing, body),
            _ => self.done(),
        }
    }

    fn head(&self, answer: &Answer, fields: &[Field], bare: Bare) {
        let framed = wire::framed(fields, answer.body.as_ref(), bare);
        let status = http::StatusCode::from_u16(answer.status).ok();
        let reason = status
            .and_then(|status| status.canonical_reason())
            .unwrap_or("Unknown");
        let dates = |field: &Field| field.name().eq_ignore_ascii_case("date");
        let dated = match answer.status {
            100..=199 => Dated::AsWritten,
            _ if fields.iter().any(dates) => Dated::AsWritten,
            _ => Dated::Now,
        };
        self.order(Order::Head(
            format!("HTTP/1.1 {} {reason}", answer.status),
            framed.fields,
            dated,
        ));
    }

    /// Sends a piece of the answer's body.
    fn piece(&mut self, framing: Framing, body: &Body) -> Progress {
        if let Some(cut) = self.cut {
            if body.text.len() >= cut {
                let text = String::from_utf8_lossy(&body.text.as_bytes()[..cut]).into_owned();
                let body = Body {
                    text,
                    rest: Rest::Follows,
                };
                self.order(Order::Bytes(framing.encode(&body)));
                self.order(Order::Close);
                return Progress::Ended;
            }
            self.cut = Some(cut - body.text.len());
        }
        self.order(Order::Bytes(framing.encode(body)));
        match body.rest {
            Rest::Follows => Progress::Open,
            Rest::Ends if framing == Framing::UntilClose => {
                self.order(Order::Close);
                Progress::Ended
            }
            Rest::Ends => self.done(),
        }
    }

    fn done(&self) -> Progress {
        self.order(Order::Done);
        Progress::Ended
    }
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
                    self.origin.stalled.fetch_sub(1, Ordering::SeqCst);
                    self.origin.bell.notify_one();
                }
                Order::Head(start, mut fields, dated) => {
                    if dated == Dated::Now {
                        fields.push(("date".to_owned(), super::date(self.origin.clock.now())));
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

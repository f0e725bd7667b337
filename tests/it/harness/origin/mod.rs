//! The scripted origin: every connection the edge opens ends here.
//!
//! A request that arrives waits until a script line answers it; nothing is
//! answered by itself. A script names the exchanges it has open by numbers: the
//! first line with a number takes a waiting request, the last one gives the
//! number back.

mod connection;
mod exchange;

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use tokio::{
    io::{DuplexStream, duplex},
    sync::Notify,
};
use warmfront::time::Clock;

use super::{
    line::Field,
    script::{OriginAct, Reply},
};
use connection::Connection;
use exchange::{Exchange, Progress};

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
        connection::serve(self, far);
        Ok(near)
    }

    /// How many exchanges are stalling.
    pub(crate) fn stalled(&self) -> usize {
        self.stalled.load(SeqCst)
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
            OriginAct::Reply(reply) => {
                if let Reply::Stall(_) = reply {
                    self.stalled.fetch_add(1, SeqCst);
                }
                let exchange = board.take(lane, |one| !one.connection.is_gone())?;
                if exchange.reply(reply, fields)? == Progress::Ended {
                    board.open.remove(&lane);
                }
            }
        }
        Ok(())
    }

    /// One exchange stalls no longer; an `expect` may wait for that.
    fn has_stalled(&self) {
        self.stalled.fetch_sub(1, SeqCst);
        self.bell.notify_one();
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap()
    }
}

impl Board {
    /// The exchange that `lane` names; a new name takes the first request that `fits`, that of
    /// the viewer with the same number before others.
    fn take(
        &mut self,
        lane: u32,
        fits: impl Fn(&Exchange) -> bool,
    ) -> Result<&mut Exchange, String> {
        if !self.open.contains_key(&lane) {
            let waiting = || self.waiting.iter().enumerate();
            let best = waiting()
                .rev()
                .max_by_key(|(_, one)| (fits(one), one.is_of(lane)));
            let (at, _) = best.ok_or("no request waits at the origin")?;
            let exchange = self.waiting.remove(at).expect("it was found there");
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
        idle.into_iter().for_each(Connection::close);
        Ok(())
    }
}

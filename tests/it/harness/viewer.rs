//! The virtual viewer: one connection to the edge, and what came back on it.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use tokio::{
    io::{self, AsyncRead, AsyncWriteExt, DuplexStream, ReadBuf},
    sync::{Notify, mpsc},
    task::AbortHandle,
};

use super::{
    check,
    line::{Body, Field, Rest},
    script::{Answer, Expected, Request},
    wire::{self, Bare, End, Framing, Head, Message, Shared},
};

/// The host that is asked where a script names none.
const HOST: &str = "example.test";

/// A viewer and its connection.
pub(crate) struct Viewer {
    out: mpsc::UnboundedSender<Vec<u8>>,
    inbox: Arc<Mutex<Inbox>>,
    gate: Gate,
    tasks: [AbortHandle; 2],
    /// How the request that is being sent goes on.
    sending: Framing,
}

/// What came back.
#[derive(Default)]
struct Inbox {
    messages: VecDeque<Shared>,
    /// The methods of the requests that have no final head yet.
    asked: VecDeque<String>,
    /// Set when the connection has ended; with what was wrong, if it was.
    closed: Option<Result<(), String>>,
}

/// Why an expectation is not met.
pub(crate) enum Miss {
    /// Something is not there yet, and might come.
    Early(String),
    /// Something else is there.
    Wrong(String),
}

impl Viewer {
    /// A viewer at the far end of `pipe`; `bell` rings whenever anything comes.
    pub(crate) fn new(pipe: DuplexStream, bell: Arc<Notify>) -> Self {
        let inbox = Arc::<Mutex<Inbox>>::default();
        let gate = Gate::default();
        let (from, mut to) = io::split(pipe);
        let (out, mut wanted) = mpsc::unbounded_channel::<Vec<u8>>();
        let writer = tokio::spawn(async move {
            while let Some(bytes) = wanted.recv().await {
                wire::ignore_closed(to.write_all(&bytes).await);
            }
        });
        let (framing, arrived, end) = (inbox.clone(), inbox.clone(), inbox.clone());
        let gated = Gated {
            pipe: from,
            gate: gate.clone(),
        };
        let reader = tokio::spawn(async move {
            let framing = |head: &Head| framing.lock().unwrap().framing(head);
            let arrived = |message| arrived.lock().unwrap().messages.push_back(message);
            let closed = wire::read_messages(gated, bell, framing, arrived).await;
            end.lock().unwrap().closed = Some(closed);
        });
        let tasks = [writer.abort_handle(), reader.abort_handle()];
        Self {
            out,
            inbox,
            gate,
            tasks,
            sending: Framing::Empty,
        }
    }

    /// Sends a request.
    pub(crate) fn ask(&mut self, request: &Request, fields: &[Field]) {
        let framed = wire::framed(fields, request.body.as_ref(), Bare::Empty);
        let mut fields_sent = framed.fields;
        if !fields
            .iter()
            .any(|field| field.name().eq_ignore_ascii_case("host"))
        {
            fields_sent.insert(0, ("Host".to_owned(), HOST.to_owned()));
        }
        self.inbox().asked.push_back(request.method.clone());
        let Request {
            method,
            target,
            version,
            ..
        } = request;
        self.send(wire::head(
            &format!("{method} {target} {version}"),
            &fields_sent,
        ));
        self.sending = framed.framing;
        if let Some(body) = &request.body {
            self.more(body);
        }
    }

    /// Sends more of the request's body.
    pub(crate) fn more(&self, body: &Body) {
        self.send(self.sending.encode(body));
    }

    /// Sends bytes as they are.
    pub(crate) fn raw(&self, bytes: Vec<u8>) {
        self.send(bytes);
    }

    /// Closes the connection; what came and nobody looked at is forgotten.
    pub(crate) fn leave(&self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }

    /// Stops reading.
    pub(crate) fn pause(&self) {
        self.gate.close();
    }

    /// Reads on.
    pub(crate) fn resume(&self) {
        self.gate.open();
    }

    /// Whether the edge has closed the connection and all that came was looked at.
    pub(crate) fn is_done(&self) -> bool {
        let inbox = self.inbox();
        inbox.closed.is_some() && inbox.messages.is_empty()
    }

    /// What a script did not look at.
    pub(crate) fn leftover(&self) -> Option<String> {
        let inbox = self.inbox();
        if let Some(message) = inbox.messages.front() {
            let message = message.lock();
            let what = if message.seen {
                "the rest of an answer"
            } else {
                "an answer"
            };
            return Some(format!("nobody looked at {what}:\n{message}"));
        }
        let waiting = !inbox.asked.is_empty() && inbox.closed.is_none();
        waiting.then(|| format!("{} requests still wait for an answer", inbox.asked.len()))
    }

    /// Whether `expected` is what came; takes it.
    pub(crate) fn expect(&self, expected: &Expected, fields: &[Field]) -> Result<(), Miss> {
        let mut inbox = self.inbox();
        let front = inbox.messages.front().cloned();
        let closed = match &inbox.closed {
            Some(Err(said)) => Some(format!("what came was no HTTP/1.1: {said}")),
            Some(Ok(())) => Some("the connection was closed".to_owned()),
            None => None,
        };
        let Some(message) = front else {
            return match (expected, closed) {
                (Expected::Closed, Some(_)) => Ok(()),
                (Expected::Closed, None) => Err(Miss::Early("the connection is open".to_owned())),
                (Expected::Pending, None) => Ok(()),
                (_, Some(said)) => Err(Miss::Wrong(said)),
                (_, None) => Err(Miss::Early("no answer".to_owned())),
            };
        };
        let mut message = message.lock();
        let taken = look(expected, fields, &mut message)?;
        if taken == Taken::All {
            inbox.messages.pop_front();
        }
        Ok(())
    }

    fn send(&self, bytes: Vec<u8>) {
        // The writer ends with the viewer only.
        let _ = self.out.send(bytes);
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap()
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Inbox {
    /// How the body behind `head` ends, which may be the answer to the oldest request.
    fn framing(&mut self, head: &Head) -> Framing {
        let is_final = head.status() >= 200 || head.status() == 101;
        let method = if is_final {
            self.asked.pop_front()
        } else {
            None
        };
        head.response_framing(method.as_deref().unwrap_or("GET"))
    }
}

/// How much of a message an expectation took.
#[derive(PartialEq, Eq)]
enum Taken {
    All,
    Part,
}

fn look(expected: &Expected, fields: &[Field], message: &mut Message) -> Result<Taken, Miss> {
    let wrong = |said: String, message: &Message| {
        Err(Miss::Wrong(format!("{said}\nthe whole answer:\n{message}")))
    };
    match expected {
        Expected::Response(_) if message.seen => {
            let said = "the answer before goes on: look at its rest with `expect |`".to_owned();
            wrong(said, message)
        }
        Expected::Response(answer) => match response(answer, fields, message) {
            Ok(()) => rest(answer.body.as_ref(), message),
            Err(said) => wrong(said, message),
        },
        _ if !message.seen && !matches!(expected, Expected::Broken) => {
            wrong("there is an answer".to_owned(), message)
        }
        Expected::More(body) => rest(Some(body), message),
        Expected::Trailers(_) => match message.end {
            None => Err(Miss::Early(format!("the body is still open\n{message}"))),
            Some(_) => {
                let trailers = Head {
                    start: String::new(),
                    fields: message.trailers.clone(),
                };
                match check::fields(fields, &trailers) {
                    Ok(()) => Ok(Taken::All),
                    Err(said) => wrong(said, message),
                }
            }
        },
        Expected::Broken => match message.end {
            Some(End::Broken) => Ok(Taken::All),
            Some(End::Whole) => wrong("the body is whole".to_owned(), message),
            None => Err(Miss::Early(format!("the body is still open\n{message}"))),
        },
        Expected::Closed => wrong("there is more to look at".to_owned(), message),
        Expected::Pending if message.body.is_empty() && message.end.is_none() => Ok(Taken::Part),
        Expected::Pending => wrong("more of the body came".to_owned(), message),
    }
}

/// Whether the head is as expected.
fn response(answer: &Answer, fields: &[Field], message: &Message) -> Result<(), String> {
    let mut wrong = Vec::new();
    let status = message.head.status();
    if status != answer.status {
        wrong.push(format!("wanted {}\nseen   {status}", answer.status));
    }
    wrong.extend(check::fields(fields, &message.head).err());
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

/// Whether the body is, or what came of it.
fn rest(body: Option<&Body>, message: &mut Message) -> Result<Taken, Miss> {
    let any = Body {
        text: "…".to_owned(),
        rest: Rest::Ends,
    };
    let body = body.unwrap_or(&any);
    if let Err(said) = check::body(body, message) {
        let said = format!("{said}\nthe head:\n{}", message.head);
        return Err(if message.end.is_none() {
            Miss::Early(said)
        } else {
            Miss::Wrong(said)
        });
    }
    message.body.clear();
    message.seen = true;
    Ok(if body.rest == Rest::Ends {
        Taken::All
    } else {
        Taken::Part
    })
}

/// Lets a viewer stop reading.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<Shut>>);

#[derive(Default)]
struct Shut {
    is_shut: bool,
    reader: Option<Waker>,
}

impl Gate {
    fn close(&self) {
        self.0.lock().unwrap().is_shut = true;
    }

    fn open(&self) {
        let mut shut = self.0.lock().unwrap();
        shut.is_shut = false;
        if let Some(reader) = shut.reader.take() {
            reader.wake();
        }
    }
}

/// A pipe behind a gate.
struct Gated<P> {
    pipe: P,
    gate: Gate,
}

impl<P: AsyncRead + Unpin> AsyncRead for Gated<P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut shut = self.gate.0.lock().unwrap();
        if shut.is_shut {
            shut.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        drop(shut);
        Pin::new(&mut self.pipe).poll_read(context, buffer)
    }
}

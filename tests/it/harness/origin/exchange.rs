//! One request at the origin, and the answer that a script gives it.

use tokio::sync::mpsc;

use super::connection::{Connection, Dated, Order};
use crate::harness::{
    address, check,
    line::{Body, Field, Rest},
    script::{Answer, Asked, Reply},
    wire::{self, Bare, Framed, Framing, Shared},
};

/// One request, and what is sent back.
pub(super) struct Exchange {
    pub(super) request: Shared,
    orders: mpsc::UnboundedSender<Order>,
    pub(super) connection: Connection,
    /// How the answer's body goes on, once its head was sent.
    answering: Option<Framing>,
    /// How much of the answer's body is sent before the connection closes.
    cut: Option<usize>,
}

/// Whether an exchange, or a connection, goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Open,
    Ended,
}

impl Exchange {
    /// A request that came on `connection`, and where its answer is ordered.
    pub(super) fn new(
        request: Shared,
        orders: mpsc::UnboundedSender<Order>,
        connection: Connection,
    ) -> Self {
        Self {
            request,
            orders,
            connection,
            answering: None,
            cut: None,
        }
    }

    /// Orders what `reply` says; whether the exchange ends with it.
    pub(super) fn reply(&mut self, reply: &Reply, fields: &[Field]) -> Result<Progress, String> {
        if self.connection.is_gone() {
            let request = self.request.lock();
            return Err(format!("the edge has given this request up:\n{request}"));
        }
        let no_answer = "there is no answer that goes on: it begins with its status";
        match reply {
            Reply::Stall(time) => self.order(Order::Stall(*time)),
            Reply::Cut(bytes) => self.cut = Some(*bytes),
            Reply::Interim(answer) => {
                self.head(answer, fields, Bare::Empty);
            }
            Reply::Answer(_) if self.answering.is_some() => {
                return Err("the answer before goes on: end it with `origin |`".to_owned());
            }
            Reply::Answer(answer) => return Ok(self.begin(answer, fields)),
            Reply::More(body) => {
                let framing = self.answering.ok_or(no_answer)?;
                return Ok(self.piece(framing, body));
            }
            Reply::Trailers(_) => {
                if self.answering != Some(Framing::Chunked) {
                    return Err("trailers end a chunked body that is open".to_owned());
                }
                let written = wire::framed(fields, None, Bare::Empty).fields;
                self.order(Order::Bytes(wire::head("0", &written)));
                return Ok(self.done());
            }
            Reply::Raw(bytes, rest) => {
                self.order(Order::Bytes(bytes.clone()));
                if *rest == Rest::Ends {
                    return Ok(self.done());
                }
            }
            Reply::Close => {
                self.order(Order::Close);
                return Ok(Progress::Ended);
            }
        }
        Ok(Progress::Open)
    }

    fn order(&self, order: Order) {
        // A writer that is gone has nobody to write to.
        let _ = self.orders.send(order);
    }

    /// Whether viewer `lane` sent the request, as far as the edge says who did.
    pub(super) fn is_of(&self, lane: u32) -> bool {
        let viewer = address(lane).ip().to_string();
        let request = self.request.lock();
        request
            .head
            .all("x-forwarded-for")
            .any(|list| list.ends_with(&viewer))
    }

    /// Whether the request is as wanted.
    pub(super) fn asked(&self, asked: &Asked, fields: &[Field]) -> Result<(), String> {
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
        let framing = self.head(answer, fields, bare);
        self.answering = Some(framing);
        match &answer.body {
            Some(body) if method != "HEAD" => self.piece(framing, body),
            _ => self.done(),
        }
    }

    /// Sends a head; how its body goes on.
    fn head(&self, answer: &Answer, fields: &[Field], bare: Bare) -> Framing {
        // What follows a change of protocols is no body (RFC 9110 §15.2.2).
        let framed = match answer.status {
            101 => Framed {
                framing: Framing::UntilClose,
                fields: wire::written(fields),
            },
            _ => wire::framed(fields, answer.body.as_ref(), bare),
        };
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
        framed.framing
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

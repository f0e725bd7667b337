//! Answers' bodies that come in pieces, and what becomes of them.

use std::{collections::VecDeque, fmt, str::FromStr};

use super::*;

pub(super) type Reply = UnsyncBoxBody<Bytes, io::Error>;

/// All of a body at once.
pub(super) fn whole(bytes: impl Into<Bytes>) -> Reply {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body that gives one piece after another, and then ends like this.
pub(super) struct Drip {
    pieces: VecDeque<Bytes>,
    end: End,
    /// Whether its length is told.
    known: bool,
    /// Whether it makes one wait before each piece; whether one has waited.
    waits: Option<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Good,
    Broken,
    Never,
}

impl Drip {
    /// One piece.
    pub(super) fn one(piece: &'static str, end: End) -> Self {
        Self {
            pieces: [Bytes::from_static(piece.as_bytes())].into(),
            end,
            known: false,
            waits: None,
        }
    }
}

impl http_body::Body for Drip {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        if let Some(waited) = &mut this.waits {
            *waited = !*waited;
            if *waited {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        match (this.pieces.pop_front(), this.end) {
            (Some(piece), _) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            (None, End::Good) => Poll::Ready(None),
            (None, End::Broken) => Poll::Ready(Some(Err(io::ErrorKind::Other.into()))),
            (None, End::Never) => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && self.end == End::Good
    }

    fn size_hint(&self) -> http_body::SizeHint {
        let length = self.pieces.iter().map(|piece| piece.len() as u64).sum();
        match self.known {
            true => http_body::SizeHint::with_exact(length),
            false => http_body::SizeHint::default(),
        }
    }
}

/// An answer that a path describes.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) status: u16,
    pub(super) pieces: Vec<usize>,
    pub(super) known: bool,
    pub(super) waits: bool,
}

impl Made {
    /// What a viewer gets of it.
    pub(super) fn body(&self) -> String {
        match self.status {
            204 | 304 => String::new(),
            _ => self.text().collect(),
        }
    }

    fn text(&self) -> impl Iterator<Item = String> {
        let letters = (b'a'..=b'z').map(char::from).cycle();
        let pieces = self.pieces.iter().zip(letters);
        pieces.map(|(length, letter)| letter.to_string().repeat(*length))
    }

    pub(super) fn answer(self) -> Response<Reply> {
        let drip = Drip {
            pieces: self.text().map(Bytes::from).collect(),
            end: End::Good,
            known: self.known,
            waits: self.waits.then_some(false),
        };
        let mut answer = Response::new(drip.boxed_unsync());
        *answer.status_mut() = StatusCode::from_u16(self.status).unwrap();
        let fields = answer.headers_mut();
        fields.append("x-made", "1".parse().unwrap());
        fields.append("x-made", "2".parse().unwrap());
        answer
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/", self.status, self.known, self.waits)?;
        self.pieces
            .iter()
            .try_for_each(|piece| write!(f, "{piece},"))
    }
}

impl FromStr for Made {
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<Self> {
        let mut parts = text.splitn(4, '/');
        let mut part = || parts.next().unwrap();
        Ok(Self {
            status: part().parse().unwrap(),
            known: part().parse().unwrap(),
            waits: part().parse().unwrap(),
            pieces: part()
                .split_terminator(',')
                .map(|piece| piece.parse().unwrap())
                .collect(),
        })
    }
}

/// A body that panics when it is asked for.
pub(super) struct Panics;

impl http_body::Body for Panics {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        panic!("as the test wanted")
    }
}

/// A body that gives 16 KiB at a time, for ever, and never waits.
pub(super) struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(
            &[b'x'; 16 * 1024],
        )))))
    }
}

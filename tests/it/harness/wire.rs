//! HTTP/1.1 as bytes, for the two ends of the edge that are not hyper.
//!
//! The virtual viewer and the scripted origin read and write by themselves, so
//! that a script can say, and see, exactly what is on the wire.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::Notify,
};

use super::line::{Body, Field, Rest};

/// The head of a message.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// The request line or the status line.
    pub(crate) start: String,
    /// The fields, as they were written.
    pub(crate) fields: Vec<(String, String)>,
}

impl Head {
    /// Reads a head, without the empty line that ends it.
    fn read(text: &str) -> Result<Self, String> {
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let field = |line: &str| match line.split_once(':') {
            Some((name, value)) => Ok((name.to_owned(), value.trim().to_owned())),
            None => Err(format!("no header field: {line:?}")),
        };
        Ok(Self {
            start,
            fields: lines.map(field).collect::<Result<_, _>>()?,
        })
    }

    /// The values of a field, in order.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = move |(one, _): &&(String, String)| one.eq_ignore_ascii_case(name);
        self.fields
            .iter()
            .filter(named)
            .map(|(_, value)| value.as_str())
    }

    /// The words of the first line.
    pub(crate) fn word(&self, at: usize) -> &str {
        self.start.split(' ').nth(at).unwrap_or_default()
    }

    /// The status; 0 in a request.
    pub(crate) fn status(&self) -> u16 {
        self.word(1).parse().unwrap_or_default()
    }

    /// How the body of a request ends.
    pub(crate) fn request_framing(&self) -> Framing {
        self.framing().unwrap_or(Framing::Empty)
    }

    /// How the body of a response to `method` ends.
    pub(crate) fn response_framing(&self, method: &str) -> Framing {
        match self.status() {
            101 => Framing::UntilClose,
            100..=199 | 204 | 304 => Framing::Empty,
            _ if method == "HEAD" => Framing::Empty,
            _ => self.framing().unwrap_or(Framing::UntilClose),
        }
    }

    fn framing(&self) -> Option<Framing> {
        if self
            .all("transfer-encoding")
            .any(|coding| coding.ends_with("chunked"))
        {
            return Some(Framing::Chunked);
        }
        self.all("content-length")
            .next()?
            .parse()
            .ok()
            .map(Framing::Length)
    }
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.start)?;
        self.fields
            .iter()
            .try_for_each(|(name, value)| writeln!(f, "{name}: {value}"))
    }
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Empty,
    Length(usize),
    Chunked,
    UntilClose,
}

/// A message that arrives, or has.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) head: Head,
    /// Whether a script has looked at the head.
    pub(crate) seen: bool,
    /// What arrived of the body and was not looked at yet.
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// How it ended, once it has.
    pub(crate) end: Option<End>,
}

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// As its framing says.
    Whole,
    /// Before that.
    Broken,
}

impl std::fmt::Display for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = match self.end {
            Some(End::Whole) => "",
            Some(End::Broken) => " and broke off there",
            None => " and is still open",
        };
        let body = super::check::shown(&self.body);
        write!(f, "{}| {body}{end}", self.head)
    }
}

/// A message held by its reader and by the script.
#[derive(Clone, Debug)]
pub(crate) struct Shared(Arc<Mutex<Message>>);

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Message> {
        self.0.lock().unwrap()
    }
}

/// Reads messages until the pipe ends. `framing` says how each body does, `arrived` takes
/// each as soon as its head is there, `bell` rings whenever anything came.
///
/// Errs when what came is no HTTP/1.1.
pub(crate) async fn read_messages(
    pipe: impl AsyncRead + Unpin,
    bell: Arc<Notify>,
    mut framing: impl FnMut(&Head) -> Framing,
    mut arrived: impl FnMut(Shared),
) -> Result<(), String> {
    let mut wire = Wire {
        pipe,
        bell,
        unread: Vec::new(),
    };
    while let Some(head) = wire.head().await? {
        let framing = framing(&head);
        let message = Message {
            head,
            seen: false,
            body: Vec::new(),
            trailers: Vec::new(),
            end: (framing == Framing::Empty).then_some(End::Whole),
        };
        let message = Shared(Arc::new(Mutex::new(message)));
        arrived(message.clone());
        let end = match framing {
            Framing::Empty => End::Whole,
            Framing::Length(length) => wire.exactly(length, &message).await,
            Framing::Chunked => wire.chunks(&message).await?,
            Framing::UntilClose => match wire.exactly(usize::MAX, &message).await {
                End::Whole | End::Broken => End::Whole,
            },
        };
        message.lock().end = Some(end);
        wire.bell.notify_one();
    }
    wire.bell.notify_one();
    Ok(())
}

struct Wire<P> {
    pipe: P,
    bell: Arc<Notify>,
    unread: Vec<u8>,
}

impl<P: AsyncRead + Unpin> Wire<P> {
    /// Waits for more; whether any came. A pipe that broke has ended.
    async fn more(&mut self) -> bool {
        let read = self.pipe.read_buf(&mut self.unread).await;
        self.bell.notify_one();
        read.is_ok_and(|bytes| bytes > 0)
    }

    /// The bytes up to `end`, which is taken too; `None` when the pipe ends first.
    async fn until(&mut self, end: &[u8]) -> Option<String> {
        loop {
            if let Some(at) = self
                .unread
                .windows(end.len())
                .position(|bytes| bytes == end)
            {
                let taken: Vec<u8> = self.unread.drain(..at + end.len()).collect();
                return Some(String::from_utf8_lossy(&taken[..at]).into_owned());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn head(&mut self) -> Result<Option<Head>, String> {
        match self.until(b"\r\n\r\n").await {
            Some(text) => Head::read(&text).map(Some),
            None if self.unread.is_empty() => Ok(None),
            None => Err(format!(
                "half a head: {}",
                super::check::shown(&self.unread)
            )),
        }
    }

    /// Passes `length` bytes on as they come.
    async fn exactly(&mut self, length: usize, to: &Shared) -> End {
        let mut missing = length;
        loop {
            let here = missing.min(self.unread.len());
            to.lock().body.extend(self.unread.drain(..here));
            missing -= here;
            if missing == 0 {
                return End::Whole;
            }
            if !self.more().await {
                return End::Broken;
            }
        }
    }

    async fn chunks(&mut self, to: &Shared) -> Result<End, String> {
        loop {
            let Some(size) = self.until(b"\r\n").await else {
                return Ok(End::Broken);
            };
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16)
                .map_err(|_| format!("no chunk size: {size:?}"))?;
            if size == 0 {
                return self.trailers(to).await;
            }
            if self.exactly(size, to).await == End::Broken {
                return Ok(End::Broken);
            }
            match self.until(b"\r\n").await.as_deref() {
                Some("") => {}
                Some(other) => return Err(format!("a chunk of {size} bytes went on: {other:?}")),
                None => return Ok(End::Broken),
            }
        }
    }

    async fn trailers(&mut self, to: &Shared) -> Result<End, String> {
        loop {
            match self.until(b"\r\n").await.as_deref() {
                Some("") => return Ok(End::Whole),
                Some(line) => {
                    let (name, value) = line
                        .split_once(':')
                        .ok_or_else(|| format!("no trailer: {line:?}"))?;
                    to.lock()
                        .trailers
                        .push((name.to_owned(), value.trim().to_owned()));
                }
                None => return Ok(End::Broken),
            }
        }
    }
}

/// How what a script writes is framed, and the fields that say so.
pub(crate) struct Framed {
    pub(crate) framing: Framing,
    pub(crate) fields: Vec<(String, String)>,
}

/// Adds the field that frames `body`, unless the script wrote or refused it.
pub(crate) fn framed(fields: &[Field], body: Option<&Body>, bare: Bare) -> Framed {
    let named = |name: &str| {
        fields
            .iter()
            .find(|field| field.name().eq_ignore_ascii_case(name))
    };
    let mut written = written(fields);
    let mut add = |name: &str, value: String| written.push((name.to_owned(), value));
    let framing = if let Some(Field::Is(_, coding)) = named("transfer-encoding") {
        if coding.ends_with("chunked") {
            Framing::Chunked
        } else {
            Framing::UntilClose
        }
    } else if let Some(length) = named("content-length") {
        match length {
            Field::Is(_, length) => Framing::Length(length.parse().unwrap_or(usize::MAX)),
            Field::Not(_) => Framing::UntilClose,
        }
    } else {
        match body {
            None => match bare {
                Bare::Empty => Framing::Empty,
                Bare::LengthZero => {
                    add("content-length", "0".to_owned());
                    Framing::Empty
                }
            },
            Some(Body {
                text,
                rest: Rest::Ends,
            }) => {
                add("content-length", text.len().to_string());
                Framing::Length(text.len())
            }
            Some(Body {
                rest: Rest::Follows,
                ..
            }) => {
                add("transfer-encoding", "chunked".to_owned());
                Framing::Chunked
            }
        }
    };
    Framed {
        framing,
        fields: written,
    }
}

/// What a message without a body says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bare {
    /// Nothing: its kind has none.
    Empty,
    /// `Content-Length: 0`.
    LengthZero,
}

/// The fields to send.
pub(crate) fn written(fields: &[Field]) -> Vec<(String, String)> {
    let is = |field: &Field| match field {
        Field::Is(name, value) => Some((name.clone(), value.clone())),
        Field::Not(_) => None,
    };
    fields.iter().filter_map(is).collect()
}

impl Framing {
    /// `body`, as this framing puts it on the wire.
    pub(crate) fn encode(self, body: &Body) -> Vec<u8> {
        let bytes = body.text.as_bytes();
        if self != Self::Chunked {
            return bytes.to_vec();
        }
        let mut chunks = Vec::new();
        if !bytes.is_empty() {
            chunks.extend(format!("{:x}\r\n", bytes.len()).into_bytes());
            chunks.extend_from_slice(bytes);
            chunks.extend_from_slice(b"\r\n");
        }
        if body.rest == Rest::Ends {
            chunks.extend_from_slice(b"0\r\n\r\n");
        }
        chunks
    }
}

/// A head as bytes.
pub(crate) fn head(start: &str, fields: &[(String, String)]) -> Vec<u8> {
    let mut text = format!("{start}\r\n");
    for (name, value) in fields {
        text.extend([name, ": ", value, "\r\n"]);
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// What both ends do with a pipe that the other has closed: nothing.
pub(crate) fn ignore_closed(_: io::Result<()>) {}

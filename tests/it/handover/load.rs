//! A steady load of viewers that try nothing twice: what fails once has failed.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::runtime::Builder;

use crate::daemon::PATIENCE;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Viewers at work, two of each kind.
pub(super) struct Load {
    kinds: Vec<(&'static str, Vec<Viewer>)>,
    enough: Arc<AtomicBool>,
}

struct Viewer {
    /// One for each request that was answered; its end when one was not.
    answered: Receiver<()>,
    thread: JoinHandle<Result<(), Failure>>,
}

/// What a viewer knows of the others.
#[derive(Clone)]
struct Job {
    to: SocketAddr,
    answered: SyncSender<()>,
    enough: Arc<AtomicBool>,
}

impl Job {
    /// Another request was answered; whether to go on.
    fn goes_on(&self) -> bool {
        // Full: then nobody waits for it just now.
        let _ = self.answered.try_send(());
        !self.enough.load(Ordering::Relaxed)
    }
}

impl Load {
    /// Begins to ask `to`.
    pub(super) fn on(to: SocketAddr) -> Self {
        let enough = Arc::<AtomicBool>::default();
        let begin = |work: fn(&Job) -> Result<(), Failure>| {
            let (answered, answers) = sync_channel(1_000);
            let enough = enough.clone();
            let job = Job {
                to,
                answered,
                enough,
            };
            Viewer {
                answered: answers,
                thread: thread::spawn(move || work(&job)),
            }
        };
        let two = |work| vec![begin(work), begin(work)];
        let kinds = vec![
            ("connection: close", two(closing)),
            ("keep-alive", two(keeping)),
            ("h2c", two(multiplexing)),
        ];
        Self { kinds, enough }
    }

    /// Returns once each viewer has had `count` further answers.
    #[track_caller]
    pub(super) fn makes(&mut self, count: usize) {
        for (kind, viewers) in &mut self.kinds {
            for index in 0..viewers.len() {
                while viewers[index].answered.try_recv().is_ok() {}
                let all =
                    (0..count).all(|_| viewers[index].answered.recv_timeout(PATIENCE).is_ok());
                if !all {
                    let viewer = viewers.swap_remove(index);
                    panic!("{kind}: {:?}", viewer.thread.join().unwrap());
                }
            }
        }
    }

    /// Lets all of them end; panics when one has failed.
    #[track_caller]
    pub(super) fn ends(self) {
        self.enough.store(true, Ordering::Relaxed);
        for (kind, viewers) in self.kinds {
            for viewer in viewers {
                if let Err(error) = viewer.thread.join().unwrap() {
                    panic!("{kind}: {error}");
                }
            }
        }
    }
}

/// A connection for each request.
fn closing(job: &Job) -> Result<(), Failure> {
    while job.goes_on() {
        let mut stream = connect(job.to)?;
        stream.write_all(b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        if !text.starts_with("HTTP/1.1 200 OK\r\n") || !text.ends_with("\r\n\r\napi") {
            return Err(format!("answered {text:?}").into());
        }
    }
    Ok(())
}

/// A connection as long as it is not told to close it.
fn keeping(job: &Job) -> Result<(), Failure> {
    'connections: loop {
        let mut stream = BufReader::new(connect(job.to)?);
        loop {
            stream
                .get_mut()
                .write_all(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n")?;
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if stream.read_line(&mut head)? == 0 {
                    return Err(format!("closed after {head:?}").into());
                }
            }
            let mut body = [0; 3];
            stream.read_exact(&mut body)?;
            if !head.starts_with("HTTP/1.1 200 OK\r\n") || &body != b"api" {
                return Err(format!("answered {head:?} {body:?}").into());
            }
            if !job.goes_on() {
                return Ok(());
            }
            if head.contains("connection: close\r\n") {
                continue 'connections;
            }
        }
    }
}

fn connect(to: SocketAddr) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A connection as long as it takes requests.
fn multiplexing(job: &Job) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        loop {
            let stream = tokio::net::TcpStream::connect(job.to).await?;
            let (mut sender, driver) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            let driver = tokio::spawn(driver);
            // An error says that it takes no more; nothing was asked.
            while sender.ready().await.is_ok() {
                let request = Request::get(format!("http://{}/a", job.to))
                    .version(Version::HTTP_2)
                    .body(Empty::<Bytes>::new())?;
                let response = match sender.try_send_request(request).await {
                    Ok(response) => response,
                    // It never left: no request of HTTP's.
                    Err(error) if error.message().is_some() => break,
                    Err(error) => return Err(error.into_error().into()),
                };
                let status = response.status();
                let body = response.into_body().collect().await?.to_bytes();
                if status != StatusCode::OK || body != "api" {
                    return Err(format!("answered {status} {body:?}").into());
                }
                if !job.goes_on() {
                    return Ok(());
                }
            }
            drop(sender);
            driver.await??;
        }
    })
}

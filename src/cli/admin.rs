//! The admin API as the command line asks it: one request, one answer.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, runtime::Builder, time::timeout};

use super::failed;

/// How long the whole exchange may take: a little longer than the daemon gives itself.
const CALL_MAX: Duration = Duration::from_secs(15);

/// The largest answer that is read: a list of 1,000 invalidations is some 300 kB.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Where the admin API is, and what it is shown.
#[derive(Args, Clone, Debug)]
pub struct Admin {
    /// Where the admin API is
    #[arg(
        long,
        value_name = "URL",
        env = "WARMFRONT_ADMIN",
        default_value = "http://127.0.0.1:9900"
    )]
    pub admin: String,
    /// The token of an [[admin.token]]; in the variable, no other user of the machine sees it
    #[arg(
        long,
        value_name = "TOKEN",
        env = "WARMFRONT_TOKEN",
        hide_env_values = true
    )]
    pub token: Option<String>,
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Admin {
    /// Asks, and hands an answer that says yes to `show`, whose text is printed; with `--json`
    /// the answer itself is. Any other answer, and none, is told on stderr, with code 1.
    pub(super) fn run(
        &self,
        (method, path): (Method, &str),
        body: Option<&Value>,
        show: impl FnOnce(&Value) -> String,
    ) -> ExitCode {
        let answer = match self.ask(method, path, body) {
            Ok(answer) => answer,
            Err(error) => return failed(&error),
        };
        let good = answer.status.is_success();
        if self.json {
            // What is JSON has a text.
            let text = serde_json::to_string_pretty(&answer.body).unwrap_or_default();
            print(&format!("{text}\n"));
        } else if good {
            print(&show(&answer.body));
        }
        if good {
            return ExitCode::SUCCESS;
        }
        if !self.json {
            failed(&anyhow::anyhow!(refusal(&answer)));
        }
        ExitCode::FAILURE
    }

    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
        let place = Place::of(&self.admin)?;
        let request = self.request(&place, method, path, body)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime
            .block_on(async { timeout(CALL_MAX, exchange(&place, request)).await })
            .with_context(|| format!("{} does not answer", self.admin))?
    }

    fn request(
        &self,
        place: &Place,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let text = match body {
            Some(body) => serde_json::to_vec(body)?,
            None => Vec::new(),
        };
        let mut request = Request::new(Full::new(Bytes::from(text)));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().context("the path")?;
        let fields = request.headers_mut();
        let host = HeaderValue::from_str(&place.authority)?;
        fields.insert(header::HOST, host);
        if body.is_some() {
            let json = HeaderValue::from_static("application/json");
            fields.insert(header::CONTENT_TYPE, json);
        }
        if let Some(token) = &self.token {
            let shown = HeaderValue::try_from(format!("Bearer {token}"));
            // The error would show it.
            let Ok(mut shown) = shown else {
                bail!("the token holds a character that no field can carry");
            };
            shown.set_sensitive(true);
            fields.insert(header::AUTHORIZATION, shown);
        }
        Ok(request)
    }
}

/// Where to connect, and what `Host` says.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    host: String,
    port: u16,
    authority: String,
}

impl Place {
    fn of(url: &str) -> anyhow::Result<Self> {
        let wanted = "write http://ADDRESS:PORT, as http://127.0.0.1:9900";
        let uri: Uri = url
            .parse()
            .ok()
            .with_context(|| format!("{url:?} is no URL: {wanted}"))?;
        let authority = uri.authority().map(|one| one.as_str().to_owned());
        match (uri.scheme_str(), authority, uri.host()) {
            (Some("http"), Some(authority), Some(host))
                if uri.path() == "/" && uri.query().is_none() && !authority.contains('@') =>
            {
                Ok(Self {
                    host: host.trim_matches(['[', ']']).to_owned(),
                    port: uri.port_u16().unwrap_or(80),
                    authority,
                })
            }
            (Some("https"), ..) => bail!("{url:?}: the admin API speaks no TLS: {wanted}"),
            _ => bail!("{url:?} is not where an admin API can be: {wanted}"),
        }
    }
}

async fn exchange(place: &Place, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
    let Place {
        host,
        port,
        authority,
    } = place;
    let stream = TcpStream::connect((host.as_str(), *port))
        .await
        .with_context(|| {
            format!("cannot reach the admin API at {authority} (does `warmfront run` run there, with [admin]?)")
        })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let asked = async {
        let response = sender.send_request(request).await;
        let response = response.with_context(|| format!("{authority} broke off"))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(anyhow::Error::from_boxed);
        let body = body.with_context(|| format!("{authority} broke off"))?;
        let body = serde_json::from_slice(&body.to_bytes());
        let body = body.ok().with_context(|| {
            format!("{authority} answers {status} and no JSON: it is no admin API")
        })?;
        Ok(Answer { status, body })
    };
    let mut asked = std::pin::pin!(asked);
    tokio::select! {
        // It ends when the answer is read, or breaks with it.
        answer = &mut asked => answer,
        _ = connection => asked.await,
    }
}

/// A refusal in words, each offending item in a line of its own.
fn refusal(answer: &Answer) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let body = &answer.body;
    let mut told = match body["message"].as_str() {
        Some(message) => message.to_owned(),
        None => format!("the admin API answers {}", answer.status),
    };
    for item in body["items"].as_array().into_iter().flatten() {
        told += &format!("\n  {}: {}", text(&item["item"]), text(&item["why"]));
    }
    for problem in body["problems"].as_array().into_iter().flatten() {
        let line = problem["line"].as_u64();
        let place = line.map(|line| format!(":{line}")).unwrap_or_default();
        let (file, key) = (text(&problem["file"]), text(&problem["key"]));
        let parts = [format!("{file}{place}"), key, text(&problem["what"])];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        told += &format!("\n  {}", parts.join(": "));
        if let Some(hint) = problem["hint"].as_str() {
            told += &format!("; {hint}");
        }
    }
    if answer.status == StatusCode::UNAUTHORIZED {
        told += "\n  (show one with --token or WARMFRONT_TOKEN)";
    }
    told
}

/// Prints `text`; when nobody is left to read it, the exit code still tells.
fn print(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_api_is_an_address_and_a_port() {
        let place = |url| Place::of(url).map(|place| (place.host, place.port, place.authority));
        let wanted = ("127.0.0.1".to_owned(), 9900, "127.0.0.1:9900".to_owned());
        assert_eq!(place("http://127.0.0.1:9900").unwrap(), wanted);
        assert_eq!(place("http://127.0.0.1:9900/").unwrap(), wanted);
        let wanted = ("::1".to_owned(), 80, "[::1]".to_owned());
        assert_eq!(place("http://[::1]").unwrap(), wanted);
        for wrong in [
            "https://127.0.0.1:9900",
            "127.0.0.1:9900",
            "http://127.0.0.1:9900/v1",
            "http://me:secret@127.0.0.1:9900",
            "",
        ] {
            let told = Place::of(wrong).unwrap_err().to_string();
            assert!(told.contains("http://127.0.0.1:9900"), "{told}");
        }
    }

    #[test]
    fn a_refusal_tells_every_item_and_every_problem() {
        let body = serde_json::json!({
            "message": "no",
            "items": [{"item": "x", "why": "y"}],
            "problems": [{"file": "a.toml", "line": 3, "key": "k", "what": "w", "hint": "h"}],
        });
        let answer = Answer {
            status: StatusCode::BAD_REQUEST,
            body,
        };
        assert_eq!(refusal(&answer), "no\n  x: y\n  a.toml:3: k: w; h");
    }
}

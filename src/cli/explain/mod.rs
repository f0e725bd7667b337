//! `warmfront explain`: what would become of a request, and why, without sending it.
//!
//! It runs the functions that serve, on a request made by hand, and prints what each of
//! them decided.

mod decision;
mod response;

use std::{
    io::{self, IsTerminal, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, header};

use self::{
    decision::{Decision, field, lines, rendered, shown},
    response::{finished, settled},
};
use super::{EX_CONFIG, EX_USAGE};
use crate::{
    config::{self, Colour},
    policy::{
        Ask, RateLimit, Rules, Scheme, deliver,
        forward::Purpose,
        intent::{self, Intent},
        key::Part,
        outgoing, partial, peer, protocol,
        rate::By,
    },
    serve::{self, Viewer},
    site::{Route, Routed, Snapshot},
    time::Clock,
};

/// The options of `warmfront explain`.
#[derive(Args, Clone, Debug)]
pub struct Explain {
    /// The configuration to explain by
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The URL a viewer asks for
    #[arg(value_name = "URL")]
    pub url: String,
    /// The viewer's method
    #[arg(
        short = 'X',
        long = "request",
        value_name = "METHOD",
        default_value = "GET"
    )]
    pub method: String,
    /// A field of the viewer's request
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// The status line the origin would answer with
    #[arg(long, value_name = "HTTP/1.1 200")]
    pub response: Option<String>,
    /// A field of the origin's response
    #[arg(long, value_name = "NAME: VALUE", requires = "response")]
    pub response_header: Vec<String>,
    /// Print the decisions as JSON
    #[arg(long)]
    pub json: bool,
}

impl Explain {
    /// Prints the decisions to standard output: 0; 78 when the configuration would be
    /// refused, 64 when the words make no request.
    pub fn run(self) -> ExitCode {
        let (text, code) = self.told();
        let written = match code {
            0 => io::stdout().lock().write_all(text.as_bytes()),
            _ => io::stderr().lock().write_all(text.as_bytes()),
        };
        // When nobody is left to read it, the exit code still tells.
        drop(written);
        ExitCode::from(code)
    }

    /// What [`Explain::run`] prints, and its exit code.
    pub fn told(&self) -> (String, u8) {
        let loaded = match config::load(&self.config, 1) {
            Ok(loaded) => loaded,
            Err(problems) => {
                let colour = if io::stderr().is_terminal() {
                    Colour::On
                } else {
                    Colour::Off
                };
                let rendered = problems.iter().map(|problem| problem.render(colour));
                return (rendered.collect::<Vec<_>>().join("\n"), EX_CONFIG);
            }
        };
        match self.decisions(&loaded.snapshot) {
            Ok(decisions) if self.json => {
                let json = serde_json::to_string_pretty(&decisions).unwrap_or_default();
                (json + "\n", 0)
            }
            Ok(decisions) => (rendered(&decisions), 0),
            Err(why) => (format!("warmfront explain: {why}\n"), EX_USAGE),
        }
    }

    fn decisions(&self, site: &Arc<Snapshot>) -> Result<Vec<Decision>, String> {
        let (head, scheme) = self.request()?;
        let request = format!("{} {}", head.method, self.url);
        let mut told = vec![Decision::new("request", request)];
        let viewer = Viewer {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            scheme,
            covered: None,
            interims: None,
        };
        let has_body = head
            .headers
            .get(header::CONTENT_LENGTH)
            .is_some_and(|length| length != "0")
            || head.headers.contains_key(header::TRANSFER_ENCODING);
        let mut ask = match serve::checked(head, has_body, &viewer, Clock::System.now()) {
            Ok(ask) => ask,
            Err((why, _)) => {
                told.push(refused(why.status, why.error));
                return Ok(told);
            }
        };
        peer::look_behind(&mut ask, &site.proxies.trusted);
        if let Some(path) = &ask.rewritten {
            told.push(Decision::new("path", &**path));
        }
        let route = match site.route(&ask.host, ask.path()) {
            Routed::To(route) => route,
            Routed::NoSuchHost => {
                told.push(refused(
                    StatusCode::MISDIRECTED_REQUEST,
                    "no_such_host: RFC 9110 §15.5.20, no distribution has such an alias",
                ));
                return Ok(told);
            }
            Routed::NoSuchPath => {
                told.push(refused(
                    StatusCode::NOT_FOUND,
                    "no_such_behaviour: no path pattern of the distribution matches",
                ));
                return Ok(told);
            }
        };
        told.push(behaviour(&route));
        let rules = &route.behaviour().rules;
        let intent = intent::intent(&ask, rules);
        if let Intent::Cache(_) | Intent::Pass(_) = intent {
            told.extend(rules.viewer.rate_limit.as_ref().map(limited));
        }
        let purpose = match intent {
            Intent::Cache(key) => {
                let details = key_parts(&ask, rules);
                told.push(Decision::new("decision", "for the cache"));
                told.push(Decision::new("key", key.to_string()).with(details));
                if partial::wanted(&ask) {
                    Purpose::Part
                } else {
                    Purpose::Fill
                }
            }
            Intent::Pass(why) => {
                let (detail, clause) = (why.status().1, why.clause());
                told.push(Decision::new(
                    "decision",
                    format!("passed to the origin, {detail}: {clause}"),
                ));
                Purpose::Pass
            }
            Intent::Redirect(status) => {
                let location = protocol::location(&ask).map_or_else(String::new, |to| shown(&to));
                let status = status.as_u16();
                let answer =
                    format!("redirected here: {status} to {location}, by `viewer_protocol`");
                told.push(Decision::new("decision", answer));
                return Ok(told);
            }
            Intent::Preflight => {
                told.push(Decision::new(
                    "decision",
                    "answered here: 204, a preflight that `cors` decides",
                ));
                told.extend(finished(
                    &ask,
                    rules,
                    StatusCode::NO_CONTENT,
                    HeaderMap::new(),
                ));
                return Ok(told);
            }
            Intent::Refuse(why) => {
                let (status, error) = why.answer();
                told.push(refused(status, &format!("{error}: {}", why.clause())));
                return Ok(told);
            }
        };
        told.push(to_origin(&ask, &route, purpose)?);
        if let Some(line) = &self.response {
            let (status, headers) = self.answer(line)?;
            told.push(Decision::new("response", line).with(lines(&headers)));
            told.extend(settled(&ask, rules, purpose, status, &headers));
            let headers = deliver::end_to_end(headers, Version::HTTP_11);
            told.extend(finished(&ask, rules, status, headers));
        }
        Ok(told)
    }

    /// The viewer's request by the words of the command line.
    fn request(&self) -> Result<(http::request::Parts, Scheme), String> {
        let uri: Uri = self
            .url
            .parse()
            .map_err(|why| format!("url {:?}: {why}", self.url))?;
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => return Err(format!("url {:?}: wanted http:// or https://", self.url)),
        };
        let method = Method::from_bytes(self.method.as_bytes())
            .map_err(|_| format!("method {:?}: not a token", self.method))?;
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = headers(&self.headers)?;
        if let Some(authority) = uri.authority() {
            let value = HeaderValue::from_str(authority.as_str());
            let value = value.map_err(|_| format!("url {:?}: no host", self.url))?;
            request.headers_mut().entry(header::HOST).or_insert(value);
        }
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        *request.uri_mut() = target
            .parse()
            .map_err(|why| format!("url {:?}: {why}", self.url))?;
        Ok((request.into_parts().0, scheme))
    }

    /// The origin's response by the words of the command line.
    fn answer(&self, line: &str) -> Result<(StatusCode, HeaderMap), String> {
        let status = line
            .split_ascii_whitespace()
            .find_map(|word| word.parse().ok());
        let status = status.ok_or_else(|| format!("response {line:?}: wanted HTTP/1.1 200"))?;
        Ok((status, headers(&self.response_header)?))
    }
}

/// `Name: value` words as fields.
fn headers(words: &[String]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for word in words {
        let wanted = || format!("header {word:?}: wanted 'Name: value'");
        let (name, value) = word.split_once(':').ok_or_else(wanted)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wanted())?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| wanted())?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn refused(status: StatusCode, error: &str) -> Decision {
    Decision::new(
        "decision",
        format!("refused here: {} {error}", status.as_u16()),
    )
}

fn behaviour(route: &Route) -> Decision {
    let (distribution, behaviour) = (route.distribution(), route.behaviour());
    let place = distribution
        .behaviours
        .iter()
        .position(|one| one.index == behaviour.index);
    let answer = format!(
        "distribution {:?}, behaviour {} of {}: path {}",
        distribution.id,
        place.unwrap_or_default() + 1,
        distribution.behaviours.len(),
        behaviour.path
    );
    Decision::new("behaviour", answer)
}

fn key_parts(ask: &Ask, rules: &Rules) -> Vec<String> {
    let mut parts = Vec::new();
    rules.key.visit(ask, |part, bytes| {
        let label = match part {
            Part::Distribution => "distribution",
            Part::Behaviour => "behaviour",
            Part::Scheme => "scheme",
            Part::Host => "host",
            Part::Path => "path",
            Part::Query => "query",
            Part::Header => "field",
            Part::HeaderValue => "  value",
            Part::Cookie => "cookie",
            Part::CookieValue => "  value",
            Part::Search => "search",
        };
        parts.push(format!("{label} {}", String::from_utf8_lossy(bytes)));
    });
    parts
}

fn to_origin(ask: &Ask, route: &Route, purpose: Purpose) -> Result<Decision, String> {
    let behaviour = route.behaviour();
    let origin = &behaviour.origin;
    let outgoing = outgoing::request(ask, &behaviour.rules, &origin.target, purpose)
        .map_err(|why| format!("origin {:?}: {why}", origin.id))?;
    let ours: Vec<&HeaderName> = origin.target.headers.iter().map(|(name, _)| name).collect();
    let headers = outgoing.headers();
    let details = headers.iter().map(|(name, value)| {
        // What the configuration adds may be a secret.
        if ours.contains(&name) {
            format!("{name}: (configured)")
        } else {
            field(name, value)
        }
    });
    let answer = format!(
        "{:?}: {} {}",
        origin.id,
        outgoing.method(),
        outgoing.target().as_str()
    );
    Ok(Decision::new("origin", answer).with(details.collect()))
}

fn limited(rate: &RateLimit) -> Decision {
    let by = match &rate.by {
        By::Address => "address".to_owned(),
        By::Header(name) => format!("{name}, or address"),
    };
    let per = config::duration_text(rate.per);
    let (requests, burst) = (rate.requests, rate.burst);
    let answer = format!("429 beyond {requests} in {per} by {by}, {burst} at once");
    Decision::new("limited", answer)
}

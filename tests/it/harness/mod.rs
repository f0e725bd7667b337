//! Exchanges: scripts of what viewers, the edge and the origin say to each other.
//!
//! A script is a rule and the steps that prove it. It runs through the real
//! edge, from `listen::connection` to `origin`, over pipes in memory, with time
//! paused; the viewers and the origin are the script's.
//!
//! ```text
//! # Equal age and lifetime is stale (RFC 9111 §4.2).
//! viewer  GET /a
//! origin  200  cache-control: max-age=60  etag: "1"  | one
//! expect  200  x-cache: Miss from warmfront  | one
//!
//! wait 60s
//! viewer  GET /a
//! origin? GET /a  if-none-match: "1"
//! origin  304
//! expect  200  x-cache: RefreshHit from warmfront  age: 0  | one
//! ```
//!
//! # How a line reads
//!
//! A verb, then items parted by two or more spaces, then the body after `|`. A
//! line that begins with a space goes on with the one before; several `|` lines
//! are one body of several lines. `# …` begins a script (several lines make one
//! title), `## …` is a remark.
//!
//! | item | means |
//! |---|---|
//! | `name: value` | this field: sent, or expected. In what is expected, `…` stands for any text, and a field's lines count as one comma list |
//! | `!name` | not this field: not added by itself (`!date`, `!host`, `!content-length`), or expected to be absent |
//! | `date`, `date+60s`, `date-1h` | as a whole value: an IMF-fixdate, from now |
//! | `\| text` | a whole body |
//! | `\|+ text` | a piece of a body, and more follows: `origin  \|+ more`, `expect  \|+ more`, and in the end `\| last` |
//! | `\|*1000 x` | a body of a thousand `x`; `\|+*1000 x` the same as a piece |
//! | `{9000*a}` | nine thousand `a`, anywhere but in a body |
//! | `#2` behind a verb | the second viewer, who comes from 192.0.2.2; or the exchange of that number with the origin, which takes that viewer's request before others'. 1 when not written |
//! | `#1-100` | a hundred lines at once, in which `{n}` is the number |
//!
//! # Verbs
//!
//! | line | does |
//! |---|---|
//! | `viewer GET /a  [HTTP/1.0]  [https]  …` | sends a request, on the viewer's connection while that lives; `Host: example.test`, a `Content-Length` for its body |
//! | `viewer  \|+ more` | sends more of the request's body |
//! | `viewer raw  \| …` | sends bytes: lines end with CRLF, but not behind a final `\`; `\r` `\n` `\t` `\\` `\x07` are bytes |
//! | `leave` · `pause` · `resume` | the viewer closes its connection; stops reading; reads on |
//! | `origin? [GET /a]  …` | looks at the request that waits at the origin |
//! | `origin? gone` | the edge has given that request up |
//! | `origin  200  …` | answers it; adds `Date`, and a `Content-Length` for its body, or chunks when more follows |
//! | `origin  \|+ more` | sends more of the answer's body |
//! | `origin trailers  …` | ends a chunked body with these |
//! | `origin stall 3s` | waits before what comes next; an `expect` lets that time pass |
//! | `origin cut 100B` | the next answer's connection closes after so many bytes of its body |
//! | `origin interim 103  …` | a head that is not the last |
//! | `origin close` · `origin raw  \| …` | closes without an answer, or in the middle of one; sends bytes, and goes on after `\|+` |
//! | `origin refuse 3` · `origin hang` | the next connections (one, if no number is written) are refused; never open |
//! | `origin hangup` | closes the kept connections that are idle |
//! | `expect  200  …` | the viewer's next answer, as it is now; without a body, any whole one. An interim head is one by itself |
//! | `expect  \|+ more` · `expect trailers  …` | how its body goes on; how it ends |
//! | `expect broken` | its body ends too early |
//! | `expect closed` · `expect pending` | the edge has closed the connection; nothing has come |
//! | `wait 59s` | lets time pass |
//! | `invalidate [soft] /a  /b*  tag t  where /a Name=value` | invalidates pages, what begins with a prefix, a tag, a parameter of a behaviour, all at once: in the ledger alone, since the promise hangs from nothing else |
//! | `config ttl.default = "10s"  cache = false` | keys of the one behaviour `*`; as the first step, what there is from the start, later a reload. `config {` … `}` takes lines of TOML; [`site::toml`] says what tables mean |
//!
//! Every script is played twice: with plain hits and what passes beneath the HTTP library, and
//! all of it through that. A step takes no time, and all it sets off has happened when the next one
//! comes. A script fails when a line is not as it says, when a request reaches
//! the origin that no line answers, when an answer comes that no line expects,
//! and when anything panics. A script whose title ends in `[not yet: what is
//! wrong]` is known not to hold, and fails when it does.

mod check;
pub(crate) mod edge;
pub(crate) mod idle;
mod line;
mod origin;
pub(crate) mod panics;
mod play;
mod script;
pub(crate) mod site;
mod viewer;
pub(crate) mod wire;

use std::{
    env,
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use warmfront::time::Timestamp;

use play::Failure;
use script::Script;

/// Plays every script of `exchanges/{topic}.txt`; panics with those that do not hold.
///
/// `EXCHANGE=text` plays only those whose title holds the text.
#[track_caller]
pub(crate) fn play_file(topic: &str) {
    let file = format!("tests/it/exchanges/{topic}.txt");
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).unwrap();
    let only = env::var("EXCHANGE").unwrap_or_default();
    if let Err(report) = play_text(&file, &text, &only) {
        panic!("{report}");
    }
}

/// Plays the scripts in `text` whose title holds `only`; errs with a report of those that do
/// not hold.
pub(crate) fn play_text(file: &str, text: &str, only: &str) -> Result<(), String> {
    let scripts = script::read(text).map_err(|mistakes| {
        let mistake = |one: &script::Mistake| format!("{file}:{}: {}", one.line, one.said);
        mistakes.iter().map(mistake).collect::<Vec<_>>().join("\n")
    })?;
    let mut failed = 0;
    let mut report = String::new();
    let chosen = |script: &&Script| script.title.contains(only);
    for script in scripts.iter().filter(chosen) {
        if let Err(failure) = held(script) {
            failed += 1;
            report.push_str(&told(file, script, &failure));
        }
    }
    if failed == 0 {
        return Ok(());
    }
    Err(format!(
        "{failed} of {} scripts do not hold\n{report}",
        scripts.len()
    ))
}

/// Ends the title of a script that is known not to hold, with what is wrong.
const NOT_YET: &str = "[not yet: ";

/// Whether a script holds, whichever way what is plain goes; one that is known not to must not.
fn held(script: &Script) -> Result<(), Failure> {
    let through = play::play(script, false).map_err(|mut failure| {
        failure.said.push_str("\nwith `server.express = false`");
        failure
    });
    let played = through.and_then(|()| play::play(script, true));
    match (script.title.contains(NOT_YET), played) {
        (false, played) => played,
        (true, Err(_)) => Ok(()),
        (true, Ok(())) => {
            let said = format!("it holds: take `{NOT_YET}…]` off its title");
            Err(Failure {
                line: script.line,
                said,
            })
        }
    }
}

/// A failure under the script's title, with the lines that led to it.
fn told(file: &str, script: &Script, failure: &Failure) -> String {
    let mut told = format!("\n{file}:{}: {}\n", failure.line, script.title);
    let last = if failure.line == script.line {
        usize::MAX
    } else {
        failure.line
    };
    for (number, line) in (script.line..=last).zip(&script.text) {
        if !line.is_empty() && !line.starts_with('#') {
            let mark = if number == failure.line { '>' } else { ' ' };
            let _ = writeln!(told, "{mark} {number:>4} | {line}");
        }
    }
    for line in failure.said.lines() {
        let _ = writeln!(told, "       {line}");
    }
    told
}

/// A moment as an IMF-fixdate.
pub(crate) fn date(moment: Timestamp) -> String {
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(moment.unix()))
}

/// Where viewer `n` comes from: 192.0.2.`n`.
pub(crate) fn address(n: u32) -> SocketAddr {
    let first = u32::from(Ipv4Addr::new(192, 0, 2, 0));
    (Ipv4Addr::from(first + n), 50_000).into()
}

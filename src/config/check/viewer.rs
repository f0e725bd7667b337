//! What a behaviour does for viewers by itself: protocol, fields, CORS, errors.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};

use crate::{
    config::{
        check::{Check, names},
        problem::Place,
        raw,
        read::{At, Choice, Named},
    },
    policy::{
        Cors, ErrorAnswer, Methods, ResponseHeaders, ServerTiming, ViewerProtocol, ViewerRules,
        cors::{self, Credentials, OriginPattern, Origins},
        errors::{CONTENT_BYTES_MAX, Content},
        response_headers::{self, Over, Put, SECURITY},
    },
};

/// The most fields that answers gain: more would be a page of its own in front of every answer.
const PUT_MAX: usize = 50;

impl Check<'_> {
    pub(super) fn viewer(&mut self, raw: &raw::Behaviour, methods: Methods) -> ViewerRules {
        let protocols = [
            ("allow-all", ViewerProtocol::AllowAll),
            ("redirect-to-https", ViewerProtocol::RedirectToHttps),
            ("https-only", ViewerProtocol::HttpsOnly),
        ];
        let protocol = raw.viewer_protocol.as_ref();
        let on = |flag: &Option<At<bool>>| flag.as_ref().is_some_and(|at| at.value);
        let cors = raw.cors.as_ref().map(|raw| self.cors(raw, methods));
        ViewerRules {
            protocol: self.word(protocol, &protocols, ViewerProtocol::AllowAll),
            rate_limit: raw.rate_limit.as_ref().and_then(|at| self.rate_limit(at)),
            response: self.response(raw, cors.is_some()),
            cors,
            server_timing: match on(&raw.server_timing) {
                true => ServerTiming::On,
                false => ServerTiming::Off,
            },
            errors: self.errors(raw.error.as_ref()),
            forwarded_for: self.forwarded_for,
        }
    }

    fn response(&mut self, behaviour: &raw::Behaviour, cors: bool) -> ResponseHeaders {
        let none = raw::Response::default();
        let raw = behaviour.response.as_ref().map_or(&none, |raw| &raw.value);
        let timing = behaviour.server_timing.as_ref().is_some_and(|at| at.value);
        let mut response = ResponseHeaders::default();
        for name in raw.remove.as_ref().map_or(&[][..], |list| &list.value) {
            if let Some(name) = self.viewers_field(name, cors, timing) {
                response.remove.push(name);
            }
        }
        self.put(
            raw.set.as_ref(),
            Over::Origin,
            (cors, timing),
            &mut response.put,
        );
        self.put(
            raw.default.as_ref(),
            Over::Nothing,
            (cors, timing),
            &mut response.put,
        );
        if raw.security.as_ref().is_some_and(|at| at.value) {
            for (name, value, over) in SECURITY {
                // What the operator wrote is meant.
                if !response.put.iter().any(|put| put.name == name) {
                    let value = HeaderValue::from_static(value);
                    response.put.push(Put { name, value, over });
                }
            }
        }
        if let (Some(at), true) = (&behaviour.response, response.put.len() > PUT_MAX) {
            let what = format!("{} fields are too many", response.put.len());
            self.findings
                .error(&at.place, what)
                .hint(format!("set {PUT_MAX} at most"));
        }
        response
    }

    fn put(
        &mut self,
        named: Option<&At<Named>>,
        over: Over,
        (cors, timing): (bool, bool),
        put: &mut Vec<Put>,
    ) {
        for (name, value) in named.map_or(&[][..], |named| &named.value.0) {
            let Some(field) = self.viewers_field(name, cors, timing) else {
                continue;
            };
            if put.iter().any(|earlier| earlier.name == field) {
                self.findings
                    .error(&name.place, "is set twice; case does not count");
            }
            if let Some(value) = self.value(value) {
                let name = field;
                put.push(Put { name, value, over });
            }
        }
    }

    /// What can be a field's value.
    fn value(&mut self, text: &At<String>) -> Option<HeaderValue> {
        let value = HeaderValue::from_str(&text.value).ok();
        if value.is_none() {
            self.findings
                .error(&text.place, "the value holds a character no field may hold");
            self.findings
                .hint("line breaks and other control characters are not allowed");
        }
        value
    }

    /// A field of answers that a behaviour may set or remove.
    fn viewers_field(&mut self, name: &At<String>, cors: bool, timing: bool) -> Option<HeaderName> {
        let field = names::field(name, self.findings)?;
        let (what, hint) = if response_headers::is_fixed(&field) {
            (
                "frames the message, or is written by this proxy",
                "leave it out; it can be neither set nor removed",
            )
        } else if cors && cors::is_ours(&field) {
            ("is decided by `cors`", "leave it out, or leave `cors` out")
        } else if timing && field.as_str() == "server-timing" {
            (
                "is written by `server_timing`",
                "leave it out, or `server_timing`",
            )
        } else {
            return Some(field);
        };
        self.findings
            .error(&name.place, format!("{:?} {what}", name.value))
            .hint(hint);
        None
    }

    fn cors(&mut self, at: &At<raw::Cors>, methods: Methods) -> Cors {
        let raw = &at.value;
        let on = |flag: &Option<At<bool>>, default| flag.as_ref().map_or(default, |at| at.value);
        let credentials = on(&raw.credentials, false);
        let origins = self.cors_origins(raw.origins.as_ref(), &at.place);
        let lists = [&raw.methods, &raw.headers, &raw.expose];
        if let (true, Some(flag)) = (credentials, &raw.credentials) {
            let any = origins == Origins::Any && raw.origins.is_some();
            // With credentials a browser takes `*` for a name, not for anybody (Fetch).
            if any || lists.iter().any(|list| list.as_ref().is_some_and(is_any)) {
                let what = "browsers take no credentials along where \"any\" is allowed";
                self.findings
                    .error(&flag.place, what)
                    .hint("list origins, methods and fields, or leave `credentials` out");
            }
        }
        let default = match methods {
            Methods::Read => "GET, HEAD",
            Methods::ReadOptions => "GET, HEAD, OPTIONS",
            Methods::All => "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE",
        };
        let max_age = raw.max_age.as_ref();
        Cors {
            origins,
            methods: self
                .listed(raw.methods.as_ref())
                .unwrap_or_else(|| HeaderValue::from_static(default)),
            headers: self.listed(raw.headers.as_ref()),
            expose: self.listed(raw.expose.as_ref()),
            credentials: match credentials {
                true => Credentials::Allowed,
                false => Credentials::Withheld,
            },
            max_age: max_age.map(|_| self.lifetime(max_age, Duration::ZERO).as_secs().into()),
            over: match on(&raw.origin_override, true) {
                true => Over::Origin,
                false => Over::Nothing,
            },
        }
    }

    fn cors_origins(&mut self, field: Option<&At<Choice>>, table: &Place) -> Origins {
        let Some(At { value, place }) = self.required(field, table, "origins", "any") else {
            return Origins::Any;
        };
        match value {
            Choice::Word(word) if word == "any" => Origins::Any,
            Choice::List(list) if !list.is_empty() => {
                let mut patterns = Vec::with_capacity(list.len());
                for one in list {
                    match OriginPattern::parse(&one.value) {
                        Some(pattern) => patterns.push(pattern),
                        None => {
                            let what = format!("{:?} is no origin of a page", one.value);
                            self.findings.error(&one.place, what).hint(
                                "write scheme and host in lower case, and a port that is not the \
                                 scheme's: \"https://app.example\", \"https://*.example.net\"",
                            );
                        }
                    }
                }
                Origins::Listed(patterns)
            }
            Choice::Word(_) | Choice::List(_) | Choice::Except(_) => {
                self.findings
                    .error(place, "wants \"any\" or a list of origins")
                    .hint("write [\"https://app.example\"]");
                Origins::Any
            }
        }
    }

    /// A list of methods or field names as a field's value, `*` for "any"; `None` when there is
    /// nothing to list.
    fn listed(&mut self, field: Option<&At<Choice>>) -> Option<HeaderValue> {
        let At { value, place } = field?;
        match value {
            Choice::Word(word) if word == "any" => Some(HeaderValue::from_static("*")),
            Choice::List(list) => {
                let mut names: Vec<&str> = Vec::with_capacity(list.len());
                for one in list {
                    // A method is a token too (RFC 9110 §9.1, §5.1).
                    if HeaderName::from_bytes(one.value.as_bytes()).is_ok() && one.value != "*" {
                        names.push(&one.value);
                    } else {
                        let what = format!("{:?} is no name", one.value);
                        self.findings.error(&one.place, what);
                    }
                }
                HeaderValue::try_from(names.join(", "))
                    .ok()
                    .filter(|list| !list.is_empty())
            }
            Choice::Word(_) | Choice::Except(_) => {
                self.findings
                    .error(place, "wants \"any\" or a list of names");
                None
            }
        }
    }

    fn errors(&mut self, raw: Option<&At<Vec<At<raw::ErrorAnswer>>>>) -> Vec<ErrorAnswer> {
        let mut errors: Vec<ErrorAnswer> = Vec::new();
        for At { value: raw, place } in raw.map_or(&[][..], |list| &list.value) {
            let error = ErrorAnswer {
                when: self.error_statuses(raw.when.as_ref(), place),
                status: raw.status.as_ref().and_then(|at| self.error_status(at)),
                content: self.error_content(raw),
                ttl: raw
                    .ttl
                    .as_ref()
                    .map(|ttl| self.lifetime(Some(ttl), Duration::ZERO)),
            };
            let said = raw.status.is_some() || raw.ttl.is_some();
            if !said && raw.body.is_none() && raw.file.is_none() {
                self.findings
                    .error(place, "says nothing of these errors")
                    .hint("add `body`, `file`, `status` or `ttl`");
            }
            self.advise_kept(raw, &error);
            let twice = |status: &&StatusCode| errors.iter().any(|one| one.when.contains(status));
            if let (Some(status), Some(when)) = (error.when.iter().find(twice), &raw.when) {
                let what = format!("{} is answered further up already", status.as_u16());
                self.findings.error(&when.place, what);
            }
            errors.push(error);
        }
        errors
    }

    /// What asks for credentials is not kept for others, however long that would be.
    fn advise_kept(&mut self, raw: &raw::ErrorAnswer, error: &ErrorAnswer) {
        let asks = |status: &&StatusCode| matches!(status.as_u16(), 401 | 403 | 407);
        if let (Some(ttl), Some(status)) = (&raw.ttl, error.when.iter().find(asks)) {
            let what = format!("{} is never kept: it asks for credentials", status.as_u16());
            self.findings.warn(&ttl.place, what);
        }
    }

    fn error_statuses(
        &mut self,
        field: Option<&At<Vec<At<u64>>>>,
        table: &Place,
    ) -> Vec<StatusCode> {
        if field.is_none() {
            self.missing(table, "when", "[502, 503, 504]");
        }
        let list = field.map_or(&[][..], |list| &list.value);
        list.iter().filter_map(|at| self.error_status(at)).collect()
    }

    /// A status that is an error: none ever becomes a page that says all is well.
    fn error_status(&mut self, at: &At<u64>) -> Option<StatusCode> {
        let status = u16::try_from(at.value)
            .ok()
            .filter(|code| (400..600).contains(code));
        let status = status.and_then(|code| StatusCode::from_u16(code).ok());
        if status.is_none() {
            self.findings
                .error(&at.place, format!("{} is no error", at.value))
                .hint("write a status from 400 to 599; an error stays one");
        }
        status
    }

    fn error_content(&mut self, raw: &raw::ErrorAnswer) -> Option<Content> {
        let body = match (&raw.body, &raw.file) {
            (Some(_), Some(file)) => {
                self.findings
                    .error(&file.place, "`body` says already what is answered")
                    .hint("keep one of the two");
                None
            }
            (Some(body), None) => Some((body.value.clone().into_bytes(), &body.place)),
            (None, Some(file)) => self
                .file(&file.value, &file.place)
                .map(|bytes| (bytes, &file.place)),
            (None, None) => None,
        };
        let kind = match &raw.content_type {
            Some(kind) => self.value(kind)?,
            None => HeaderValue::from_static("application/json"),
        };
        let Some((body, place)) = body else {
            let none = raw.body.is_none() && raw.file.is_none();
            if let (Some(kind), true) = (&raw.content_type, none) {
                self.findings
                    .error(&kind.place, "there is no content that it is the type of")
                    .hint("add `body` or `file`");
            }
            return None;
        };
        if body.len() > CONTENT_BYTES_MAX {
            let what = format!("{} bytes are too many for an error", body.len());
            let hint = format!("{} KiB at most", CONTENT_BYTES_MAX >> 10);
            self.findings.error(place, what).hint(hint);
        }
        let body = body.into();
        Some(Content { body, kind })
    }
}

fn is_any(choice: &At<Choice>) -> bool {
    matches!(&choice.value, Choice::Word(word) if word == "any")
}

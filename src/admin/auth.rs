//! Who calls: bearer tokens (RFC 6750) and what each may do.
//!
//! Without a token nothing is open but health and, on a loopback address, metrics. Every token
//! is compared, whichever is the right one, so that the time an answer takes tells nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::{Extensions, HeaderMap, StatusCode, header::AUTHORIZATION, request::Parts};

use super::{Facts, json::Refusal};
use crate::{
    invalidate::Caller,
    site::{Scope, Token},
};

/// Who sent a request: the other end of its connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

const NO_TOKENS: Refusal = Refusal::new(
    StatusCode::UNAUTHORIZED,
    "no_tokens",
    "no token is configured: add [[admin.token]] with name, secret and allow to the configuration",
);

const TOKEN_REQUIRED: Refusal = Refusal::new(
    StatusCode::UNAUTHORIZED,
    "token_required",
    "this call needs one field `Authorization: Bearer TOKEN`",
);

const WRONG_TOKEN: Refusal = Refusal::new(
    StatusCode::UNAUTHORIZED,
    "wrong_token",
    "the token is none of those configured",
);

const NOT_ALLOWED: Refusal = Refusal::new(StatusCode::FORBIDDEN, "not_allowed", "");

const TOO_MANY_GUESSES: Refusal = Refusal::new(
    StatusCode::TOO_MANY_REQUESTS,
    "too_many_guesses",
    "too many wrong tokens came from this address: wait a second",
);

/// A caller that was let in.
#[derive(Clone, Debug)]
pub(super) struct Admitted {
    /// What the log calls it.
    pub(super) caller: Caller,
    /// All that it may do.
    pub(super) allow: Vec<Scope>,
}

impl Facts {
    /// Lets in who shows a token that allows one of `scopes`. Refusals are told and counted.
    pub(super) fn admit(&self, head: &Parts, scopes: &[Scope]) -> Result<Admitted, Refusal> {
        let (peer, now) = (peer(head), self.clock.now());
        let refused = |by: &str, refusal: Refusal| {
            self.events.admin_refused(peer, by, refusal.error, now);
            refusal
        };
        let snapshot = self.site.load().snapshot.clone();
        let tokens = snapshot.admin.as_ref().map_or(&[][..], |one| &one.tokens);
        if tokens.is_empty() {
            return Err(refused("", NO_TOKENS));
        }
        let Some(shown) = bearer(&head.headers) else {
            return Err(refused("", TOKEN_REQUIRED));
        };
        if !self.limits.tries.may(peer, now) {
            return Err(refused("", TOO_MANY_GUESSES));
        }
        let Some(token) = known(tokens, shown) else {
            self.limits.tries.failed(peer, shown, now);
            return Err(refused("", WRONG_TOKEN));
        };
        if !scopes.iter().any(|scope| token.allow.contains(scope)) {
            let words: Vec<String> = scopes
                .iter()
                .map(|scope| format!("{:?}", scope.as_str()))
                .collect();
            let message = format!(
                "the token {:?} does not allow {}",
                token.name,
                words.join(" or ")
            );
            return Err(refused(&token.name, NOT_ALLOWED.saying(message)));
        }
        Ok(Admitted {
            caller: Caller(token.name.clone()),
            allow: token.allow.clone(),
        })
    }
}

/// The address a request came from.
pub(super) fn peer(head: &Parts) -> IpAddr {
    peer_in(&head.extensions)
}

/// The same, where the head is not yet taken apart.
pub(super) fn peer_in(extensions: &Extensions) -> IpAddr {
    let peer = extensions.get::<Peer>();
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| {
        peer.0.ip().to_canonical()
    })
}

/// The token that is shown, if it is one.
fn bearer(fields: &HeaderMap) -> Option<&[u8]> {
    let mut values = fields.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let value = value.as_bytes();
    let space = value.iter().position(|&byte| byte == b' ')?;
    let (scheme, token) = value.split_at(space);
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer") && !token.is_empty()).then_some(token)
}

/// The token with this secret. All of them are looked at.
fn known<'t>(tokens: &'t [Token], shown: &[u8]) -> Option<&'t Token> {
    let mut found = None;
    for token in tokens {
        if token.secret.is(shown) {
            found = Some(token);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_token_is_shown_in_one_field_under_its_scheme() {
        let shown = |values: &[&'static str]| {
            let mut fields = HeaderMap::new();
            for value in values {
                fields.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            bearer(&fields).map(<[u8]>::to_vec)
        };
        assert_eq!(shown(&["Bearer abc"]).as_deref(), Some(&b"abc"[..]));
        assert_eq!(shown(&["bearer  abc "]).as_deref(), Some(&b"abc"[..]));
        for wrong in [
            &[][..],
            &["abc"],
            &["Bearer"],
            &["Bearer "],
            &["Basic abc"],
            &["Bearer a", "Bearer a"],
        ] {
            assert_eq!(shown(wrong), None, "{wrong:?}");
        }
    }
}

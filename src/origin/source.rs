//! A request that is not made yet: what an origin is to be asked, in no protocol's shape.

use http::{HeaderMap, HeaderName, Method, Request, Uri};

use crate::{
    fields::target::Target,
    origin::{OnInterim, sent::Sent},
    policy::outgoing::Value,
};

/// What a request is made of: each attempt at one without a body makes it anew.
///
/// Over HTTP/1.1 it is written as it is given, and never becomes a message that somebody holds.
pub trait Source: Sync {
    /// Its method.
    fn method(&self) -> &Method;
    /// What it asks for, in origin form (RFC 9112 §3.2.1).
    fn target(&self) -> &Target;
    /// Whether it asks to change protocols: `Connection` and `Upgrade` are among its fields then.
    fn asks_upgrade(&self) -> bool;
    /// Gives its fields to `take`: `Host`, and end-to-end ones.
    fn each_field(&self, take: &mut dyn FnMut(&HeaderName, Value<'_>));
    /// Where its interim responses go.
    fn on_interim(&self) -> Option<OnInterim>;
}

/// The request that `source` makes, as a message with `body`.
pub(super) fn message(source: &dyn Source, body: Sent) -> Request<Sent> {
    let mut fields = HeaderMap::new();
    source.each_field(&mut |name, value| {
        if let Some(value) = value.to_owned() {
            fields.append(name, value);
        }
    });
    let mut request = Request::new(body);
    *request.method_mut() = source.method().clone();
    *request.uri_mut() = Uri::from(source.target().for_uri());
    *request.headers_mut() = fields;
    request
}

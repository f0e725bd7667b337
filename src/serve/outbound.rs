//! What a request to an origin is made of: what is forwarded, and who hears what precedes the
//! response.

use http::{HeaderName, Method};

use super::Interims;
use crate::{
    fields::target::Target,
    origin::{OnInterim, Source},
    policy::outgoing::{Outgoing, Value},
};

/// A request on its way to an origin.
pub(super) struct Outbound<'a> {
    pub(super) outgoing: Outgoing<'a>,
    pub(super) interims: Option<&'a Interims>,
}

impl Source for Outbound<'_> {
    fn method(&self) -> &Method {
        self.outgoing.method()
    }

    fn target(&self) -> &Target {
        self.outgoing.target()
    }

    fn asks_upgrade(&self) -> bool {
        self.outgoing.asks_upgrade()
    }

    fn each_field(&self, take: &mut dyn FnMut(&HeaderName, Value<'_>)) {
        self.outgoing.each_field(take);
    }

    fn on_interim(&self) -> Option<OnInterim> {
        self.interims.cloned().map(Interims::on_interim)
    }
}

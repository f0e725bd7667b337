//! Proxies in front: who is trusted, what origins are told, where viewers are introduced.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::{
    config::{check::Check, raw, read::At},
    policy::{ForwardedFor, peer::Trusted},
    site::Proxies,
};

impl Check<'_> {
    pub(super) fn proxies(
        &mut self,
        server: Option<&At<raw::Server>>,
        listeners: Option<&At<Vec<At<raw::Listener>>>>,
    ) -> Proxies {
        let none = raw::Server::default();
        let server = server.map_or(&none, |at| &at.value);
        let words = [
            ("append", ForwardedFor::Append),
            ("replace", ForwardedFor::Replace),
        ];
        let said = server.forwarded_for.as_ref();
        self.forwarded_for = self.word(said, &words, ForwardedFor::default());
        let trusted = server.trusted_proxies.as_ref();
        let trusted = trusted.map_or(&[][..], |list| &list.value);
        let networks: Vec<IpNet> = trusted.iter().filter_map(|one| self.network(one)).collect();
        let mut introducing: Vec<SocketAddr> = Vec::new();
        for At { value: raw, .. } in listeners.map_or(&[][..], |list| &list.value) {
            let Some(flag) = raw.proxy_protocol.as_ref().filter(|flag| flag.value) else {
                continue;
            };
            if trusted.is_empty() {
                self.findings
                    .error(&flag.place, "nobody is trusted to introduce viewers here")
                    .hint("name the proxies' networks in `server.trusted_proxies`");
            }
            let address = raw.address.as_ref();
            introducing.extend(address.and_then(|at| at.value.parse::<SocketAddr>().ok()));
        }
        Proxies {
            trusted: Trusted::new(networks),
            introducing,
        }
    }

    fn network(&mut self, text: &At<String>) -> Option<IpNet> {
        let alone = |_| text.value.parse::<IpAddr>().map(IpNet::from);
        let Ok(network) = text.value.parse::<IpNet>().or_else(alone) else {
            self.findings
                .error(&text.place, format!("{:?} is no network", text.value))
                .hint("write an address, or a network such as \"10.0.0.0/8\"");
            return None;
        };
        if network.prefix_len() == 0 {
            let what = "everybody is trusted: whoever connects says who the viewer is";
            self.findings
                .warn(&text.place, what)
                .hint("name the proxies' own networks");
        }
        Some(network.trunc())
    }
}

//! How many connections each address holds.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The addresses that are connected, on any worker.
#[derive(Debug, Default)]
pub(super) struct Census {
    seats: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection of an address; dropping it takes it off.
#[derive(Debug)]
pub(super) struct Seat {
    census: Arc<Census>,
    site: IpAddr,
}

impl Census {
    /// A seat for a connection from `address`, unless `max` are taken.
    pub(super) fn seat(self: &Arc<Self>, address: IpAddr, max: usize) -> Option<Seat> {
        let site = site(address);
        let mut seats = self.seats();
        if seats.get(&site).is_some_and(|taken| *taken >= max) {
            return None;
        }
        *seats.entry(site).or_default() += 1;
        drop(seats);
        Some(Seat {
            census: Arc::clone(self),
            site,
        })
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Whole after every statement that holds it.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Entry::Occupied(mut taken) = self.census.seats().entry(self.site) {
            *taken.get_mut() -= 1;
            if *taken.get() == 0 {
                taken.remove();
            }
        }
    }
}

/// What counts as one address: of IPv6 the first 64 bits, since whoever has one such
/// address has all that begin so (RFC 6177 §2).
fn site(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => {
            let prefix = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_seats() {
        let census = Arc::<Census>::default();
        let seat = |address: &str| census.seat(address.parse().unwrap(), 2);
        let first = seat("192.0.2.1").unwrap();
        let _second = seat("192.0.2.1").unwrap();
        assert!(seat("192.0.2.1").is_none());
        let _other = seat("192.0.2.2").unwrap();
        drop(first);
        assert!(seat("192.0.2.1").is_some());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let census = Arc::<Census>::default();
        let seat = |address: &str| census.seat(address.parse().unwrap(), 1);
        let _first = seat("2001:db8::1").unwrap();
        assert!(seat("2001:db8::2").is_none());
        assert!(seat("2001:db8:0:1::1").is_some());
    }

    #[test]
    fn who_left_is_not_remembered() {
        let census = Arc::<Census>::default();
        drop(census.seat("192.0.2.1".parse().unwrap(), 1));
        assert!(census.seats().is_empty());
    }
}

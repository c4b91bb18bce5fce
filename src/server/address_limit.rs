//! The limit on open connections from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The number of open connections of each address that has some.
type OpenByAddress = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// Counts the open connections of each address, if there is a limit.
#[derive(Debug, Clone)]
pub struct AddressLimit {
    open: OpenByAddress,
    most: usize,
}

impl AddressLimit {
    /// A limit of `most` connections; 0 is no limit.
    pub fn new(most: usize) -> Self {
        Self {
            open: Arc::default(),
            most,
        }
    }

    /// Counts a connection. Returns `None` if the address has too many.
    pub fn acquire(&self, address: IpAddr) -> Option<AddressPermit> {
        if self.most == 0 {
            return Some(AddressPermit(None));
        }
        let address = address.to_canonical();
        // No code panics while it holds the lock, so the map is never half changed.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(AddressPermit(Some((Arc::clone(&self.open), address))))
    }
}

/// The right to one connection, until it is dropped.
#[derive(Debug)]
pub struct AddressPermit(Option<(OpenByAddress, IpAddr)>);

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let Some((open, address)) = &self.0 else {
            return;
        };
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                open.remove(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_has_at_most_its_number_of_connections() {
        let limit = AddressLimit::new(2);
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse::<IpAddr>().unwrap());
        let first = limit.acquire(one).unwrap();
        let _second = limit.acquire(one).unwrap();
        assert!(limit.acquire(one).is_none());
        assert!(limit.acquire(other).is_some());
        drop(first);
        assert!(limit.acquire(one).is_some());
        assert!(AddressLimit::new(0).acquire(one).is_some());
    }
}

//! Which addresses a request may reach: public ones, and those of networks that the operator allows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Why an address may not be reached. The message names the kind of address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {kind}, which the operator of this server does not allow")]
pub struct Forbidden {
    /// The address.
    pub address: IpAddr,
    /// Its kind, with an article.
    pub kind: &'static str,
}

/// Checks an address.
///
/// # Errors
///
/// It is not public, and in none of the `allowed` networks.
pub fn check_address(address: IpAddr, allowed: &[IpNet]) -> Result<(), Forbidden> {
    let canonical = address.to_canonical();
    if allowed
        .iter()
        .any(|network| network.contains(&canonical) || network.contains(&address))
    {
        return Ok(());
    }
    let kind = match canonical {
        IpAddr::V4(address) => kind_of_v4(address),
        IpAddr::V6(address) => kind_of_v6(address),
    };
    match kind {
        None => Ok(()),
        Some(kind) => Err(Forbidden { address, kind }),
    }
}

/// The ranges of RFC 6890 and its updates that are not reachable from everywhere.
const V4: &[([u8; 4], u8, &str)] = &[
    ([0, 0, 0, 0], 8, "an address of this host"),
    ([10, 0, 0, 0], 8, "a private address"),
    ([100, 64, 0, 0], 10, "an address behind a carrier's NAT"),
    ([127, 0, 0, 0], 8, "a loopback address"),
    ([169, 254, 0, 0], 16, "a link-local address"),
    ([172, 16, 0, 0], 12, "a private address"),
    ([192, 0, 0, 0], 24, "an address for protocols"),
    ([192, 0, 2, 0], 24, "an address for documentation"),
    ([192, 31, 196, 0], 24, "an anycast address"),
    ([192, 52, 193, 0], 24, "an anycast address"),
    ([192, 88, 99, 0], 24, "a relay's address"),
    ([192, 168, 0, 0], 16, "a private address"),
    ([192, 175, 48, 0], 24, "an anycast address"),
    ([198, 18, 0, 0], 15, "an address for benchmarks"),
    ([198, 51, 100, 0], 24, "an address for documentation"),
    ([203, 0, 113, 0], 24, "an address for documentation"),
    ([224, 0, 0, 0], 4, "a multicast address"),
    ([240, 0, 0, 0], 4, "a reserved or broadcast address"),
];

fn kind_of_v4(address: Ipv4Addr) -> Option<&'static str> {
    // A metadata service of a cloud that has a public address.
    if address == Ipv4Addr::new(168, 63, 129, 16) {
        return Some("a metadata service");
    }
    let bits = u32::from(address);
    V4.iter()
        .find(|(network, length, _)| {
            let mask = u32::MAX << (32 - u32::from(*length));
            bits & mask == u32::from(Ipv4Addr::from(*network))
        })
        .map(|(_, _, kind)| *kind)
}

fn kind_of_v6(address: Ipv6Addr) -> Option<&'static str> {
    let [first, second, third, ..] = address.segments();
    if let Some(embedded) = embedded_v4(address) {
        // The gateway would pass the request on to this address.
        return kind_of_v4(embedded);
    }
    // Only 2000::/3 is assigned to networks that can be reached from everywhere.
    if first & 0xe000 != 0x2000 {
        return Some(match first {
            0 if address.is_loopback() => "a loopback address",
            0 => "an address of this host",
            _ if address.is_multicast() => "a multicast address",
            _ if first & 0xfe00 == 0xfc00 => "a private address",
            _ if first & 0xffc0 == 0xfe80 => "a link-local address",
            _ => "a reserved address",
        });
    }
    match (first, second, third) {
        (0x2001, 0..=0x01ff, _) => Some("an address for protocols"),
        (0x2001, 0x0db8, _) => Some("an address for documentation"),
        (0x3fff, 0..=0x0fff, _) => Some("an address for documentation"),
        _ => None,
    }
}

/// The IPv4 address within an address of NAT64, 6to4, ISATAP or the deprecated compatible form.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match segments {
        // 64:ff9b::/96 and 64:ff9b:1::/48 (NAT64), and ::ffff:0:a.b.c.d (SIIT).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low] => Some(join(high, low)),
        // 2002::/16 (6to4).
        [0x2002, high, low, ..] => Some(join(high, low)),
        // ISATAP.
        [_, _, _, _, 0 | 0x0200, 0x5efe, high, low] => Some(join(high, low)),
        // ::a.b.c.d, but not :: and ::1.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => Some(join(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_allowed(text: &str, networks: &[&str]) -> bool {
        let networks: Vec<IpNet> = networks
            .iter()
            .map(|network| network.parse().expect("a network"))
            .collect();
        check_address(text.parse().expect("an address"), &networks).is_ok()
    }

    #[test]
    fn public_addresses_are_allowed() {
        for address in [
            "93.184.216.34",
            "1.1.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::1",
        ] {
            assert!(is_allowed(address, &[]), "{address}");
        }
    }

    #[test]
    fn addresses_that_are_not_public_are_refused() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::10.0.0.1",
            "2002:7f00:1::",
            "2002:c0a8:101::1",
            "2001:db8::1",
            "2001::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "5f00::1",
            "2606:4700::5efe:10.0.0.1",
            "3fff::1",
        ] {
            assert!(!is_allowed(address, &[]), "{address}");
        }
    }

    #[test]
    fn operator_allows_networks() {
        assert!(is_allowed("127.0.0.1", &["127.0.0.0/8"]));
        assert!(is_allowed("::ffff:127.0.0.1", &["127.0.0.0/8"]));
        assert!(is_allowed("fd00::5", &["10.0.0.0/8", "fd00::/8"]));
        assert!(!is_allowed("10.0.0.1", &["127.0.0.0/8"]));
        assert!(!is_allowed("64:ff9b::a00:1", &["10.0.0.0/8"]));
    }
}

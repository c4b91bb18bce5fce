//! The address of the client of a request, for limits that count by address.
//!
//! Any client can send `X-Forwarded-For`. The header is therefore read only from requests that a trusted proxy sent
//! (`ROLLBOOK_TRUSTED_PROXIES`), and from its end: each proxy appends the address from which it received the request.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use actix_web::http::header::{self, HeaderMap, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Returns the address of the client: the address of the socket, or the one that trusted proxies name.
///
/// A socket without an address, as in a unit test, counts as `0.0.0.0`.
pub fn find_client_address(
    socket: Option<SocketAddr>,
    headers: &HeaderMap,
    trusted_proxies: &[IpNet],
) -> IpAddr {
    let peer = socket.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |socket| {
        socket.ip().to_canonical()
    });
    if !is_trusted(peer, trusted_proxies) {
        return peer;
    }
    // Most proxies write only `X-Forwarded-For`, and pass a client's `Forwarded` on.
    if headers.contains_key(X_FORWARDED_FOR) {
        walk_back(peer, headers, &X_FORWARDED_FOR, parse_node, trusted_proxies)
    } else {
        walk_back(peer, headers, &header::FORWARDED, parse_element, trusted_proxies)
    }
}

/// Walks from the last address of a header to the first one that is not a trusted proxy.
fn walk_back(
    peer: IpAddr,
    headers: &HeaderMap,
    name: &HeaderName,
    parse: fn(&str) -> Option<IpAddr>,
    trusted_proxies: &[IpNet],
) -> IpAddr {
    let values: Vec<_> = headers.get_all(name).collect();
    let mut address = peer;
    for value in values.into_iter().rev() {
        let Ok(text) = value.to_str() else {
            return address;
        };
        for element in text.rsplit(',') {
            // What stands before an unreadable element was not written by a trusted proxy.
            let Some(named) = parse(element.trim()) else {
                return address;
            };
            address = named;
            if !is_trusted(address, trusted_proxies) {
                return address;
            }
        }
    }
    address
}

fn is_trusted(address: IpAddr, trusted_proxies: &[IpNet]) -> bool {
    trusted_proxies.iter().any(|network| network.contains(&address))
}

/// Parses an element of `Forwarded` (RFC 7239): the address in `for=`.
fn parse_element(element: &str) -> Option<IpAddr> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    parse_node(node.trim().trim_matches('"'))
}

/// Parses an address with or without a port; an IPv6 address may be in brackets.
fn parse_node(text: &str) -> Option<IpAddr> {
    let address = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()))
        .or_else(|_| text.trim_start_matches('[').trim_end_matches(']').parse());
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn find(peer: &str, headers: &[(&'static str, &'static str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let trusted = ["10.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap());
        let peer = SocketAddr::new(peer.parse().unwrap(), 1234);
        find_client_address(Some(peer), &map, &trusted).to_string()
    }

    #[test]
    fn header_of_an_untrusted_peer_is_ignored() {
        assert_eq!(
            find("192.0.2.1", &[("x-forwarded-for", "198.51.100.7")]),
            "192.0.2.1"
        );
        assert_eq!(
            find("192.0.2.1", &[("forwarded", "for=198.51.100.7")]),
            "192.0.2.1"
        );
    }

    #[test]
    fn last_address_that_is_not_a_trusted_proxy_is_the_client() {
        for (headers, client) in [
            (vec![("x-forwarded-for", "198.51.100.7")], "198.51.100.7"),
            (
                vec![("x-forwarded-for", "203.0.113.9, 198.51.100.7, 10.1.1.1")],
                "198.51.100.7",
            ),
            (
                vec![
                    ("x-forwarded-for", "203.0.113.9"),
                    ("x-forwarded-for", "198.51.100.7:443"),
                ],
                "198.51.100.7",
            ),
            (vec![("x-forwarded-for", "10.2.2.2, 10.1.1.1")], "10.2.2.2"),
            (vec![("x-forwarded-for", "unknown, 10.1.1.1")], "10.1.1.1"),
            (vec![("x-forwarded-for", "nonsense")], "10.0.0.1"),
            (vec![], "10.0.0.1"),
            (
                vec![(
                    "forwarded",
                    "for=203.0.113.9, for=\"[2001:db8::5]:80\";proto=https",
                )],
                "2001:db8::5",
            ),
            (
                vec![("forwarded", "For=198.51.100.7;by=10.0.0.1")],
                "198.51.100.7",
            ),
            (vec![("x-forwarded-for", "::ffff:198.51.100.7")], "198.51.100.7"),
        ] {
            assert_eq!(find("10.0.0.1", &headers), client, "{headers:?}");
        }
    }

    #[test]
    fn x_forwarded_for_counts_before_forwarded() {
        let both = |forwarded| [("x-forwarded-for", "198.51.100.7"), ("forwarded", forwarded)];
        for forwarded in [
            "for=198.51.100.7",
            "for=203.0.113.9",
            "for=10.1.1.1",
            "nonsense",
            "",
        ] {
            assert_eq!(find("10.0.0.1", &both(forwarded)), "198.51.100.7", "{forwarded}");
        }
    }
}

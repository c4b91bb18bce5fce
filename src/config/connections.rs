//! The settings of connections: proxies, and the time that clients have to read answers.

use std::net::IpAddr;
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;

use crate::server::deadlines::Deadlines;

/// The settings of connections.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connections")]
pub struct ConnectionArgs {
    /// The addresses or networks of the proxies in front of the server, separated by commas
    ///
    /// For example `10.0.0.7,192.168.4.0/24`. Limits for each address need the client's address. The server reads it
    /// from `X-Forwarded-For` or `Forwarded` of a request that comes from one of these addresses, and from no other
    /// request.
    #[arg(long, env = "ROLLBOOK_TRUSTED_PROXIES", value_delimiter = ',')]
    #[arg(value_name = "ADDRESSES", value_parser = parse_network)]
    pub trusted_proxies: Vec<IpNet>,

    /// The maximum number of open connections from one address; 0 is no limit
    ///
    /// It counts the addresses of sockets. Leave it off behind a proxy, because all connections then have one address.
    #[arg(long, env = "ROLLBOOK_MAX_CONNECTIONS_PER_ADDRESS")]
    #[arg(default_value_t = Deadlines::default().connections_per_address, value_name = "NUMBER")]
    pub max_connections_per_address: usize,

    /// How long a client may read no byte of an answer before its connection is closed, in seconds
    #[arg(long, env = "ROLLBOOK_ANSWER_STALL_SECONDS", value_name = "SECONDS")]
    #[arg(default_value_t = Deadlines::default().answer_stall.as_secs())]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub answer_stall_seconds: u64,

    /// The number of bytes per second of an answer that a client must read on average; 0 is no limit
    ///
    /// A client that reads more slowly for twice the time of `--answer-stall-seconds` loses its connection.
    #[arg(long, env = "ROLLBOOK_MIN_ANSWER_BYTES_PER_SECOND", value_name = "BYTES")]
    #[arg(default_value_t = Deadlines::default().answer_bytes_per_second)]
    pub min_answer_bytes_per_second: u32,
}

impl ConnectionArgs {
    /// The deadlines of a connection whose other deadlines are the given ones.
    pub fn deadlines(&self, header_timeout: Duration, keep_alive: Duration) -> Deadlines {
        Deadlines {
            head: header_timeout,
            idle: keep_alive,
            answer_stall: Duration::from_secs(self.answer_stall_seconds),
            answer_bytes_per_second: self.min_answer_bytes_per_second,
            connections_per_address: self.max_connections_per_address,
            drain: Deadlines::default().drain.min(header_timeout),
        }
    }
}

/// Parses a network, or an address as the network that contains only it.
fn parse_network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let network = match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address)),
        Err(_) => text.parse::<IpNet>(),
    };
    network.map_err(|_| {
        format!("`{text}` is not an address or a network; write for example 10.0.0.7 or 192.168.4.0/24")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_a_network_of_one() {
        assert_eq!(parse_network("10.0.0.7").unwrap().to_string(), "10.0.0.7/32");
        assert_eq!(parse_network(" ::1 ").unwrap().to_string(), "::1/128");
        assert_eq!(
            parse_network("192.168.4.0/24").unwrap().to_string(),
            "192.168.4.0/24"
        );
        assert!(parse_network("proxy.example.org").is_err());
        assert!(parse_network("10.0.0.0/40").is_err());
    }
}

//! `rollbook health`: checks whether a running server is ready, for containers without a shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;

use crate::cli::CliError;
use crate::config::ListenArgs;

/// The maximum duration of the request.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The arguments of `rollbook health`.
#[derive(Debug, Args)]
pub struct Health {
    /// The address of the server. For an address of all interfaces the loopback address is used.
    #[command(flatten)]
    pub listen: ListenArgs,
}

impl Health {
    /// Succeeds if `/health/ready` answers 200.
    pub async fn run(self) -> Result<(), CliError> {
        let address = to_reachable(self.listen.listen);
        let url = format!("http://{address}/health/ready");
        let refuse = |reason: String| CliError::Refused(format!("{url}: {reason}"));
        let client = reqwest::Client::builder()
            // A proxy in the environment is for other hosts.
            .no_proxy()
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| refuse(error.to_string()))?;
        let answer = client
            .get(&url)
            .send()
            .await
            .map_err(|error| refuse(error.to_string()))?;
        if answer.status().as_u16() == 200 {
            return Ok(());
        }
        Err(refuse(format!("answered {}", answer.status())))
    }
}

/// The address for requests to a server on this machine that listens on `listen`.
fn to_reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_address_is_used_for_all_interfaces() {
        for (listen, expected) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("10.0.0.7:81", "10.0.0.7:81"),
        ] {
            assert_eq!(
                to_reachable(listen.parse().expect("an address")).to_string(),
                expected
            );
        }
    }
}

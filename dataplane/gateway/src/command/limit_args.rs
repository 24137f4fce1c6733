//! Arguments for the limits of the public listener.

use clap::Args;

use crate::limits::{ConnectionLimits, LimitSettings, MemoryLimits, PrincipalLimits};

/// Limits of the public listener. Requests and connections beyond them are refused.
#[derive(Args, Clone, Default)]
pub(super) struct LimitArgs {
    /// Maximum number of connections. At most 40% of them may be unproven: no request on them has carried a valid
    /// access token yet. Default: 10000.
    #[arg(long, value_name = "N", value_parser = positive)]
    max_connections: Option<usize>,
    /// Maximum number of unproven connections per client address (IPv6: per /64 network). Proxies of
    /// trustedProxies have no such limit. Default: 400.
    #[arg(long, value_name = "N", value_parser = positive)]
    max_connections_per_address: Option<usize>,
    /// Maximum number of open-ended streams. Default: three quarters of the connections.
    #[arg(long, value_name = "N", value_parser = positive)]
    max_streams: Option<usize>,
    /// Maximum number of open-ended streams per principal. Default: 512.
    #[arg(long, value_name = "N", value_parser = positive)]
    max_streams_per_principal: Option<usize>,
    /// Maximum number of requests in progress per principal. Default: 512.
    #[arg(long, value_name = "N", value_parser = positive)]
    max_requests_per_principal: Option<usize>,
    /// Maximum size of all request bodies and buffered responses in memory, in MiB. One principal may use half of
    /// it, and all requests to pages and OAuth endpoints a quarter. Default: 64.
    #[arg(long, value_name = "MIB", value_parser = positive)]
    max_request_memory: Option<usize>,
}

impl LimitArgs {
    pub(super) fn settings(&self) -> LimitSettings {
        let default = LimitSettings::default();
        let connections = self.max_connections.unwrap_or(default.connections.total);
        LimitSettings {
            connections: ConnectionLimits {
                total: connections,
                unproven: (connections * 2 / 5).max(1),
                per_address: self.max_connections_per_address.unwrap_or(default.connections.per_address),
                per_principal: (connections / 10).max(1),
            },
            memory: MemoryLimits {
                total: self
                    .max_request_memory
                    .map_or(default.memory.total, |mib| mib.saturating_mul(1 << 20)),
            },
            principals: PrincipalLimits {
                requests: self.max_requests_per_principal.unwrap_or(default.principals.requests),
                streams: self.max_streams_per_principal.unwrap_or(default.principals.streams),
                all_streams: self.max_streams.unwrap_or((connections * 3 / 4).max(1)),
            },
        }
    }
}

/// Parses a positive number. Zero would refuse everything.
fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=1_000_000) => Ok(number),
        _ => Err("must be a number from 1 to 1000000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_no_arguments_then_the_limits_are_the_defaults() {
        let (arguments, default) = (LimitArgs::default().settings(), LimitSettings::default());
        let numbers = |settings: LimitSettings| {
            let LimitSettings { connections, memory, principals } = settings;
            [
                connections.total,
                connections.unproven,
                connections.per_address,
                connections.per_principal,
                memory.total,
                principals.requests,
                principals.streams,
                principals.all_streams,
            ]
        };
        assert_eq!(numbers(arguments), numbers(default));
    }

    #[test]
    fn given_a_number_of_connections_then_the_parts_of_it_follow() {
        let settings = LimitArgs { max_connections: Some(100), ..LimitArgs::default() }.settings();
        assert_eq!((settings.connections.unproven, settings.principals.all_streams), (40, 75));
        assert!(positive("0").is_err() && positive("x").is_err() && positive("1").is_ok());
    }
}

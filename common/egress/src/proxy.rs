//! Egress proxies from the environment.

use std::net::SocketAddr;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tokio::net::TcpStream;
use tower_service::Service as _;

use crate::{Destination, RequestFailure};

/// The egress proxies from the environment variables `HTTPS_PROXY`, `HTTP_PROXY` and `ALL_PROXY`, with the
/// exceptions of `NO_PROXY`. Lower-case names work too; upper case takes precedence.
///
/// The `CONNECT` request (RFC 9110, section 9.3.6) contains the IP address that was checked, never a name, so
/// the proxy cannot choose the destination. Requests without TLS use `CONNECT` too. The proxy's own address
/// is not checked: the administrator configures it.
#[derive(Default)]
pub struct Proxies(Option<Matcher>);

/// An environment variable does not hold a supported proxy URL. The message omits the value: it may hold a
/// password.
#[derive(Debug, thiserror::Error)]
#[error("{variable} is not a supported proxy URL; use http://host:port or http://user:password@host:port")]
pub struct ProxyError {
    variable: &'static str,
}

/// The proxy for one destination.
pub(crate) struct Proxy(Intercept);

impl Proxies {
    /// Reads the variables. `variable` returns the value of a variable that is set.
    ///
    /// # Errors
    /// When a value is not an `http` URL. Proxies over TLS or SOCKS are not supported.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ProxyError> {
        let either = |capitals: &str, small: &str| {
            variable(capitals).or_else(|| variable(small)).filter(|value| !value.is_empty())
        };
        let mut matcher = Matcher::builder();
        let mut any = false;
        type Put = fn(
            hyper_util::client::proxy::matcher::Builder,
            String,
        ) -> hyper_util::client::proxy::matcher::Builder;
        let proxies: [(&'static str, &str, Put); 3] = [
            ("ALL_PROXY", "all_proxy", |builder, value| builder.all(value)),
            ("HTTPS_PROXY", "https_proxy", |builder, value| builder.https(value)),
            ("HTTP_PROXY", "http_proxy", |builder, value| builder.http(value)),
        ];
        for (name, small, put) in proxies {
            let Some(value) = either(name, small) else { continue };
            // Like other programs, read `proxy.example.com:3128` as http.
            let url = if value.contains("://") { value.clone() } else { format!("http://{value}") };
            let sound = url.parse::<Uri>().is_ok_and(|uri| {
                uri.scheme_str() == Some("http") && uri.host().is_some_and(|host| !host.is_empty())
            });
            if !sound {
                return Err(ProxyError { variable: name });
            }
            (matcher, any) = (put(matcher, value), true);
        }
        if let Some(no) = either("NO_PROXY", "no_proxy") {
            matcher = matcher.no(no);
        }
        Ok(Self(any.then(|| matcher.build())))
    }

    /// The proxy for a destination, if any.
    pub(crate) fn for_destination(&self, to: Destination<'_>) -> Option<Proxy> {
        let matcher = self.0.as_ref()?;
        let scheme = if to.plain { "http" } else { "https" };
        let host = match to.host.contains(':') && !to.host.starts_with('[') {
            true => format!("[{}]", to.host),
            false => to.host.to_owned(),
        };
        let uri: Uri = format!("{scheme}://{host}:{}/", to.port).parse().ok()?;
        matcher.intercept(&uri).map(Proxy)
    }
}

impl Proxy {
    /// Opens a connection to an address through the proxy.
    pub(crate) async fn connect(&self, address: SocketAddr) -> Result<TcpStream, RequestFailure> {
        let proxy =
            self.0.uri().authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
        let to: Uri = format!("http://{address}/").parse()?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let mut tunnel = Tunnel::new(self.0.uri().clone(), connector);
        if let Some(credentials) = self.0.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        match tunnel.call(to).await {
            Ok(stream) => Ok(stream.into_inner()),
            Err(error) => Err(RequestFailure::Proxy { proxy, address, source: Box::new(error) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, ProxyError> {
        Proxies::from_environment(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn through(proxies: &Proxies, url: &str) -> Option<String> {
        let uri: Uri = url.parse().unwrap();
        let to = Destination {
            host: uri.host().unwrap(),
            port: uri.port_u16().unwrap_or(443),
            plain: uri.scheme_str() == Some("http"),
        };
        proxies.for_destination(to).map(|proxy| proxy.0.uri().authority().unwrap().to_string())
    }

    #[test]
    fn given_proxies_in_the_environment_then_each_scheme_has_its_own_and_no_proxy_excepts() {
        let proxies = proxies(&[
            ("HTTPS_PROXY", "http://secure.example:3128"),
            ("http_proxy", "plain.example:3128"),
            ("NO_PROXY", ".svc.cluster.local, 10.0.0.0/8, fd00::/8"),
        ])
        .unwrap();
        assert_eq!(through(&proxies, "https://mcp.example.com/").as_deref(), Some("secure.example:3128"));
        assert_eq!(through(&proxies, "http://mcp.example.com/").as_deref(), Some("plain.example:3128"));
        for own in ["https://a.team.svc.cluster.local/", "http://10.1.2.3/", "https://[fd00::1]/"] {
            assert_eq!(through(&proxies, own), None, "{own}");
        }
    }

    #[test]
    fn given_nothing_in_the_environment_then_there_is_no_proxy() {
        assert_eq!(through(&proxies(&[]).unwrap(), "https://mcp.example.com/"), None);
        assert_eq!(through(&proxies(&[("HTTPS_PROXY", "")]).unwrap(), "https://mcp.example.com/"), None);
    }

    #[test]
    fn given_a_proxy_that_is_none_or_spoken_to_otherwise_then_it_is_refused_and_its_password_is_not_repeated()
    {
        for value in
            ["https://proxy.example", "socks5://proxy.example", "http://", "http://user:hush@bad host"]
        {
            let error = proxies(&[("HTTPS_PROXY", value)]).err().unwrap().to_string();
            assert!(error.contains("HTTPS_PROXY") && !error.contains("hush"), "{error}");
        }
    }
}

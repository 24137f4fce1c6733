use std::net::SocketAddr;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tokio::net::TcpStream;
use tower_service::Service as _;

use crate::Destination;

/// The proxies through which requests leave, as the environment names them: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, and
/// `NO_PROXY` for whom they are not; in capitals or small letters, capitals first.
///
/// A proxy is asked (`CONNECT_TIMEOUT`, RFC 9110 section 9.3.6) for the address that was checked, never for a name: it has no say in
/// where a request goes. For requests without TLS, too. Its own address is trusted, being the administrator's word.
#[derive(Default)]
pub struct Proxies(Option<Matcher>);

/// The environment names a proxy that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{variable} is no proxy that can be used: write http://host:port, or http://user:password@host:port")]
pub struct ProxyError {
    variable: &'static str,
}

/// The proxy for one destination.
pub(crate) struct Proxy(Intercept);

impl Proxies {
    /// Reads them; `variable` gives the value of one, where it is set.
    ///
    /// # Errors
    /// When one is not the URL of a proxy that is spoken to in the clear. Those over TLS or SOCKS are not supported.
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
            // As elsewhere, `proxy.example.com:3128` is one without TLS.
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

    /// The proxy to a destination, where there is one.
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
    /// A connection through the proxy to an address.
    pub(crate) async fn connect(&self, address: SocketAddr) -> Result<TcpStream, String> {
        let name =
            self.0.uri().authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
        let to: Uri = format!("http://{address}/").parse().map_err(|error| format!("{error}"))?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let mut tunnel = Tunnel::new(self.0.uri().clone(), connector);
        if let Some(credentials) = self.0.basic_auth() {
            tunnel = tunnel.with_auth(credentials.clone());
        }
        let stream = tunnel.call(to).await.map_err(|error| {
            format!(
                "the egress proxy {name} opens no way to {address} ({error}); it has to allow CONNECT to that address and port"
            )
        })?;
        Ok(stream.into_inner())
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

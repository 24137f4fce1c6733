//! Issuers: each route has one, and so has the gateway's root.

use std::sync::Arc;

use portcullis_policy::{Route, RouteTable};

/// An issuer. Each route has its own; the root issuer serves clients that use the gateway's base URL.
#[derive(Clone, Debug)]
pub enum Issuer {
    /// `{publicUrl}/mcp/{slug}`: grants for this route only.
    Route(Arc<Route>),
    /// `{publicUrl}`: grants for the route that `resource` names.
    Root,
}

/// `resource` (RFC 8707) names no route of this issuer: `invalid_target`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// A route's issuer was used with another resource.
    #[error("resource names another virtual MCP; at this authorization server it must be {0} or be omitted")]
    NotThisRoute(Arc<str>),
    /// The root issuer serves no route with this resource.
    #[error("resource names no virtual MCP of this gateway; use the exact URL that the client connects to")]
    Unknown,
    /// The root issuer serves several routes, and the request does not name one.
    #[error(
        "resource is missing, and this gateway serves several virtual MCPs; send the URL that the client connects to"
    )]
    Ambiguous,
}

impl Issuer {
    /// The issuer at `{publicUrl}/mcp/{slug}`, or the root issuer without a slug. `None` if the slug is not
    /// served.
    #[must_use]
    pub fn at(table: &RouteTable, slug: Option<&str>) -> Option<Self> {
        match slug {
            Some(slug) => table.route(slug).cloned().map(Self::Route),
            None => Some(Self::Root),
        }
    }

    /// The issuer identifier (RFC 8414, section 2). `iss` in redirects and tokens is byte for byte the same.
    #[must_use]
    pub fn identifier(&self, table: &RouteTable) -> String {
        match self {
            Self::Route(route) => route.url.to_string(),
            Self::Root => table.gateway.public_url.to_string(),
        }
    }

    /// The route that `resource` names. A client may omit `resource` if the issuer serves only one route.
    ///
    /// # Errors
    /// When `resource` names no route of this issuer, or is missing although the issuer serves several
    /// routes.
    pub fn target(&self, table: &RouteTable, resource: Option<&str>) -> Result<Arc<Route>, TargetError> {
        match (self, resource) {
            (Self::Route(route), None) => Ok(Arc::clone(route)),
            (Self::Route(route), Some(resource)) if is_route_url(table, route, resource) => {
                Ok(Arc::clone(route))
            }
            (Self::Route(route), Some(_)) => Err(TargetError::NotThisRoute(Arc::clone(&route.url))),
            (Self::Root, Some(resource)) => table
                .routes()
                .find(|route| is_route_url(table, route, resource))
                .cloned()
                .ok_or(TargetError::Unknown),
            (Self::Root, None) => sole_route(table).ok_or(TargetError::Ambiguous),
        }
    }
}

/// The gateway's public URL, which is the identifier of the root issuer: a route's URL without `/mcp/{slug}`.
pub(crate) fn root_issuer(route: &Route) -> &str {
    route.url.strip_suffix(&*route.slug).and_then(|url| url.strip_suffix("/mcp/")).unwrap_or(&route.url)
}

/// The route of a gateway that has exactly one.
pub(crate) fn sole_route(table: &RouteTable) -> Option<Arc<Route>> {
    let mut routes = table.routes();
    routes.next().filter(|_| routes.next().is_none()).cloned()
}

/// Whether `resource` is the route's URL. Scheme and host are compared case-insensitively, the rest exactly
/// (MCP authorization, "Canonical Server URI").
pub(crate) fn is_route_url(table: &RouteTable, route: &Route, resource: &str) -> bool {
    let base = table.gateway.public_url.len();
    match (resource.split_at_checked(base), route.url.split_at_checked(base)) {
        (Some((base, path)), Some((our_base, our_path))) => {
            base.eq_ignore_ascii_case(our_base) && path == our_path
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::table;

    proptest! {
        #[test]
        fn given_any_resource_when_it_names_a_route_then_it_is_its_url_but_for_the_case_of_scheme_and_host(
            resource in "(https|HTTPS|http)://(gateway|Gateway|evil)\\.example(:443)?(/|//)?(mcp|MCP)?/(a|b|A|c)?(/|\\?x=1|#x|%20)?",
        ) {
            let table = table(&["a", "b"]);
            match Issuer::Root.target(&table, Some(&resource)) {
                Ok(route) => {
                    let path = route.url.split_at(table.gateway.public_url.len()).1;
                    prop_assert!(resource.eq_ignore_ascii_case(&route.url) && resource.ends_with(path));
                    // Of the route's own issuer and of no other.
                    prop_assert!(Issuer::Route(Arc::clone(&route)).target(&table, Some(&resource)).is_ok());
                    for other in table.routes().filter(|other| other.uid != route.uid) {
                        prop_assert!(Issuer::Route(Arc::clone(other)).target(&table, Some(&resource)).is_err());
                    }
                }
                Err(error) => prop_assert_eq!(error, TargetError::Unknown),
            }
        }
    }
}

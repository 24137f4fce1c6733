//! The route table: all routes, origins and settings, built for serving.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use portcullis_config::{
    Access, CatalogSharing, ClientPolicy, IdentityProviderKind, Network, OriginAuth, OriginLimits,
    TokenLifetimes,
};
use secrecy::SecretString;
use url::Url;

use crate::Principal;
use crate::access::{MemberSet, TeamRule};
use crate::curation::Curation;
use crate::name_set::NameSet;

/// All served routes and origins. Immutable.
#[derive(Debug)]
pub struct RouteTable {
    /// Number of the table, counted from the start of the process.
    pub generation: u64,
    /// The installation's settings.
    pub gateway: Arc<Gateway>,
    // Keys are shared with the routes, so a new table needs little memory beside the previous one.
    pub(crate) routes: HashMap<Arc<str>, Arc<Route>>,
    pub(crate) routes_by_uid: HashMap<Arc<str>, Arc<Route>>,
    pub(crate) origins_by_id: HashMap<Arc<str>, Arc<Origin>>,
}

/// The installation's settings.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Name of the McpGateway, as shown in events.
    pub name: Arc<str>,
    /// Scheme, host and port, without a trailing slash. Prefix of all URLs of the gateway.
    pub public_url: Arc<str>,
    /// Whether the public URL is plain http on loopback: cookies are then neither `Secure` nor prefixed.
    pub loopback_http: bool,
    /// Lifetimes of issued tokens and sessions.
    pub tokens: TokenLifetimes,
    /// How long calls continue without a current revocation feed, in seconds.
    pub store_outage_grace_seconds: u64,
    /// Which OAuth clients may register or identify themselves.
    pub clients: ClientPolicy,
    /// Registered workloads, by name.
    pub workloads: HashMap<Arc<str>, Arc<Workload>>,
    /// In the order of the resource; the first is the default.
    pub identity_providers: Vec<Arc<IdentityProvider>>,
    /// Peers whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether requests are refused while events are written more slowly than they occur.
    pub refuse_when_events_overflow: bool,
    pub(crate) admins: MemberSet,
}

impl Gateway {
    /// Whether a principal is an administrator of this gateway. Only users of the first identity provider can
    /// be: another provider may have groups with the same names that other people manage.
    #[must_use]
    pub fn is_admin(&self, principal: &Principal) -> bool {
        self.identity_providers.first().is_some_and(|provider| provider.name == principal.identity_provider)
            && self.admins.contains(principal)
    }
}

/// An identity provider, with its client secret resolved.
#[derive(Debug)]
pub struct IdentityProvider {
    /// Name: part of every subject.
    pub name: Arc<str>,
    /// Earlier issuers that the name may be bound to.
    pub previous_issuers: Vec<String>,
    /// Protocol and settings.
    pub kind: IdentityProviderKind,
    /// The gateway's client secret at the provider.
    pub client_secret: Option<SecretString>,
}

/// A program that authenticates as itself, with its credential resolved.
#[derive(Debug)]
pub struct Workload {
    /// Name, which is also its `client_id`.
    pub name: Arc<str>,
    /// Name shown to users.
    pub display_name: String,
    /// How it authenticates.
    pub proof: WorkloadAuth,
}

/// How a workload authenticates.
#[derive(Debug)]
pub enum WorkloadAuth {
    /// A client secret.
    Secret(SecretString),
    /// An assertion signed by one of these public keys (a JSON Web Key Set).
    Jwks(serde_json::Value),
    /// An assertion signed by one of the public keys at a URL.
    JwksUri {
        /// URL of the JSON Web Key Set.
        url: Url,
        /// Private networks in which the URL may resolve.
        private_networks: Vec<ipnet::IpNet>,
    },
}

/// A virtual MCP as built for serving.
#[derive(Debug)]
pub struct Route {
    /// UID that grants are bound to.
    pub uid: Arc<str>,
    /// `namespace/name`.
    pub name: Arc<str>,
    /// Path segment under `/mcp/`.
    pub slug: Arc<str>,
    /// `{publicUrl}/mcp/{slug}`: both the resource (RFC 8707) and the issuer (RFC 8414) of this route.
    pub url: Arc<str>,
    /// Name shown to users.
    pub display_name: String,
    /// Description shown to users.
    pub description: String,
    /// Whether the route or its origin is suspended.
    pub suspended: bool,
    /// Identity provider of its users.
    pub identity_provider: Arc<IdentityProvider>,
    /// The upstream MCP server.
    pub origin: Arc<Origin>,
    /// Which capabilities of the origin are offered.
    pub curation: Arc<Curation>,
    pub(crate) access: Access,
    pub(crate) teams: Vec<TeamRule>,
}

/// An upstream MCP server, with its static credential resolved.
#[derive(Debug)]
pub struct Origin {
    /// UID that connections are bound to.
    pub uid: Arc<str>,
    /// Opaque identifier in `/connect/{id}`.
    pub id: Arc<str>,
    /// `namespace/name`.
    pub name: Arc<str>,
    /// Name shown to users.
    pub display_name: String,
    /// URL of the Streamable HTTP endpoint.
    pub url: Url,
    /// How the gateway authenticates at the origin.
    pub auth: OriginAuth,
    /// The static credential that `auth` refers to.
    pub credential: OriginCredential,
    /// Allowed networks and trusted certificates.
    pub network: Network,
    /// Limits of one call.
    pub limits: OriginLimits,
    /// Who may see what the origin shows to a user's account.
    pub catalog_sharing: CatalogSharing,
}

/// A static credential. Resolved from the config's secrets and checked against its allowed hosts.
#[derive(Debug)]
pub enum OriginCredential {
    /// No static credential.
    None,
    /// A header of every request. Its value is marked as sensitive.
    Header(HeaderName, HeaderValue),
    /// Path and query of every request, including the parameter with the credential. Valid as an HTTP request
    /// target.
    RequestTarget(SecretString),
    /// Secret of a manually registered client, and the token endpoint hosts that may receive it.
    ClientSecret(SecretString, NameSet),
}

impl RouteTable {
    /// The route served at `/mcp/{slug}`, suspended ones included.
    #[must_use]
    pub fn route(&self, slug: &str) -> Option<&Arc<Route>> {
        self.routes.get(slug)
    }

    /// The route with this UID.
    #[must_use]
    pub fn route_by_uid(&self, uid: &str) -> Option<&Arc<Route>> {
        self.routes_by_uid.get(uid)
    }

    /// The origin at `/connect/{id}`.
    #[must_use]
    pub fn origin(&self, id: &str) -> Option<&Arc<Origin>> {
        self.origins_by_id.get(id)
    }

    /// The origin with this UID.
    #[must_use]
    pub fn origin_by_uid(&self, uid: &str) -> Option<&Arc<Origin>> {
        self.origins_by_id.values().find(|origin| *origin.uid == *uid)
    }

    /// All routes, in no particular order.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.values()
    }
}

/// The current route table. Cheap to clone; readers never wait.
#[derive(Clone, Default)]
pub struct RouteTableHandle(Arc<ArcSwapOption<RouteTable>>);

impl RouteTableHandle {
    /// The current table. `None` before the first one and after [`clear`](Self::clear).
    #[must_use]
    pub fn current(&self) -> Option<Arc<RouteTable>> {
        self.0.load_full()
    }

    /// Replaces the table. Requests in progress keep their table.
    pub fn swap(&self, table: Arc<RouteTable>) {
        self.0.store(Some(table));
    }

    /// Removes the table. Requests are then answered with an error.
    pub fn clear(&self) {
        self.0.store(None);
    }
}

#[cfg(test)]
mod tests {
    use portcullis_golden::config::{config, gateway, origin, route, with};
    use serde_json::json;

    use super::*;

    fn table(generation: u64) -> Arc<RouteTable> {
        let origins = ["x", "y"].map(|uid| with(origin(uid), json!({"id": format!("id-{uid}")})));
        let documents = config(gateway(), origins.into(), vec![route("uid", "slug", "x")]);
        Arc::new(RouteTable::build(&serde_json::from_value(documents).unwrap(), generation).unwrap())
    }

    #[test]
    fn given_a_handle_when_its_table_is_swapped_then_clones_see_the_new_one() {
        let handle = RouteTableHandle::default();
        let reader = handle.clone();
        assert!(reader.current().is_none(), "no table yet");
        handle.swap(table(1));
        let first = reader.current().unwrap();
        handle.swap(table(2));
        assert_eq!(reader.current().unwrap().generation, 2);
        handle.clear();
        assert!(reader.current().is_none());
        assert_eq!(first.generation, 1, "a request keeps its table");
    }

    #[test]
    fn given_a_table_then_routes_and_origins_are_found_by_their_keys_alone() {
        let table = table(1);
        assert_eq!(&*table.route("slug").unwrap().uid, "uid");
        assert_eq!(&*table.route_by_uid("uid").unwrap().slug, "slug");
        assert_eq!(&*table.origin("id-y").unwrap().name, "mcp/y");
        assert_eq!(&*table.origin_by_uid("x").unwrap().name, "mcp/x");
        assert!(table.route("uid").is_none() && table.route_by_uid("slug").is_none());
        assert!(table.origin("x").is_none() && table.origin_by_uid("id-x").is_none());
    }
}

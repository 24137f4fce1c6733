use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use portcullis_config::{
    Access, ClientPolicy, IdentityProviderKind, Network, OriginAuth, OriginLimits, TokenLifetimes,
};
use secrecy::SecretString;
use url::Url;

use crate::Principal;
use crate::access::{MemberSet, TeamRule};
use crate::curation::Curation;
use crate::name_set::NameSet;

/// All that is served, immutable.
#[derive(Debug)]
pub struct RouteTable {
    /// Counts tables since the start of the process.
    pub generation: u64,
    /// The installation's settings.
    pub gateway: Arc<Gateway>,
    // Keys are shared with the routes, so that a table costs little beside the one before it.
    pub(crate) routes: HashMap<Arc<str>, Arc<Route>>,
    pub(crate) routes_by_uid: HashMap<Arc<str>, Arc<Route>>,
    pub(crate) origins_by_id: HashMap<Arc<str>, Arc<Origin>>,
}

/// The installation's settings.
#[derive(Debug)]
pub struct Gateway {
    /// Its name, as events show it.
    pub name: Arc<str>,
    /// Scheme, host and port, without a trailing slash: what every URL of the gateway's begins with.
    pub public_url: Arc<str>,
    /// Whether that is plain http on loopback: cookies are then neither `Secure` nor prefixed.
    pub loopback_http: bool,
    /// How long what it issues is valid.
    pub tokens: TokenLifetimes,
    /// How long calls go on without a fresh feed of revocations, in seconds.
    pub store_outage_grace_seconds: u64,
    /// Which OAuth clients may introduce themselves.
    pub clients: ClientPolicy,
    /// Programs that sign in as themselves, by name.
    pub workloads: HashMap<Arc<str>, Arc<Workload>>,
    /// In the order of the resource; the first is the default.
    pub identity_providers: Vec<Arc<IdentityProvider>>,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    pub(crate) admins: MemberSet,
}

impl Gateway {
    /// Whether somebody administers this gateway. Only people of the first identity provider do: another one's groups may have
    /// the same names, and be given by somebody else.
    #[must_use]
    pub fn is_admin(&self, principal: &Principal) -> bool {
        self.identity_providers.first().is_some_and(|provider| provider.name == principal.identity_provider)
            && self.admins.contains(principal)
    }
}

/// One way to sign in, with its secret at hand.
#[derive(Debug)]
pub struct IdentityProvider {
    /// Its name: part of every subject.
    pub name: Arc<str>,
    /// Its protocol and settings.
    pub kind: IdentityProviderKind,
    /// The gateway's client secret there.
    pub client_secret: Option<SecretString>,
}

/// A program that signs in as itself, with its credential at hand.
#[derive(Debug)]
pub struct Workload {
    /// Its name, which is its `client_id`.
    pub name: Arc<str>,
    /// For people.
    pub display_name: String,
    /// What it shows to be itself.
    pub proof: WorkloadAuth,
}

/// What a program shows to be itself.
#[derive(Debug)]
pub enum WorkloadAuth {
    /// A client secret.
    Secret(SecretString),
    /// An assertion that one of these public keys signed (a JSON Web Key Set).
    Jwks(serde_json::Value),
    /// The same, with the keys at an address.
    JwksUri {
        /// Where they are.
        url: Url,
        /// Networks beyond the public internet in which that may be.
        private_networks: Vec<ipnet::IpNet>,
    },
}

/// A virtual MCP as built for serving.
#[derive(Debug)]
pub struct Route {
    /// What grants bind to.
    pub uid: Arc<str>,
    /// `namespace/name`.
    pub name: Arc<str>,
    /// Its place under `/mcp/`.
    pub slug: Arc<str>,
    /// `{publicUrl}/mcp/{slug}`: at once the resource (RFC 8707) and the issuer (RFC 8414) of this route.
    pub url: Arc<str>,
    /// For people.
    pub display_name: String,
    /// For people.
    pub description: String,
    /// Kill switch, its own or its origin's.
    pub suspended: bool,
    /// Whose users it serves.
    pub identity_provider: Arc<IdentityProvider>,
    /// What is behind it.
    pub origin: Arc<Origin>,
    /// What of the origin is offered.
    pub curation: Arc<Curation>,
    pub(crate) access: Access,
    pub(crate) teams: Vec<TeamRule>,
}

/// An upstream MCP server, with its static credentials at hand.
#[derive(Debug)]
pub struct Origin {
    /// What connections bind to.
    pub uid: Arc<str>,
    /// Opaque identifier in `/connect/{id}`.
    pub id: Arc<str>,
    /// `namespace/name`.
    pub name: Arc<str>,
    /// For people.
    pub display_name: String,
    /// The Streamable HTTP endpoint.
    pub url: Url,
    /// How the gateway authenticates there.
    pub auth: OriginAuth,
    /// The static credential that `auth` refers to.
    pub credential: OriginCredential,
    /// Where it may live.
    pub network: Network,
    /// What one call may cost.
    pub limits: OriginLimits,
}

/// A static credential, resolved from the contract's secrets and checked against the hosts that it may go to.
#[derive(Debug)]
pub enum OriginCredential {
    /// There is none, or each user has their own.
    None,
    /// A header for every request; its value is marked sensitive.
    Header(HeaderName, HeaderValue),
    /// Path and query of every request, a parameter with the credential among them. It is one that HTTP can carry.
    RequestTarget(SecretString),
    /// The secret of a client that was registered by hand, and the hosts whose token endpoint may see it.
    ClientSecret(SecretString, NameSet),
}

impl RouteTable {
    /// The route served at `/mcp/{slug}`, suspended ones included.
    #[must_use]
    pub fn route(&self, slug: &str) -> Option<&Arc<Route>> {
        self.routes.get(slug)
    }

    /// The route with a UID.
    #[must_use]
    pub fn route_by_uid(&self, uid: &str) -> Option<&Arc<Route>> {
        self.routes_by_uid.get(uid)
    }

    /// The origin at `/connect/{id}`.
    #[must_use]
    pub fn origin(&self, id: &str) -> Option<&Arc<Origin>> {
        self.origins_by_id.get(id)
    }

    /// The origin with a UID.
    #[must_use]
    pub fn origin_by_uid(&self, uid: &str) -> Option<&Arc<Origin>> {
        self.origins_by_id.values().find(|origin| *origin.uid == *uid)
    }

    /// All routes, in no order.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.values()
    }

    /// The route whose URL a client named as `resource` (RFC 8707), compared exactly.
    #[must_use]
    pub fn route_by_resource(&self, resource: &str) -> Option<&Arc<Route>> {
        let slug = resource.strip_prefix(&*self.gateway.public_url)?.strip_prefix("/mcp/")?;
        self.route(slug)
    }
}

/// The current route table. Cheap to clone; readers never wait.
#[derive(Clone, Default)]
pub struct RouteTableHandle(Arc<ArcSwapOption<RouteTable>>);

impl RouteTableHandle {
    /// The table now; `None` before the first one.
    #[must_use]
    pub fn current(&self) -> Option<Arc<RouteTable>> {
        self.0.load_full()
    }

    /// Puts another table in place. Requests under way keep theirs.
    pub fn swap(&self, table: Arc<RouteTable>) {
        self.0.store(Some(table));
    }

    /// Takes the table away: there is nothing to serve any more, and whoever asks is told so.
    pub fn clear(&self) {
        self.0.store(None);
    }
}

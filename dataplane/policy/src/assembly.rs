use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use portcullis_contract::{
    Capabilities, GatewayDoc, IdentityProviderDoc, OriginDoc, RouteDoc, SecretKey, SecretValue, TeamDoc,
};

use crate::admission::{MemberSet, TeamRule};
use crate::build::{
    BuildError, Credentials, identity_provider, key_of_provider, key_of_workload, origin, workload,
};
use crate::curation::Curation;
use crate::table::{Gateway, IdentityProvider, Origin, Route, RouteTable, Workload};

/// The documents of a contract, and what each was built to. A change to one rebuilds what it touches; everything else is shared
/// with the table before.
///
/// What cannot be built is left out and told ([`Problem`]); it takes nothing else with it. An origin or gateway that was built
/// before stands as it was, for as long as the credentials that it holds are still there.
#[derive(Default)]
pub struct Assembly {
    credentials: Credentials,
    gateway: Option<GatewayPart>,
    origins: HashMap<Arc<str>, OriginPart>,
    routes: HashMap<Arc<str>, RoutePart>,
    /// Routes that each team names, by the team's UID.
    teams: HashMap<Arc<str>, Vec<Arc<str>>>,
    /// By the route's UID, in the order of the teams' names. A team may come before its route.
    rules: HashMap<Arc<str>, Vec<(Arc<str>, TeamRule)>>,
}

/// A document that is not served as it says.
#[derive(Debug)]
pub struct Problem {
    /// Which document.
    pub part: Part,
    /// Why not.
    pub error: BuildError,
}

/// Which document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The gateway's.
    Gateway,
    /// An origin's, by UID.
    Origin(Arc<str>),
    /// A route's, by UID.
    Route(Arc<str>),
}

struct GatewayPart {
    doc: GatewayDoc,
    stale: bool,
    providers: Vec<ProviderPart>,
    /// The credentials of the workloads, in their order.
    workloads: Vec<Option<Arc<SecretValue>>>,
    built: Option<Arc<Gateway>>,
}

struct ProviderPart {
    doc: IdentityProviderDoc,
    secret: Option<Arc<SecretValue>>,
    built: Arc<IdentityProvider>,
}

struct OriginPart {
    doc: OriginDoc,
    stale: bool,
    secret: Option<Arc<SecretValue>>,
    built: Option<Arc<Origin>>,
}

struct RoutePart {
    /// Without its capabilities, which are in the curation.
    doc: RouteDoc,
    curation: Arc<Curation>,
    stale: bool,
    public_url: Option<Arc<str>>,
    built: Option<Arc<Route>>,
}

impl Assembly {
    /// Adds or replaces a credential.
    pub fn put_credential(&mut self, key: SecretKey, value: SecretValue) {
        self.credentials.insert(key, Arc::new(value));
    }

    /// Forgets a credential.
    pub fn remove_credential(&mut self, key: &SecretKey) {
        self.credentials.remove(key);
    }

    /// Adds or replaces the gateway's settings.
    pub fn put_gateway(&mut self, doc: GatewayDoc) {
        match &mut self.gateway {
            Some(part) => (part.stale, part.doc) = (true, doc),
            none => {
                let (providers, workloads) = (Vec::new(), Vec::new());
                *none = Some(GatewayPart { doc, stale: true, providers, workloads, built: None });
            }
        }
    }

    /// Forgets the gateway: without one there is no table.
    pub fn remove_gateway(&mut self) {
        self.gateway = None;
    }

    /// Adds or replaces an origin.
    pub fn put_origin(&mut self, doc: OriginDoc) {
        match self.origins.entry(doc.uid.as_str().into()) {
            Entry::Occupied(mut known) => {
                let part = known.get_mut();
                // Suspension is the routes': the origin, and what others remember of it, stays the same.
                let same = OriginDoc { suspended: doc.suspended, ..part.doc.clone() } == doc;
                part.stale |= !same;
                part.doc = doc;
            }
            Entry::Vacant(place) => {
                place.insert(OriginPart { doc, stale: true, secret: None, built: None });
            }
        }
    }

    /// Forgets an origin. Its routes go with it.
    pub fn remove_origin(&mut self, uid: &str) {
        self.origins.remove(uid);
    }

    /// Adds or replaces a route.
    pub fn put_route(&mut self, mut doc: RouteDoc) {
        let capabilities: Capabilities = std::mem::take(&mut doc.capabilities);
        let curation = Arc::new(Curation::new(&capabilities));
        match self.routes.entry(doc.uid.as_str().into()) {
            Entry::Occupied(mut known) => {
                let part = known.get_mut();
                (part.doc, part.curation, part.stale) = (doc, curation, true);
            }
            Entry::Vacant(place) => {
                place.insert(RoutePart { doc, curation, stale: true, public_url: None, built: None });
            }
        }
    }

    /// Forgets a route.
    pub fn remove_route(&mut self, uid: &str) {
        self.routes.remove(uid);
    }

    /// Adds or replaces a team.
    pub fn put_team(&mut self, doc: &TeamDoc) {
        self.remove_team(&doc.uid);
        let uid: Arc<str> = doc.uid.as_str().into();
        let mut named = Vec::with_capacity(doc.access.len());
        for (route, rule) in TeamRule::all_of(doc) {
            let route: Arc<str> = match self.routes.get_key_value(route) {
                Some((known, _)) => Arc::clone(known),
                None => route.into(),
            };
            let rules = self.rules.entry(Arc::clone(&route)).or_default();
            let place =
                rules.partition_point(|(team, known)| (known.name(), &**team) <= (rule.name(), &*uid));
            rules.insert(place, (Arc::clone(&uid), rule));
            self.touch(&route);
            named.push(route);
        }
        self.teams.insert(uid, named);
    }

    /// Forgets a team, and the access that it gave.
    pub fn remove_team(&mut self, uid: &str) {
        for route in self.teams.remove(uid).unwrap_or_default() {
            if let Some(rules) = self.rules.get_mut(&route) {
                rules.retain(|(team, _)| **team != *uid);
                if rules.is_empty() {
                    self.rules.remove(&route);
                }
            }
            self.touch(&route);
        }
    }

    fn touch(&mut self, route: &str) {
        if let Some(part) = self.routes.get_mut(route) {
            part.stale = true;
        }
    }

    /// The table as the documents are now, and which of them it does not follow. No table without a gateway.
    pub fn table(&mut self, generation: u64) -> (Option<RouteTable>, Vec<Problem>) {
        let mut problems = Vec::new();
        let gateway = self.gateway.as_mut().and_then(|part| {
            part.build(&self.credentials)
                .map_err(|error| problems.push(Problem { part: Part::Gateway, error }))
                .ok();
            part.built.clone()
        });
        for (uid, part) in &mut self.origins {
            if let Err(error) = part.build(&self.credentials) {
                problems.push(Problem { part: Part::Origin(Arc::clone(uid)), error });
            }
        }
        let Some(gateway) = gateway else { return (None, problems) };
        let origins_by_id = self
            .origins
            .values()
            .filter_map(|part| part.built.as_ref())
            .map(|origin| (Arc::clone(&origin.id), Arc::clone(origin)))
            .collect();
        let mut table = RouteTable {
            generation,
            gateway,
            routes: HashMap::with_capacity(self.routes.len()),
            routes_by_uid: HashMap::with_capacity(self.routes.len()),
            origins_by_id,
        };
        // Who has a slug keeps it until they let go of it.
        let mut newcomers = Vec::new();
        for (uid, part) in &mut self.routes {
            let before = part.built.as_ref().map(|route| Arc::clone(&route.slug));
            match part.build(&table.gateway, &self.origins, self.rules.get(uid)) {
                Ok(route) if before.is_some_and(|slug| slug == route.slug) => {
                    if let Some(other) = table.routes.get(&route.slug) {
                        problems.push(taken(&route, other));
                        part.built = None;
                        continue;
                    }
                    table.routes.insert(Arc::clone(&route.slug), Arc::clone(&route));
                    table.routes_by_uid.insert(Arc::clone(&route.uid), route);
                }
                Ok(route) => newcomers.push(route),
                Err(error) => {
                    part.built = None;
                    problems.push(Problem { part: Part::Route(Arc::clone(uid)), error });
                }
            }
        }
        newcomers.sort_by(|one, other| one.uid.cmp(&other.uid));
        for route in newcomers {
            match table.routes.entry(Arc::clone(&route.slug)) {
                Entry::Vacant(place) => {
                    place.insert(Arc::clone(&route));
                    table.routes_by_uid.insert(Arc::clone(&route.uid), route);
                }
                Entry::Occupied(other) => {
                    problems.push(taken(&route, other.get()));
                    if let Some(part) = self.routes.get_mut(&route.uid) {
                        part.built = None;
                    }
                }
            }
        }
        (Some(table), problems)
    }
}

fn taken(route: &Route, by: &Route) -> Problem {
    let error = BuildError::SlugTaken {
        from: route.name.to_string(),
        slug: route.slug.to_string(),
        by: by.name.to_string(),
    };
    Problem { part: Part::Route(Arc::clone(&route.uid)), error }
}

/// Whether a credential that was built in is still the one of that name.
fn same(built: Option<&Arc<SecretValue>>, now: Option<&Arc<SecretValue>>) -> bool {
    match (built, now) {
        (None, None) => true,
        (Some(built), Some(now)) => Arc::ptr_eq(built, now),
        _ => false,
    }
}

/// Whether a credential that was built in may still be used: nobody has taken it away.
fn published(built: Option<&Arc<SecretValue>>, credentials: &Credentials) -> bool {
    built.is_none_or(|built| credentials.values().any(|value| Arc::ptr_eq(value, built)))
}

impl GatewayPart {
    fn build(&mut self, credentials: &Credentials) -> Result<(), BuildError> {
        let secret = |doc: &IdentityProviderDoc| key_of_provider(doc).and_then(|key| credentials.get(key));
        let workload_secret = |doc| key_of_workload(doc).and_then(|key| credentials.get(key)).cloned();
        let workload_secrets: Vec<_> = self.doc.clients.workloads.iter().map(workload_secret).collect();
        let fresh = self.providers.iter().all(|part| same(part.secret.as_ref(), secret(&part.doc)))
            && self.workloads.len() == workload_secrets.len()
            && self
                .workloads
                .iter()
                .zip(&workload_secrets)
                .all(|(one, other)| same(one.as_ref(), other.as_ref()));
        if self.built.is_some() && !self.stale && fresh {
            return Ok(());
        }
        let mut providers = Vec::with_capacity(self.doc.identity_providers.len());
        for doc in &self.doc.identity_providers {
            let now = secret(doc);
            let known =
                self.providers.iter().find(|part| part.doc == *doc && same(part.secret.as_ref(), now));
            let built = match known {
                Some(part) => Arc::clone(&part.built),
                None => match identity_provider(doc, credentials) {
                    Ok(built) => Arc::new(built),
                    Err(error) => {
                        if !self.providers.iter().all(|part| published(part.secret.as_ref(), credentials)) {
                            self.built = None;
                        }
                        return Err(error);
                    }
                },
            };
            providers.push(ProviderPart { doc: doc.clone(), secret: now.cloned(), built });
        }
        let doc = &self.doc;
        let (workloads, missing) = build_workloads(doc, credentials);
        let public_url = doc.public_url.as_str().trim_end_matches('/');
        let known = self.built.as_ref().map(|built| Arc::clone(&built.public_url));
        self.built = Some(Arc::new(Gateway {
            name: doc.name.as_str().into(),
            public_url: known.filter(|known| **known == *public_url).unwrap_or_else(|| public_url.into()),
            loopback_http: doc.public_url.scheme() == "http",
            tokens: doc.tokens,
            store_outage_grace_seconds: doc.store_outage_grace_seconds,
            clients: doc.clients.clone(),
            trusted_proxies: doc.trusted_proxies.clone(),
            workloads,
            admins: MemberSet::new(&doc.admins),
            identity_providers: providers.iter().map(|part| Arc::clone(&part.built)).collect(),
        }));
        // A workload whose credential is missing is left out alone, and asked for again.
        (self.providers, self.workloads, self.stale) = (providers, workload_secrets, missing.is_some());
        missing.map_or(Ok(()), Err)
    }
}

/// The workloads that can be built, and why another could not.
fn build_workloads(
    doc: &GatewayDoc,
    credentials: &Credentials,
) -> (HashMap<Arc<str>, Arc<Workload>>, Option<BuildError>) {
    let (mut built, mut missing) = (HashMap::new(), None);
    for doc in &doc.clients.workloads {
        match workload(doc, credentials) {
            Ok(workload) => {
                built.insert(Arc::clone(&workload.name), Arc::new(workload));
            }
            Err(error) => missing = Some(error),
        }
    }
    (built, missing)
}

impl OriginPart {
    fn build(&mut self, credentials: &Credentials) -> Result<(), BuildError> {
        let now = self.doc.auth.secret().and_then(|key| credentials.get(key));
        if self.built.is_some() && !self.stale && same(self.secret.as_ref(), now) {
            return Ok(());
        }
        match origin(&self.doc, credentials) {
            Ok(built) => {
                (self.built, self.secret, self.stale) = (Some(Arc::new(built)), now.cloned(), false);
                Ok(())
            }
            Err(error) => {
                if !published(self.secret.as_ref(), credentials) {
                    (self.built, self.secret) = (None, None);
                }
                Err(error)
            }
        }
    }
}

impl RoutePart {
    fn build(
        &mut self,
        gateway: &Gateway,
        origins: &HashMap<Arc<str>, OriginPart>,
        rules: Option<&Vec<(Arc<str>, TeamRule)>>,
    ) -> Result<Arc<Route>, BuildError> {
        let doc = &self.doc;
        let missing =
            |what, name: &str| BuildError::Missing { from: doc.name.clone(), what, name: name.to_owned() };
        let behind = origins.get(doc.origin.as_str());
        let (suspended, origin) = behind
            .and_then(|part| Some((part.doc.suspended, part.built.as_ref()?)))
            .ok_or_else(|| missing("origin", behind.map_or(doc.origin.as_str(), |part| &part.doc.name)))?;
        let provider = gateway
            .identity_providers
            .iter()
            .find(|provider| *provider.name == *doc.identity_provider)
            .ok_or_else(|| missing("identity provider", &doc.identity_provider))?;
        let suspended = doc.suspended || suspended;
        if let Some(built) = &self.built
            && !self.stale
            && built.suspended == suspended
            && Arc::ptr_eq(&built.origin, origin)
            && Arc::ptr_eq(&built.identity_provider, provider)
            && self.public_url.as_ref().is_some_and(|url| Arc::ptr_eq(url, &gateway.public_url))
        {
            return Ok(Arc::clone(built));
        }
        let route = Arc::new(Route {
            uid: doc.uid.as_str().into(),
            name: doc.name.as_str().into(),
            slug: doc.slug.as_str().into(),
            url: format!("{}/mcp/{}", gateway.public_url, doc.slug).into(),
            display_name: doc.display_name.clone(),
            description: doc.description.clone(),
            suspended,
            identity_provider: Arc::clone(provider),
            origin: Arc::clone(origin),
            curation: Arc::clone(&self.curation),
            access: doc.access,
            teams: rules.into_iter().flatten().map(|(_, rule)| rule.clone()).collect(),
        });
        self.stale = false;
        self.public_url = Some(Arc::clone(&gateway.public_url));
        self.built = Some(Arc::clone(&route));
        Ok(route)
    }
}

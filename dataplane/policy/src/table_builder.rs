//! Incremental construction of route tables from config documents.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use portcullis_config::{
    Capabilities, Config, GatewayConfig, OriginConfig, RouteConfig, SecretKey, SecretValue, TeamConfig,
};

use crate::access::TeamRule;
use crate::build::{BuildError, Credentials};
use crate::builder_entries::{GatewayEntry, OriginEntry, RouteEntry};
use crate::curation::Curation;
use crate::route_table::{Route, RouteTable};

/// Config documents and their built form. A changed document rebuilds only the parts that depend on it;
/// everything else is shared with the previous table.
///
/// A document that cannot be built is left out and reported ([`RejectedDocument`]) without affecting others.
/// If an earlier version of an origin or gateway was built, that version stays in use while its credentials
/// still exist.
#[derive(Default)]
pub struct RouteTableBuilder {
    credentials: Credentials,
    gateway: Option<GatewayEntry>,
    origins: HashMap<Arc<str>, OriginEntry>,
    routes: HashMap<Arc<str>, RouteEntry>,
    /// Routes of each team, by the UID of the team.
    teams: HashMap<Arc<str>, Vec<Arc<str>>>,
    /// Rules by the UID of the route, sorted by team name. A team may be added before its route.
    rules: HashMap<Arc<str>, Vec<(Arc<str>, TeamRule)>>,
}

/// A document that is not served in its current version.
#[derive(Debug)]
pub struct RejectedDocument {
    /// The document.
    pub document: DocumentRef,
    /// Why it cannot be built.
    pub error: BuildError,
}

/// Identifies a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentRef {
    /// The gateway.
    Gateway,
    /// An origin, by UID.
    Origin(Arc<str>),
    /// A route, by UID.
    Route(Arc<str>),
}

impl RouteTableBuilder {
    /// Adds or replaces a credential.
    pub fn put_credential(&mut self, key: SecretKey, value: SecretValue) {
        self.credentials.insert(key, Arc::new(value));
    }

    /// Removes a credential.
    pub fn remove_credential(&mut self, key: &SecretKey) {
        self.credentials.remove(key);
    }

    /// Adds or replaces the gateway's settings.
    pub fn put_gateway(&mut self, doc: GatewayConfig) {
        match &mut self.gateway {
            Some(part) => (part.stale, part.doc) = (true, doc),
            none => {
                let (providers, workloads) = (Vec::new(), Vec::new());
                *none = Some(GatewayEntry { doc, stale: true, providers, workloads, built: None });
            }
        }
    }

    /// Removes the gateway. Without a gateway there is no table.
    pub fn remove_gateway(&mut self) {
        self.gateway = None;
    }

    /// Adds or replaces an origin.
    pub fn put_origin(&mut self, doc: OriginConfig) {
        match self.origins.entry(doc.uid.as_str().into()) {
            Entry::Occupied(mut known) => {
                let part = known.get_mut();
                // Suspension affects only the routes: the built origin, and state that refers to it, stays
                // the same.
                let same = OriginConfig { suspended: doc.suspended, ..part.doc.clone() } == doc;
                part.stale |= !same;
                part.doc = doc;
            }
            Entry::Vacant(place) => {
                place.insert(OriginEntry { doc, stale: true, secret: None, built: None });
            }
        }
    }

    /// Removes an origin. Its routes are no longer served.
    pub fn remove_origin(&mut self, uid: &str) {
        self.origins.remove(uid);
    }

    /// Adds or replaces a route.
    pub fn put_route(&mut self, mut doc: RouteConfig) {
        let capabilities: Capabilities = std::mem::take(&mut doc.capabilities);
        let curation = Arc::new(Curation::new(&capabilities));
        match self.routes.entry(doc.uid.as_str().into()) {
            Entry::Occupied(mut known) => {
                let part = known.get_mut();
                (part.doc, part.curation, part.stale) = (doc, curation, true);
            }
            Entry::Vacant(place) => {
                place.insert(RouteEntry { doc, curation, stale: true, public_url: None, built: None });
            }
        }
    }

    /// Removes a route.
    pub fn remove_route(&mut self, uid: &str) {
        self.routes.remove(uid);
    }

    /// Adds or replaces a team.
    pub fn put_team(&mut self, doc: &TeamConfig) {
        self.remove_team(&doc.uid);
        let uid: Arc<str> = doc.uid.as_str().into();
        let mut named = Vec::with_capacity(doc.access.len());
        for (route, rule) in TeamRule::for_team(doc) {
            let route: Arc<str> = match self.routes.get_key_value(route) {
                Some((known, _)) => Arc::clone(known),
                None => route.into(),
            };
            let rules = self.rules.entry(Arc::clone(&route)).or_default();
            let place =
                rules.partition_point(|(team, known)| (known.name(), &**team) <= (rule.name(), &*uid));
            rules.insert(place, (Arc::clone(&uid), rule));
            self.mark_stale(&route);
            named.push(route);
        }
        self.teams.insert(uid, named);
    }

    /// Removes a team and the access that it grants.
    pub fn remove_team(&mut self, uid: &str) {
        for route in self.teams.remove(uid).unwrap_or_default() {
            if let Some(rules) = self.rules.get_mut(&route) {
                rules.retain(|(team, _)| **team != *uid);
                if rules.is_empty() {
                    self.rules.remove(&route);
                }
            }
            self.mark_stale(&route);
        }
    }

    fn mark_stale(&mut self, route: &str) {
        if let Some(part) = self.routes.get_mut(route) {
            part.stale = true;
        }
    }

    /// Builds the table, and lists the documents that it does not include in their current version. No table
    /// without a gateway.
    pub fn table(&mut self, generation: u64) -> (Option<RouteTable>, Vec<RejectedDocument>) {
        let mut problems = Vec::new();
        let gateway = self.gateway.as_mut().and_then(|part| {
            part.build(&self.credentials)
                .map_err(|error| problems.push(RejectedDocument { document: DocumentRef::Gateway, error }))
                .ok();
            part.built.clone()
        });
        for (uid, part) in &mut self.origins {
            if let Err(error) = part.build(&self.credentials) {
                problems.push(RejectedDocument { document: DocumentRef::Origin(Arc::clone(uid)), error });
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
        // A route keeps its slug until it changes it or is removed.
        let mut newcomers = Vec::new();
        for (uid, part) in &mut self.routes {
            let before = part.built.as_ref().map(|route| Arc::clone(&route.slug));
            match part.build(&table.gateway, &self.origins, self.rules.get(uid)) {
                Ok(route) if before.is_some_and(|slug| slug == route.slug) => {
                    if let Some(other) = table.routes.get(&route.slug) {
                        problems.push(slug_taken(&route, other));
                        part.built = None;
                        continue;
                    }
                    table.routes.insert(Arc::clone(&route.slug), Arc::clone(&route));
                    table.routes_by_uid.insert(Arc::clone(&route.uid), route);
                }
                Ok(route) => newcomers.push(route),
                Err(error) => {
                    part.built = None;
                    problems.push(RejectedDocument { document: DocumentRef::Route(Arc::clone(uid)), error });
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
                    problems.push(slug_taken(&route, other.get()));
                    if let Some(part) = self.routes.get_mut(&route.uid) {
                        part.built = None;
                    }
                }
            }
        }
        (Some(table), problems)
    }
}

fn slug_taken(route: &Route, by: &Route) -> RejectedDocument {
    let error = BuildError::SlugTaken {
        from: route.name.to_string(),
        slug: route.slug.to_string(),
        by: by.name.to_string(),
    };
    RejectedDocument { document: DocumentRef::Route(Arc::clone(&route.uid)), error }
}

impl RouteTable {
    /// Builds a table from complete config, all or nothing.
    ///
    /// # Errors
    /// When a document refers to a missing document, or a credential may not be sent to its host.
    pub fn build(contract: &Config, generation: u64) -> Result<Self, BuildError> {
        let mut assembly = RouteTableBuilder::default();
        for (key, value) in contract.secrets.iter() {
            assembly.put_credential(key.clone(), value.clone());
        }
        assembly.put_gateway(contract.gateway.clone());
        for origin in &contract.origins {
            assembly.put_origin(origin.clone());
        }
        for route in &contract.routes {
            assembly.put_route(route.clone());
        }
        for team in &contract.teams {
            assembly.put_team(team);
        }
        let (table, problems) = assembly.table(generation);
        match (problems.into_iter().next(), table) {
            (None, Some(table)) => Ok(table),
            (Some(problem), _) => Err(problem.error),
            (None, None) => Err(BuildError::NoGateway),
        }
    }
}

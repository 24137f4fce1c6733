//! Config documents together with their built form, which is reused while neither changes.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_config::{
    EventOverload, GatewayConfig, IdentityProviderConfig, OriginConfig, RouteConfig, SecretValue,
};

use crate::access::{MemberSet, TeamRule};
use crate::build::{
    BuildError, Credentials, identity_provider, origin, provider_secret_key, workload, workload_secret_key,
};
use crate::curation::Curation;
use crate::route_table::{Gateway, IdentityProvider, Origin, Route, Workload};

pub(crate) struct GatewayEntry {
    pub(crate) doc: GatewayConfig,
    pub(crate) stale: bool,
    pub(crate) providers: Vec<ProviderEntry>,
    /// Credentials of the workloads, in the order of the document.
    pub(crate) workloads: Vec<Option<Arc<SecretValue>>>,
    pub(crate) built: Option<Arc<Gateway>>,
}

pub(crate) struct ProviderEntry {
    doc: IdentityProviderConfig,
    secret: Option<Arc<SecretValue>>,
    built: Arc<IdentityProvider>,
}

pub(crate) struct OriginEntry {
    pub(crate) doc: OriginConfig,
    pub(crate) stale: bool,
    pub(crate) secret: Option<Arc<SecretValue>>,
    pub(crate) built: Option<Arc<Origin>>,
}

pub(crate) struct RouteEntry {
    /// Without its capabilities; these are in `curation`.
    pub(crate) doc: RouteConfig,
    pub(crate) curation: Arc<Curation>,
    pub(crate) stale: bool,
    pub(crate) public_url: Option<Arc<str>>,
    pub(crate) built: Option<Arc<Route>>,
}

/// Whether a built-in credential is still the current one.
fn is_same_secret(built: Option<&Arc<SecretValue>>, now: Option<&Arc<SecretValue>>) -> bool {
    match (built, now) {
        (None, None) => true,
        (Some(built), Some(now)) => Arc::ptr_eq(built, now),
        _ => false,
    }
}

/// Whether a built-in credential still exists, so it may be used.
fn is_still_published(built: Option<&Arc<SecretValue>>, credentials: &Credentials) -> bool {
    built.is_none_or(|built| credentials.values().any(|value| Arc::ptr_eq(value, built)))
}

impl GatewayEntry {
    pub(crate) fn build(&mut self, credentials: &Credentials) -> Result<(), BuildError> {
        let secret =
            |doc: &IdentityProviderConfig| provider_secret_key(doc).and_then(|key| credentials.get(key));
        let workload_secret = |doc| workload_secret_key(doc).and_then(|key| credentials.get(key)).cloned();
        let workload_secrets: Vec<_> = self.doc.clients.workloads.iter().map(workload_secret).collect();
        let fresh = self.providers.iter().all(|part| is_same_secret(part.secret.as_ref(), secret(&part.doc)))
            && self.workloads.len() == workload_secrets.len()
            && self
                .workloads
                .iter()
                .zip(&workload_secrets)
                .all(|(one, other)| is_same_secret(one.as_ref(), other.as_ref()));
        if self.built.is_some() && !self.stale && fresh {
            return Ok(());
        }
        let providers = match self.build_providers(&self.doc.identity_providers, credentials) {
            Ok(providers) => providers,
            Err(error) => {
                self.keep_providers(workload_secrets, credentials);
                return Err(error);
            }
        };
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
            refuse_when_events_overflow: doc.event_overload == EventOverload::Refuse,
            workloads,
            admins: MemberSet::new(&doc.admins),
            identity_providers: providers.iter().map(|part| Arc::clone(&part.built)).collect(),
        }));
        // Only workloads with a missing credential are left out. The entry stays stale, so the next build
        // tries them again.
        (self.providers, self.workloads, self.stale) = (providers, workload_secrets, missing.is_some());
        missing.map_or(Ok(()), Err)
    }

    /// Builds identity providers. Those that did not change are reused.
    fn build_providers<'a>(
        &self,
        docs: impl IntoIterator<Item = &'a IdentityProviderConfig>,
        credentials: &Credentials,
    ) -> Result<Vec<ProviderEntry>, BuildError> {
        let build = |doc: &IdentityProviderConfig| {
            let now = provider_secret_key(doc).and_then(|key| credentials.get(key));
            let mut known = self.providers.iter();
            let known = known.find(|part| part.doc == *doc && is_same_secret(part.secret.as_ref(), now));
            let built = match known {
                Some(part) => Arc::clone(&part.built),
                None => Arc::new(identity_provider(doc, credentials)?),
            };
            Ok(ProviderEntry { doc: doc.clone(), secret: now.cloned(), built })
        };
        docs.into_iter().map(build).collect()
    }

    /// Keeps the last built gateway, although an identity provider of the new document cannot be built: with the
    /// earlier providers and their current credentials, and with the current workloads. Without the credential of
    /// an earlier provider there is no gateway. A provider is never left out: only users of the first one can be
    /// administrators.
    fn keep_providers(&mut self, secrets: Vec<Option<Arc<SecretValue>>>, credentials: &Credentials) {
        let Some(built) = self.built.take() else { return };
        let docs: Vec<_> = self.providers.iter().map(|part| part.doc.clone()).collect();
        let Ok(providers) = self.build_providers(&docs, credentials) else { return };
        let same_providers =
            self.providers.iter().zip(&providers).all(|(before, now)| Arc::ptr_eq(&before.built, &now.built));
        let same_workloads = built.clients.workloads == self.doc.clients.workloads
            && self.workloads.iter().zip(&secrets).all(|(a, b)| is_same_secret(a.as_ref(), b.as_ref()));
        self.built = Some(match same_providers && same_workloads {
            true => built,
            false => Arc::new(Gateway {
                workloads: build_workloads(&self.doc, credentials).0,
                identity_providers: providers.iter().map(|part| Arc::clone(&part.built)).collect(),
                ..Gateway::clone(&built)
            }),
        });
        (self.providers, self.workloads, self.stale) = (providers, secrets, true);
    }
}

/// Builds the workloads. Also returns the error of a workload that cannot be built.
fn build_workloads(
    doc: &GatewayConfig,
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

impl OriginEntry {
    pub(crate) fn build(&mut self, credentials: &Credentials) -> Result<(), BuildError> {
        let now = self.doc.auth.secret().and_then(|key| credentials.get(key));
        if self.built.is_some() && !self.stale && is_same_secret(self.secret.as_ref(), now) {
            return Ok(());
        }
        match origin(&self.doc, credentials) {
            Ok(built) => {
                (self.built, self.secret, self.stale) = (Some(Arc::new(built)), now.cloned(), false);
                Ok(())
            }
            Err(error) => {
                if !is_still_published(self.secret.as_ref(), credentials) {
                    (self.built, self.secret) = (None, None);
                }
                Err(error)
            }
        }
    }
}

impl RouteEntry {
    pub(crate) fn build(
        &mut self,
        gateway: &Gateway,
        origins: &HashMap<Arc<str>, OriginEntry>,
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

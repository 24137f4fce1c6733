//! Builds identity providers, workloads and origins from config documents and credentials.

use std::collections::HashMap;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue};
use portcullis_config::{
    CredentialDestination, IdentityProviderConfig, OriginAuth, OriginConfig, SecretKey, SecretValue,
    WorkloadConfig, WorkloadCredential, with_query_parameter,
};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use url::Position;

use crate::name_set::NameSet;
use crate::route_table::{IdentityProvider, Origin, OriginCredential, Workload, WorkloadAuth};

/// A config document cannot be built. The compiler never produces such documents, so it was written by
/// something else.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A document refers to a missing document.
    #[error("{from} refers to {what} {name}, which does not exist in the config")]
    Missing {
        /// The referring document.
        from: String,
        /// Kind of the missing document.
        what: &'static str,
        /// Name or UID of the missing document.
        name: String,
    },
    /// A credential would be sent to a host that its owner does not allow.
    #[error(
        "credential {key} may not be sent to {host}; add {host} to its annotation portcullis.dev/allowed-hosts"
    )]
    HostNotAllowed {
        /// Key of the credential.
        key: String,
        /// The host that is not allowed.
        host: String,
    },
    /// A header with an invalid name or value.
    #[error("{from}: header {name} cannot be sent: {problem}")]
    Header {
        /// The origin.
        from: String,
        /// Name of the header.
        name: String,
        /// The problem.
        problem: &'static str,
    },
    /// A query parameter that makes the request target invalid.
    #[error("{from}: query parameter {name} cannot be sent: the URL becomes too long")]
    Parameter {
        /// The origin.
        from: String,
        /// Name of the parameter.
        name: String,
    },
    /// Two routes have the same slug; the existing route keeps it.
    #[error("{from}: the slug {slug} is taken by {by}; choose another slug")]
    SlugTaken {
        /// Name of the rejected route.
        from: String,
        /// The slug.
        slug: String,
        /// Name of the route that has the slug.
        by: String,
    },
    /// The gateway document is missing.
    #[error("the gateway document is missing")]
    NoGateway,
}

/// Credentials by key.
pub(crate) type Credentials = HashMap<SecretKey, Arc<SecretValue>>;

/// Key of the credential that an identity provider refers to.
pub(crate) fn provider_secret_key(doc: &IdentityProviderConfig) -> Option<&SecretKey> {
    doc.kind.client()?.client_secret.as_ref()
}

/// Key of the credential that a workload refers to.
pub(crate) fn workload_secret_key(doc: &WorkloadConfig) -> Option<&SecretKey> {
    match &doc.credential {
        WorkloadCredential::Secret(key) => Some(key),
        WorkloadCredential::Jwks(_) | WorkloadCredential::JwksUri { .. } => None,
    }
}

/// Builds an identity provider with its client secret.
pub(crate) fn identity_provider(
    doc: &IdentityProviderConfig,
    credentials: &Credentials,
) -> Result<IdentityProvider, BuildError> {
    let from = || format!("identity provider {}", doc.name);
    let client_secret = match provider_secret_key(doc) {
        Some(key) => Some(credential(key, credentials, from)?.value.clone()),
        None => None,
    };
    Ok(IdentityProvider {
        name: doc.name.as_str().into(),
        previous_issuers: doc.previous_issuers.clone(),
        kind: doc.kind.clone(),
        client_secret,
    })
}

/// Builds a workload with its credential.
pub(crate) fn workload(doc: &WorkloadConfig, credentials: &Credentials) -> Result<Workload, BuildError> {
    let proof = match &doc.credential {
        WorkloadCredential::Secret(key) => {
            let from = || format!("workload {}", doc.name);
            WorkloadAuth::Secret(credential(key, credentials, from)?.value.clone())
        }
        WorkloadCredential::Jwks(keys) => WorkloadAuth::Jwks(keys.clone()),
        WorkloadCredential::JwksUri { url, private_networks } => {
            WorkloadAuth::JwksUri { url: url.clone(), private_networks: private_networks.clone() }
        }
    };
    Ok(Workload { name: doc.name.as_str().into(), display_name: doc.display_name.clone(), proof })
}

/// Builds an origin with its static credential.
pub(crate) fn origin(doc: &OriginConfig, credentials: &Credentials) -> Result<Origin, BuildError> {
    Ok(Origin {
        uid: doc.uid.as_str().into(),
        id: doc.id.as_str().into(),
        name: doc.name.as_str().into(),
        display_name: doc.display_name.clone(),
        url: doc.url.clone(),
        auth: doc.auth.clone(),
        credential: origin_credential(doc, credentials)?,
        network: doc.network.clone(),
        limits: doc.limits,
        catalog_sharing: doc.catalog_sharing,
    })
}

/// The static credential of an origin. Its allowed hosts are checked here if the host is known in advance.
fn origin_credential(doc: &OriginConfig, credentials: &Credentials) -> Result<OriginCredential, BuildError> {
    let from = || format!("origin {}", doc.name);
    let Some(key) = doc.auth.secret() else { return Ok(OriginCredential::None) };
    let secret = credential(key, credentials, from)?;
    let hosts = NameSet::new(&secret.allowed_hosts);
    if doc.auth.client().is_some() {
        return Ok(OriginCredential::ClientSecret(secret.value.clone(), hosts));
    }
    let host = CredentialDestination::of(&doc.url);
    if !host.is_allowed(|name| hosts.contains(name)) {
        return Err(BuildError::HostNotAllowed { key: key.0.clone(), host: host.to_string() });
    }
    match &doc.auth {
        OriginAuth::Header { name, prefix, .. } => {
            let header = |problem| BuildError::Header { from: from(), name: name.clone(), problem };
            let text = Zeroizing::new(format!("{prefix}{}", secret.value.expose_secret()));
            let name: HeaderName =
                name.parse().map_err(|_| header("not a header name (RFC 9110, section 5.1)"))?;
            let mut value =
                HeaderValue::from_str(&text).map_err(|_| header("its value contains control characters"))?;
            value.set_sensitive(true);
            Ok(OriginCredential::Header(name, value))
        }
        OriginAuth::QueryParameter { name, .. } => {
            let url = with_query_parameter(&doc.url, name, secret.value.expose_secret());
            let target = &url[Position::BeforePath..Position::AfterQuery];
            if PathAndQuery::try_from(target).is_err() {
                return Err(BuildError::Parameter { from: from(), name: name.clone() });
            }
            Ok(OriginCredential::RequestTarget(SecretString::from(target)))
        }
        _ => Ok(OriginCredential::None),
    }
}

fn credential<'a>(
    key: &SecretKey,
    credentials: &'a Credentials,
    from: impl Fn() -> String,
) -> Result<&'a SecretValue, BuildError> {
    credentials.get(key).map(AsRef::as_ref).ok_or_else(|| BuildError::Missing {
        from: from(),
        what: "credential",
        name: key.0.clone(),
    })
}

use std::collections::HashMap;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue};
use portcullis_config::{
    IdentityProviderConfig, OriginAuth, OriginConfig, SecretKey, SecretValue, WorkloadConfig,
    WorkloadCredential, with_query_parameter,
};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use url::Position;

use crate::name_set::NameSet;
use crate::route_table::{IdentityProvider, Origin, OriginCredential, Workload, WorkloadAuth};

/// The contract does not hold together. The compiler makes none like that, so this is a document that was not its work.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A document refers to one that is not there.
    #[error("{from} refers to {what} {name}, which is not in the contract")]
    Missing {
        /// Who refers.
        from: String,
        /// To what kind.
        what: &'static str,
        /// Its name or UID.
        name: String,
    },
    /// A credential would go to a host that its owner did not allow.
    #[error(
        "the credential {key} may not be sent to {host}; its annotation portcullis.dev/allowed-hosts does not name it"
    )]
    HostNotAllowed {
        /// Which credential.
        key: String,
        /// Which host.
        host: String,
    },
    /// A header that HTTP does not allow.
    #[error("{from}: the header {name} cannot be sent: {problem}")]
    Header {
        /// Which origin.
        from: String,
        /// Which header.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A parameter with which a URL is none that can be asked for.
    #[error("{from}: the query parameter {name} cannot be sent: with it the URL is too long")]
    Parameter {
        /// Which origin.
        from: String,
        /// Which parameter.
        name: String,
    },
    /// Two routes at one place; the one that was there stays.
    #[error("{from}: the slug {slug} is taken by {by}")]
    SlugTaken {
        /// Which route.
        from: String,
        /// Its slug.
        slug: String,
        /// Who has it.
        by: String,
    },
    /// There are no settings.
    #[error("there is no gateway document")]
    NoGateway,
}

/// Credentials by name.
pub(crate) type Credentials = HashMap<SecretKey, Arc<SecretValue>>;

/// The credential that an identity provider's document names.
pub(crate) fn provider_secret_key(doc: &IdentityProviderConfig) -> Option<&SecretKey> {
    doc.kind.client()?.client_secret.as_ref()
}

/// The credential that a workload's document names.
pub(crate) fn workload_secret_key(doc: &WorkloadConfig) -> Option<&SecretKey> {
    match &doc.credential {
        WorkloadCredential::Secret(key) => Some(key),
        WorkloadCredential::Jwks(_) | WorkloadCredential::JwksUri { .. } => None,
    }
}

/// A way to sign in, with its secret.
pub(crate) fn identity_provider(
    doc: &IdentityProviderConfig,
    credentials: &Credentials,
) -> Result<IdentityProvider, BuildError> {
    let from = || format!("identity provider {}", doc.name);
    let client_secret = match provider_secret_key(doc) {
        Some(key) => Some(credential(key, credentials, from)?.value.clone()),
        None => None,
    };
    Ok(IdentityProvider { name: doc.name.as_str().into(), kind: doc.kind.clone(), client_secret })
}

/// A program, with its credential.
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

/// An origin, with its static credential.
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
    })
}

/// Checked against the hosts that it may go to, where these are known before it is sent.
fn origin_credential(doc: &OriginConfig, credentials: &Credentials) -> Result<OriginCredential, BuildError> {
    let from = || format!("origin {}", doc.name);
    let Some(key) = doc.auth.secret() else { return Ok(OriginCredential::None) };
    let secret = credential(key, credentials, from)?;
    let hosts = NameSet::new(&secret.allowed_hosts);
    if doc.auth.client().is_some() {
        return Ok(OriginCredential::ClientSecret(secret.value.clone(), hosts));
    }
    let host = doc.url.host_str().unwrap_or_default();
    if !hosts.contains(host) {
        return Err(BuildError::HostNotAllowed { key: key.0.clone(), host: host.to_owned() });
    }
    match &doc.auth {
        OriginAuth::Header { name, prefix, .. } => {
            let header = |problem| BuildError::Header { from: from(), name: name.clone(), problem };
            let text = Zeroizing::new(format!("{prefix}{}", secret.value.expose_secret()));
            let name: HeaderName =
                name.parse().map_err(|_| header("not a header name (RFC 9110, section 5.1)"))?;
            let mut value =
                HeaderValue::from_str(&text).map_err(|_| header("its value has control characters"))?;
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

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Secret;
use portcullis_client_key::ClientKey;
use portcullis_config::{SecretKey, SecretValue};
use portcullis_crds::values::SecretRef;
use portcullis_crds::{ALLOWED_HOSTS_ANNOTATION, CREDENTIAL_LABEL};
use secrecy::SecretString;

use super::diagnostics::ResourceDiagnostics;
use crate::suggest::did_you_mean;
use crate::{ResourceId, Resources};

/// The Secrets, as others refer to them.
pub(super) struct SecretResolver<'a> {
    secrets: BTreeMap<ResourceId, &'a Secret>,
    unreadable: &'a BTreeSet<ResourceId>,
}

/// What a credential is for.
#[derive(Clone, Copy)]
pub(super) enum SecretUse<'a> {
    /// It is sent to an origin at this host, in a header, after this prefix.
    Header { host: &'a str, prefix: &'a str },
    /// It is sent to an origin at this host, in its URL's query.
    QueryParameter { host: &'a str },
    /// It is sent to an origin's authorization server, which is known only when it is asked.
    OriginClient,
    /// It signs what is sent there.
    OriginClientKey,
    /// It is sent to the identity provider at this host.
    ProviderClient { host: &'a str },
    /// A workload shows it to the gateway; it is sent to nobody.
    Workload,
}

/// A client secret is guessed offline by nobody, but a short one is often not random at all.
const MIN_WORKLOAD_SECRET_LEN: usize = 32;

impl<'a> SecretResolver<'a> {
    pub(super) fn new(resources: &'a Resources) -> Self {
        let named = |secret: &'a Secret| (ResourceId::of("Secret", &secret.metadata), secret);
        Self { secrets: resources.secrets.iter().map(named).collect(), unreadable: &resources.unreadable }
    }

    /// Resolves a credential for its use. What is found goes with the case.
    pub(super) fn resolve(
        &self,
        diagnostics: &mut ResourceDiagnostics,
        field: &str,
        reference: &SecretRef,
        purpose: SecretUse<'_>,
    ) -> Option<SecretKey> {
        let (id, secret, value) = self.find(diagnostics, field, reference)?;
        let allowed_hosts = allowed_hosts(secret);
        let host = match purpose {
            SecretUse::Header { host, .. } | SecretUse::QueryParameter { host } => Some(host),
            SecretUse::ProviderClient { host } if !allowed_hosts.is_empty() => Some(host),
            SecretUse::ProviderClient { .. } => None,
            SecretUse::OriginClient | SecretUse::OriginClientKey if allowed_hosts.is_empty() => {
                let message = format!(
                    "{id} does not say where it may be sent; annotate it with {ALLOWED_HOSTS_ANNOTATION}: the hosts of the \
                     origin's authorization server"
                );
                diagnostics.error(field, "HostNotAllowed", message);
                return None;
            }
            SecretUse::OriginClient | SecretUse::OriginClientKey | SecretUse::Workload => None,
        };
        if let Some(host) =
            host.map(str::to_ascii_lowercase).filter(|host| !matches_any(&allowed_hosts, host))
        {
            let says = match allowed_hosts.as_slice() {
                [] => "names no host".to_owned(),
                hosts => format!("names only {}", hosts.join(", ")),
            };
            let message = format!(
                "{id} may not be sent to {host}: its annotation {ALLOWED_HOSTS_ANNOTATION} {says}; whoever owns it adds {host}"
            );
            diagnostics.error(field, "HostNotAllowed", message);
            return None;
        }
        if let Some(problem) = unusable_reason(&value, purpose) {
            diagnostics.error(
                field,
                "InvalidSecretValue",
                format!("the value of '{}' in {id} {problem}", reference.key),
            );
            return None;
        }
        let key = SecretKey(format!("{}/{}/{}", id.namespace, reference.name, reference.key));
        diagnostics.add_secret(key.clone(), SecretValue { value: SecretString::from(value), allowed_hosts });
        Some(key)
    }

    /// Resolves trust anchors, which are no secret.
    pub(super) fn resolve_ca_bundle(
        &self,
        diagnostics: &mut ResourceDiagnostics,
        field: &str,
        reference: &SecretRef,
    ) -> Option<String> {
        let (id, _, value) = self.find(diagnostics, field, reference)?;
        if !value.contains("-----BEGIN CERTIFICATE-----") {
            let message = format!(
                "'{}' in {id} has no certificate in PEM (-----BEGIN CERTIFICATE-----)",
                reference.key
            );
            diagnostics.error(field, "InvalidCertificate", message);
            return None;
        }
        Some(value)
    }

    fn find(
        &self,
        diagnostics: &mut ResourceDiagnostics,
        field: &str,
        reference: &SecretRef,
    ) -> Option<(ResourceId, &'a Secret, String)> {
        let id = ResourceId::new("Secret", diagnostics.namespace(), &reference.name);
        let Some(secret) = self.secrets.get(&id).copied() else {
            let message = if self.unreadable.contains(&id) {
                format!("{id} has errors of its own; mend them first")
            } else {
                let names =
                    self.secrets.keys().filter(|it| it.namespace == id.namespace).map(|it| it.name.as_str());
                format!(
                    "there is no {id}{}; write one with the label {CREDENTIAL_LABEL}: \"true\"",
                    did_you_mean(&reference.name, names)
                )
            };
            diagnostics.error(field, "SecretNotFound", message);
            return None;
        };
        let label = secret.metadata.labels.as_ref().and_then(|labels| labels.get(CREDENTIAL_LABEL));
        if label.map(String::as_str) != Some("true") {
            let message = format!("{id} has not opted in; label it with {CREDENTIAL_LABEL}: \"true\"");
            diagnostics.error(field, "SecretNotOptedIn", message);
            return None;
        }
        let text = secret.string_data.as_ref().and_then(|data| data.get(&reference.key)).cloned();
        let bytes =
            || secret.data.as_ref()?.get(&reference.key).map(|bytes| String::from_utf8(bytes.0.clone()));
        let problem = match text.map(Ok).or_else(bytes) {
            Some(Ok(value)) if !value.is_empty() => return Some((id, secret, value)),
            Some(Ok(_)) => format!("'{}' in {id} is empty", reference.key),
            Some(Err(_)) => format!("'{}' in {id} is not text", reference.key),
            None => {
                let plain = secret.string_data.iter().flat_map(BTreeMap::keys);
                let keys: BTreeSet<_> =
                    plain.chain(secret.data.iter().flat_map(BTreeMap::keys)).map(String::as_str).collect();
                let there = keys.into_iter().collect::<Vec<_>>().join(", ");
                let there =
                    if there.is_empty() { "it is empty".to_owned() } else { format!("there are: {there}") };
                format!("{id} has no key '{}'; {there}", reference.key)
            }
        };
        diagnostics.error(field, "SecretKeyNotFound", problem);
        None
    }
}

/// What keeps a value from being used, without quoting it.
fn unusable_reason(value: &str, purpose: SecretUse<'_>) -> Option<String> {
    if let SecretUse::OriginClientKey = purpose {
        return ClientKey::from_pem(value).err().map(|error| error.to_string());
    }
    unsendable_reason(value, purpose).map(str::to_owned)
}

/// What keeps it from being sent as it is.
fn unsendable_reason(value: &str, purpose: SecretUse<'_>) -> Option<&'static str> {
    if value.ends_with(['\n', '\r']) {
        return Some(
            "ends with a line break, which is hardly part of it; write it without (printf instead of echo)",
        );
    }
    let sendable = |text: &str| text.bytes().all(|byte| byte == b'\t' || (32..127).contains(&byte));
    match purpose {
        SecretUse::Header { prefix, .. } if !(sendable(value) && sendable(prefix)) => {
            Some("cannot be sent in a header, with its prefix: it has characters beyond printable ASCII")
        }
        SecretUse::Workload if value.len() < MIN_WORKLOAD_SECRET_LEN => Some(
            "is too short for a client secret; write 32 random characters or more (openssl rand -hex 32)",
        ),
        _ => None,
    }
}

fn allowed_hosts(secret: &Secret) -> Vec<String> {
    let annotation = secret.metadata.annotations.as_ref().and_then(|it| it.get(ALLOWED_HOSTS_ANNOTATION));
    annotation
        .iter()
        .flat_map(|hosts| hosts.split(|c: char| c == ',' || c.is_whitespace()))
        .filter(|host| !host.is_empty())
        .map(str::to_ascii_lowercase)
        .collect()
}

fn matches_any(patterns: &[String], host: &str) -> bool {
    patterns.iter().any(|pattern| super::selection::glob_matches(pattern, host))
}

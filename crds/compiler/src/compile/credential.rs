//! Resolves references to Secrets and checks whether the values may and can be used.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Secret;
use portcullis_client_key::ClientKey;
use portcullis_config::{CredentialDestination, SecretKey, SecretValue};
use portcullis_crds::values::SecretRef;
use portcullis_crds::{ALLOWED_HOSTS_ANNOTATION, CREDENTIAL_LABEL};
use secrecy::SecretString;
use url::Url;

use super::diagnostics::ResourceDiagnostics;
use crate::suggest::did_you_mean;
use crate::{ResourceId, Resources};

/// Looks up Secrets by name.
pub(super) struct SecretResolver<'a> {
    secrets: BTreeMap<ResourceId, &'a Secret>,
    unreadable: &'a BTreeSet<ResourceId>,
}

/// Use of a credential. It determines the checks.
#[derive(Clone, Copy)]
pub(super) enum SecretUse<'a> {
    /// Sent to an origin at this URL in a header, after this prefix.
    Header { url: &'a Url, prefix: &'a str },
    /// Sent to an origin at this URL in its query.
    QueryParameter { url: &'a Url },
    /// Sent to an origin's authorization server, whose host is only known at runtime.
    OriginClient,
    /// Private key that signs assertions for an origin's authorization server.
    OriginClientKey,
    /// Sent to the identity provider at this URL.
    ProviderClient { url: &'a Url },
    /// A workload sends it to the gateway. The gateway sends it nowhere.
    Workload,
}

/// Minimum length of a workload's secret. Offline guessing is not possible, but short secrets are often not
/// random.
const MIN_WORKLOAD_SECRET_LEN: usize = 32;

impl<'a> SecretResolver<'a> {
    pub(super) fn new(resources: &'a Resources) -> Self {
        let named = |secret: &'a Secret| (ResourceId::of("Secret", &secret.metadata), secret);
        Self { secrets: resources.secrets.iter().map(named).collect(), unreadable: &resources.unreadable }
    }

    /// Resolves a credential and checks it for its use. A valid one is added to the resource's secrets.
    pub(super) fn resolve(
        &self,
        diagnostics: &mut ResourceDiagnostics,
        field: &str,
        reference: &SecretRef,
        purpose: SecretUse<'_>,
    ) -> Option<SecretKey> {
        let (id, secret, value) = self.find(diagnostics, field, reference)?;
        let allowed_hosts = allowed_hosts(secret);
        let url = match purpose {
            SecretUse::Header { url, .. } | SecretUse::QueryParameter { url } => Some(url),
            SecretUse::ProviderClient { url } if !allowed_hosts.is_empty() => Some(url),
            SecretUse::ProviderClient { .. } => None,
            SecretUse::OriginClient | SecretUse::OriginClientKey if allowed_hosts.is_empty() => {
                let message = format!(
                    "{id} does not list allowed hosts; set its annotation {ALLOWED_HOSTS_ANNOTATION} to the hosts of the \
                     origin's authorization server"
                );
                diagnostics.error(field, "HostNotAllowed", message);
                return None;
            }
            SecretUse::OriginClient | SecretUse::OriginClientKey | SecretUse::Workload => None,
        };
        if let Some(host) = url
            .map(CredentialDestination::of)
            .filter(|host| !host.is_allowed(|name| matches_any(&allowed_hosts, name)))
        {
            let listed = match allowed_hosts.as_slice() {
                [] => "lists no host".to_owned(),
                hosts => format!("lists only {}", hosts.join(", ")),
            };
            let message = format!(
                "{id} may not be sent to {host}: its annotation {ALLOWED_HOSTS_ANNOTATION} {listed}; ask the owner of the Secret \
                 to add {host}"
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

    /// Resolves CA certificates. They are not secret and are published in the clear, so nothing else of the value
    /// is passed on, and a value with a private key is an error.
    pub(super) fn resolve_ca_bundle(
        &self,
        diagnostics: &mut ResourceDiagnostics,
        field: &str,
        reference: &SecretRef,
    ) -> Option<String> {
        let (id, _, value) = self.find(diagnostics, field, reference)?;
        if !value.contains("-----BEGIN CERTIFICATE-----") {
            let message = format!(
                "'{}' in {id} contains no PEM certificate; add one that starts with -----BEGIN CERTIFICATE-----",
                reference.key
            );
            diagnostics.error(field, "InvalidCertificate", message);
            return None;
        }
        let certificates = certificates(&value);
        if certificates.is_none() {
            let message = format!(
                "'{}' in {id} contains something other than complete PEM certificates, which would be published; refer to a value \
                 that contains certificates only, without a private key",
                reference.key
            );
            diagnostics.error(field, "InvalidCertificate", message);
        }
        certificates
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
                format!("{id} is invalid; fix it first")
            } else {
                let names =
                    self.secrets.keys().filter(|it| it.namespace == id.namespace).map(|it| it.name.as_str());
                format!(
                    "{id} not found{}; create it with the label {CREDENTIAL_LABEL}: \"true\"",
                    did_you_mean(&reference.name, names)
                )
            };
            diagnostics.error(field, "SecretNotFound", message);
            return None;
        };
        let label = secret.metadata.labels.as_ref().and_then(|labels| labels.get(CREDENTIAL_LABEL));
        if label.map(String::as_str) != Some("true") {
            let message = format!("{id} has not opted in; add the label {CREDENTIAL_LABEL}: \"true\"");
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
                let keys = keys.into_iter().collect::<Vec<_>>().join(", ");
                let keys =
                    if keys.is_empty() { "it is empty".to_owned() } else { format!("its keys are: {keys}") };
                format!("{id} has no key '{}'; {keys}", reference.key)
            }
        };
        diagnostics.error(field, "SecretKeyNotFound", problem);
        None
    }
}

/// The certificates of a PEM text, without the text around them. `None` if it contains another PEM block, or
/// one without an end.
fn certificates(pem: &str) -> Option<String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let mut certificates = String::new();
    let mut is_inside = false;
    for line in pem.lines().map(str::trim) {
        match (is_inside, line) {
            (false, BEGIN) => is_inside = true,
            (true, END) => is_inside = false,
            (_, line) if line.contains("-----") => return None,
            (false, _) => continue,
            (true, line) if line.bytes().all(is_base64) => {}
            (true, _) => return None,
        }
        certificates.push_str(line);
        certificates.push('\n');
    }
    (!is_inside).then_some(certificates)
}

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// Why a value cannot be used, without quoting it.
fn unusable_reason(value: &str, purpose: SecretUse<'_>) -> Option<String> {
    if let SecretUse::OriginClientKey = purpose {
        return ClientKey::from_pem(value).err().map(|error| error.to_string());
    }
    unsendable_reason(value, purpose).map(str::to_owned)
}

/// Why a value cannot be sent unchanged.
fn unsendable_reason(value: &str, purpose: SecretUse<'_>) -> Option<&'static str> {
    if value.ends_with(['\n', '\r']) {
        return Some(
            "ends with a line break, which is probably a mistake; write it without one (printf instead of echo)",
        );
    }
    let sendable = |text: &str| text.bytes().all(|byte| byte == b'\t' || (32..127).contains(&byte));
    match purpose {
        SecretUse::Header { prefix, .. } if !(sendable(value) && sendable(prefix)) => Some(
            "cannot be sent in a header: the value or the prefix contains characters that are not printable ASCII",
        ),
        SecretUse::Workload if value.len() < MIN_WORKLOAD_SECRET_LEN => {
            Some("is too short for a client secret; use at least 32 random characters (openssl rand -hex 32)")
        }
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

#[cfg(test)]
mod tests {
    use super::certificates;

    const ONE: &str = "-----BEGIN CERTIFICATE-----\nMIIB+/=\n-----END CERTIFICATE-----\n";

    #[test]
    fn given_a_bundle_then_only_its_certificates_are_published() {
        let bundle =
            format!("# Company CA\nsubject=CN = ca\n{ONE}password: hunter2\r\n{}", ONE.replace('\n', "\r\n"));
        assert_eq!(certificates(&bundle), Some(format!("{ONE}{ONE}")));
    }

    #[test]
    fn given_a_private_key_or_half_a_certificate_then_nothing_is_published() {
        let key = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n";
        let inside = ONE.replace("MIIB", "a secret: ");
        for text in [
            format!("{ONE}{key}"),
            format!("{key}{ONE}"),
            ONE.replace("-----END CERTIFICATE-----", ""),
            inside,
        ] {
            assert_eq!(certificates(&text), None, "{text}");
        }
        assert_eq!(certificates(&format!("x -----BEGIN CERTIFICATE-----\n{ONE}")), None);
    }
}

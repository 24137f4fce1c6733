//! `McpGateway.spec.clients.workloads`: OAuth clients that are registered by hand.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::values::{SecretRef, syntax};

/// An OAuth client that is registered by hand. It signs in as itself (`client_credentials`) or acts for users
/// with identity assertions of an identity provider (`idJag`). Its name is its `client_id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.secretRef), has(self.jwks), has(self.jwksUri)].filter(set, set).size() == 1").message("a workload must have exactly one of secretRef, jwks, jwksUri"))]
#[cfg_attr(test, x_kube(cel))]
pub struct Workload {
    /// Name, unique within the gateway. It is the `client_id`, and Teams refer to it.
    #[schemars(length(min = 1, max = 63), regex(pattern = syntax::DNS_LABEL))]
    pub name: String,
    /// Display name. Default: the name.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Client secret with at least 32 characters (`client_secret_basic`, `client_secret_post`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// Public keys (`private_key_jwt`). No secret is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Jwks>,
    /// URL of the public keys (`private_key_jwt`).
    #[schemars(length(min = 8, max = 1024), regex(pattern = syntax::HTTP_URL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
}

/// A JSON Web Key Set (RFC 7517, section 5).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct Jwks {
    /// Public keys. List the old and the new key during a key rotation.
    #[schemars(length(min = 1, max = 16))]
    pub keys: Vec<Jwk>,
}

/// A public key as a JSON Web Key (RFC 7517; RFC 7518, section 6; RFC 8037). Members of private keys are
/// invalid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct Jwk {
    /// Key type: `RSA`, `EC` or `OKP`.
    #[schemars(length(min = 1, max = 16))]
    pub kty: String,
    /// Key id, to which the header of an assertion refers.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The only algorithm that the key is used with.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// Use of the key: `sig`.
    #[schemars(length(max = 16))]
    #[serde(rename = "use", default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    /// Operations of the key: `verify`.
    #[schemars(length(max = 8), inner(length(max = 16)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key_ops: Vec<String>,
    /// Curve of an `EC` (`P-256`, `P-384`) or `OKP` (`Ed25519`) key.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    /// x coordinate of an `EC` key, or public key of an `OKP` key.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// y coordinate of an `EC` key.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// Modulus of an `RSA` key, at least 2048 bits.
    #[schemars(length(max = 2048))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    /// Exponent of an `RSA` key.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn refused(workload: Value) -> String {
        Workload::validate_cel(&workload, None).map_or_else(|errors| errors.to_string(), |()| String::new())
    }

    #[test]
    fn given_a_workload_when_it_has_not_exactly_one_credential_then_it_is_refused() {
        let secret = json!({"name": "reporter", "key": "secret"});
        assert_eq!(refused(json!({"name": "reporter", "secretRef": secret})), "");
        assert_eq!(refused(json!({"name": "reporter", "jwksUri": "https://reporter.example.com/keys"})), "");
        assert_eq!(refused(json!({"name": "reporter", "jwks": {"keys": [{"kty": "OKP"}]}})), "");
        assert!(refused(json!({"name": "reporter"})).contains("exactly one of secretRef, jwks, jwksUri"));
        let two =
            json!({"name": "reporter", "secretRef": secret, "jwksUri": "https://reporter.example.com/keys"});
        assert!(refused(two).contains("exactly one of secretRef, jwks, jwksUri"));
    }
}

//! Command-line options for key encryption.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use portcullis_config::is_loopback;
use portcullis_egress::HttpClients;
use url::Url;

use crate::KeyEncryptionError;
use crate::transit::{TransitClient, TransitKey, TransitKeys};
use crate::transit_login::TransitLogin;

/// Default path of a pod's service account token.
const SERVICE_ACCOUNT_TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Options for encrypting the key rings at rest, for commands that read or write them.
#[derive(Args, Clone, Debug, Default)]
pub struct KeyEncryptionArgs {
    /// How the key rings are encrypted in their file or Secret. `transit` uses a key of HashiCorp Vault or
    /// OpenBao that never leaves the service. Without this option they are not encrypted.
    #[arg(long, value_enum, value_name = "HOW", requires_all = ["transit_address", "transit_key"])]
    keys_encryption: Option<KeyEncryptionMode>,
    /// URL of the transit service, for example https://vault.example.com:8200. Plain http is valid only on
    /// loopback, for an agent in the same pod.
    #[arg(long, value_name = "URL", requires = "keys_encryption")]
    transit_address: Option<Url>,
    /// Name of the transit key.
    #[arg(long, value_name = "NAME", requires = "keys_encryption")]
    transit_key: Option<String>,
    /// The transit key that encrypted the existing rings, if it is another one: MOUNT/NAME. Rings that are
    /// encrypted with any other key are rejected.
    #[arg(long, value_name = "MOUNT/NAME", requires = "keys_encryption")]
    transit_previous_key: Option<String>,
    /// Path where the transit engine is mounted.
    #[arg(long, value_name = "PATH", default_value = "transit", requires = "keys_encryption")]
    transit_mount: String,
    /// Namespace of the transit service, if it uses namespaces.
    #[arg(long, value_name = "NAME", requires = "keys_encryption")]
    transit_namespace: Option<String>,
    /// Additional trusted CA certificates for the transit service, in PEM. The system's certificates stay
    /// trusted.
    #[arg(long, value_name = "FILE", requires = "keys_encryption")]
    transit_ca: Option<PathBuf>,
    /// File with a token for the transit service. It is read at each use, so an agent can renew it.
    #[arg(
        long,
        value_name = "FILE",
        requires = "keys_encryption",
        conflicts_with = "transit_kubernetes_role"
    )]
    transit_token_file: Option<PathBuf>,
    /// Role of the Kubernetes auth method. The pod signs in with its service account, so no token is stored.
    #[arg(long, value_name = "NAME", requires = "keys_encryption")]
    transit_kubernetes_role: Option<String>,
    /// Path where the Kubernetes auth method is mounted.
    #[arg(long, value_name = "PATH", default_value = "kubernetes", requires = "keys_encryption")]
    transit_kubernetes_mount: String,
    /// File with the token of the service account.
    #[arg(long, value_name = "FILE", default_value = SERVICE_ACCOUNT_TOKEN_PATH, requires = "keys_encryption")]
    transit_service_account_token: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KeyEncryptionMode {
    Transit,
}

impl KeyEncryptionArgs {
    pub(crate) fn transit(&self, clients: &HttpClients) -> Result<Option<TransitClient>, KeyEncryptionError> {
        let (Some(KeyEncryptionMode::Transit), Some(address), Some(key)) =
            (self.keys_encryption, &self.transit_address, &self.transit_key)
        else {
            return Ok(None);
        };
        let login = match (&self.transit_token_file, &self.transit_kubernetes_role) {
            (Some(file), _) => TransitLogin::Token(file.clone()),
            (None, Some(role)) => TransitLogin::Kubernetes {
                mount: self.transit_kubernetes_mount.clone(),
                role: role.clone(),
                token: self.transit_service_account_token.clone(),
            },
            (None, None) => {
                let problem = "no sign-in for the transit service is configured; add --transit-token-file or --transit-kubernetes-role";
                return Err(KeyEncryptionError::Arguments(problem.to_owned()));
            }
        };
        check_address(address)?;
        let previous = self.transit_previous_key.as_deref().map(parse_key).transpose()?;
        let ca = self.transit_ca.as_deref().map(read).transpose()?;
        let mount = self.transit_mount.trim_matches('/').to_owned();
        TransitClient::new(
            clients,
            address,
            TransitKeys { current: TransitKey { mount, name: key.clone() }, previous },
            self.transit_namespace.clone(),
            login,
            ca.as_deref(),
        )
        .map(Some)
    }
}

/// The rings and the credential for the service must not be sent in the clear.
fn check_address(address: &Url) -> Result<(), KeyEncryptionError> {
    if address.scheme() == "https" || (address.scheme() == "http" && is_loopback(address)) {
        return Ok(());
    }
    Err(KeyEncryptionError::Arguments(format!(
        "--transit-address {address} is not https, so the keys and the credential for the service would be sent unencrypted; use \
         https (http is allowed only on loopback)"
    )))
}

fn parse_key(text: &str) -> Result<TransitKey, KeyEncryptionError> {
    match text.trim_matches('/').rsplit_once('/') {
        Some((mount, name)) if !mount.is_empty() && !name.is_empty() => {
            Ok(TransitKey { mount: mount.to_owned(), name: name.to_owned() })
        }
        _ => {
            let problem = format!(
                "--transit-previous-key '{text}' is not MOUNT/NAME; write it like transit/portcullis"
            );
            Err(KeyEncryptionError::Arguments(problem))
        }
    }
}

fn read(path: &Path) -> Result<String, KeyEncryptionError> {
    std::fs::read_to_string(path)
        .map_err(|source| KeyEncryptionError::Credential { path: path.display().to_string(), source })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        encryption: KeyEncryptionArgs,
    }

    /// Whether the arguments configure a transit service.
    fn configures_transit(arguments: &str) -> Result<bool, Box<dyn std::error::Error>> {
        let arguments = ["it"].into_iter().chain(arguments.split_whitespace());
        let command = Command::try_parse_from(arguments)?;
        Ok(command.encryption.transit(&HttpClients::new())?.is_some())
    }

    #[test]
    fn given_an_address_without_tls_then_it_is_refused_except_on_loopback() {
        let at = |address: &str| {
            configures_transit(&format!(
                "--keys-encryption transit --transit-address {address} --transit-key k --transit-token-file t"
            ))
        };
        for address in
            ["https://v.example", "http://127.0.0.1:8200", "http://localhost:8200", "http://[::1]:8200"]
        {
            assert!(at(address).unwrap(), "{address}");
        }
        for address in
            ["http://v.example:8200", "http://10.0.0.1", "http://localhost.example", "ftp://127.0.0.1"]
        {
            let error = at(address).unwrap_err().to_string();
            assert!(error.contains("not https"), "{error}");
        }
    }

    #[test]
    fn given_incomplete_arguments_then_the_error_names_the_missing_ones() {
        let transit = "--keys-encryption transit --transit-address https://v.example --transit-key k";
        assert!(!configures_transit("").unwrap());
        assert!(configures_transit(&format!("{transit} --transit-token-file t")).unwrap());
        let in_cluster = format!("{transit} --transit-kubernetes-role r --transit-namespace n");
        assert!(configures_transit(&in_cluster).unwrap());
        let error = configures_transit(transit).unwrap_err().to_string();
        assert!(error.contains("--transit-kubernetes-role"), "{error}");
        for arguments in [
            "--keys-encryption transit --transit-key k",
            "--transit-address https://v.example --transit-key k",
            "--keys-encryption transit --transit-address no-url --transit-key k --transit-token-file t",
            &format!("{transit} --transit-token-file t --transit-kubernetes-role r"),
            &format!("{transit} --transit-token-file t --transit-ca missing.pem"),
            &format!("{transit} --transit-token-file t --transit-previous-key old"),
        ] {
            assert!(configures_transit(arguments).is_err(), "{arguments}");
        }
    }
}

//! Credential broker: connects accounts at origins, stores their tokens sealed, and supplies the credential
//! of each call.
//!
//! This is the only crate that handles origin tokens in clear text. The steps:
//!
//! ```text
//! discovery -> registration -> begin (consent at origin) -> finish (sealed tokens) -> credential -> refresh
//! ```
//!
//! [`CredentialBroker`] builds the parts:
//!
//! | part | file |
//! |---|---|
//! | obtaining credentials, one task at a time; the cache | `credential_loader`, `credential_cache` |
//! | the three kinds of tokens | `refresh`, `exchange`, `client_credentials` |
//! | stored connections, and who is notified of changes | `connection_store`, `connection_changes` |
//! | connecting and disconnecting accounts | `connect`, `code_exchange`, `step_up`, `disconnect`, `revoke` |
//! | the gateway as a client: configured, or registered | `client`, `registration` |
//! | state of accounts, for pages | `account` |
//! | sealing, and re-encryption after a key rotation | `sealer`, `reencrypt` |
//! | audit events | `audit` |
//!
//! *Architecture invariant:* everything that a credential is bound to (person, origin, its URL, issuer, token
//! endpoint, client) is stored with it and compared before use. A reused name, URL or endpoint inherits no
//! credential.

mod account;
mod audit;
mod broker;
mod challenge;
mod client;
mod client_assertion;
mod client_credentials;
mod client_metadata;
mod code_exchange;
mod concurrency;
mod connect;
mod connect_flow;
mod connection;
mod connection_changes;
mod connection_store;
mod credential;
mod credential_cache;
mod credential_loader;
mod disconnect;
mod discovery;
mod error;
mod exchange;
mod exchange_request;
#[cfg(fuzzing)]
pub mod fuzzing;
#[cfg(test)]
mod golden;
mod identity_token;
mod reencrypt;
mod refresh;
mod registration;
mod revoke;
mod scopes;
mod sealer;
mod step_up;
mod token;
mod token_target;

use portcullis_egress::{EgressError, HttpClient, HttpClients};
use portcullis_policy::Origin;

pub use account::{Account, Accounts, ConnectionStatus};
pub use broker::{BrokerDependencies, CredentialBroker};
pub use challenge::Challenge;
pub use client_metadata::{client_metadata_document, redirect_uri};
pub use connect::{CompletedConnect, ConnectCallback, ConnectFlows};
pub use connection_changes::{ConnectionChange, ConnectionChanges};
pub use credential::{Credential, auth_mode};
pub use disconnect::Disconnector;
pub use error::{BoxError, ConnectError, CredentialError, SharedError};
pub use identity_token::{
    IdentityProviderClient, IdentityToken, IdentityTokenError, IdentityTokenFuture, IdentityTokenSource,
};
pub use reencrypt::{ReencryptError, ReencryptProgress, Reencryptor};
pub use step_up::StepUp;

/// HTTP client for this origin and its authorization server.
fn http_client(clients: &HttpClients, origin: &Origin) -> Result<HttpClient, EgressError> {
    clients.http(&origin.network.private_networks, origin.network.ca_bundle_pem.as_deref())
}

//! Consent at an origin's authorization server: the authorization code flow of OAuth 2.1 with PKCE.

use std::sync::Arc;

use portcullis_clock::Random;
use portcullis_egress::HttpClients;
use portcullis_events::EventKind;
use portcullis_keyring::digest;
use portcullis_policy::{CredentialSubject, Gateway, Origin, PrincipalId};
use portcullis_store::{ConnectionRow, Store};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use crate::audit::AuditLog;
use crate::client::{OriginClient, auth_method_name};
use crate::client_metadata::redirect_uri;
use crate::code_exchange::CodeExchange;
use crate::connect_flow::{ConnectFlow, ConnectFlowStore};
use crate::connection::is_bound_to;
use crate::disconnect::Disconnector;
use crate::discovery::{DiscoveryResult, RequiredEndpoints, discover};
use crate::registration::{ClientRegistry, zeroizing};
use crate::scopes::union;
use crate::step_up::RequestedScopes;
use crate::{BrokerDependencies, ConnectError, http_client};

/// Scope of refresh tokens at some authorization servers (OpenID Connect Core section 11).
const OFFLINE_ACCESS: &str = "offline_access";

/// Response of the authorization server, sent through the browser (RFC 6749 section 4.1.2, RFC 9207). No
/// `Debug`: the code is a secret.
#[derive(Deserialize)]
pub struct ConnectCallback {
    /// The authorization code.
    pub code: Option<String>,
    /// The `state` that [`ConnectFlows::begin`] sent.
    pub state: Option<String>,
    /// Issuer identifier of the authorization server.
    pub iss: Option<String>,
    /// Error code, if there is no authorization code.
    pub error: Option<String>,
    /// Human-readable description of the error.
    pub error_description: Option<String>,
}

/// A completed connection.
#[derive(Debug)]
pub struct CompletedConnect {
    /// The person who connected the account.
    pub who: PrincipalId,
    /// Where the browser is sent next, as given to [`ConnectFlows::begin`].
    pub return_to: String,
}

/// Connects accounts.
///
/// The account that all users of an origin share is stored like any other connection, under a principal that
/// no identity provider and no workload can have.
pub struct ConnectFlows {
    store: Store,
    http: HttpClients,
    random: Random,
    flows: ConnectFlowStore,
    registry: Arc<ClientRegistry>,
    disconnector: Arc<Disconnector>,
    requested_scopes: Arc<RequestedScopes>,
    code_exchange: CodeExchange,
    audit: Arc<AuditLog>,
    shared_principal: PrincipalId,
}

impl ConnectFlows {
    pub(crate) fn new(
        dependencies: &BrokerDependencies,
        flows: ConnectFlowStore,
        registry: &Arc<ClientRegistry>,
        disconnector: &Arc<Disconnector>,
        requested_scopes: &Arc<RequestedScopes>,
        code_exchange: CodeExchange,
        audit: &Arc<AuditLog>,
    ) -> Self {
        Self {
            store: dependencies.store.clone(),
            http: dependencies.http.clone(),
            random: dependencies.random.clone(),
            flows,
            registry: Arc::clone(registry),
            disconnector: Arc::clone(disconnector),
            requested_scopes: Arc::clone(requested_scopes),
            code_exchange,
            audit: Arc::clone(audit),
            shared_principal: PrincipalId::shared(),
        }
    }

    /// Begins consent at the origin's authorization server and returns the URL for the browser. `browser` is
    /// the digest of the session cookie that the flow is bound to. [`finish`](Self::finish) returns
    /// `return_to`. If the origin requested more scopes than were granted, the flow requests those too
    /// ([`step_up`](crate::CredentialBroker::step_up)).
    ///
    /// # Errors
    /// If the origin, its authorization server or the configuration prevents it; the message says which.
    pub async fn begin(
        &self,
        who: &PrincipalId,
        gateway: &Gateway,
        origin: &Arc<Origin>,
        browser: &str,
        return_to: &str,
    ) -> Result<Url, ConnectError> {
        if origin.credential_subject() != CredentialSubject::Person {
            return Err(ConnectError::NotNeeded);
        }
        self.begin_as(who, gateway, origin, browser, return_to).await
    }

    /// Begins consent by an administrator for the shared account. The caller has verified that the person is
    /// an administrator. Otherwise like [`begin`](Self::begin); [`finish`](Self::finish) completes it.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin), and if the origin has no shared account.
    pub async fn begin_shared(
        &self,
        gateway: &Gateway,
        origin: &Arc<Origin>,
        browser: &str,
        return_to: &str,
    ) -> Result<Url, ConnectError> {
        if origin.credential_subject() != CredentialSubject::SharedAccount {
            return Err(ConnectError::NotNeeded);
        }
        self.begin_as(&self.shared_principal, gateway, origin, browser, return_to).await
    }

    /// Begins consent, and records a failure.
    async fn begin_as(
        &self,
        who: &PrincipalId,
        gateway: &Gateway,
        origin: &Arc<Origin>,
        browser: &str,
        return_to: &str,
    ) -> Result<Url, ConnectError> {
        let begun = self.try_begin(who, gateway, origin, browser, return_to).await;
        if let Err(error) = &begun {
            let failure = Some(error.into());
            self.audit.record(EventKind::UpstreamRequest, who, Some(gateway), origin, failure).await;
        }
        begun
    }

    async fn try_begin(
        &self,
        who: &PrincipalId,
        gateway: &Gateway,
        origin: &Arc<Origin>,
        browser: &str,
        return_to: &str,
    ) -> Result<Url, ConnectError> {
        let Some((configured, _)) = origin.auth.consent() else { return Err(ConnectError::NotNeeded) };
        let http = http_client(&self.http, origin)?;
        let found = discover(&http, origin, RequiredEndpoints::Consent).await?;
        let client = self.registry.client(&http, gateway, origin, &found.server).await?;
        let before = self.current_connection(who, origin, &found).await?;
        let requested = self.requested_scopes.recorded(who, origin).await;
        let requested = requested.map_err(ConnectError::unavailable)?;
        let step_up = requested.map(|requested| requested.wanted).unwrap_or_default();
        let granted = before.as_ref().map_or("", |row| row.scope.as_str());
        let scope = scope_parameter(&found, configured, granted, &step_up);
        let (state, verifier) = (self.random.token()?, Zeroizing::new(self.random.token()?));
        let redirect_uri = redirect_uri(gateway, origin);
        let url = authorization_url(&found, &client, &redirect_uri, &state, &verifier, &scope)?;
        let flow = ConnectFlow {
            origin_url: origin.url.to_string(),
            resource: found.resource,
            issuer: found.server.issuer,
            iss_required: found.server.authorization_response_iss_parameter_supported,
            token_endpoint: found.server.token_endpoint,
            revocation_endpoint: found.server.revocation_endpoint,
            client_id: client.id,
            client_secret: client.proof.secret().map(zeroizing),
            auth_method: auth_method_name(client.proof.method()).to_owned(),
            registration: client.registration.as_str().to_owned(),
            redirect_uri,
            verifier,
            scope,
            step_up,
            return_to: return_to.to_owned(),
        };
        self.flows.put(who, origin, browser, &state, &flow).await?;
        Ok(url)
    }

    /// Returns the person's connection if it still matches the origin. Otherwise revokes it: tokens are only
    /// sent to the origin that they were granted for.
    async fn current_connection(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        found: &DiscoveryResult,
    ) -> Result<Option<ConnectionRow>, ConnectError> {
        let row = self.store.connection(who.as_str(), &origin.uid).await?;
        match row {
            Some(row) if !is_bound_to(&row, origin) || !found.lists_issuer(&row.issuer) => {
                let disconnected = self.disconnector.disconnect_in_background(who, origin).await;
                disconnected.map_err(ConnectError::unavailable)?;
                Ok(None)
            }
            row => Ok(row),
        }
    }

    /// Completes a flow of [`begin`](Self::begin) when the browser returns to
    /// `{publicUrl}/connect/{id}/callback`.
    ///
    /// # Errors
    /// If the callback matches no flow of this browser, consent was denied, or no token was issued.
    pub async fn finish(
        &self,
        gateway: &Gateway,
        origin: &Arc<Origin>,
        browser: &str,
        callback: &ConnectCallback,
    ) -> Result<CompletedConnect, ConnectError> {
        let (who, flow) = match self.flows.take(origin, browser, callback.state.as_deref()).await {
            Ok(taken) => taken,
            Err(error) => {
                // The person behind the browser is unknown.
                let failure = Some((&error).into());
                self.audit.record(EventKind::Connected, None, Some(gateway), origin, failure).await;
                return Err(error);
            }
        };
        let completed = self.code_exchange.complete(&who, origin, &flow, callback).await;
        let failure = completed.as_ref().err().map(Into::into);
        self.audit.record(EventKind::Connected, Some(&who), Some(gateway), origin, failure).await;
        completed.map(|()| CompletedConnect { who, return_to: flow.return_to })
    }
}

/// Scopes to request: the configured ones, otherwise those that the origin names. A step-up requests scopes
/// that were granted before again, because they stay granted.
fn scope_parameter(found: &DiscoveryResult, configured: &[String], granted: &str, step_up: &str) -> String {
    let base = if configured.is_empty() { found.scopes.join(" ") } else { configured.join(" ") };
    let granted = if step_up.is_empty() { "" } else { granted };
    let offline = if supports_offline_access(found) { OFFLINE_ACCESS } else { "" };
    union([base.as_str(), granted, step_up, offline]).join(" ")
}

fn supports_offline_access(found: &DiscoveryResult) -> bool {
    found.server.scopes_supported.iter().flatten().any(|scope| scope == OFFLINE_ACCESS)
}

fn authorization_url(
    found: &DiscoveryResult,
    client: &OriginClient,
    redirect_uri: &str,
    state: &str,
    verifier: &str,
    scope: &str,
) -> Result<Url, ConnectError> {
    let mut url = found.server.authorization_endpoint()?.clone();
    let challenge = digest(verifier);
    {
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &client.id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("state", state)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("resource", &found.resource);
        if !scope.is_empty() {
            query.append_pair("scope", scope);
        }
        if supports_offline_access(found) {
            // OpenID Connect Core, section 11: offline access requires this prompt.
            query.append_pair("prompt", "consent");
        }
    }
    Ok(url)
}

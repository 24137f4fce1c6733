//! Completes a connect flow: validates the callback, exchanges the authorization code, and stores the tokens.

use std::sync::Arc;

use portcullis_clock::{Clock, Random};
use portcullis_egress::HttpClients;
use portcullis_policy::{Origin, PrincipalId};
use portcullis_store::{ConnectionRow, Store};
use secrecy::SecretString;
use url::Url;

use crate::client::{ClientAuth, ConfiguredClients, OriginClient, RegistrationMethod, auth_method_by_name};
use crate::connect::ConnectCallback;
use crate::connect_flow::ConnectFlow;
use crate::connection::Tokens;
use crate::connection_store::ConnectionStore;
use crate::credential_cache::CredentialCache;
use crate::registration::ClientRegistry;
use crate::revoke::TokenRevoker;
use crate::step_up::RequestedScopes;
use crate::token::{self, TokenResponse, sanitize};
use crate::{BrokerDependencies, ConnectError, http_client};

/// Exchanges authorization codes, and stores the connections.
pub(crate) struct CodeExchange {
    store: Store,
    http: HttpClients,
    clock: Clock,
    random: Random,
    connections: Arc<ConnectionStore>,
    cache: Arc<CredentialCache>,
    clients: Arc<ConfiguredClients>,
    registry: Arc<ClientRegistry>,
    revoker: Arc<TokenRevoker>,
    requested_scopes: Arc<RequestedScopes>,
}

impl CodeExchange {
    pub(crate) fn new(
        dependencies: &BrokerDependencies,
        connections: &Arc<ConnectionStore>,
        cache: &Arc<CredentialCache>,
        clients: &Arc<ConfiguredClients>,
        registry: &Arc<ClientRegistry>,
        revoker: &Arc<TokenRevoker>,
        requested_scopes: &Arc<RequestedScopes>,
    ) -> Self {
        Self {
            store: dependencies.store.clone(),
            http: dependencies.http.clone(),
            clock: dependencies.clock.clone(),
            random: dependencies.random.clone(),
            connections: Arc::clone(connections),
            cache: Arc::clone(cache),
            clients: Arc::clone(clients),
            registry: Arc::clone(registry),
            revoker: Arc::clone(revoker),
            requested_scopes: Arc::clone(requested_scopes),
        }
    }

    /// Completes a flow that was taken out of the store.
    pub(crate) async fn complete(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        flow: &ConnectFlow,
        callback: &ConnectCallback,
    ) -> Result<(), ConnectError> {
        let code = code_of(callback, flow)?;
        let client = self.client_of_flow(origin, flow)?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", flow.redirect_uri.as_str()),
            ("code_verifier", flow.verifier.as_str()),
            ("resource", flow.resource.as_str()),
        ];
        let http = http_client(&self.http, origin)?;
        match token::request_token(&http, &flow.token_endpoint, &client, &form).await {
            Ok(response) => self.store_connection(who, origin, flow, &client, &response).await,
            Err(error) => {
                if error.is_invalid_client() && client.registration == RegistrationMethod::Dynamic {
                    self.registry.remove(&origin.uid, &flow.issuer, &client.id).await?;
                }
                Err(ConnectError::NoToken(error.into()))
            }
        }
    }

    /// The client that the flow began with. An error if the origin has changed since.
    fn client_of_flow(&self, origin: &Origin, flow: &ConnectFlow) -> Result<OriginClient, ConnectError> {
        let configured = self.clients.find(origin, &flow.issuer, &flow.token_endpoint)?;
        let was_configured = flow.registration == RegistrationMethod::Configured.as_str();
        if flow.origin_url != origin.url.as_str() || configured.is_some() != was_configured {
            return Err(ConnectError::OriginChanged);
        }
        if let Some(client) = configured {
            return if client.id == flow.client_id { Ok(client) } else { Err(ConnectError::OriginChanged) };
        }
        let (Some(registration), Some(method)) =
            (RegistrationMethod::from_stored(&flow.registration), auth_method_by_name(&flow.auth_method))
        else {
            return Err(ConnectError::UnknownFlow);
        };
        let secret = flow.client_secret.as_ref().map(|secret| SecretString::from(secret.to_string()));
        Ok(OriginClient { id: flow.client_id.clone(), proof: ClientAuth::new(method, secret), registration })
    }

    async fn store_connection(
        &self,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        flow: &ConnectFlow,
        client: &OriginClient,
        response: &TokenResponse,
    ) -> Result<(), ConnectError> {
        let row = self.connection_row(who, origin, flow, client, response)?;
        let state = self.cache.refresh_state(who, &origin.uid);
        let mut state = state.lock().await;
        let replaced = self.store.connection(who.as_str(), &origin.uid).await.unwrap_or_default();
        self.store.put_connection(&row).await?;
        if let Some(old) = replaced {
            self.revoker.revoke_replaced(who, origin, old, &row);
        }
        self.requested_scopes.record_consent(who, origin, &flow.step_up).await;
        state.clear_failure();
        self.connections.publish_connected(who, origin, row);
        Ok(())
    }

    fn connection_row(
        &self,
        who: &PrincipalId,
        origin: &Origin,
        flow: &ConnectFlow,
        client: &OriginClient,
        response: &TokenResponse,
    ) -> Result<ConnectionRow, ConnectError> {
        let now = self.clock.now();
        let mut row = ConnectionRow {
            principal_id: who.as_str().to_owned(),
            origin_uid: origin.uid.to_string(),
            origin_url: flow.origin_url.clone(),
            resource: flow.resource.clone(),
            issuer: flow.issuer.clone(),
            token_endpoint: flow.token_endpoint.to_string(),
            revocation_endpoint: flow.revocation_endpoint.as_ref().map(Url::to_string),
            client_id: client.id.clone(),
            registration: flow.registration.clone(),
            auth_method: flow.auth_method.clone(),
            scope: response.scope.clone().unwrap_or_else(|| flow.scope.clone()),
            sealed: String::new(),
            issued_at: now.0,
            expires_at: response.lifetime.map(|seconds| now.after_seconds(seconds).0),
            dead: 0,
            revision: self.random.token()?,
            leased_until: 0,
            connected_at: now.0,
            last_used_at: None,
        };
        let secret = client.proof.secret().filter(|_| client.registration == RegistrationMethod::Dynamic);
        row.sealed = self.connections.seal(&Tokens::from_response(response, None, secret), &row)?;
        Ok(row)
    }
}

/// The authorization code of a callback.
fn code_of<'a>(callback: &'a ConnectCallback, flow: &ConnectFlow) -> Result<&'a str, ConnectError> {
    // Checked before any other parameter is used, including errors (RFC 9207 section 2.4).
    match &callback.iss {
        Some(iss) if *iss != flow.issuer => return Err(ConnectError::WrongIssuer),
        None if flow.iss_required => return Err(ConnectError::WrongIssuer),
        _ => {}
    }
    if let Some(error) = &callback.error {
        return Err(ConnectError::Refused(error_message(error, callback.error_description.as_deref())));
    }
    let code = callback.code.as_deref().filter(|code| !code.is_empty());
    code.ok_or_else(|| ConnectError::NoToken("the callback contains no code".into()))
}

fn error_message(code: &str, description: Option<&str>) -> String {
    match (code, description.map(sanitize).filter(|text| !text.is_empty())) {
        ("access_denied", None) => "the request was denied".to_owned(),
        ("access_denied", Some(text)) => format!("the request was denied: {text}"),
        (code, None) => sanitize(code),
        (code, Some(text)) => format!("{text} ({})", sanitize(code)),
    }
}

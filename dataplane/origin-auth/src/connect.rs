//! Consent at an origin's authorization server: the authorization code flow of OAuth 2.1 with PKCE.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_keyring::{Purpose, digest};
use portcullis_policy::{Gateway, Origin, PrincipalId};
use portcullis_store::{ConnectFlowRow, ConnectionRow};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use crate::client::{ClientAuth, OriginClient, RegistrationMethod, auth_method_by_name, auth_method_name};
use crate::connection::{Connection, Tokens, is_bound_to};
use crate::discovery::{DiscoveryResult, RequiredEndpoints, discover};
use crate::registration::{redirect_uri, zeroizing};
use crate::scopes::union;
use crate::token::{self, TokenRequestError, TokenResponse, sanitize};
use crate::{ConnectError, Inner};

/// How long a person may take at the authorization server.
const FLOW_LIFETIME: Duration = Duration::from_secs(600);

/// Response of the authorization server, sent through the browser (RFC 6749 section 4.1.2, RFC 9207). No
/// `Debug`: the code is a secret.
#[derive(Deserialize)]
pub struct ConnectCallback {
    /// The authorization code.
    pub code: Option<String>,
    /// The `state` that [`crate::CredentialBroker::begin`] sent.
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
    /// Where the browser is sent next, as given to [`crate::CredentialBroker::begin`].
    pub return_to: String,
}

/// Sealed state of a flow while the person is at the authorization server. It is complete before they leave:
/// nothing that the browser brings back can change where the code is sent.
#[derive(Serialize, Deserialize)]
struct ConnectFlow {
    origin_url: String,
    resource: String,
    issuer: String,
    iss_required: bool,
    token_endpoint: Url,
    revocation_endpoint: Option<Url>,
    client_id: String,
    client_secret: Option<Zeroizing<String>>,
    auth_method: String,
    registration: String,
    redirect_uri: String,
    verifier: Zeroizing<String>,
    scope: String,
    /// The part of `scope` that the origin requested after the account was connected.
    #[serde(default)]
    step_up: String,
    return_to: String,
}

impl Inner {
    pub(crate) async fn begin(
        self: &Arc<Self>,
        who: &PrincipalId,
        gateway: &Gateway,
        origin: &Arc<Origin>,
        browser: &str,
        return_to: &str,
    ) -> Result<Url, ConnectError> {
        let Some((configured, _)) = origin.auth.consent() else { return Err(ConnectError::NotNeeded) };
        let http = self.http(origin)?;
        let found = discover(&http, origin, RequiredEndpoints::Consent).await?;
        let client = self.client(&http, gateway, origin, &found.server).await?;
        let before = self.current_connection(who, origin, &found).await?;
        let step_up = self.requested_scopes(who, origin).await.map_err(unavailable)?;
        let step_up = step_up.map(|wish| wish.wanted).unwrap_or_default();
        let mut scopes = if configured.is_empty() { found.scopes.join(" ") } else { configured.join(" ") };
        if !step_up.is_empty() {
            // Scopes that were granted before stay granted.
            let granted = before.as_ref().map_or("", |row| &row.scope);
            scopes = format!("{scopes} {granted} {step_up}");
        }
        let offline = "offline_access";
        let asks_offline = found.server.scopes_supported.iter().flatten().any(|scope| scope == offline);
        if asks_offline {
            scopes = format!("{scopes} {offline}");
        }
        let scope = union([scopes.as_str()]).join(" ");
        let (state, verifier) = (self.parts.random.token()?, Zeroizing::new(self.parts.random.token()?));
        let url = authorization_url(
            &found,
            &client,
            &redirect_uri(gateway, origin),
            &state,
            &verifier,
            &scope,
            asks_offline,
        )?;
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
            redirect_uri: redirect_uri(gateway, origin),
            verifier,
            scope,
            step_up,
            return_to: return_to.to_owned(),
        };
        self.store_flow(who, origin, browser, &state, &flow).await?;
        Ok(url)
    }

    /// Returns the person's connection if it still matches the origin. Otherwise revokes it: tokens are only
    /// sent to the origin that they were granted for.
    async fn current_connection(
        self: &Arc<Self>,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        found: &DiscoveryResult,
    ) -> Result<Option<ConnectionRow>, ConnectError> {
        let row = self.parts.store.connection(who.as_str(), &origin.uid).await?;
        match row {
            Some(row) if !is_bound_to(&row, origin) || !found.lists_issuer(&row.issuer) => {
                self.disconnect_in_background(who, origin).await.map_err(unavailable)?;
                Ok(None)
            }
            row => Ok(row),
        }
    }

    async fn store_flow(
        &self,
        who: &PrincipalId,
        origin: &Origin,
        browser: &str,
        state: &str,
        flow: &ConnectFlow,
    ) -> Result<(), ConnectError> {
        let now = self.parts.clock.now();
        let text = Zeroizing::new(serde_json::to_vec(flow).map_err(unavailable)?);
        let mut row = ConnectFlowRow {
            state_digest: digest(state),
            principal_id: who.as_str().to_owned(),
            origin_uid: origin.uid.to_string(),
            browser: browser.to_owned(),
            sealed: String::new(),
            expires_at: now.after(FLOW_LIFETIME).0,
        };
        let sealed = self
            .parts
            .keys
            .sealing
            .seal(&self.parts.random, Purpose::Credential, &associated_data(&row), &text)
            .map_err(unavailable)?;
        row.sealed = URL_SAFE_NO_PAD.encode(sealed);
        Ok(self.parts.store.begin_connect_flow(&row, now.0).await?)
    }

    /// Takes the flow of a callback out of the store. Its state cannot be used again, even if the callback
    /// fails.
    async fn take_flow(
        &self,
        origin: &Origin,
        browser: &str,
        state: Option<&str>,
    ) -> Result<(PrincipalId, ConnectFlow), ConnectError> {
        let state = state.ok_or(ConnectError::UnknownFlow)?;
        let now = self.parts.clock.now();
        let row = self
            .parts
            .store
            .take_connect_flow(&digest(state), now.0)
            .await?
            .filter(|row| row.browser == browser && row.origin_uid == *origin.uid)
            .ok_or(ConnectError::UnknownFlow)?;
        let flow = URL_SAFE_NO_PAD
            .decode(&row.sealed)
            .ok()
            .and_then(|envelope| {
                self.parts.keys.sealing.open(Purpose::Credential, &associated_data(&row), &envelope).ok()
            })
            .and_then(|text| serde_json::from_slice(&text).ok())
            .ok_or(ConnectError::UnknownFlow)?;
        Ok((PrincipalId::from_stored(&row.principal_id), flow))
    }

    pub(crate) async fn finish(
        self: &Arc<Self>,
        origin: &Arc<Origin>,
        browser: &str,
        callback: &ConnectCallback,
    ) -> Result<(CompletedConnect, Result<(), ConnectError>), ConnectError> {
        let (who, flow) = self.take_flow(origin, browser, callback.state.as_deref()).await?;
        let ended = self.complete_flow(&who, origin, &flow, callback).await;
        Ok((CompletedConnect { who, return_to: flow.return_to }, ended))
    }

    async fn complete_flow(
        self: &Arc<Self>,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        flow: &ConnectFlow,
        callback: &ConnectCallback,
    ) -> Result<(), ConnectError> {
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
        let code = code.ok_or_else(|| ConnectError::NoToken("the callback contains no code".to_owned()))?;
        let client = self.client_of_flow(origin, flow)?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", flow.redirect_uri.as_str()),
            ("code_verifier", flow.verifier.as_str()),
            ("resource", flow.resource.as_str()),
        ];
        match token::request_token(&self.http(origin)?, &flow.token_endpoint, &client, &form).await {
            Ok(answer) => self.store_connection(who, origin, flow, &client, &answer).await,
            Err(error) => {
                if let TokenRequestError::Refused { code, .. } = &error
                    && code == "invalid_client"
                    && client.registration == RegistrationMethod::Dynamic
                {
                    self.verified_clients.invalidate(&(flow.issuer.clone(), client.id.clone()));
                    self.parts.store.remove_origin_client(&origin.uid, &flow.issuer, &client.id).await?;
                }
                Err(ConnectError::NoToken(error.to_string()))
            }
        }
    }

    /// The client that the flow began with. An error if the origin has changed since.
    fn client_of_flow(&self, origin: &Origin, flow: &ConnectFlow) -> Result<OriginClient, ConnectError> {
        let configured = self
            .configured_client(origin, &flow.issuer, &flow.token_endpoint)
            .map_err(ConnectError::Registration)?;
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
        self: &Arc<Self>,
        who: &PrincipalId,
        origin: &Arc<Origin>,
        flow: &ConnectFlow,
        client: &OriginClient,
        answer: &TokenResponse,
    ) -> Result<(), ConnectError> {
        let now = self.parts.clock.now();
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
            scope: answer.scope.clone().unwrap_or_else(|| flow.scope.clone()),
            sealed: String::new(),
            issued_at: now.0,
            expires_at: answer.lifetime.map(|seconds| now.after_seconds(seconds).0),
            dead: 0,
            revision: self.parts.random.token()?,
            leased_until: 0,
            connected_at: now.0,
            last_used_at: None,
        };
        let secret = client.proof.secret().filter(|_| client.registration == RegistrationMethod::Dynamic);
        row.sealed = Tokens::from_response(answer, None, secret)
            .seal(&self.parts.keys.sealing, &self.parts.random, &row)
            .map_err(unavailable)?;
        let gate = self.cache.refresh_state(who, origin);
        let mut gate = gate.lock().await;
        let replaced = self.parts.store.connection(who.as_str(), &origin.uid).await.unwrap_or_default();
        self.parts.store.put_connection(&row).await?;
        if let Some(old) = replaced {
            self.revoke_replaced(who, origin, old, &row);
        }
        if !flow.step_up.is_empty() {
            let recorded =
                self.parts.store.record_step_up(who.as_str(), &origin.uid, &flow.step_up, now.0).await;
            if let Err(error) = recorded {
                tracing::warn!(%error, "failed to record consented scopes; the person may have to consent again");
            }
        }
        gate.failed = None;
        if let Some(connection) = Connection::open(row, &self.parts.keys.sealing) {
            let refresh_at = connection.refresh_at();
            self.cache_connection(who, origin, &connection, refresh_at);
        }
        self.publish_change(who, origin, true);
        Ok(())
    }
}

fn unavailable(error: impl std::fmt::Display) -> ConnectError {
    ConnectError::Unavailable(error.to_string())
}

fn authorization_url(
    found: &DiscoveryResult,
    client: &OriginClient,
    redirect_uri: &str,
    state: &str,
    verifier: &str,
    scope: &str,
    asks_offline: bool,
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
        if asks_offline {
            // OpenID Connect Core, section 11: offline access requires this prompt.
            query.append_pair("prompt", "consent");
        }
    }
    Ok(url)
}

fn associated_data(row: &ConnectFlowRow) -> [&str; 5] {
    ["connect flow", &row.principal_id, &row.origin_uid, &row.state_digest, &row.browser]
}

fn error_message(code: &str, description: Option<&str>) -> String {
    match (code, description.map(sanitize).filter(|text| !text.is_empty())) {
        ("access_denied", None) => "the request was denied".to_owned(),
        ("access_denied", Some(text)) => format!("the request was denied: {text}"),
        (code, None) => sanitize(code),
        (code, Some(text)) => format!("{text} ({})", sanitize(code)),
    }
}

#[cfg(test)]
mod golden;

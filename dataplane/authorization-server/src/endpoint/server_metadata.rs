//! Authorization server metadata (RFC 8414), also in the format of OpenID Connect discovery, because clients
//! request either.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use portcullis_policy::{Route, RouteTable, RouteTableHandle};
use serde_json::{Value, json};

use super::grant_types::{CLIENT_CREDENTIALS, JWT_BEARER};
use super::id_jag::id_jag_provider;
use super::oauth_error::OAuthError;
use crate::Issuer;
use crate::client::AuthMethod;
use crate::issue_token::SCOPE;
use portcullis_jwt_verification::SIGNING_ALGORITHMS;

/// No metadata can be returned.
pub(super) enum ServerMetadataError {
    NotReady,
    NoSuchRoute,
}

impl IntoResponse for ServerMetadataError {
    fn into_response(self) -> Response {
        match self {
            Self::NotReady => OAuthError::not_ready(),
            Self::NoSuchRoute => OAuthError::no_such_route(),
        }
        .into_response()
    }
}

/// Requested format of the document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MetadataFormat {
    OAuth,
    OpenId,
}

pub(super) async fn oauth_root(
    State(endpoint): State<Arc<ServerMetadataEndpoint>>,
) -> Result<Json<Value>, ServerMetadataError> {
    endpoint.respond(None, MetadataFormat::OAuth)
}

pub(super) async fn oauth_route(
    State(endpoint): State<Arc<ServerMetadataEndpoint>>,
    Path(slug): Path<String>,
) -> Result<Json<Value>, ServerMetadataError> {
    endpoint.respond(Some(&slug), MetadataFormat::OAuth)
}

pub(super) async fn openid_root(
    State(endpoint): State<Arc<ServerMetadataEndpoint>>,
) -> Result<Json<Value>, ServerMetadataError> {
    endpoint.respond(None, MetadataFormat::OpenId)
}

pub(super) async fn openid_route(
    State(endpoint): State<Arc<ServerMetadataEndpoint>>,
    Path(slug): Path<String>,
) -> Result<Json<Value>, ServerMetadataError> {
    endpoint.respond(Some(&slug), MetadataFormat::OpenId)
}

/// Serves the metadata of all issuers.
pub(super) struct ServerMetadataEndpoint {
    tables: RouteTableHandle,
    /// Whether service account tokens can be reviewed.
    has_reviewer: bool,
}

impl ServerMetadataEndpoint {
    pub(super) const fn new(tables: RouteTableHandle, has_reviewer: bool) -> Self {
        Self { tables, has_reviewer }
    }

    fn respond(&self, slug: Option<&str>, shape: MetadataFormat) -> Result<Json<Value>, ServerMetadataError> {
        let table = self.tables.current().ok_or(ServerMetadataError::NotReady)?;
        let issuer = Issuer::at(&table, slug).ok_or(ServerMetadataError::NoSuchRoute)?;
        Ok(Json(document(self.has_reviewer, &table, &issuer, shape)))
    }
}

fn document(has_reviewer: bool, table: &RouteTable, issuer: &Issuer, shape: MetadataFormat) -> Value {
    let identifier = issuer.identifier(table);
    let endpoint = |name: &str| format!("{identifier}/oauth/{name}");
    let algorithms = SIGNING_ALGORITHMS.map(|(name, _)| name);
    let takes_id_jag = any_route(table, issuer, |route| id_jag_provider(&route.identity_provider).is_some());
    let takes_service_accounts =
        has_reviewer && any_route(table, issuer, |route| route.has_service_accounts());
    let mut grants = vec!["authorization_code", "refresh_token"];
    if !table.gateway.workloads.is_empty() {
        grants.push(CLIENT_CREDENTIALS);
    }
    if takes_id_jag || takes_service_accounts {
        grants.push(JWT_BEARER);
    }
    let mut document = json!({
        "issuer": identifier,
        "authorization_endpoint": endpoint("authorize"),
        "token_endpoint": endpoint("token"),
        "revocation_endpoint": endpoint("revoke"),
        "jwks_uri": format!("{}/oauth/jwks", table.gateway.public_url),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": grants,
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": AuthMethod::NAMES,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": AuthMethod::NAMES,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "scopes_supported": [SCOPE],
        "client_id_metadata_document_supported": true,
        "authorization_response_iss_parameter_supported": true,
    });
    if table.gateway.clients.dynamic_registration {
        document["registration_endpoint"] = json!(endpoint("register"));
    }
    if table.gateway.clients.metadata_document_hosts.is_empty() {
        document["client_id_metadata_document_supported"] = json!(false);
    }
    if takes_id_jag {
        // draft-ietf-oauth-identity-assertion-authz-grant, "Authorization Server Metadata".
        document["authorization_grant_profiles_supported"] =
            json!(["urn:ietf:params:oauth:grant-profile:id-jag"]);
    }
    if let Issuer::Route(route) = issuer {
        document["protected_resources"] = json!([route.url]);
    }
    if shape == MetadataFormat::OpenId {
        // The gateway issues no id_tokens, but strict clients reject a discovery document without these
        // members.
        document["subject_types_supported"] = json!(["public"]);
        document["id_token_signing_alg_values_supported"] = json!(["EdDSA"]);
    }
    document
}

/// Whether a predicate holds for the issuer's route; at the root issuer, for any route.
fn any_route(table: &RouteTable, issuer: &Issuer, holds: impl Fn(&Route) -> bool) -> bool {
    match issuer {
        Issuer::Route(route) => holds(route),
        Issuer::Root => table.routes().any(|route| holds(route)),
    }
}

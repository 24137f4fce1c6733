//! The paths of the endpoints, and the endpoints with their dependencies.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use http::Method;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use portcullis_keyring::Keyring;
use portcullis_policy::RouteTableHandle;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

use super::client_authentication::ClientAuthenticator;
use super::client_credentials::ClientCredentialsGrant;
use super::grant_types::GrantTypes;
use super::headless::HeadlessGrants;
use super::id_jag::IdJagGrant;
use super::jwt_bearer::JwtBearerGrant;
use super::redeem::CodeGrant;
use super::refresh::RefreshGrant;
use super::register::RegistrationEndpoint;
use super::revoke::RevocationEndpoint;
use super::server_metadata::ServerMetadataEndpoint;
use super::service_account::ServiceAccountGrant;
use super::token::TokenEndpoint;
use super::{jwks, register, resource_metadata, revoke, server_metadata, token};
use crate::client::Registrations;
use crate::issue_token::TokenIssuer;
use crate::{AuthorizationServerDependencies, GrantRevocation, Principals, SignInRenewal};

/// Maximum size of a request body, in bytes.
const MAX_BODY_LEN: usize = 64 * 1024;

/// All endpoints.
pub(crate) struct Endpoints {
    tables: RouteTableHandle,
    keys: Arc<Keyring>,
    server_metadata: Arc<ServerMetadataEndpoint>,
    registration: Arc<RegistrationEndpoint>,
    token: Arc<TokenEndpoint>,
    revocation: Arc<RevocationEndpoint>,
}

impl Endpoints {
    pub(crate) fn new(
        dependencies: &AuthorizationServerDependencies,
        registrations: Arc<Registrations>,
        clients: Arc<ClientAuthenticator>,
        principals: Arc<Principals>,
        revocation: Arc<GrantRevocation>,
        sign_ins: Arc<SignInRenewal>,
    ) -> Self {
        let AuthorizationServerDependencies { tables, store, keys, clock, events, .. } = dependencies;
        let tokens = Arc::new(TokenIssuer::new(Arc::clone(keys), dependencies.random.clone()));
        let grant_types = grant_types(dependencies, &tokens, &principals, &revocation, sign_ins);
        Self {
            tables: tables.clone(),
            keys: Arc::clone(keys),
            server_metadata: Arc::new(ServerMetadataEndpoint::new(
                tables.clone(),
                dependencies.reviewer.is_some(),
            )),
            registration: Arc::new(RegistrationEndpoint::new(
                tables.clone(),
                clock.clone(),
                events.clone(),
                registrations,
            )),
            token: Arc::new(TokenEndpoint::new(
                tables.clone(),
                clock.clone(),
                events.clone(),
                Arc::clone(&clients),
                grant_types,
                tokens,
                principals,
            )),
            revocation: Arc::new(RevocationEndpoint::new(
                tables.clone(),
                store.clone(),
                Arc::clone(keys),
                clients,
                revocation,
            )),
        }
    }

    /// Routes for metadata at every path that clients try, for registration, token and revocation of every
    /// issuer, and for the keys. The authorization endpoint is in the portal.
    ///
    /// CORS allows scripts of any site, because browser-based clients need it and these endpoints use no
    /// cookies.
    pub(crate) fn router(self) -> Router {
        let cors = CorsLayer::new()
            .allow_origin(Any)
            .allow_methods([Method::GET, Method::POST])
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers([WWW_AUTHENTICATE, RETRY_AFTER])
            .max_age(Duration::from_secs(3600));
        let resource_metadata = Router::new()
            .route("/.well-known/oauth-protected-resource", get(resource_metadata::only_route))
            .route("/.well-known/oauth-protected-resource/mcp/{slug}", get(resource_metadata::of_route))
            .with_state(self.tables);
        let server_metadata = Router::new()
            .route("/.well-known/oauth-authorization-server", get(server_metadata::oauth_root))
            .route("/.well-known/oauth-authorization-server/mcp/{slug}", get(server_metadata::oauth_route))
            .route("/mcp/{slug}/.well-known/oauth-authorization-server", get(server_metadata::oauth_route))
            .route("/.well-known/openid-configuration", get(server_metadata::openid_root))
            .route("/.well-known/openid-configuration/mcp/{slug}", get(server_metadata::openid_route))
            .route("/mcp/{slug}/.well-known/openid-configuration", get(server_metadata::openid_route))
            .with_state(self.server_metadata);
        let registration = Router::new()
            .route("/mcp/{slug}/oauth/register", post(register::at_route))
            .route("/oauth/register", post(register::at_root))
            // Default path of clients that do not read metadata.
            .route("/register", post(register::at_root))
            .with_state(self.registration);
        let token = Router::new()
            .route("/mcp/{slug}/oauth/token", post(token::at_route))
            .route("/oauth/token", post(token::at_root))
            .with_state(self.token);
        let revocation = Router::new()
            .route("/mcp/{slug}/oauth/revoke", post(revoke::at_route))
            .route("/oauth/revoke", post(revoke::at_root))
            .with_state(self.revocation);
        let jwks = Router::new().route("/oauth/jwks", get(jwks::keys)).with_state(self.keys);
        [resource_metadata, server_metadata, registration, token, revocation, jwks]
            .into_iter()
            .fold(Router::new(), Router::merge)
            .route_layer(DefaultBodyLimit::max(MAX_BODY_LEN))
            .route_layer(cors)
    }
}

fn grant_types(
    dependencies: &AuthorizationServerDependencies,
    tokens: &Arc<TokenIssuer>,
    principals: &Arc<Principals>,
    revocation: &Arc<GrantRevocation>,
    sign_ins: Arc<SignInRenewal>,
) -> GrantTypes {
    let AuthorizationServerDependencies { store, clock, random, .. } = dependencies;
    let headless =
        Arc::new(HeadlessGrants::new(store.clone(), clock.clone(), random.clone(), Arc::clone(principals)));
    let id_jag = IdJagGrant::new(
        Arc::clone(&dependencies.providers.directory),
        Arc::clone(&dependencies.providers.bindings),
        Arc::clone(&dependencies.verifier),
        clock.clone(),
        Arc::clone(principals),
        Arc::clone(&headless),
    );
    let service_account =
        ServiceAccountGrant::new(dependencies.reviewer.clone(), clock.clone(), Arc::clone(&headless));
    GrantTypes {
        code: CodeGrant::new(
            store.clone(),
            clock.clone(),
            random.clone(),
            Arc::clone(tokens),
            Arc::clone(revocation),
        ),
        refresh: RefreshGrant::new(
            store.clone(),
            clock.clone(),
            Arc::clone(tokens),
            sign_ins,
            Arc::clone(revocation),
        ),
        client_credentials: ClientCredentialsGrant::new(headless),
        jwt_bearer: JwtBearerGrant::new(id_jag, service_account),
    }
}

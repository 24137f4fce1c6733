//! Back-channel logout: an identity provider reports that a user has logged out.

use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse as _, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use portcullis_authorization_server::RevokedCounts;
use portcullis_events::{EventKind, FailureOrigin, Outcome};
use portcullis_identity_providers::LogoutError;
use portcullis_policy::RouteTable;
use serde::Deserialize;
use serde_json::json;

use crate::Portal;

/// Reason in the `auth.revoked` event of each grant.
const REASON: &str = "by_provider";

/// The form that a provider posts (OpenID Connect Back-Channel Logout 1.0, section 2.5).
#[derive(Deserialize)]
pub(crate) struct LogoutForm {
    logout_token: Option<String>,
}

/// `POST /login/backchannel/{provider}`: an identity provider has logged a user out. The provider itself
/// sends this request, without a browser.
pub(crate) async fn post(
    State(portal): State<Portal>,
    Path(provider): Path<String>,
    form: Result<Form<LogoutForm>, FormRejection>,
) -> Response {
    let Ok(table) = portal.table() else {
        return logout_response(Some("the gateway is starting and cannot serve requests yet; try again"));
    };
    let token = form.ok().and_then(|Form(form)| form.logout_token);
    let logged_out = match &token {
        Some(token) => log_out(&portal, &table, &provider, token).await,
        None => Err(LogoutFailure {
            reason: "invalid_request",
            text: "logout_token is missing".to_owned(),
            ours: false,
        }),
    };
    let outcome = match &logged_out {
        Ok(_) => Outcome::Success,
        Err(problem) if problem.ours => Outcome::GatewayError,
        Err(_) => Outcome::Denied,
    };
    let mut event = portal.event(&table, EventKind::LoggedOut, outcome);
    let message = match &logged_out {
        Ok(RevokedCounts { grants, sessions }) => {
            format!("{provider} ended: {grants} grants, {sessions} sessions")
        }
        Err(problem) => {
            event.reason = Some(problem.reason);
            event.failure_origin =
                Some(if problem.ours { FailureOrigin::Gateway } else { FailureOrigin::Client });
            problem.text.clone()
        }
    };
    event.message = Some(message.into());
    portal.events.record(event);
    logout_response(logged_out.err().as_ref().map(|problem| problem.text.as_str()))
}

/// Why a logout failed.
struct LogoutFailure {
    reason: &'static str,
    text: String,
    /// Whether the gateway caused the failure, so the provider can try again.
    ours: bool,
}

impl From<LogoutError> for LogoutFailure {
    fn from(error: LogoutError) -> Self {
        let ours = matches!(error, LogoutError::Store(_));
        Self { reason: error.reason(), text: error.to_string(), ours }
    }
}

async fn log_out(
    portal: &Portal,
    table: &RouteTable,
    name: &str,
    token: &str,
) -> Result<RevokedCounts, LogoutFailure> {
    let provider = table.gateway.identity_providers.iter().find(|provider| *provider.name == *name);
    let logout = portal.providers.logout.verify(provider.ok_or(LogoutError::NotOpenId)?, token).await?;
    let mut ended = RevokedCounts::default();
    let ending = async {
        match &logout.provider_session {
            Some(session) => {
                ended +=
                    portal.revocation.end_provider_session(table, session, &logout.people, REASON).await?;
            }
            None => {
                for person in &logout.people {
                    ended += portal.revocation.sign_out_everywhere(table, person, REASON).await?;
                }
            }
        }
        Ok::<_, portcullis_authorization_server::InternalError>(())
    };
    ending.await.map_err(|error| {
        tracing::error!(%error, "failed to carry out back-channel logout");
        LogoutFailure {
            reason: "store_unavailable",
            text: "the logout is incomplete; try again".to_owned(),
            ours: true,
        }
    })?;
    portal.providers.logout.mark_done(&logout).await?;
    Ok(ended)
}

/// 200, or 400 with the problem; never cached (OpenID Connect Back-Channel Logout 1.0, section 2.8).
fn logout_response(problem: Option<&str>) -> Response {
    let mut response = match problem {
        None => StatusCode::OK.into_response(),
        Some(text) => {
            let body = json!({"error": "invalid_request", "error_description": text});
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

//! The errors of pages and the API: status, machine-readable code, message and advice.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use portcullis_authorization_server::{ClientError, InternalError};
use portcullis_clock::NoRandomness;
use portcullis_identity_providers::ProviderError;
use portcullis_origin_auth::{ConnectError, CredentialError};
use portcullis_store::StoreError;

use crate::page;

/// Why a page or an API request failed. Rendered as a page with advice for the user.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PortalError {
    /// There is no route table yet.
    #[error("The gateway is starting and cannot serve requests yet.")]
    NotServing,
    /// The store, the key ring or the random source failed.
    #[error("The gateway cannot complete this request right now.")]
    Unavailable,
    /// The limit for pending authorization requests is reached.
    #[error("Too many sign-ins are in progress.")]
    Busy,
    #[error("This page does not exist.")]
    NotFound,
    #[error("There is no virtual MCP at this address. It may have been renamed or removed.")]
    UnknownRoute,
    /// The route is suspended. Contains its display name.
    #[error("An administrator has suspended {0}.")]
    Suspended(String),
    /// The client is unknown or its redirect URI is invalid, so the error is shown to the user instead of the
    /// client (RFC 6749, section 4.1.2.1).
    #[error("{0}")]
    Client(String),
    /// A form with an invalid token, from another site or from another browser.
    #[error(
        "This form was not sent from a page of this gateway in this browser, or the page was open for over 12 hours."
    )]
    InvalidForm,
    /// The authorization request has been answered or has expired.
    #[error("This request has already been answered, or it is older than 15 minutes.")]
    RequestExpired,
    /// The authorization request is bound to another browser.
    #[error("This request was started in another browser and cannot be finished in this one.")]
    WrongBrowser,
    /// `state` does not match a pending sign-in of this browser.
    #[error(
        "This sign-in was started in another browser, was already completed, or is older than ten minutes."
    )]
    UnknownSignIn,
    /// The identity provider refused the sign-in.
    #[error("{provider} did not sign you in: {reason}")]
    SignInRefused {
        provider: String,
        reason: String,
        /// Path at which the user can try again.
        back: Option<String>,
    },
    #[error("{provider} does not respond, so you cannot sign in there right now.")]
    ProviderUnavailable {
        provider: String,
        /// Path at which the user can try again.
        back: Option<String>,
    },
    #[error("The response from {provider} is invalid: {reason}.")]
    InvalidProviderResponse { provider: String, reason: String },
    /// A development sign-in on a gateway that is not reached through a loopback address.
    #[error("The development sign-in works only on the machine that runs the gateway.")]
    NotLoopback,
    /// A used or expired connect link.
    #[error("This link has already been used, or it is older than 15 minutes.")]
    LinkExpired,
    /// A connect link or consent of another user. Contains the current user.
    #[error("This link belongs to another account. Signed-in account: {0}.")]
    WrongAccount(String),
    #[error("{account} has no access to {route}. An administrator can grant access through a team.")]
    NoAccess {
        account: String,
        /// Display name of the route, or of the origin.
        route: String,
    },
    #[error("No user is signed in with this browser, or the session has expired.")]
    NotSignedIn,
    #[error("{0} is not an administrator of this gateway.")]
    NotAdmin(String),
    /// Connecting an account failed.
    #[error("{error}")]
    Connect {
        error: String,
        /// Whether a retry may succeed.
        passing: bool,
        /// Path of the page on which the flow started.
        back: Option<String>,
    },
}

#[derive(Template)]
#[template(path = "failure.html")]
struct ErrorPage<'a> {
    title: &'a str,
    message: String,
    advice: &'a str,
    back: Option<&'a str>,
}

impl PortalError {
    /// Logs an internal error. The page does not show its text.
    pub(crate) fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "failed to serve page");
        Self::Unavailable
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NotServing | Self::Unavailable | Self::ProviderUnavailable { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Connect { passing: true, .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Busy => StatusCode::TOO_MANY_REQUESTS,
            Self::NotFound | Self::UnknownRoute => StatusCode::NOT_FOUND,
            Self::Client(_) | Self::UnknownSignIn | Self::Connect { .. } => StatusCode::BAD_REQUEST,
            Self::NotSignedIn => StatusCode::UNAUTHORIZED,
            Self::RequestExpired | Self::LinkExpired => StatusCode::GONE,
            Self::InvalidProviderResponse { .. } => StatusCode::BAD_GATEWAY,
            Self::Suspended(_)
            | Self::InvalidForm
            | Self::WrongBrowser
            | Self::SignInRefused { .. }
            | Self::NotLoopback
            | Self::WrongAccount(_)
            | Self::NotAdmin(_)
            | Self::NoAccess { .. } => StatusCode::FORBIDDEN,
        }
    }

    /// The value of `error` in API responses.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotServing | Self::Unavailable => "unavailable",
            Self::Busy => "busy",
            Self::NotFound | Self::UnknownRoute => "not_found",
            Self::Suspended(_) => "suspended",
            Self::Client(_) => "bad_client",
            Self::InvalidForm => "forged",
            Self::RequestExpired | Self::LinkExpired => "gone",
            Self::WrongBrowser | Self::WrongAccount(_) => "not_yours",
            Self::UnknownSignIn | Self::SignInRefused { .. } | Self::InvalidProviderResponse { .. } => {
                "sign_in_failed"
            }
            Self::ProviderUnavailable { .. } => "provider_away",
            Self::NotLoopback => "not_loopback",
            Self::NoAccess { .. } => "no_access",
            Self::NotSignedIn => "not_signed_in",
            Self::NotAdmin(_) => "not_admin",
            Self::Connect { .. } => "not_connected",
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::NotServing | Self::Unavailable | Self::Busy => "Not available right now",
            Self::NotFound | Self::UnknownRoute => "Not found",
            Self::Suspended(_) => "Suspended",
            Self::Client(_) => "The app's request is invalid",
            Self::InvalidForm => "Please try again",
            Self::RequestExpired => "Request already answered or expired",
            Self::WrongBrowser => "Started in another browser",
            Self::UnknownSignIn | Self::SignInRefused { .. } | Self::InvalidProviderResponse { .. } => {
                "Not signed in"
            }
            Self::ProviderUnavailable { .. } => "Sign-in is not available right now",
            Self::NotLoopback => "Available only locally",
            Self::LinkExpired => "Link no longer valid",
            Self::WrongAccount(_) => "Link for another account",
            Self::NoAccess { .. } => "No access",
            Self::NotSignedIn => "Not signed in",
            Self::NotAdmin(_) => "Administrators only",
            Self::Connect { .. } => "Not connected",
        }
    }

    fn advice(&self) -> &'static str {
        match self {
            Self::NotServing | Self::Unavailable => {
                "Try again in a moment. If it keeps failing, contact a gateway administrator."
            }
            Self::Busy => "Wait a few seconds, then start again in your app.",
            Self::NotFound => "Check the address, or start from the portal.",
            Self::UnknownRoute | Self::Suspended(_) => {
                "Ask a gateway administrator. The portal lists the servers that you can use."
            }
            Self::Client(_) => {
                "Nothing was shared with the app. In the app, remove the connection and add it again. If that does not help, report this message to the app's developers."
            }
            Self::InvalidForm => {
                "Nothing was changed. Go back, reload the page and try again, or start again in your app."
            }
            Self::RequestExpired => "If your app is still waiting, start again there.",
            Self::WrongBrowser => {
                "Nothing was shared. Start again in your app, and continue in the browser that it opens."
            }
            Self::UnknownSignIn => "Start again in your app or at the portal.",
            Self::SignInRefused { .. } => "You can try again, or use another account.",
            Self::ProviderUnavailable { .. } => {
                "Please try again in a minute. Your existing sign-ins keep working."
            }
            Self::InvalidProviderResponse { .. } => "Report this message to a gateway administrator.",
            Self::NotLoopback => {
                "Open the gateway at its loopback address (127.0.0.1 or localhost). For users on other machines, configure an identity provider."
            }
            Self::LinkExpired => {
                "To get a new link, use the tool again in your app. You can also connect your account at the portal."
            }
            Self::WrongAccount(_) => {
                "Nothing was connected, because a link works only for the user whose app requested it. If both accounts are yours, sign out at the portal and open the link again."
            }
            Self::NoAccess { .. } => {
                "Ask a gateway administrator or your team lead to add you to a team with access."
            }
            Self::NotSignedIn => "Sign in at the portal and try again.",
            Self::NotAdmin(_) => {
                "Administrators are listed in the gateway's settings (spec.admins), by group or by email."
            }
            Self::Connect { passing: true, .. } => "Please try again in a moment.",
            Self::Connect { .. } => "Nothing was changed.",
        }
    }
}

impl IntoResponse for PortalError {
    fn into_response(self) -> Response {
        let back = match &self {
            Self::SignInRefused { back, .. }
            | Self::ProviderUnavailable { back, .. }
            | Self::Connect { back, .. } => back.as_deref(),
            _ => None,
        };
        let page = ErrorPage { title: self.title(), message: self.to_string(), advice: self.advice(), back };
        let mut response = page::render(self.status(), &page);
        if matches!(response.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
        }
        response
    }
}

impl From<StoreError> for PortalError {
    fn from(error: StoreError) -> Self {
        Self::internal(error)
    }
}

impl From<NoRandomness> for PortalError {
    fn from(error: NoRandomness) -> Self {
        Self::internal(error)
    }
}

impl From<InternalError> for PortalError {
    fn from(error: InternalError) -> Self {
        Self::internal(error)
    }
}

impl From<CredentialError> for PortalError {
    fn from(error: CredentialError) -> Self {
        Self::internal(error)
    }
}

impl From<ClientError> for PortalError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Gateway(error) => Self::internal(error),
            error => Self::Client(format!("The app that sent you here could not be identified: {error}.")),
        }
    }
}

impl PortalError {
    /// A failure to connect an account. `back` is the path of the page on which the flow started.
    pub(crate) fn connect(error: &ConnectError, back: Option<&str>) -> Self {
        let passing = matches!(error, ConnectError::Outbound(_) | ConnectError::Unavailable(_));
        tracing::info!(%error, "failed to connect account");
        let mut text = error.to_string();
        if let Some(first) = text.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Self::Connect { error: text, passing, back: back.map(ToOwned::to_owned) }
    }

    /// A failed sign-in at an identity provider. `back` is the path at which the user can try again.
    pub(crate) fn sign_in(provider: &str, error: ProviderError, back: &str) -> Self {
        tracing::warn!(provider, %error, "failed to sign in at the identity provider");
        let (provider, back) = (provider.to_owned(), Some(back.to_owned()));
        match error {
            ProviderError::Unavailable(_) => Self::ProviderUnavailable { provider, back },
            ProviderError::InvalidResponse(problem) => {
                Self::InvalidProviderResponse { provider, reason: problem.to_string() }
            }
            ProviderError::OtherIssuer => {
                Self::InvalidProviderResponse { provider, reason: "it came from another issuer".to_owned() }
            }
            error @ ProviderError::IssuerChanged => {
                Self::InvalidProviderResponse { provider, reason: error.to_string() }
            }
            ProviderError::Refused { code, description } => {
                let reason = match code.as_str() {
                    "access_denied" => "the sign-in was cancelled, or this account may not use it".to_owned(),
                    _ => description.unwrap_or(code),
                };
                Self::SignInRefused { provider, reason, back }
            }
            ProviderError::Gateway(problem) => Self::internal(problem),
        }
    }
}

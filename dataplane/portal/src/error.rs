use askama::Template;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use portcullis_authorization_server::{ClientError, InternalError};
use portcullis_clock::NoRandomness;
use portcullis_identity_providers::ProviderError;
use portcullis_origin_auth::{ConnectError, CredentialError};
use portcullis_store::StoreError;

use crate::page;

/// A page that says what went wrong, and what the person in front of it can do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PortalError {
    /// There is no route table yet.
    #[error("The gateway is starting and does not serve anything yet.")]
    NotServing,
    /// The store, the keys or the random source do not answer.
    #[error("The gateway cannot do this right now.")]
    Unavailable,
    /// More requests of clients wait for their users than are kept.
    #[error("Too many sign-ins are being begun at the moment.")]
    Busy,
    /// No such page.
    #[error("There is nothing at this address.")]
    NotFound,
    /// No such route.
    #[error("There is no virtual MCP at this address. It may have been renamed or removed.")]
    UnknownRoute,
    /// A route that was switched off.
    #[error("{0} has been switched off by an administrator.")]
    Suspended(String),
    /// A client that cannot be told of its mistake, because it may not be trusted with an answer.
    #[error("{0}")]
    Client(String),
    /// A form that another site sent, or that another browser was shown.
    #[error(
        "This form did not come from a page that this browser was shown, or the page was open for too long."
    )]
    InvalidForm,
    /// The request of a client has been answered or has expired.
    #[error("This request has already been answered, or it is older than 15 minutes.")]
    RequestExpired,
    /// The request of a client was taken up in another browser.
    #[error("This request was begun in another browser, so it cannot be finished in this one.")]
    WrongBrowser,
    /// `state` of an unknown sign-in.
    #[error("This sign-in was begun in another browser, was already finished, or is older than ten minutes.")]
    UnknownSignIn,
    /// The identity provider let nobody in.
    #[error("{provider} did not sign you in: {reason}")]
    SignInRefused {
        /// Its name.
        provider: String,
        /// What it said.
        reason: String,
        /// Where one can try again.
        back: Option<String>,
    },
    /// The identity provider does not answer.
    #[error("{provider} does not answer, so nobody can sign in there right now.")]
    ProviderUnavailable {
        /// Its name.
        provider: String,
        /// Where one can try again.
        back: Option<String>,
    },
    /// What the identity provider says cannot be used.
    #[error("The answer of {provider} could not be used: {reason}.")]
    InvalidProviderResponse {
        /// Its name.
        provider: String,
        /// What is wrong.
        reason: String,
    },
    /// A development sign-in where strangers could reach it.
    #[error("The development sign-in works only on the machine that the gateway runs on.")]
    NotLoopback,
    /// A used or expired connect link.
    #[error("This link has been used, or it is older than 15 minutes.")]
    LinkExpired,
    /// A connect link of somebody else.
    #[error("This link belongs to another account. You are signed in as {0}.")]
    WrongAccount(String),
    /// A page about a route that this person may not use.
    #[error("{account} has no access to {route}. An administrator can give it, through a team.")]
    NoAccess {
        /// Who.
        account: String,
        /// To what.
        route: String,
    },
    /// Something that only somebody who has signed in can ask.
    #[error("Nobody has signed in with this browser, or the session is over.")]
    NotSignedIn,
    /// A page for administrators.
    #[error("{0} does not administer this gateway.")]
    NotAdmin(String),
    /// An account could not be connected.
    #[error("{error}")]
    Connect {
        /// Why.
        error: String,
        /// Whether it may work in a moment.
        passing: bool,
        /// Where one came from.
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
    /// Something of the gateway's own does not work. Logged; the page does not say what.
    pub(crate) fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "a page could not be served");
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

    /// For programs: what the API says in `error`.
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
            Self::Suspended(_) => "Switched off",
            Self::Client(_) => "This app's request cannot be answered",
            Self::InvalidForm => "Please try that again",
            Self::RequestExpired => "Nothing left to do here",
            Self::WrongBrowser => "Begun in another browser",
            Self::UnknownSignIn | Self::SignInRefused { .. } | Self::InvalidProviderResponse { .. } => {
                "Not signed in"
            }
            Self::ProviderUnavailable { .. } => "Sign-in is not available right now",
            Self::NotLoopback => "Not on this machine",
            Self::LinkExpired => "This link is no longer good",
            Self::WrongAccount(_) => "Somebody else's link",
            Self::NoAccess { .. } => "No access",
            Self::NotSignedIn => "Not signed in",
            Self::NotAdmin(_) => "For administrators",
            Self::Connect { .. } => "Not connected",
        }
    }

    fn advice(&self) -> &'static str {
        match self {
            Self::NotServing | Self::Unavailable => {
                "Try again in a moment. If it stays like this, tell whoever runs the gateway."
            }
            Self::Busy => "Wait some seconds, and start again in your app.",
            Self::NotFound => "Check the address, or start at the portal.",
            Self::UnknownRoute | Self::Suspended(_) => {
                "Ask whoever runs the gateway, or look at the portal for what you can use."
            }
            Self::Client(_) => {
                "You were not sent anywhere, and nothing was shared. In the app, remove the connection and add it again; if that does not help, tell its makers what this page says."
            }
            Self::InvalidForm => {
                "Nothing was done. Go back, reload the page and try again; or start again in your app."
            }
            Self::RequestExpired => "If your app is still waiting, start again there.",
            Self::WrongBrowser => {
                "Nothing was shared. Start again in your app, and stay in the browser that it opens."
            }
            Self::UnknownSignIn => "Start again where you came from: in your app, or at the portal.",
            Self::SignInRefused { .. } => "You can try again, or use another account.",
            Self::ProviderUnavailable { .. } => {
                "Please try again in a minute. What you have already signed in to keeps working."
            }
            Self::InvalidProviderResponse { .. } => "Tell whoever runs the gateway what this page says.",
            Self::NotLoopback => {
                "Open the gateway by its loopback address (127.0.0.1 or localhost), or set up an identity provider for people elsewhere."
            }
            Self::LinkExpired => {
                "To get a new one, use the tool again in your app: it answers with a new link. You can also connect your account at the portal."
            }
            Self::WrongAccount(_) => {
                "Links are for the person whose app made them, so nothing was connected. If both accounts are yours, sign out at the portal and open the link again."
            }
            Self::NoAccess { .. } => {
                "Ask whoever runs the gateway, or your team's lead, to add you to a team that may use it."
            }
            Self::NotSignedIn => "Sign in at the portal and try again.",
            Self::NotAdmin(_) => {
                "Whoever runs the gateway names its administrators in its settings, by group or by email."
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
    /// An account could not be connected; `back` is where the person came from.
    pub(crate) fn connect(error: &ConnectError, back: Option<&str>) -> Self {
        let passing = matches!(error, ConnectError::Outbound(_) | ConnectError::Unavailable(_));
        tracing::info!(%error, "an account was not connected");
        let mut text = error.to_string();
        if let Some(first) = text.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Self::Connect { error: text, passing, back: back.map(ToOwned::to_owned) }
    }

    /// What went wrong at an identity provider; `back` is where one can try again.
    pub(crate) fn sign_in(provider: &str, error: ProviderError, back: &str) -> Self {
        tracing::warn!(provider, %error, "sign-in at the identity provider failed");
        let (provider, back) = (provider.to_owned(), Some(back.to_owned()));
        match error {
            ProviderError::Unavailable(_) => Self::ProviderUnavailable { provider, back },
            ProviderError::InvalidResponse(reason) => Self::InvalidProviderResponse { provider, reason },
            ProviderError::OtherIssuer => {
                Self::InvalidProviderResponse { provider, reason: "it came from somebody else".to_owned() }
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

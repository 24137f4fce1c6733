//! Renews sign-ins at the identity provider while clients refresh their tokens, and applies the result.

use std::sync::Arc;
use std::time::Duration;

use portcullis_clock::{Clock, UnixMillis};
use portcullis_events::{Event, EventKind, EventSink, FailureOrigin, Outcome};
use portcullis_identity_providers::{IdentityTokens, ProviderError, RenewalClient, RenewalError, Renewed};
use portcullis_policy::{PrincipalId, RouteTable, RouteTableHandle};

use crate::{GrantRevocation, InternalError, Principals};

/// How long a token request waits for a renewal. A later result is applied in the background.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(4);

/// State of a sign-in after a renewal attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignInStatus {
    /// The provider ended the sign-in; the user was signed out everywhere.
    Ended,
    /// The sign-in is valid, or its state could not be determined.
    Active,
}

/// Reason in events of everything that ends with a sign-in.
const SIGN_IN_ENDED: &str = "sign_in_ended";

/// Outcome, origin, reason and message of a failure, for its event.
struct Failed(Outcome, FailureOrigin, &'static str, String);

impl Failed {
    fn gateway(error: &impl std::fmt::Display) -> Self {
        Self(Outcome::GatewayError, FailureOrigin::Gateway, "store_unavailable", error.to_string())
    }

    fn provider(error: &ProviderError) -> Self {
        match error {
            ProviderError::Gateway(problem) => Self::gateway(problem),
            error => Self(Outcome::UpstreamError, FailureOrigin::Upstream, error.reason(), error.to_string()),
        }
    }
}

/// Renews sign-ins, and applies the results to principals and grants.
pub struct SignInRenewal {
    tables: RouteTableHandle,
    clock: Clock,
    events: EventSink,
    provider_client: Arc<RenewalClient>,
    principals: Arc<Principals>,
    revocation: Arc<GrantRevocation>,
}

impl SignInRenewal {
    pub(crate) const fn new(
        tables: RouteTableHandle,
        clock: Clock,
        events: EventSink,
        provider_client: Arc<RenewalClient>,
        principals: Arc<Principals>,
        revocation: Arc<GrantRevocation>,
    ) -> Self {
        Self { tables, clock, events, provider_client, principals, revocation }
    }

    /// Renews a user's sign-in, unless it was renewed within the lifetime of an access token.
    pub(crate) async fn renew(self: &Arc<Self>, who: &PrincipalId) -> SignInStatus {
        let Some(table) = self.tables.current() else { return SignInStatus::Active };
        let (renewal, who) = (Arc::clone(self), who.clone());
        // In a separate task: the renewal must complete even if the client disconnects.
        let asking = tokio::spawn(async move {
            let now = renewal.clock.now();
            let interval = i64::try_from(table.gateway.tokens.access_seconds).unwrap_or(i64::MAX);
            let since = UnixMillis(now.0.saturating_sub(interval.saturating_mul(1000)));
            let renewed = renewal.provider_client.renew(&table.gateway, &who, Some(since)).await;
            renewal.apply(&table, &who, renewed.as_ref()).await
        });
        match tokio::time::timeout(RENEWAL_TIMEOUT, asking).await {
            Ok(Ok(status)) => status,
            _ => SignInStatus::Active,
        }
    }

    /// A user's tokens from their identity provider, for token exchange (RFC 8693) and ID-JAG. They are never
    /// sent to a client. If the provider has ended the sign-in, the user is signed out everywhere.
    ///
    /// # Errors
    /// See [`RenewalError`]. After [`RenewalError::NoRefreshToken`], signing in again may help.
    pub async fn identity_tokens(
        self: &Arc<Self>,
        who: &PrincipalId,
    ) -> Result<Arc<IdentityTokens>, RenewalError> {
        let Some(table) = self.tables.current() else { return Err(RenewalError::NoRefreshToken) };
        let (renewal, who) = (Arc::clone(self), who.clone());
        let asking = tokio::spawn(async move {
            match renewal.provider_client.identity_tokens(&table.gateway, &who).await {
                Ok((tokens, None)) => Ok(tokens),
                Ok((tokens, Some(renewed))) => {
                    renewal.apply(&table, &who, Ok(&renewed)).await;
                    Ok(tokens)
                }
                Err(error) => {
                    renewal.apply(&table, &who, Err(&error)).await;
                    Err(error)
                }
            }
        });
        asking.await.unwrap_or_else(|error| Err(error.into()))
    }

    /// Applies the result of a renewal: updates the principal or signs the user out, and records an event.
    async fn apply(
        &self,
        table: &RouteTable,
        who: &PrincipalId,
        renewed: Result<&Renewed, &RenewalError>,
    ) -> SignInStatus {
        let mut status = SignInStatus::Active;
        let failed = match renewed {
            Ok(renewed) => {
                self.update_principal(who, renewed).await.err().map(|error| Failed::gateway(&error))
            }
            Err(error @ RenewalError::Ended(_)) => {
                status = SignInStatus::Ended;
                let mut message = error.to_string();
                if let Err(error) = self.revocation.sign_out_everywhere(table, who, SIGN_IN_ENDED).await {
                    tracing::error!(%error, "failed to sign out a user whose identity provider ended the sign-in");
                    message = format!("{message}; the sign-out is incomplete: {error}");
                }
                Some(Failed(Outcome::Denied, FailureOrigin::Client, SIGN_IN_ENDED, message))
            }
            Err(RenewalError::Failed(error)) => Some(Failed::provider(error)),
            // No renewal was attempted.
            Err(_) => return status,
        };
        let mut event = Event::new(self.clock.now(), EventKind::Renewed, Outcome::Success);
        event.gateway = Some(Arc::clone(&table.gateway.name));
        if let Some(Failed(outcome, origin, reason, message)) = failed {
            event.outcome = outcome;
            event.failure_origin = Some(origin);
            event.reason = Some(reason);
            event.message = Some(message.into());
        }
        // If the lookup fails, record the event without its subject.
        if let Ok(Some(person)) = self.principals.load(who).await {
            event.subject = Some(Arc::clone(&person.subject));
        }
        self.events.record(event);
        status
    }

    async fn update_principal(&self, who: &PrincipalId, renewed: &Renewed) -> Result<(), InternalError> {
        let known = if renewed.is_whole { None } else { self.principals.load(who).await? };
        let principal = renewed.description.principal(&renewed.identity_provider, known.as_deref());
        self.principals.save(&principal).await
    }
}

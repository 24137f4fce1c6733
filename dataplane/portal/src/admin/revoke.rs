//! Revocations by administrators. Each one, failed ones included, records an event that names the
//! administrator.

use std::sync::Arc;

use portcullis_events::{EventKind, FailureOrigin, Outcome};
use portcullis_policy::{Origin, Principal, RouteTable};
use portcullis_store::{GrantFilter, GrantRow};
use serde::Serialize;

use crate::Portal;
use crate::account::grants::revoke_user_grant;
use crate::admin::require_admin::Admin;
use crate::error::PortalError;

/// Reason in the `auth.revoked` event of each grant.
const REASON: &str = "by_admin";

/// Grants of a route that are read at a time.
const PAGE_SIZE: i64 = 200;

/// How many things a revocation ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct RevocationSummary {
    pub(crate) grants: usize,
    pub(crate) sessions: u64,
    pub(crate) connections: usize,
}

/// Revokes on behalf of an administrator.
pub(crate) struct AdminRevocation<'a> {
    pub(crate) portal: &'a Portal,
    pub(crate) table: &'a RouteTable,
    pub(crate) admin: &'a Admin,
}

impl AdminRevocation<'_> {
    /// Signs a user out in every browser and revokes all their grants and consents. Removes their connections
    /// to origins only if `connections` is set. The identity provider and the teams decide whether the user
    /// can return.
    pub(crate) async fn person(
        &self,
        person: &Principal,
        connections: bool,
    ) -> Result<RevocationSummary, PortalError> {
        let work = async {
            self.portal.store.withdraw_principal_consents(person.id.as_str()).await?;
            let portcullis_authorization_server::RevokedCounts { grants, sessions } =
                self.portal.revocation.sign_out_everywhere(self.table, &person.id, REASON).await?;
            let connections = if connections {
                let find = |uid: &str| self.table.origin_by_uid(uid).cloned();
                self.portal.broker.disconnector.disconnect_everywhere(&person.id, find).await?
            } else {
                0
            };
            Ok(RevocationSummary { grants, sessions, connections })
        };
        self.record("person", &person.subject, work.await)
    }

    /// Revokes the grants and consents of all users for a client.
    pub(crate) async fn client(&self, client_id: &str) -> Result<RevocationSummary, PortalError> {
        let work = async {
            self.portal.store.withdraw_client_consents(client_id).await?;
            let whose = GrantFilter::Client(client_id);
            let grants = self.portal.revocation.revoke_grants(self.table, whose, REASON).await?;
            Ok(RevocationSummary { grants, ..RevocationSummary::default() })
        };
        self.record("client", client_id, work.await)
    }

    /// Revokes the grants of a team's members on the team's routes. Membership follows the last data from the
    /// identity provider. A grant ends even if another team gives the member the same route.
    pub(crate) async fn team(&self, team: &str) -> Result<RevocationSummary, PortalError> {
        let work = async {
            let mut grants = 0;
            for route in self.table.routes().filter(|route| route.teams().any(|name| name == team)) {
                let mut after = String::new();
                loop {
                    let now = self.portal.clock.now().0;
                    let whose = GrantFilter::Route(&route.uid);
                    let rows = self.portal.store.live_grants(whose, now, &after, PAGE_SIZE).await?;
                    let Some(last) = rows.last() else { break };
                    after.clone_from(&last.grant.id);
                    for row in &rows {
                        let who = portcullis_policy::PrincipalId::from_stored(&row.grant.principal);
                        let person = self.portal.principals.load(&who).await?;
                        if person.is_some_and(|person| route.team_grants(team, &person)) {
                            revoke_user_grant(self.portal, self.table, &row.grant, REASON).await?;
                            grants += 1;
                        }
                    }
                }
            }
            Ok(RevocationSummary { grants, ..RevocationSummary::default() })
        };
        self.record("team", team, work.await)
    }

    /// Removes all connections to an origin.
    pub(crate) async fn origin(&self, origin: &Arc<Origin>) -> Result<RevocationSummary, PortalError> {
        let work = async {
            let connections = self.portal.broker.disconnector.disconnect_everybody(origin).await?;
            Ok(RevocationSummary { connections, ..RevocationSummary::default() })
        };
        self.record("origin", &origin.name, work.await)
    }

    /// Revokes one grant.
    pub(crate) async fn grant(&self, grant: &GrantRow) -> Result<RevocationSummary, PortalError> {
        let work = async {
            let grants = usize::from(grant.revoked_at.is_none());
            revoke_user_grant(self.portal, self.table, grant, REASON).await?;
            Ok(RevocationSummary { grants, ..RevocationSummary::default() })
        };
        self.record("grant", &grant.id, work.await)
    }

    fn record(
        &self,
        what: &'static str,
        target: &str,
        ended: Result<RevocationSummary, PortalError>,
    ) -> Result<RevocationSummary, PortalError> {
        let outcome = if ended.is_ok() { Outcome::Success } else { Outcome::GatewayError };
        let mut event = self.portal.event(self.table, EventKind::AdminRevoked, outcome);
        event.subject = Some(Arc::clone(&self.admin.person.subject));
        event.target = Some(target.into());
        event.reason = Some(what);
        event.message = Some(match &ended {
            Ok(RevocationSummary { grants, sessions, connections }) => {
                format!("ended: {grants} grants, {sessions} sessions, {connections} connections").into()
            }
            Err(_) => {
                event.failure_origin = Some(FailureOrigin::Gateway);
                "the revocation is incomplete; repeat it".into()
            }
        });
        self.portal.events.record(event);
        ended
    }
}

//! What administrators end. Each ending is an event that says who did it, also where it did not succeed.

use std::sync::Arc;

use portcullis_events::{FailureOrigin, Kind, Outcome};
use portcullis_policy::{Origin, Principal, RouteTable};
use portcullis_store::{GrantRow, GrantsOf};
use serde::Serialize;

use crate::Portal;
use crate::admin::gate::Admin;
use crate::failure::Failure;
use crate::mine::given::take_back;

/// What `auth.revoked` says of each grant.
const REASON: &str = "by_admin";

/// How many grants of a route are looked at in one step.
const STEP: i64 = 200;

/// How much has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Ended {
    pub(crate) grants: usize,
    pub(crate) sessions: u64,
    pub(crate) connections: usize,
}

/// An ending that an administrator has asked for.
pub(crate) struct Ending<'a> {
    pub(crate) portal: &'a Portal,
    pub(crate) table: &'a RouteTable,
    pub(crate) admin: &'a Admin,
}

impl Ending<'_> {
    /// Everything that a person has been given: they are signed out in every browser, every client of theirs has to ask again.
    /// Their accounts at origins only where `connections` says so. Whether they may come back is for their identity provider and
    /// the teams to say.
    pub(crate) async fn person(&self, person: &Principal, connections: bool) -> Result<Ended, Failure> {
        let work = async {
            self.portal.store.withdraw_consents_of(person.id.as_str()).await?;
            let portcullis_identity::Ended { grants, sessions } =
                self.portal.identity.end_person(self.table, &person.id, REASON).await?;
            let connections = if connections {
                let find = |uid: &str| self.table.origin_by_uid(uid).cloned();
                self.portal.vault.disconnect_everywhere(&person.id, find).await?
            } else {
                0
            };
            Ok(Ended { grants, sessions, connections })
        };
        self.record("person", &person.subject, work.await)
    }

    /// Everything that anybody has given a client.
    pub(crate) async fn client(&self, client_id: &str) -> Result<Ended, Failure> {
        let work = async {
            self.portal.store.withdraw_consents_to(client_id).await?;
            let whose = GrantsOf::Client(client_id);
            let grants = self.portal.identity.end_grants(self.table, whose, REASON).await?;
            Ok(Ended { grants, ..Ended::default() })
        };
        self.record("client", client_id, work.await)
    }

    /// Everything that members of a team have given clients on the routes that the team names. A member is whoever is one by what
    /// their identity provider last said of them; that another team gives them a route too does not keep a grant.
    pub(crate) async fn team(&self, team: &str) -> Result<Ended, Failure> {
        let work = async {
            let mut grants = 0;
            for route in self.table.routes().filter(|route| route.teams().any(|name| name == team)) {
                let mut after = String::new();
                loop {
                    let now = self.portal.clock.now().0;
                    let whose = GrantsOf::Route(&route.uid);
                    let rows = self.portal.store.live_grants(whose, now, &after, STEP).await?;
                    let Some(last) = rows.last() else { break };
                    after.clone_from(&last.grant.id);
                    for row in &rows {
                        let who = portcullis_policy::PrincipalId::from_stored(&row.grant.principal);
                        let person = self.portal.identity.principal(&who).await?;
                        if person.is_some_and(|person| route.gives(team, &person)) {
                            take_back(self.portal, self.table, &row.grant, REASON).await?;
                            grants += 1;
                        }
                    }
                }
            }
            Ok(Ended { grants, ..Ended::default() })
        };
        self.record("team", team, work.await)
    }

    /// Everybody's account at an origin.
    pub(crate) async fn origin(&self, origin: &Arc<Origin>) -> Result<Ended, Failure> {
        let work = async {
            let connections = self.portal.vault.disconnect_everybody(origin).await?;
            Ok(Ended { connections, ..Ended::default() })
        };
        self.record("origin", &origin.name, work.await)
    }

    /// One grant.
    pub(crate) async fn grant(&self, grant: &GrantRow) -> Result<Ended, Failure> {
        let work = async {
            let grants = usize::from(grant.revoked_at.is_none());
            take_back(self.portal, self.table, grant, REASON).await?;
            Ok(Ended { grants, ..Ended::default() })
        };
        self.record("grant", &grant.id, work.await)
    }

    fn record(
        &self,
        what: &'static str,
        target: &str,
        ended: Result<Ended, Failure>,
    ) -> Result<Ended, Failure> {
        let outcome = if ended.is_ok() { Outcome::Success } else { Outcome::GatewayError };
        let mut event = self.portal.event(self.table, Kind::AdminRevoked, outcome);
        event.subject = Some(Arc::clone(&self.admin.person.subject));
        event.target = Some(target.into());
        event.reason = Some(what);
        event.message = Some(match &ended {
            Ok(Ended { grants, sessions, connections }) => {
                format!("ended: {grants} grants, {sessions} sessions, {connections} connections").into()
            }
            Err(_) => {
                event.failure_origin = Some(FailureOrigin::Gateway);
                "not all of it has ended; ask for it again".into()
            }
        });
        self.portal.events.record(event);
        ended
    }
}

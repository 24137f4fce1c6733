//! Access decisions: which principals may use a route, and which of its tools.

use std::sync::Arc;

use portcullis_config::{Access, Members, Selection, TeamConfig};

use crate::{CapabilityRules, Principal, PrincipalKind, Route};

/// Access of a principal to a route: the teams that grant it, and the allowed tools.
#[derive(Clone, Debug)]
pub struct RouteAccess {
    /// Names of the teams that grant access. Empty if access comes only from `access: Everyone`.
    pub teams: Arc<[Arc<str>]>,
    /// Allowed tools, by exposed name.
    pub tools: ToolRules,
}

/// The tools that a principal may see and call, by exposed name.
#[derive(Clone, Debug)]
pub enum ToolRules {
    /// All tools of the route.
    All,
    /// The tools that at least one of these rules allows. Teams are combined; within a team, exclude wins.
    AnyOf(Arc<[Arc<CapabilityRules>]>),
}

impl ToolRules {
    /// Whether a tool is allowed.
    #[must_use]
    pub fn allow(&self, exposed: &str) -> bool {
        match self {
            Self::All => true,
            Self::AnyOf(rules) => rules.iter().any(|rule| rule.offers(exposed)),
        }
    }

    /// Whether all tools are allowed: lists need no filtering.
    #[must_use]
    pub fn is_passthrough(&self) -> bool {
        match self {
            Self::All => true,
            Self::AnyOf(rules) => rules.iter().any(|rule| rule.is_passthrough()),
        }
    }
}

/// Access of one team to one route.
#[derive(Clone, Debug)]
pub(crate) struct TeamRule {
    name: Arc<str>,
    members: Arc<MemberSet>,
    tools: Arc<CapabilityRules>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct MemberSet {
    groups: std::collections::HashSet<Box<str>>,
    emails: std::collections::HashSet<Box<str>>,
    /// Subjects of workloads and service accounts.
    programs: std::collections::HashSet<Box<str>>,
    has_service_accounts: bool,
}

impl MemberSet {
    pub(crate) fn new(members: &Members) -> Self {
        let workloads = members.workloads.iter().map(|name| Principal::workload(name, name));
        let service_accounts = members
            .service_accounts
            .iter()
            .filter_map(|account| account.split_once('/'))
            .map(|(namespace, name)| Principal::service_account(namespace, name));
        Self {
            groups: members.groups.iter().map(|group| group.as_str().into()).collect(),
            emails: members.users.iter().map(|email| email.to_lowercase().into()).collect(),
            programs: workloads.chain(service_accounts).map(|program| (*program.subject).into()).collect(),
            has_service_accounts: !members.service_accounts.is_empty(),
        }
    }

    pub(crate) fn contains(&self, principal: &Principal) -> bool {
        if principal.kind() != PrincipalKind::Person {
            return self.programs.contains(&*principal.subject);
        }
        principal.groups.iter().any(|group| self.groups.contains(&**group))
            || principal
                .email
                .as_deref()
                .is_some_and(|email| self.emails.contains(email.to_lowercase().as_str()))
    }
}

impl TeamRule {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn for_team(team: &TeamConfig) -> impl Iterator<Item = (&str, Self)> {
        let name: Arc<str> = team.name.as_str().into();
        let members = Arc::new(MemberSet::new(&team.members));
        // A team often has the same tools on many consecutive routes: these share their rules.
        let mut last: Option<(&Selection, Arc<CapabilityRules>)> = None;
        team.access.iter().map(move |access| {
            let tools = match &last {
                Some((selection, rules)) if **selection == access.tools => Arc::clone(rules),
                _ => {
                    let selection = Selection { overrides: Vec::new(), ..access.tools.clone() };
                    Arc::new(CapabilityRules::new(&selection))
                }
            };
            last = Some((&access.tools, Arc::clone(&tools)));
            (access.route.as_str(), Self { name: Arc::clone(&name), members: Arc::clone(&members), tools })
        })
    }
}

impl Route {
    /// Names of the teams with access to this route, sorted.
    pub fn teams(&self) -> impl Iterator<Item = &str> {
        let mut last = None;
        // A team may list a route twice.
        self.teams.iter().map(TeamRule::name).filter(move |name| last.replace(*name) != Some(*name))
    }

    /// Whether a team has access to this route and the principal is one of its members.
    #[must_use]
    pub fn team_grants(&self, team: &str, principal: &Principal) -> bool {
        principal.identity_provider == self.identity_provider.name
            && self.teams.iter().any(|rule| *rule.name == *team && rule.members.contains(principal))
    }

    /// Whether a team with service accounts has access to this route.
    #[must_use]
    pub fn has_service_accounts(&self) -> bool {
        self.teams.iter().any(|rule| rule.members.has_service_accounts)
    }

    /// Whether callers of this route may see different tools. A list of tools then depends on the caller,
    /// also for a caller who sees all of them.
    #[must_use]
    pub fn tools_depend_on_caller(&self) -> bool {
        // `access: Everyone` gives people all tools, whatever their teams say.
        let applies = |rule: &TeamRule| self.access == Access::Teams || !rule.members.programs.is_empty();
        self.teams.iter().any(|rule| !rule.tools.is_passthrough() && applies(rule))
    }

    /// Access of a principal to this route; `None` if access is denied. People must come from the route's
    /// identity provider. Workloads and service accounts have none, and `access: Everyone` does not include
    /// them: a team must list them.
    #[must_use]
    pub fn authorize(&self, principal: &Principal) -> Option<RouteAccess> {
        let is_person = principal.kind() == PrincipalKind::Person;
        if is_person && principal.identity_provider != self.identity_provider.name {
            return None;
        }
        let is_among_everyone = is_person && self.access == Access::Everyone;
        let mine: Vec<_> = self.teams.iter().filter(|rule| rule.members.contains(principal)).collect();
        if mine.is_empty() {
            return is_among_everyone.then(|| RouteAccess { teams: Arc::default(), tools: ToolRules::All });
        }
        let tools = if is_among_everyone {
            ToolRules::All
        } else {
            ToolRules::AnyOf(mine.iter().map(|rule| Arc::clone(&rule.tools)).collect())
        };
        // A team may list a route twice; its name appears once.
        let mut teams: Vec<Arc<str>> = mine.iter().map(|rule| Arc::clone(&rule.name)).collect();
        teams.dedup();
        Some(RouteAccess { teams: teams.into(), tools })
    }
}

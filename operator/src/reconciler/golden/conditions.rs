//! Golden test of the condition types and their reasons.

use portcullis_compiler::Severity;
use portcullis_config_distribution::{ListKind, ObservedCatalogs, ObservedItem, Rejection};

use super::*;
use crate::cluster_state::TrackedResource;
use crate::desired_state::GatewayState;

struct Conditions(BTreeSet<String>);

impl Conditions {
    fn add(&mut self, reconciler: &Reconciler, kind: &str, name: &str) {
        let id = ResourceId::new(kind, "mcp", name);
        let subject: TrackedResource = reconciler.context.cluster_state.tracked[&id].clone();
        for condition in reconciler.status(&id, &subject, &BTreeSet::new(), Timestamp::UNIX_EPOCH).conditions
        {
            let status = serde_json::to_value(condition.status).unwrap();
            self.0.insert(format!("{} {} {}", condition.type_, status.as_str().unwrap(), condition.reason));
        }
    }

    fn add_route(&mut self, reconciler: &Reconciler) {
        self.add(reconciler, "VirtualMcp", "read");
    }
}

fn diagnosed(severity: Severity, reason: &'static str) -> Vec<Diagnostic> {
    vec![Diagnostic { severity, resource: None, file: None, field: None, reason, message: String::new() }]
}

fn add_origin_conditions(reconciler: &mut Reconciler, found: &mut Conditions) {
    let text = String::new;
    let answers = [
        DiscoveryOutcome::Refused(text()),
        DiscoveryOutcome::NotMcp(text()),
        DiscoveryOutcome::Unreachable(text()),
        offers(),
        DiscoveryOutcome::NeedsAccount,
    ];
    for outcome in answers {
        let asked = asked(reconciler, outcome);
        reconciler.context.cluster_state.discoveries.insert(asked.document.uid.clone(), asked);
        found.add(reconciler, "OriginMcp", "linear");
    }
    let mut seen = ObservedCatalogs::default();
    seen.record(
        "uid-linear",
        "https://mcp.linear.app/mcp",
        ListKind::Tools,
        [ObservedItem::new("a", "{}")],
        START,
    );
    reconciler.context.cluster_state.observed = seen;
    found.add(reconciler, "OriginMcp", "linear");
}

fn add_publication_conditions(reconciler: &mut Reconciler, found: &mut Conditions) {
    let id = ResourceId::new("VirtualMcp", "mcp", "read");
    let replica = |report| Replica { name: "a".into(), report, private: None };
    let name = reconciler.desired_state.objects_by_resource[&id][0].clone();
    let rejection = Rejection {
        name: name.clone(),
        resource_version: "100000".into(),
        reason: "Forged".into(),
        accepted_serial: None,
    };
    let rejected = ReplicaReport { rejected: vec![rejection], ..report() };
    for report in [Some(report()), None, Some(ReplicaReport::default()), Some(rejected)] {
        reconciler.replicas = vec![replica(report)];
        found.add_route(reconciler);
    }
    reconciler.retry_queue.failed(&name, "");
    found.add_route(reconciler);
    reconciler.retry_queue.succeeded(&name);
    reconciler.replicas = vec![replica(Some(report()))];
    for (severity, reason) in
        [(Severity::Error, "SlugTaken"), (Severity::Error, "OriginNotFound"), (Severity::Warning, "NoEffect")]
    {
        reconciler.desired_state.diagnostics.insert(id.clone(), diagnosed(severity, reason));
        found.add_route(reconciler);
    }
    reconciler.desired_state.diagnostics.clear();
    reconciler.desired_state.objects_by_resource.clear();
    for gateway in [
        GatewayState::Valid,
        GatewayState::Invalid,
        GatewayState::Undecodable,
        GatewayState::Ambiguous,
        GatewayState::Absent,
    ] {
        reconciler.desired_state.gateway = gateway;
        found.add_route(reconciler);
        found.add(reconciler, "McpGateway", "gateway");
    }
}

#[tokio::test]
async fn condition_types_and_reasons_stay() {
    let (mut reconciler, _requests, _leads) = reconciler();
    let mut found = Conditions(BTreeSet::new());
    settle(&mut reconciler).await;
    for (kind, name) in
        [("McpGateway", "gateway"), ("OriginMcp", "linear"), ("VirtualMcp", "read"), ("Team", "finance")]
    {
        found.add(&reconciler, kind, name);
    }
    reconciler.context.cluster_state.published.objects.clear();
    found.add_route(&reconciler);
    reconciler.context.cluster_state.resources_changed = true;
    settle(&mut reconciler).await;
    add_origin_conditions(&mut reconciler, &mut found);
    add_publication_conditions(&mut reconciler, &mut found);
    let undecodable = resource("Team", "undecodable", &json!({"members": 7}));
    reconciler.context.cluster_state.handle(undecodable);
    reconciler.context.cluster_state.resources_changed = true;
    settle(&mut reconciler).await;
    found.add(&reconciler, "Team", "undecodable");
    assert_golden("operator/condition-reasons.txt", &found.0.into_iter().collect::<Vec<_>>().join("\n"));
}

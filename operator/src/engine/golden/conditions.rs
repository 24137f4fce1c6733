//! Every condition type with the reasons that it can have.

use portcullis_compiler::Severity;
use portcullis_publication::{Definition, ListKind, Observations, Rejection};

use super::*;
use crate::plan::GatewayState;
use crate::world::Subject;

struct Conditions(BTreeSet<String>);

impl Conditions {
    fn add(&mut self, engine: &Engine, kind: &str, name: &str) {
        let id = ResourceId::new(kind, "mcp", name);
        let subject: Subject = engine.parts.world.subjects[&id].clone();
        for condition in engine.status(&id, &subject, &BTreeSet::new(), Timestamp::UNIX_EPOCH).conditions {
            let status = serde_json::to_value(condition.status).unwrap();
            self.0.insert(format!("{} {} {}", condition.type_, status.as_str().unwrap(), condition.reason));
        }
    }

    fn add_route(&mut self, engine: &Engine) {
        self.add(engine, "VirtualMcp", "read");
    }
}

fn diagnosed(severity: Severity, reason: &'static str) -> Vec<Diagnosis> {
    vec![Diagnosis { severity, resource: None, file: None, field: None, reason, message: String::new() }]
}

fn add_origin_conditions(engine: &mut Engine, found: &mut Conditions) {
    let text = String::new;
    let answers = [
        Answer::Refused(text()),
        Answer::NotMcp(text()),
        Answer::Unreachable(text()),
        offers(),
        Answer::NeedsAccount,
    ];
    for answer in answers {
        let asked = asked(engine, answer);
        engine.parts.world.asked.insert(asked.document.uid.clone(), asked);
        found.add(engine, "OriginMcp", "linear");
    }
    let mut seen = Observations::default();
    seen.see(
        "uid-linear",
        "https://mcp.linear.app/mcp",
        ListKind::Tools,
        [Definition::new("a", "{}")],
        START,
    );
    engine.parts.world.observed = seen;
    found.add(engine, "OriginMcp", "linear");
}

fn add_publication_conditions(engine: &mut Engine, found: &mut Conditions) {
    let id = ResourceId::new("VirtualMcp", "mcp", "read");
    let replica = |report| Replica { name: "a".into(), report, private: None };
    let name = engine.plan.parts[&id][0].clone();
    let rejection =
        Rejection { name: name.clone(), resource_version: "100000".into(), reason: "Forged".into() };
    let rejected = Report { rejected: vec![rejection], ..report() };
    for report in [Some(report()), None, Some(Report::default()), Some(rejected)] {
        engine.replicas = vec![replica(report)];
        found.add_route(engine);
    }
    engine.backlog.failed(&name, "");
    found.add_route(engine);
    engine.backlog.done(&name);
    engine.replicas = vec![replica(Some(report()))];
    for (severity, reason) in
        [(Severity::Error, "SlugTaken"), (Severity::Error, "OriginNotFound"), (Severity::Warning, "NoEffect")]
    {
        engine.plan.diagnoses.insert(id.clone(), diagnosed(severity, reason));
        found.add_route(engine);
    }
    engine.plan.diagnoses.clear();
    engine.plan.parts.clear();
    for gateway in
        [GatewayState::Sound, GatewayState::Unsound, GatewayState::Undecodable, GatewayState::Absent]
    {
        engine.plan.gateway = gateway;
        found.add_route(engine);
        found.add(engine, "McpGateway", "gateway");
    }
}

#[tokio::test]
async fn condition_types_and_reasons_stay() {
    let (mut engine, _requests, _leads) = engine();
    let mut found = Conditions(BTreeSet::new());
    settle(&mut engine).await;
    for (kind, name) in
        [("McpGateway", "gateway"), ("OriginMcp", "linear"), ("VirtualMcp", "read"), ("Team", "finance")]
    {
        found.add(&engine, kind, name);
    }
    engine.parts.world.publication.objects.clear();
    found.add_route(&engine);
    engine.parts.world.stale = true;
    settle(&mut engine).await;
    add_origin_conditions(&mut engine, &mut found);
    add_publication_conditions(&mut engine, &mut found);
    let undecodable = resource("Team", "undecodable", &json!({"members": 7}));
    engine.parts.world.take(undecodable);
    engine.parts.world.stale = true;
    settle(&mut engine).await;
    found.add(&engine, "Team", "undecodable");
    assert_golden("operator/condition-reasons.txt", &found.0.into_iter().collect::<Vec<_>>().join("\n"));
}

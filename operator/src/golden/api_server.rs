//! A fake API server: it records requests, and answers a write with the written object.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

#[derive(Clone, Default)]
pub(crate) struct Requests(Arc<Mutex<Vec<Value>>>);

impl Requests {
    pub(crate) fn in_order(&self) -> Value {
        self.0.lock().unwrap().clone().into()
    }

    /// For concurrent requests, whose order varies.
    pub(crate) fn sorted(&self) -> Value {
        let mut requests = self.0.lock().unwrap().clone();
        requests.sort_by_cached_key(|request| format!("{} {request}", request["path"]));
        requests.into()
    }
}

pub(crate) fn start() -> (Client, Requests) {
    let requests = Requests::default();
    let kept = requests.clone();
    let service = tower::service_fn(move |request| answer(kept.clone(), request));
    (Client::new(service, "default"), requests)
}

async fn answer(requests: Requests, request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let mut sent: Value = serde_json::from_slice(&body.collect_bytes().await.unwrap()).unwrap_or_default();
    let mut kept = sent.clone();
    redact(&mut kept);
    let content_type = head.headers.get("content-type").map(|value| value.to_str().unwrap());
    let number = {
        let mut requests = requests.0.lock().unwrap();
        requests.push(json!({
            "method": head.method.as_str(), "path": head.uri.to_string(), "content type": content_type, "body": kept,
        }));
        requests.len()
    };
    let (status, answer) = match head.method {
        Method::GET => (StatusCode::NOT_FOUND, not_found()),
        Method::DELETE => (StatusCode::OK, json!({"kind": "Status", "status": "Success"})),
        _ => {
            let name = head.uri.path().trim_end_matches("/status").rsplit('/').next().unwrap();
            let name = sent["metadata"]["name"].as_str().unwrap_or(name).to_owned();
            sent["metadata"]["uid"] = format!("uid-{name}").into();
            sent["metadata"]["name"] = name.into();
            sent["metadata"]["resourceVersion"] = (100 + number).to_string().into();
            (StatusCode::OK, sent)
        }
    };
    Ok(Response::builder().status(status).body(Body::from(answer.to_string().into_bytes())).unwrap())
}

fn not_found() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "reason": "NotFound",
        "message": "", "code": 404,
    })
}

/// Removes texts, whose wording may change, and random or time-dependent values.
fn redact(value: &mut Value) {
    let is_event = value["kind"] == "Event";
    if is_event {
        value["metadata"]["name"] = Value::Null;
        value["eventTime"] = Value::Null;
    }
    if value["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("credential-")) {
        value["data"].as_object_mut().unwrap().values_mut().for_each(|value| *value = Value::Null);
    }
    remove_texts(value);
}

fn remove_texts(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !matches!(name.as_str(), "message" | "note"));
            fields.values_mut().for_each(remove_texts);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_texts),
        _ => {}
    }
}

//! Golden test of the machine-readable parts of responses that the gateway gives instead of the origin.

use portcullis_golden::assert_golden;

use super::*;
use crate::golden::pretty;

#[test]
fn the_tool_that_connects_an_account_is_stable() {
    let mut tool = connect_tool("");
    for prose in ["title", "description"] {
        assert!(tool.as_object_mut().unwrap().remove(prose).is_some());
    }
    let lacks =
        [ConnectRequired::Account(ConnectionStatus::NeverConnected), ConnectRequired::Scopes(Vec::new())];
    let golden = json!({
        "tool": tool,
        "reasons": lacks.map(|lack| lack.reason()),
        "results": {"legacy": text_result(false, "<text>", true), "modern": text_result(true, "<text>", false)},
    });
    assert_golden("mcp/connect-tool.json", &pretty(&golden));
}

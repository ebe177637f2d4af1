//! What holds for every request.

use serde_json::json;

use crate::app::Setup;

#[tokio::test]
async fn a_body_beyond_the_configured_limit_is_refused() {
    let app = Setup::default().setting("OFFHOOK__SERVER__BODY_LIMIT_BYTES", 2048).start().await;
    let long = |length: usize| app.post("/v1/agents").json(json!({"name": "Desk", "systemPrompt": "x".repeat(length)}));
    long(1024).await.ok();
    let refused = long(2048).await.refused(413);
    assert_eq!((refused.code.as_str(), refused.message.contains("2048")), ("PAYLOAD_TOO_LARGE", true));
}

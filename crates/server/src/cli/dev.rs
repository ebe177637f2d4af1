//! What a first user sees: where it runs, the key, the number, and three commands to paste.

use super::print;
use crate::app::bootstrap::Started;

/// A number of the sandbox network that nobody holds: the handset of the examples.
const HANDSET: &str = "+14155551234";

/// Shows how to begin.
pub fn greet(url: &str, started: &Started) {
    print(&greeting(url, started));
}

fn greeting(url: &str, started: &Started) -> String {
    let key = started.api_key.as_deref().unwrap_or("(shown at the first start; `offhook keys create` makes another)");
    let number = started.phone_number.as_deref().unwrap_or("(none: buy one with POST /v1/numbers)");
    let agent = started.agent.as_ref().map_or_else(|| "(none)".to_owned(), ToString::to_string);
    let shell_key = started.api_key.as_deref().unwrap_or("$OFFHOOK_KEY");
    format!(
        r#"
  Offhook is running in sandbox mode: no carrier, no account, no cost.

    Base URL  {url}
    API key   {key}
    Number    {number}
    Agent     {agent} (First agent)
    Guides    {url}/docs

  Text the number from a virtual handset:

    curl -s {url}/sandbox/messages -H 'Content-Type: application/json' \
      -d '{{"from": "{HANDSET}", "to": "{number}", "body": "Hello, is anybody there?"}}'

  Have events sent to your server, signed (this one prints them; run it in another terminal first), and see what was delivered:

    python3 -c 'import http.server as h
    class R(h.BaseHTTPRequestHandler):
        def do_POST(s): print(s.headers["X-Webhook-Signature"], s.rfile.read(int(s.headers["Content-Length"])).decode()); s.send_response(204); s.end_headers()
    h.HTTPServer(("127.0.0.1", 9000), R).serve_forever()'
    curl -s {url}/v1/webhooks -H 'Authorization: Bearer {shell_key}' \
      -H 'Content-Type: application/json' -d '{{"url": "http://127.0.0.1:9000/"}}'

  Answer, and read it on the handset:

    curl -s {url}/v1/messages -H 'Authorization: Bearer {shell_key}' \
      -H 'Content-Type: application/json' \
      -d '{{"agent_id": "{agent}", "to_number": "{HANDSET}", "body": "Yes: an agent."}}'
    curl -s '{url}/sandbox/handsets/%2B14155551234/messages'
"#
    )
}

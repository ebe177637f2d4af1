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
    let program = program();
    format!(
        r#"
  Offhook is running in sandbox mode: no carrier, no account, no cost.

    Base URL  {url}
    API key   {key}
    Number    {number}
    Agent     {agent} (First agent)
    Guides    {url}/docs

  Three commands to paste into another terminal:

  1. See signed events arrive (it keeps running; use a third terminal for the rest):

    {program} listen --url {url} --key {shell_key}

  2. Text the number from a virtual handset:

    curl -s {url}/sandbox/messages -H 'Content-Type: application/json' \
      -d '{{"from": "{HANDSET}", "to": "{number}", "body": "Hello, is anybody there?"}}'

  3. Answer as the agent:

    curl -s {url}/v1/messages -H "Authorization: Bearer {shell_key}" \
      -H 'Content-Type: application/json' \
      -d '{{"agent_id": "{agent}", "to_number": "{HANDSET}", "body": "Yes: an agent."}}'

  The handset has it: {program} phone --url {url} inbox {HANDSET}
"#
    )
}

/// How to call this binary again.
fn program() -> String {
    std::env::current_exe().map_or_else(|_| "offhook".to_owned(), |path| path.display().to_string())
}

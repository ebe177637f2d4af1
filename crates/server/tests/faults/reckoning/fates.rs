//! How a message to a receiver may end (docs/guides/sandbox.md), and what the receiver then holds.

/// A way to end: the status, and how often the text arrived.
type End = (&'static str, &'static [usize]);

/// It arrives, and a receipt tells so: what is `unconfirmed` for good never got to the carrier.
const PLAIN: &[End] = &[("delivered", &[1]), ("unconfirmed", &[0])];

fn ends(receiver: &str) -> &'static [End] {
    match receiver.strip_prefix("+1500555") {
        // Refused by the carrier.
        Some("0001") => &[("failed", &[0]), ("unconfirmed", &[0])],
        // Taken, then a receipt says otherwise.
        Some("0002") => &[("undelivered", &[0]), ("unconfirmed", &[0])],
        Some("0005") => &[("failed", &[0]), ("unconfirmed", &[0])],
        // No receipt, ever.
        Some("0012") => &[("sent", &[1]), ("unconfirmed", &[0, 1])],
        // The carrier's answer is lost, and no receipt comes.
        Some("0013") => &[("unconfirmed", &[0, 1])],
        Some("0011" | "0014" | "0015") | None => PLAIN,
        Some(other) => panic!("nobody said how a message to +1500555{other} ends"),
    }
}

/// Whether a message to this receiver may end so, having arrived so often.
pub fn may_be(receiver: &str, status: &str, arrived: usize) -> bool {
    ends(receiver).iter().any(|(one, times)| *one == status && times.contains(&arrived))
}

/// Whether a message to this receiver may end so.
pub fn may_end(receiver: &str, status: &str) -> bool {
    ends(receiver).iter().any(|(one, _)| *one == status)
}

/// Whether one status may follow another; the first follows `queued`.
pub fn may_follow(before: &str, after: &str) -> bool {
    match before {
        "queued" => ["sent", "failed", "unconfirmed"].contains(&after),
        "sent" => ["delivered", "undelivered", "failed"].contains(&after),
        "unconfirmed" => ["sent", "delivered", "undelivered", "failed"].contains(&after),
        _ => false,
    }
}

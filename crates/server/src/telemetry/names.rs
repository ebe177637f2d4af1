//! The name of every metric, and what it means. In: nothing. Out: constants for the code that counts, and the help texts
//! of `GET /metrics`. Never here: labels that hold an id, a phone number or a URL; their number has no bound.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Requests answered. Labels: `route` (the pattern, not the path), `method`, `status`.
pub const HTTP_REQUESTS: &str = "offhook_http_requests_total";
/// Time from a request's head to the answer's head. Labels as for `HTTP_REQUESTS`.
pub const HTTP_REQUEST_SECONDS: &str = "offhook_http_request_duration_seconds";
/// Jobs that wait or are under way. Label: `queue`.
pub const QUEUE_DEPTH: &str = "offhook_queue_depth";
/// Age of the oldest job that is due. Label: `queue`.
pub const QUEUE_OLDEST_AGE_SECONDS: &str = "offhook_queue_oldest_age_seconds";
/// Attempts to deliver an event. Label: `outcome` (`success`, `retry`, `failed`).
pub const WEBHOOK_DELIVERIES: &str = "offhook_webhook_deliveries_total";
/// Time of one attempt, until the answer is read. Label: `outcome`.
pub const WEBHOOK_ATTEMPT_SECONDS: &str = "offhook_webhook_attempt_seconds";
/// Answers of carriers. Labels: `carrier`, `outcome`.
pub const CARRIER_OUTCOMES: &str = "offhook_carrier_outcomes_total";
/// Time of one call to a carrier. Labels: `carrier`, `operation`.
pub const CARRIER_CALL_SECONDS: &str = "offhook_carrier_call_seconds";
/// 1 while a carrier takes no messages and is left alone. Label: `carrier`.
pub const CARRIER_ILL: &str = "offhook_carrier_ill";
/// Messages that went by another carrier than their number's own. Labels: `from`, `to`.
pub const CARRIER_FAILOVERS: &str = "offhook_carrier_failovers_total";
/// What carriers posted. Labels: `carrier`, `outcome` (`read`, `unsigned`, `forged`, `stale`, `unreadable`).
pub const CARRIER_HOOKS: &str = "offhook_carrier_hooks_total";
/// Messages accepted from either side. Labels: `direction`, `channel`.
pub const MESSAGES: &str = "offhook_messages_total";
/// Outbound messages that came to an end or a further stage. Label: `status` (`sent`, `delivered`, …).
pub const MESSAGES_SETTLED: &str = "offhook_messages_settled_total";
/// Files fetched. Label: `outcome` (`stored`, `retry`, `failed`, `not_kept`).
pub const MEDIA_FETCHES: &str = "offhook_media_fetches_total";
/// Time of one transaction, its wait for the writer or a connection included. Labels: `engine`, `kind` (`read`, `write`).
pub const STORE_TRANSACTION_SECONDS: &str = "offhook_store_transaction_seconds";
/// Tasks that panicked; each is a defect. Label: `task`.
pub const TASK_PANICS: &str = "offhook_task_panics_total";
/// Calls that this node leads.
pub const CALLS_LED: &str = "offhook_calls_led";
/// Calls that ended. Labels: `direction`, `reason`.
pub const CALLS_ENDED: &str = "offhook_calls_ended_total";
/// How late 99 of 100 frames of sound were given out, since the start.
pub const SOUND_LATENESS_SECONDS: &str = "offhook_sound_lateness_p99_seconds";
/// Frames of sound that were more than 5 ms late.
pub const SOUND_LATE_FRAMES: &str = "offhook_sound_late_frames";
/// Pieces of recordings that the disk was too slow for.
pub const RECORDINGS_LOST: &str = "offhook_recording_pieces_lost";
/// 1, with the version as label.
pub const BUILD_INFO: &str = "offhook_build_info";

/// Attaches a unit and a help text to every metric.
pub(super) fn describe() {
    describe_counter!(HTTP_REQUESTS, Unit::Count, "HTTP requests answered, by route, method and status.");
    describe_histogram!(
        HTTP_REQUEST_SECONDS,
        Unit::Seconds,
        "Time until the answer's head, by route, method and status."
    );
    describe_gauge!(QUEUE_DEPTH, Unit::Count, "Jobs that wait or are under way, by queue.");
    describe_gauge!(QUEUE_OLDEST_AGE_SECONDS, Unit::Seconds, "Age of the oldest job that is due, by queue.");
    describe_counter!(
        WEBHOOK_DELIVERIES,
        Unit::Count,
        "Attempts to deliver an event, by outcome: success, retry, failed."
    );
    describe_histogram!(WEBHOOK_ATTEMPT_SECONDS, Unit::Seconds, "Time of one attempt to deliver an event, by outcome.");
    describe_counter!(CARRIER_OUTCOMES, Unit::Count, "Answers of carriers, by carrier and outcome.");
    describe_histogram!(
        CARRIER_CALL_SECONDS,
        Unit::Seconds,
        "Time of one call to a carrier, by carrier and operation."
    );
    describe_gauge!(CARRIER_ILL, Unit::Count, "1 while a carrier takes no messages and is left alone, by carrier.");
    describe_counter!(
        CARRIER_FAILOVERS,
        Unit::Count,
        "Messages that went by another carrier than their number's own, by the two."
    );
    describe_counter!(CARRIER_HOOKS, Unit::Count, "Requests of carriers, by carrier and outcome.");
    describe_counter!(MESSAGES, Unit::Count, "Messages accepted, by direction and channel.");
    describe_counter!(MESSAGES_SETTLED, Unit::Count, "Changes of outbound messages' status, by the new status.");
    describe_counter!(MEDIA_FETCHES, Unit::Count, "Files fetched, by outcome: stored, retry, failed, not_kept.");
    describe_histogram!(
        STORE_TRANSACTION_SECONDS,
        Unit::Seconds,
        "Time of one transaction, waiting included, by engine and kind."
    );
    describe_counter!(TASK_PANICS, Unit::Count, "Tasks that panicked, by task. Each is a defect.");
    describe_gauge!(CALLS_LED, Unit::Count, "Calls that this node leads.");
    describe_counter!(CALLS_ENDED, Unit::Count, "Calls that ended, by direction and reason.");
    describe_gauge!(SOUND_LATENESS_SECONDS, Unit::Seconds, "How late 99 of 100 frames of sound were, since the start.");
    describe_gauge!(SOUND_LATE_FRAMES, Unit::Count, "Frames of sound that were more than 5 ms late.");
    describe_gauge!(RECORDINGS_LOST, Unit::Count, "Pieces of recordings that the disk was too slow for.");
    describe_gauge!(BUILD_INFO, "Always 1; the label tells the version.");
}

//! From a text of ours to the messages that carry it.

use offhook_smpp::{Coding, Message, Tlvs, chunks, esm_class, tag, with_udh};

use super::address::outgoing;
use super::settings::{Concatenation, SmppSettings};
use crate::Submission;

/// The octets of the header before each part.
const HEADER: usize = 6;
/// More parts than can be numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// The messages that carry a text, at least one. `reference` tells its parts from those of other texts.
pub fn compose(settings: &SmppSettings, submission: &Submission, reference: u16) -> Result<Vec<Message>, TooLong> {
    let coding = coding_for(settings, &submission.body);
    let plain = Message {
        service_type: settings.service_type.clone(),
        source: outgoing(settings, submission.from.as_str()),
        destination: outgoing(settings, &submission.to),
        validity: settings.validity.map(relative_time).unwrap_or_default(),
        registered_delivery: u8::from(settings.receipts),
        data_coding: data_coding(settings, coding),
        ..Message::default()
    };
    let in_header = settings.concatenation == Concatenation::Udh;
    let parts = chunks(&submission.body, coding, if in_header { HEADER } else { 0 });
    if parts.len() == 1 {
        let short_message = parts.into_iter().next().map(|part| part.octets).unwrap_or_default();
        return Ok(vec![Message { short_message, ..plain }]);
    }
    if settings.concatenation == Concatenation::Payload {
        let whole = offhook_smpp::encode(&submission.body, coding, 0);
        let tlvs = Tlvs::default().with(tag::MESSAGE_PAYLOAD, &whole);
        return if whole.len() <= usize::from(u16::MAX) { Ok(vec![Message { tlvs, ..plain }]) } else { Err(TooLong) };
    }
    let total = u8::try_from(parts.len()).map_err(|_| TooLong)?;
    let numbered = (1..=total).zip(parts).map(|(number, part)| {
        if in_header {
            let short_message = with_udh((reference & 0xFF) as u8, total, number, &part.octets);
            return Message { esm_class: esm_class::UDHI, short_message, ..plain.clone() };
        }
        let tlvs = Tlvs::default()
            .with(tag::SAR_MSG_REF_NUM, &reference.to_be_bytes())
            .with(tag::SAR_TOTAL_SEGMENTS, &[total])
            .with(tag::SAR_SEGMENT_SEQNUM, &[number]);
        Message { short_message: part.octets, tlvs, ..plain.clone() }
    });
    Ok(numbered.collect())
}

/// The narrowest alphabet that has all of a text.
fn coding_for(settings: &SmppSettings, text: &str) -> Coding {
    let mut narrow = vec![settings.default_coding];
    if settings.latin1 {
        narrow.push(Coding::Latin1);
    }
    narrow.into_iter().find(|coding| coding.has_all(text)).unwrap_or(Coding::Ucs2)
}

fn data_coding(settings: &SmppSettings, coding: Coding) -> u8 {
    match coding {
        Coding::Ucs2 => 8,
        coding if coding == settings.default_coding => 0,
        Coding::Latin1 => 3,
        Coding::Gsm7 | Coding::Gsm7Packed => 0,
    }
}

/// A span in the specification's relative format: years, months, days, hours, minutes, seconds.
fn relative_time(span: std::time::Duration) -> String {
    let seconds = span.as_secs().min(99 * 86_400);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    // No month has more than 30 days here.
    let (months, days) = (days / 30, days % 30);
    format!("00{months:02}{days:02}{hours:02}{minutes:02}{:02}000R", seconds % 60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use offhook_domain::{Clock, E164, Id, MessageId, SystemClock, segments};
    use proptest::prelude::*;

    use super::*;

    fn settings() -> SmppSettings {
        SmppSettings::new("smpp", "localhost", 2775, "us", "secret")
    }

    fn submission(body: &str) -> Submission {
        Submission {
            message_id: MessageId::generate(SystemClock::default().now()),
            from: E164::parse("+14155550100").unwrap(),
            to: "+14155550111".to_owned(),
            body: body.to_owned(),
            media_urls: Vec::new(),
            attempt: 0,
            until: None,
        }
    }

    proptest! {
        /// As many are submitted as are charged for.
        #[test]
        fn there_is_a_message_for_each_segment(body in "([a-z€^ ]{0,500})|([a-z☎😀]{0,300})") {
            for concatenation in [Concatenation::Udh, Concatenation::Sar] {
                let settings = SmppSettings { concatenation, ..settings() };
                let messages = compose(&settings, &submission(&body), 7).unwrap();
                prop_assert_eq!(messages.len(), segments::count(&body).count as usize);
                prop_assert!(messages.iter().all(|message| message.short_message.len() <= 160));
            }
        }
    }

    #[test]
    fn the_narrowest_alphabet_is_taken() {
        let latin = SmppSettings { latin1: true, ..settings() };
        for (settings, body, expected) in [
            (&settings(), "Grüße €5", 0),
            (&settings(), "forêt", 8),
            (&latin, "forêt", 3),
            (&latin, "☎", 8),
            (&SmppSettings { default_coding: Coding::Latin1, ..settings() }, "forêt", 0),
        ] {
            assert_eq!(compose(settings, &submission(body), 7).unwrap()[0].data_coding, expected, "{body}");
        }
    }

    #[test]
    fn a_long_text_may_go_in_one_piece() {
        let settings = SmppSettings { concatenation: Concatenation::Payload, ..settings() };
        let messages = compose(&settings, &submission(&"a".repeat(500)), 7).unwrap();
        assert_eq!((messages.len(), messages[0].payload().len()), (1, 500));
        assert!(messages[0].short_message.is_empty());
    }

    #[test]
    fn what_can_not_be_numbered_is_too_long() {
        assert_eq!(compose(&settings(), &submission(&"a".repeat(255 * 153 + 1)), 7), Err(TooLong));
        assert_eq!(compose(&settings(), &submission(&"a".repeat(255 * 153)), 7).unwrap().len(), 255);
    }

    #[test]
    fn a_validity_is_written_as_a_span() {
        let settings = SmppSettings { validity: Some(Duration::from_secs(2 * 86_400 + 3_661)), ..settings() };
        assert_eq!(compose(&settings, &submission("Hi"), 7).unwrap()[0].validity, "000002010101000R");
    }
}

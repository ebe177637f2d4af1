//! SRTP: what libsrtp makes of a packet is what we make of it; what was changed, repeated or is anyone else's is refused.

use offhook_media::srtp::keys::MasterKey;
use offhook_media::srtp::{Opener, Refused, Sealer, Suite};
use proptest::prelude::*;

/// The key of libsrtp's own tests.
fn key() -> MasterKey {
    let mut key = [0; 30];
    key.copy_from_slice(&bytes("e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6"));
    MasterKey::new(key)
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap_or_default() as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn rtp(sequence: u16, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 0x0f];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0xde, 0xca, 0xfb, 0xad]);
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

#[test]
fn a_packet_is_sealed_as_libsrtp_seals_it() {
    let mut packet = rtp(0x1234, 0xcafe_babe, &[0xab; 16]);
    Sealer::new(Suite::Tag80, &key()).seal(&mut packet);
    assert_eq!(packet, bytes("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb"));
}

#[test]
fn a_report_is_sealed_as_libsrtp_seals_it() {
    let mut report = bytes("81c8000bcafebabe");
    report.extend([0xab; 16]);
    Sealer::new(Suite::Tag80, &key()).seal_report(&mut report);
    assert_eq!(report, bytes("81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798"),);
}

#[test]
fn a_stream_is_opened_over_many_wraps_with_loss_and_disorder() {
    for suite in Suite::ALL {
        let (mut sealer, mut opener) = (Sealer::new(suite, &key()), Opener::new(suite, &key()));
        let mut held = None;
        for i in 0..140_000_u32 {
            let mut packet = rtp((i as u16).wrapping_add(65_000), 7, &i.to_be_bytes());
            sealer.seal(&mut packet);
            if i % 10 == 3 {
                continue;
            }
            if i % 10 == 5 {
                held = Some((i, packet));
                continue;
            }
            for (i, mut packet) in std::iter::once((i, packet)).chain(held.take()) {
                assert_eq!(opener.open(&mut packet), Ok(16), "{suite:?} {i}");
                assert_eq!(packet[12..16], i.to_be_bytes());
            }
        }
    }
}

#[test]
fn what_came_before_is_refused() {
    let (mut sealer, mut opener) = (Sealer::new(Suite::Tag80, &key()), Opener::new(Suite::Tag80, &key()));
    let packets: Vec<Vec<u8>> = (0..300)
        .map(|i| {
            let mut packet = rtp(i, 7, b"sound");
            sealer.seal(&mut packet);
            packet
        })
        .collect();
    assert!(opener.open(&mut packets[0].clone()).is_ok());
    assert_eq!(opener.open(&mut packets[0].clone()), Err(Refused::Repeated));
    assert!(opener.open(&mut packets[299].clone()).is_ok());
    assert!(opener.open(&mut packets[200].clone()).is_ok());
    assert_eq!(opener.open(&mut packets[200].clone()), Err(Refused::Repeated));
    // Too old to tell.
    assert_eq!(opener.open(&mut packets[100].clone()), Err(Refused::Repeated));

    let mut report = bytes("80c90001cafebabe");
    sealer.seal_report(&mut report);
    assert_eq!(opener.open_report(&mut report.clone()), Ok(8));
    assert_eq!(opener.open_report(&mut report.clone()), Err(Refused::Repeated));
}

#[test]
fn another_key_or_suite_is_refused() {
    let mut packet = rtp(1, 7, &[1; 160]);
    Sealer::new(Suite::Tag80, &key()).seal(&mut packet);
    assert_eq!(Opener::new(Suite::Tag80, &MasterKey::new([1; 30])).open(&mut packet.clone()), Err(Refused::WrongTag));
    assert_eq!(Opener::new(Suite::Tag32, &key()).open(&mut packet.clone()), Err(Refused::WrongTag));
    assert_eq!(Opener::new(Suite::Tag80, &key()).open(&mut rtp(1, 7, &[])), Err(Refused::Short));
}

#[test]
fn what_is_refused_changes_nothing() {
    let (mut sealer, mut opener) = (Sealer::new(Suite::Tag80, &key()), Opener::new(Suite::Tag80, &key()));
    let mut first = rtp(1, 7, b"sound");
    sealer.seal(&mut first);
    // A forger who knows no key can't move the window along, nor push the stream out.
    for i in 0..100 {
        let mut forged = rtp(20_000 + i, u32::from(i), b"forged, with a tag");
        assert!(opener.open(&mut forged).is_err());
    }
    assert!(opener.open(&mut first).is_ok());
}

proptest! {
    #[test]
    fn one_changed_bit_anywhere_is_refused(payload in prop::collection::vec(any::<u8>(), 0..200), at: prop::sample::Index, bit in 0..8_u8) {
        let mut packet = rtp(9, 7, &payload);
        Sealer::new(Suite::Tag80, &key()).seal(&mut packet);
        let at = at.index(packet.len());
        packet[at] ^= 1 << bit;
        prop_assert!(Opener::new(Suite::Tag80, &key()).open(&mut packet).is_err());

        let mut report = bytes("81c8000bcafebabe");
        report.extend(&payload);
        Sealer::new(Suite::Tag80, &key()).seal_report(&mut report);
        let at = at % report.len();
        report[at] ^= 1 << bit;
        prop_assert!(Opener::new(Suite::Tag80, &key()).open_report(&mut report).is_err());
    }

    #[test]
    fn anything_may_come(mut datagram in prop::collection::vec(any::<u8>(), 0..100), version_two: bool) {
        if version_two && let Some(first) = datagram.first_mut() {
            *first = (*first & 0x3F) | 0x80;
        }
        for suite in Suite::ALL {
            let mut opener = Opener::new(suite, &key());
            prop_assert!(opener.open(&mut datagram.clone()).is_err());
            prop_assert!(opener.open_report(&mut datagram.clone()).is_err());
            Sealer::new(suite, &key()).seal(&mut datagram.clone());
            Sealer::new(suite, &key()).seal_report(&mut datagram.clone());
        }
    }
}

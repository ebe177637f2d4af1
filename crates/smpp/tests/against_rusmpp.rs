//! What we write is what another's library reads, and the other way round.

#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

use offhook_smpp::{Address, Bind, Body, FrameReader, Message, Mode, Pdu, Status, Tlvs, tag};
use proptest::prelude::*;
use rusmpp::tokio_codec::CommandCodec;
use tokio_util::bytes::BytesMut;
use tokio_util::codec::{Decoder, Encoder};

fn ours(pdu: &Pdu) -> BytesMut {
    let mut out = Vec::new();
    pdu.write(&mut out);
    BytesMut::from(&out[..])
}

fn message() -> impl Strategy<Value = Message> {
    let address = (0_u8..=6, proptest::sample::select(vec![0_u8, 1, 3, 4, 6, 8, 9]), "[0-9A-Za-z]{0,20}")
        .prop_map(|(ton, npi, digits)| Address::new(ton, npi, &digits));
    let octets = proptest::collection::vec(any::<u8>(), 0..=254);
    let payload = proptest::option::of(proptest::collection::vec(any::<u8>(), 1..600));
    (address.clone(), address, octets, payload, "[A-Z]{0,5}").prop_map(
        |(source, destination, octets, payload, service_type)| {
            let tlvs = Tlvs(payload.iter().map(|payload| (tag::MESSAGE_PAYLOAD, payload.clone())).collect());
            let short_message = if payload.is_some() { Vec::new() } else { octets };
            let (registered_delivery, data_coding) = (1, 8);
            Message {
                service_type,
                source,
                destination,
                registered_delivery,
                data_coding,
                short_message,
                tlvs,
                ..Message::default()
            }
        },
    )
}

fn body() -> impl Strategy<Value = Body> {
    let id = "[0-9a-f]{0,64}";
    let bind = ("[a-z]{0,15}", "[a-z]{0,8}", "[a-z]{0,12}").prop_map(|(system_id, password, system_type)| Bind {
        mode: Mode::Transceiver,
        system_id,
        password,
        system_type,
        interface_version: 0x34,
        address_range: String::new(),
    });
    prop_oneof![
        bind.prop_map(Body::Bind),
        "[a-z]{0,15}".prop_map(|system_id| Body::BindResp { mode: Mode::Receiver, system_id }),
        message().prop_map(|message| Body::SubmitSm(Box::new(message))),
        message().prop_map(|message| Body::DeliverSm(Box::new(message))),
        message().prop_map(|message| Body::DataSm(Box::new(Message { short_message: Vec::new(), ..message }))),
        id.prop_map(|message_id| Body::SubmitSmResp { message_id }),
        id.prop_map(|message_id| Body::DataSmResp { message_id }),
        Just(Body::DeliverSmResp { message_id: String::new() }),
        Just(Body::EnquireLink),
        Just(Body::EnquireLinkResp),
        Just(Body::Unbind),
        Just(Body::UnbindResp),
        Just(Body::GenericNack),
    ]
}

proptest! {
    #[test]
    fn a_pdu_survives_the_library_and_is_the_same_octets(body in body(), sequence in 1_u32..0x7FFF_FFFF) {
        let pdu = Pdu { status: Status::ROK, sequence, body };
        let written = ours(&pdu);
        let theirs = CommandCodec::new().decode(&mut written.clone()).unwrap().unwrap();
        let mut back = BytesMut::new();
        CommandCodec::new().encode(theirs, &mut back).unwrap();
        prop_assert_eq!(&back, &written);
        let mut reader = FrameReader::default();
        reader.push(&back);
        prop_assert_eq!(reader.next_frame().unwrap().unwrap().read().unwrap(), pdu);
    }
}

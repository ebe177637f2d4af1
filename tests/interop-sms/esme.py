"""An ESME of PyPI's smpplib: submits a long text in parts to the message centre at sys.argv[1], and prints one JSON object
a line for each answer and for all that it is brought, until it has been brought `bye`."""

import json
import sys

import smpplib.client
import smpplib.consts
import smpplib.gsm


def say(**what):
    print(json.dumps(what), flush=True)


class Bye(Exception):
    pass


def brought(pdu):
    if pdu.command != "deliver_sm":
        return
    text = pdu.short_message
    encoding = "utf-16-be" if pdu.data_coding == 8 else "ascii"
    if pdu.esm_class & 0x40:
        text = text[text[0] + 1 :]
    if pdu.esm_class & 4:
        say(receipt=text.decode("ascii"))
    else:
        say(brought=text.decode(encoding), sender=pdu.source_addr.decode())
        if text == b"bye":
            raise Bye


client = smpplib.client.Client("127.0.0.1", int(sys.argv[1]), timeout=20)
client.set_message_sent_handler(lambda pdu: say(answered=pdu.message_id.decode()))
client.set_message_received_handler(brought)
client.connect()
client.bind_transceiver(system_id="py", password="secret")
parts, coding, flag = smpplib.gsm.make_parts("☎ grüße " * 82)
for part in parts:
    client.send_message(
        source_addr_ton=1, source_addr_npi=1, source_addr="14155550100",
        dest_addr_ton=1, dest_addr_npi=1, destination_addr="14155550111",
        short_message=part, data_coding=coding, esm_class=flag, registered_delivery=True,
    )
say(parts=len(parts))
try:
    client.listen()
except Bye:
    pass
client.unbind()
client.disconnect()
say(left=True)

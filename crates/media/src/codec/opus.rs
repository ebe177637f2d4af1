//! Opus as wideband mono voice, by the crate `opus-pure`, which stays behind this file.

use opus_pure::{Application, MAX_PACKET_BYTES, OpusDecoder, OpusEncoder, packet};

use super::{Broken, Codec, Decoder, Encoder};
use crate::frame_samples;

/// Our voice: 24 kbit/s, with a spare copy of the last packet in each, since phone networks lose some.
#[derive(Default)]
pub struct Voice(Option<Box<OpusEncoder>>);

/// The other side's voice.
#[derive(Default)]
pub struct Ear(Option<Box<OpusDecoder>>);

const RATE: u32 = Codec::Opus.sample_rate();
/// An Opus packet may hold as much as 120 ms.
const LONGEST: usize = RATE as usize * 120 / 1000;
/// The two samples of an Opus packet that says nothing: less is a pause (DTX).
const PAUSE_BYTES: usize = 2;

impl Encoder for Voice {
    fn encode(&mut self, samples: &[i16], payload: &mut Vec<u8>) {
        if self.0.is_none() {
            self.0 = open_encoder();
        }
        let Some(encoder) = &mut self.0 else { return };
        let start = payload.len();
        payload.resize(start + MAX_PACKET_BYTES, 0);
        let written = encoder.encode_s16(samples, samples.len(), &mut payload[start..]).unwrap_or(0);
        payload.truncate(start + written);
    }
}

fn open_encoder() -> Option<Box<OpusEncoder>> {
    let mut encoder = OpusEncoder::new(RATE as i32, 1, Application::Voip).ok()?;
    encoder.bitrate_bps = 24_000;
    // Half the work of the highest that phones use, for speech that measures the same.
    encoder.complexity = 1;
    encoder.use_inband_fec = true;
    encoder.packet_loss_perc = 5;
    Some(Box::new(encoder))
}

impl Ear {
    fn decoder(&mut self) -> Result<&mut OpusDecoder, Broken> {
        if self.0.is_none() {
            let decoder = OpusDecoder::new(RATE as i32, 1).map_err(|_| Broken(Codec::Opus))?;
            self.0 = Some(Box::new(decoder));
        }
        self.0.as_deref_mut().ok_or(Broken(Codec::Opus))
    }

    /// Runs something that writes samples, and keeps as many as it says that it wrote.
    fn add(
        &mut self,
        room: usize,
        samples: &mut Vec<i16>,
        write: impl FnOnce(&mut OpusDecoder, &mut [i16]) -> opus_pure::Result<usize>,
    ) -> Result<usize, Broken> {
        let start = samples.len();
        samples.resize(start + room, 0);
        let written =
            self.decoder().and_then(|decoder| write(decoder, &mut samples[start..]).map_err(|_| Broken(Codec::Opus)));
        samples.truncate(start + written.unwrap_or(0).min(room));
        written
    }
}

impl Decoder for Ear {
    fn decode(&mut self, payload: &[u8], samples: &mut Vec<i16>) -> Result<(), Broken> {
        // An empty one would be understood as a loss.
        if payload.is_empty() {
            return Err(Broken(Codec::Opus));
        }
        self.add(LONGEST, samples, |decoder, room| decoder.decode_s16(payload, LONGEST, room))?;
        Ok(())
    }

    fn duration(&self, payload: &[u8]) -> usize {
        packet::samples(payload, RATE as i32).unwrap_or(0)
    }

    fn recover(&mut self, next: Option<&[u8]>, count: usize, samples: &mut Vec<i16>) -> bool {
        // Concealment works on whole frames of 2.5 ms.
        let piece = frame_samples(RATE) / 8;
        if count == 0 || !count.is_multiple_of(piece) || count > LONGEST || self.0.is_none() {
            return false;
        }
        let start = samples.len();
        let written = match next {
            Some(next) if next.len() > PAUSE_BYTES && count == self.duration(next) => {
                self.add(count, samples, |decoder, room| decoder.decode_fec_s16(next, count, room))
            }
            _ => self.add(count, samples, |decoder, room| decoder.decode_s16(&[], count, room)),
        };
        if written == Ok(count) {
            return true;
        }
        samples.truncate(start);
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_that_comes_can_break_the_decoder(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20)) {
            let mut ear = Ear::default();
            for packet in packets {
                let mut heard = Vec::new();
                let expected = ear.duration(&packet);
                if ear.decode(&packet, &mut heard).is_ok() {
                    prop_assert_eq!(heard.len(), expected);
                } else {
                    prop_assert!(heard.is_empty());
                }
                ear.recover(Some(&packet), 320, &mut heard);
            }
        }
    }
}

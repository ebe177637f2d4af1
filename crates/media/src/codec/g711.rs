//! G.711 as ITU-T G.711 has it: eight bits a sample, on a scale that is almost logarithmic. A sample is written as the
//! code whose decision interval holds it, which the tests check for every sample there is.

use super::{Broken, Decoder, Encoder};

/// Which of the two scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    /// America's and Japan's.
    Mu,
    /// Everyone else's.
    A,
}

impl Law {
    /// The code of a sample.
    #[must_use]
    pub const fn compress(self, sample: i16) -> u8 {
        match self {
            Self::Mu => compress_mu(sample),
            Self::A => compress_a(sample),
        }
    }

    /// The sample that a code stands for.
    #[must_use]
    pub const fn expand(self, code: u8) -> i16 {
        match self {
            Self::Mu => MU[code as usize],
            Self::A => A[code as usize],
        }
    }
}

impl Encoder for Law {
    fn encode(&mut self, samples: &[i16], payload: &mut Vec<u8>) {
        match self {
            Self::Mu => payload.extend(samples.iter().map(|&sample| compress_mu(sample))),
            Self::A => payload.extend(samples.iter().map(|&sample| compress_a(sample))),
        }
    }
}

impl Decoder for Law {
    fn decode(&mut self, payload: &[u8], samples: &mut Vec<i16>) -> Result<(), Broken> {
        let table = match self {
            Self::Mu => &MU,
            Self::A => &A,
        };
        samples.extend(payload.iter().map(|&code| table[code as usize]));
        Ok(())
    }

    fn duration(&self, payload: &[u8]) -> usize {
        payload.len()
    }
}

static MU: [i16; 256] = table(Law::Mu);
static A: [i16; 256] = table(Law::A);

const fn table(law: Law) -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = match law {
            Law::Mu => expand_mu(code as u8),
            Law::A => expand_a(code as u8),
        };
        code += 1;
    }
    table
}

/// 14 bits, biased by 33 so that each segment begins at a power of two, then segment and step, all bits inverted.
const fn compress_mu(sample: i16) -> u8 {
    let magnitude = (if sample < 0 { !sample } else { sample } >> 2) as u16 + 33;
    let biased = if magnitude > 0x1FFF { 0x1FFF } else { magnitude };
    let segment = 10 - biased.leading_zeros() as u16;
    let code = (segment << 4) | ((biased >> (segment + 1)) & 0xF);
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | code as u8)
}

const fn expand_mu(code: u8) -> i16 {
    let bits = !code;
    let segment = (bits >> 4) & 7;
    let step = 8 << segment;
    let magnitude = (0x80 << segment) + step * (bits & 0xF) as i16 + step / 2 - 4 * 33;
    if bits & 0x80 == 0 { magnitude } else { -magnitude }
}

/// 12 bits; the first two segments share a step. Every other bit is inverted.
const fn compress_a(sample: i16) -> u8 {
    let magnitude = (if sample < 0 { !sample } else { sample } >> 4) as u16;
    let segment = (12u32.saturating_sub(magnitude.leading_zeros())) as u16;
    let code = if segment == 0 { magnitude } else { (segment << 4) | ((magnitude >> (segment - 1)) & 0xF) };
    let sign = if sample < 0 { 0 } else { 0x80 };
    (sign | code as u8) ^ 0x55
}

const fn expand_a(code: u8) -> i16 {
    let bits = code ^ 0x55;
    let segment = (bits >> 4) & 7;
    let step = (bits & 0xF) as i16;
    let magnitude = match segment {
        0 => (step << 4) + 8,
        _ => ((step << 4) + 0x108) << (segment - 1),
    };
    if bits & 0x80 == 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables 1a and 2a of G.711: the decision values x1, x2, … of the positive half, on the standard's own scale.
    fn decision_values(law: Law) -> Vec<i32> {
        let mut values = Vec::new();
        match law {
            Law::A => {
                let mut value = 0;
                for step in [2, 2, 4, 8, 16, 32, 64, 128] {
                    for _ in 0..16 {
                        value += step;
                        values.push(value);
                    }
                }
                assert_eq!(values.last(), Some(&4096));
            }
            Law::Mu => {
                let mut value = -1;
                for step in [2, 4, 8, 16, 32, 64, 128, 256] {
                    for _ in 0..16 {
                        value += step;
                        values.push(value);
                    }
                }
                // Of the lowest interval only its upper half is positive: 0 to 1.
                assert_eq!(values.first(), Some(&1));
                assert_eq!(values.last(), Some(&8159));
            }
        }
        values.pop();
        values
    }

    #[test]
    fn every_sample_gets_the_code_of_its_decision_interval() {
        for (law, unit) in [(Law::A, 8), (Law::Mu, 4)] {
            let decisions = decision_values(law);
            for sample in 0..=i16::MAX {
                let interval = decisions.iter().filter(|&&x| x * unit <= i32::from(sample)).count() as u8;
                let expected = match law {
                    Law::A => (0x80 | interval) ^ 0x55,
                    Law::Mu => !interval,
                };
                assert_eq!(law.compress(sample), expected, "{law:?} {sample}");
                // The scale is symmetrical: what is below zero mirrors what is above.
                assert_eq!(law.compress(!sample), expected ^ 0x80, "{law:?} {}", !sample);
            }
        }
    }

    #[test]
    fn every_code_stands_for_the_middle_of_its_interval() {
        for (law, unit) in [(Law::A, 8), (Law::Mu, 4)] {
            let mut bounds = vec![if law == Law::Mu { -1 } else { 0 }];
            bounds.extend(decision_values(law));
            bounds.push(if law == Law::Mu { 8159 } else { 4096 });
            for interval in 0..128_u8 {
                let code = if law == Law::A { (0x80 | interval) ^ 0x55 } else { !interval };
                let middle = (bounds[interval as usize] + bounds[interval as usize + 1]) * unit / 2;
                assert_eq!(i32::from(law.expand(code)), middle, "{law:?} {code:02x}");
                assert_eq!(i32::from(law.expand(code ^ 0x80)), -middle, "{law:?} {code:02x}");
            }
        }
    }

    #[test]
    fn a_code_survives_a_round_trip() {
        for law in [Law::Mu, Law::A] {
            for code in 0..=255 {
                // µ-law has two zeros; the negative one comes back as the positive.
                let expected = if law == Law::Mu && code == 0x7F { 0xFF } else { code };
                assert_eq!(law.compress(law.expand(code)), expected, "{law:?} {code:02x}");
            }
        }
    }

    #[test]
    fn silence_is_what_networks_send_as_silence() {
        assert_eq!(Law::Mu.compress(0), 0xFF);
        assert_eq!(Law::A.compress(0), 0xD5);
        assert_eq!(Law::Mu.expand(0x00), -32124);
        assert_eq!(Law::A.expand(0x2A), -32256);
    }
}

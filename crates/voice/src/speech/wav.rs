//! Sound in bytes: 16-bit PCM as it streams, and WAV files. In: bytes, torn anywhere. Out: samples.

use std::io::Cursor;

/// Bytes of 16-bit little-endian samples, torn anywhere.
#[derive(Debug, Default)]
pub struct Pcm {
    odd: Option<u8>,
}

impl Pcm {
    /// The samples that these bytes complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<i16> {
        let mut samples = Vec::with_capacity(bytes.len() / 2 + 1);
        let mut rest = bytes;
        if let Some(low) = self.odd.take() {
            match rest.split_first() {
                Some((high, more)) => {
                    samples.push(i16::from_le_bytes([low, *high]));
                    rest = more;
                }
                None => self.odd = Some(low),
            }
        }
        let pairs = rest.chunks_exact(2);
        self.odd = self.odd.or(pairs.remainder().first().copied());
        samples.extend(pairs.map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
        samples
    }
}

/// The rate and the samples of a WAV; of several channels the mean. `None` for what is none, or has no 16-bit samples.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<(u32, Vec<i16>)> {
    let reader = hound::WavReader::new(Cursor::new(bytes)).ok()?;
    let spec = reader.spec();
    let channels = usize::from(spec.channels);
    if spec.bits_per_sample != 16 || spec.sample_format != hound::SampleFormat::Int || channels == 0 {
        return None;
    }
    // A header that promises more than there is, as of a stream, is no reason to lose what there is.
    let samples: Vec<i16> = reader.into_samples::<i16>().map_while(Result::ok).collect();
    let mean = |frame: &[i16]| (frame.iter().map(|sample| i32::from(*sample)).sum::<i32>() / channels as i32) as i16;
    Some((spec.sample_rate, samples.chunks_exact(channels).map(mean).collect()))
}

/// A mono WAV of these samples.
#[must_use]
pub fn write(rate: u32, samples: &[i16]) -> Vec<u8> {
    let spec =
        hound::WavSpec { channels: 1, sample_rate: rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut bytes = Cursor::new(Vec::with_capacity(44 + samples.len() * 2));
    if let Ok(mut writer) = hound::WavWriter::new(&mut bytes, spec) {
        let mut samples_in = writer.get_i16_writer(u32::try_from(samples.len()).unwrap_or(u32::MAX));
        samples.iter().for_each(|sample| samples_in.write_sample(*sample));
        // Memory takes whatever it is given.
        let _ = samples_in.flush().and_then(|()| writer.finalize());
    }
    bytes.into_inner()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(rate in 8_000..48_000_u32, samples in prop::collection::vec(any::<i16>(), 0..200)) {
            prop_assert_eq!(read(&write(rate, &samples)), Some((rate, samples)));
        }

        #[test]
        fn samples_are_the_same_wherever_they_are_torn(
            samples in prop::collection::vec(any::<i16>(), 0..50),
            sizes in prop::collection::vec(1..5_usize, 1..5),
        ) {
            let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            let (mut pcm, mut read, mut rest) = (Pcm::default(), Vec::new(), bytes.as_slice());
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, more) = rest.split_at((*size).min(rest.len()));
                read.extend(pcm.push(piece));
                rest = more;
            }
            prop_assert_eq!(read, samples);
        }

        #[test]
        fn any_bytes_are_a_wav_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}

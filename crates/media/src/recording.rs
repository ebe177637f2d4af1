//! The recording of a call: a stereo WAV, the agent on the left, the caller on the right. In: frames with their place in
//! the call. Out: bytes, as the call goes on.
//!
//! The file is whole at any time but for its last second: sound is written each half second, and only then does the
//! header count it. What a crash leaves behind the header, [`mend`] counts in as well.

use std::io::{self, Read, Seek, SeekFrom, Write};

const HEADER: usize = 44;
/// Two channels of two bytes.
const SAMPLE: usize = 4;
/// A channel that lags behind by more than a second is silent until then.
const LAG_SECONDS: u64 = 1;
/// No call is longer. A place behind it is a mistake.
const LONGEST_SECONDS: u64 = 24 * 3600;

/// Whose sound it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Left.
    Agent,
    /// Right.
    Caller,
}

/// A recording that is being written.
#[derive(Debug)]
pub struct Recording<W> {
    file: W,
    rate: u32,
    /// The place of the first sample that is not yet written.
    written: u64,
    /// The samples from there on, as the file has them.
    window: Vec<u8>,
    /// How far each channel has come.
    reached: [u64; 2],
}

impl<W: Write + Seek> Recording<W> {
    /// Begins a file, which should be empty, of so many samples a second.
    ///
    /// # Errors
    /// It can't be written.
    pub fn begin(mut file: W, rate: u32) -> io::Result<Self> {
        file.write_all(&header(rate, 0))?;
        Ok(Self { file, rate, written: 0, window: Vec::new(), reached: [0; 2] })
    }

    /// Adds sound that was said, or heard, so many samples after the call began. What was never added is silence; what
    /// comes a second too late is left out.
    ///
    /// # Errors
    /// The file can't be written; the recording is of no more use then.
    pub fn add(&mut self, channel: Channel, place: u64, samples: &[i16]) -> io::Result<()> {
        let end = place.saturating_add(samples.len() as u64);
        let side = channel as usize;
        if end <= self.written || end > u64::from(self.rate) * LONGEST_SECONDS {
            return Ok(());
        }
        self.skip_to(place)?;
        let late = self.written.saturating_sub(place).min(samples.len() as u64) as usize;
        let samples = &samples[late..];
        let first = (place + late as u64 - self.written) as usize * SAMPLE;
        let needed = first + samples.len() * SAMPLE;
        if self.window.len() < needed {
            self.window.resize(needed, 0);
        }
        for (slot, sample) in self.window[first..].chunks_exact_mut(SAMPLE).zip(samples) {
            slot[side * 2..side * 2 + 2].copy_from_slice(&sample.to_le_bytes());
        }
        self.reached[side] = self.reached[side].max(end);
        self.write_settled()
    }

    /// How long it is so far, in samples.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.written + (self.window.len() / SAMPLE) as u64
    }

    /// Writes what is left, and gives the file back.
    ///
    /// # Errors
    /// It can't be written.
    pub fn finish(mut self) -> io::Result<W> {
        self.write((self.window.len() / SAMPLE) as u64)?;
        self.file.flush()?;
        Ok(self.file)
    }

    /// Writes what neither channel will change any more, if it is worth it.
    fn write_settled(&mut self) -> io::Result<()> {
        let lagging = self.reached[0].min(self.reached[1]);
        let leading = self.reached[0].max(self.reached[1]);
        let settled = lagging.max(leading.saturating_sub(u64::from(self.rate) * LAG_SECONDS));
        let count = settled.saturating_sub(self.written);
        if count >= u64::from(self.rate) / 2 { self.write(count) } else { Ok(()) }
    }

    /// Where nothing was said or heard for long, silence is written in pieces.
    fn skip_to(&mut self, place: u64) -> io::Result<()> {
        let second = u64::from(self.rate);
        while place > self.written + 2 * second {
            let most = (second as usize) * SAMPLE;
            if self.window.len() < most {
                self.window.resize(most, 0);
            }
            self.write(second)?;
        }
        Ok(())
    }

    /// The sound first, and then the header, which so never counts what isn't there.
    fn write(&mut self, samples: u64) -> io::Result<()> {
        let bytes = (samples as usize * SAMPLE).min(self.window.len());
        self.file.write_all(&self.window[..bytes])?;
        self.written += (bytes / SAMPLE) as u64;
        self.window.drain(..bytes);
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header(self.rate, self.written * SAMPLE as u64))?;
        self.file.seek(SeekFrom::Start(HEADER as u64 + self.written * SAMPLE as u64))?;
        Ok(())
    }
}

/// Counts all whole samples in the header of a file that a crash left. Answers how many there are.
///
/// # Errors
/// It is no recording of ours, or can't be read or written.
pub fn mend<F: Read + Write + Seek>(mut file: F) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let mut found = [0; HEADER];
    file.read_exact(&mut found)?;
    let rate = u32::from_le_bytes([found[24], found[25], found[26], found[27]]);
    let expected = header(rate, 0);
    let ours = (0..HEADER).all(|at| (4..8).contains(&at) || at >= 40 || found[at] == expected[at]);
    if !ours {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a recording"));
    }
    let samples = (length - HEADER as u64) / SAMPLE as u64;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&header(rate, samples * SAMPLE as u64))?;
    file.flush()?;
    Ok(samples)
}

/// RIFF, one `fmt ` of 16-bit stereo PCM, one `data`.
fn header(rate: u32, data: u64) -> [u8; HEADER] {
    let data = u32::try_from(data).unwrap_or(u32::MAX - 36);
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(b"RIFF");
    header[4..8].copy_from_slice(&data.saturating_add(36).to_le_bytes());
    header[8..16].copy_from_slice(b"WAVEfmt ");
    header[16] = 16;
    header[20] = 1;
    header[22] = 2;
    header[24..28].copy_from_slice(&rate.to_le_bytes());
    header[28..32].copy_from_slice(&rate.saturating_mul(SAMPLE as u32).to_le_bytes());
    header[32] = SAMPLE as u8;
    header[34] = 16;
    header[36..40].copy_from_slice(b"data");
    header[40..].copy_from_slice(&data.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    /// What a WAV's header says that there is, in pairs of left and right.
    fn sound(file: &[u8]) -> Vec<(i16, i16)> {
        assert_eq!(&file[..4], b"RIFF");
        let counted = u32::from_le_bytes(file[40..44].try_into().unwrap()) as usize;
        assert_eq!(u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize, counted + 36);
        let sample = |bytes: &[u8]| i16::from_le_bytes(bytes.try_into().unwrap());
        file[HEADER..HEADER + counted].chunks(4).map(|pair| (sample(&pair[..2]), sample(&pair[2..]))).collect()
    }

    #[test]
    fn each_is_on_its_side_at_its_time() {
        let mut recording = Recording::begin(Cursor::new(Vec::new()), 8000).unwrap();
        for frame in 0..100 {
            recording.add(Channel::Agent, frame * 160, &[1; 160]).unwrap();
            if frame >= 50 {
                recording.add(Channel::Caller, frame * 160, &[2; 160]).unwrap();
            }
        }
        let sound = sound(&recording.finish().unwrap().into_inner());
        assert_eq!(sound.len(), 16_000);
        assert!(sound[..8000].iter().all(|&pair| pair == (1, 0)));
        assert!(sound[8000..].iter().all(|&pair| pair == (1, 2)));
    }

    #[test]
    fn the_file_is_whole_at_any_time_up_to_the_last_second() {
        let mut file = Cursor::new(Vec::new());
        let mut recording = Recording::begin(&mut file, 8000).unwrap();
        for frame in 0..180_u64 {
            recording.add(Channel::Agent, frame * 160, &[frame as i16; 160]).unwrap();
            // The caller's side comes later, as it waits in the jitter buffer.
            if frame >= 5 {
                recording.add(Channel::Caller, (frame - 5) * 160, &[-(frame as i16); 160]).unwrap();
            }
            let crashed = recording.file.get_ref().clone();
            let sound = sound(&crashed);
            assert!(sound.len() + 8000 >= (frame as usize + 1) * 160, "at frame {frame} only {}", sound.len());
            for (at, &(agent, _)) in sound.iter().enumerate() {
                assert_eq!(agent, (at / 160) as i16);
            }
        }
    }

    #[test]
    fn long_silence_takes_no_memory() {
        let mut recording = Recording::begin(Cursor::new(Vec::new()), 8000).unwrap();
        recording.add(Channel::Caller, 0, &[5; 160]).unwrap();
        recording.add(Channel::Caller, 8000 * 600, &[6; 160]).unwrap();
        assert!(recording.window.capacity() < 8000 * SAMPLE * 4);
        // Much too late: it would have to change what is written.
        recording.add(Channel::Agent, 100, &[7; 160]).unwrap();
        // Not of this call.
        recording.add(Channel::Agent, u64::MAX - 10, &[7; 160]).unwrap();
        let sound = sound(&recording.finish().unwrap().into_inner());
        assert_eq!(sound.len(), 8000 * 600 + 160);
        assert_eq!((sound[0], sound[100], sound[8000 * 600]), ((0, 5), (0, 5), (0, 6)));
    }

    #[test]
    fn what_a_crash_leaves_is_mended() {
        let mut recording = Recording::begin(Cursor::new(Vec::new()), 16_000).unwrap();
        recording.add(Channel::Agent, 0, &[3; 320]).unwrap();
        recording.add(Channel::Caller, 0, &[4; 320]).unwrap();
        let mut file = recording.finish().unwrap().into_inner();
        // Written, but not counted; and half a sample.
        file.extend([9, 0, 8, 0, 7]);
        assert_eq!(sound(&file).len(), 320);
        assert_eq!(mend(Cursor::new(&mut file)).unwrap(), 321);
        assert_eq!(sound(&file)[320], (9, 8));
        assert_eq!(mend(Cursor::new(&mut file)).unwrap(), 321);

        assert_eq!(mend(Cursor::new(vec![0; 100])).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(mend(Cursor::new(vec![0; 10])).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    proptest! {
        #[test]
        fn frames_may_come_in_any_order(frames in prop::collection::vec((0..40_000_u64, any::<bool>(), 0..400_usize), 0..60)) {
            let mut recording = Recording::begin(Cursor::new(Vec::new()), 8000).unwrap();
            let mut longest = 0;
            for (place, agent, count) in frames {
                let channel = if agent { Channel::Agent } else { Channel::Caller };
                recording.add(channel, place, &vec![1; count]).unwrap();
                longest = longest.max(recording.length());
            }
            prop_assert_eq!(sound(&recording.finish().unwrap().into_inner()).len() as u64, longest);
        }
    }
}

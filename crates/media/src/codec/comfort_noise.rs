//! Comfort noise as RFC 3389 has it: instead of silence a caller's phone may send how loud its room is, and be quiet.
//! We make noise of that level; the spectrum that may follow it is not used.

/// The room's noise, as it was last described.
#[derive(Debug, Clone)]
pub struct ComfortNoise {
    amplitude: f32,
    state: u32,
    last: f32,
}

impl Default for ComfortNoise {
    /// Silence, until something is described.
    fn default() -> Self {
        Self { amplitude: 0.0, state: 0x9E37_79B9, last: 0.0 }
    }
}

impl ComfortNoise {
    /// Takes a payload's level. One without a level says nothing.
    pub fn describe(&mut self, payload: &[u8]) {
        let Some(&level) = payload.first() else { return };
        // The level is in -dBov: decibels below the loudest there is.
        let level = f32::from(level & 0x7F);
        self.amplitude = if level >= 127.0 { 0.0 } else { 32768.0 * 10_f32.powf(-level / 20.0) };
    }

    /// Forgets the room: what follows is silence.
    pub fn silence(&mut self) {
        self.amplitude = 0.0;
    }

    /// Adds so many samples of the room.
    pub fn extend(&mut self, count: usize, samples: &mut Vec<i16>) {
        if self.amplitude == 0.0 {
            samples.resize(samples.len() + count, 0);
            return;
        }
        for _ in 0..count {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 17;
            self.state ^= self.state << 5;
            // Evenly spread in ±√3, so that its power is one; then a gentle low pass, as rooms have, that keeps it so.
            let white = (self.state as i32 as f32 / 2_147_483_648.0) * 1.732;
            self.last = 0.5 * self.last + 0.866 * white;
            samples.push((self.last * self.amplitude).clamp(-32768.0, 32767.0) as i16);
        }
    }
}

/// The payload that describes a frame.
#[must_use]
pub fn describe(samples: &[i16]) -> [u8; 1] {
    let power = samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / samples.len().max(1) as f64;
    let level = -10.0 * (power / 32768.0_f64.powi(2)).log10();
    [level.clamp(0.0, 127.0) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_noise_is_as_loud_as_described() {
        for level in [20, 40, 60] {
            let mut noise = ComfortNoise::default();
            noise.describe(&[level, 1, 2, 3]);
            let mut samples = Vec::new();
            noise.extend(8000, &mut samples);
            let made = describe(&samples)[0];
            assert!(made.abs_diff(level) <= 1, "{level} became {made}");
        }
    }

    #[test]
    fn an_undescribed_room_is_silent() {
        let mut noise = ComfortNoise::default();
        noise.describe(&[]);
        let mut samples = vec![7];
        noise.extend(3, &mut samples);
        assert_eq!(samples, [7, 0, 0, 0]);
        assert_eq!(describe(&samples[1..]), [127]);
    }
}

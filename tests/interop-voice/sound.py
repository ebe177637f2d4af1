"""Sound as samples: what flite says, what pocketsphinx understands, and whether one is in the other."""

from __future__ import annotations

import array
import subprocess
import wave
from pathlib import Path

from stage import program

RATE = 16_000


def silence(seconds: float) -> array.array:
    return array.array("h", bytes(2 * int(seconds * RATE)))


def spoken(folder: Path, text: str) -> array.array:
    """At 16 kHz."""
    file = folder / "spoken.wav"
    subprocess.run([program("flite"), "-voice", "slt", "-t", text, "-o", str(file)], check=True)
    rate, (samples,) = read(file)
    assert rate == RATE
    return samples


def write(file: Path, samples: array.array, rate: int = RATE) -> Path:
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.tobytes())
    return file


def read(file: Path) -> tuple[int, list[array.array]]:
    """The rate, and the samples of each channel."""
    with wave.open(str(file), "rb") as source:
        assert source.getsampwidth() == 2
        samples = array.array("h", source.readframes(source.getnframes()))
        channels = source.getnchannels()
        return source.getframerate(), [samples[n::channels] for n in range(channels)]


def understood(folder: Path, samples: array.array, grammar: Path) -> list[str]:
    """What pocketsphinx hears of these, one text for each stretch of sound."""
    return [hear(folder, stretch, grammar) for stretch in stretches(samples)]


def hear(folder: Path, samples: array.array, grammar: Path) -> str:
    file = write(folder / "heard.wav", silence(0.3) + samples + silence(0.3))
    command = [program("pocketsphinx_continuous"), "-infile", str(file), "-jsgf", str(grammar), "-logfn", "/dev/null"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def stretches(samples: array.array, pause: float = 1.0) -> list[array.array]:
    """What is to be heard between pauses."""
    frame, found, quiet_since = RATE // 50, [], None
    for at in range(0, len(samples) - frame, frame):
        if max(map(abs, samples[at : at + frame])) > 500:
            if quiet_since is None or at - quiet_since > pause * RATE:
                found.append((at, at + frame))
            found[-1] = (found[-1][0], at + frame)
            quiet_since = at
    return [samples[max(0, begin - frame) : end + frame] for begin, end in found]

"""Converts speech while it is being spoken: pieces of any length go in, pieces of the same conversion come out.

Every stage remembers what it needs of the past and waits for the few frames to come that it looks at, so the result
does not depend on how the recording was cut: it is that of the whole, up to rounding. No part is computed twice, faded
or guessed, and nothing drifts: positions are counted in samples and frames from the start.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from generative_core.nets import ConvNeXtGenerator, Streamed, block_layers
from voiceconv.audio.files import require_numbers
from voiceconv.convert.adaptation import Adaptation
from voiceconv.errors import UserError
from voiceconv.features.mel import BROKEN_MEL, MelSpectrogram, standardise
from voiceconv.features.source_filter import move
from voiceconv.vocoder.istft import ISTFTVocoder
from voiceconv.vocoder.istft_generator import NEXT
from voiceconv.vocoder.pitch_estimator import UNKNOWN_HZ, phases
from voiceconv.voice.speaker import Speaker

Wav = NDArray[np.float32]
SILENCE_DB = -70.0  # of full scale; where the input stays below, the output is digital silence
UNVOICED_SHARE = 0.5  # of the source that is kept where nothing is voiced


class LiveConversion:
    """Speech to speech for one target: `push` samples in [-1, 1], get those that are ready, `flush` at the end.

    As many samples come out as went in, each `latency` seconds after its own went in. Made by `VoiceConverter.stream`.
    """

    def __init__(
        self,
        mel: MelSpectrogram,
        source: Speaker,
        target: Speaker,
        generator: ConvNeXtGenerator,
        vocoder: ISTFTVocoder,
        adaptation: Adaptation,
        silence_db: float,
    ) -> None:
        self.mel, self.source, self.target, self.adaptation = mel, source, target, adaptation
        self.generator, self.pitch = generator, vocoder.generator.pitch
        self.silence = 10 ** (silence_db / 20)
        self.device = mel.window.device
        self.generator_stream, self.pitch_stream = Streamed.trunk(generator), Streamed.trunk(self.pitch)
        self.vocoder = VocoderStream(vocoder)
        self.hop = mel.config.hop_length
        self.reach = mel.config.n_fft // 2  # samples that a frame looks at, to either side
        self.recording, self.start = np.zeros(0, np.float32), 0  # what is still needed, and where it began
        self.loud = np.zeros(0, bool)  # hops with sound in them, from `first_hop` on
        self.first_hop = 0
        self.received, self.sent = 0, 0  # samples
        self.read, self.moved = 0, 0  # frames, as they are and with their pitch moved
        # Until they are spoken: the target's pitch, the frames as the generator reads them, and as they were before.
        self.before = 0.0  # F0 of the last frame that was moved
        self.f0 = torch.zeros(0, device=self.device)
        self.entered = self.unconverted = torch.zeros(mel.config.n_mels, 0, device=self.device)
        self.ready = np.zeros(0, np.float32)
        self.ended = False

    @property
    def latency(self) -> float:
        """Seconds from a sample's going in until it can come out: what the windows and networks look ahead."""
        ahead = (self.pitch.padding[1] + self.generator.lookahead) * self.hop
        samples = self.reach + self.hop // 2 + ahead + self.vocoder.generator.lookahead_samples
        return samples / self.mel.config.sample_rate

    @torch.inference_mode()
    def push(self, samples: NDArray[np.floating]) -> Wav:
        """`(n,)` -> `(m,)`, what can be said by now, possibly nothing."""
        if self.ended:
            raise ValueError("the stream was flushed; make another one")
        samples = np.asarray(samples, dtype=np.float32)
        if samples.ndim != 1:
            raise ValueError(f"expected samples of shape (n,), got {samples.shape}")
        require_numbers(samples)
        self.recording = np.concatenate([self.recording, samples])
        self.received += len(samples)
        self._speak(self._move_frames(self._read_frames((self.received - self.hop // 2 - self.reach) // self.hop + 1)))
        return self._send(self.received)

    @torch.inference_mode()
    def flush(self) -> Wav:
        """The rest: as many samples as are still owed."""
        if self.ended or not self.received:
            self.ended = True
            return np.zeros(0, np.float32)
        total, self.ended = self.received, True
        frames = -(-total // self.hop)
        self.recording = np.pad(self.recording, (0, frames * self.hop - total))
        self.received = frames * self.hop
        for pitched in (self._read_frames(frames), self.pitch_stream.flush()):
            self._speak(self._move_frames(pitched))
        self._speak(self.generator_stream.flush())
        self.ready = np.concatenate([self.ready, self.vocoder.flush().cpu().numpy()])
        return self._send(total)

    def _read_frames(self, until: int) -> Tensor:
        """The frames up to `until` that were not read yet, through the trunk that reads their pitch."""
        if until <= self.read:
            return torch.zeros(1, 0, 0, device=self.device)
        middles = torch.arange(self.read, until) * self.hop + self.hop // 2
        self.read = until
        plain = self.mel.from_magnitude(self.mel.magnitude_at(self._known(), middles - self.start))
        return self.pitch_stream.push(standardise(plain[None]))

    def _move_frames(self, pitched: Tensor) -> Tensor:
        """The next frames, of which the pitch's trunk gave `(1, channels, n)`, through the trunk of the generator."""
        if not pitched.shape[-1]:
            return pitched
        f0 = self.pitch.decode(self.pitch.answer(pitched))[0]
        middles = torch.arange(self.moved, self.moved + len(f0)) * self.hop + self.hop // 2
        self.moved += len(f0)
        moved = move(
            self.mel,
            self._known(),
            f0,
            pitch=self.adaptation.shift,
            middles=middles - self.start,
            before=self.before,
            contour=self.adaptation.contour,
        )
        self.before = float(f0[-1]) if len(f0) else self.before
        self._forget()
        entering = self.source.normalise_source(self.adaptation.apply(moved))
        self.entered = torch.cat([self.entered, self.target.denormalise(entering)], dim=1)
        self.unconverted = torch.cat([self.unconverted, moved], dim=1)
        self.f0 = torch.cat([self.f0, self.adaptation.pitch_of(f0)])
        return self.generator_stream.push(entering[None])

    def _known(self) -> Tensor:
        return torch.from_numpy(self.recording).to(self.device)

    def _forget(self) -> None:
        """Drops what no frame to come will look at, but for the hops whose sound the gate still has to know."""
        hops = self.received // self.hop - self.first_hop - len(self.loud)
        begin = (self.first_hop + len(self.loud)) * self.hop - self.start
        new = self.recording[begin : begin + hops * self.hop].reshape(hops, self.hop)
        self.loud = np.concatenate([self.loud, (np.abs(new) > self.silence).any(axis=1)])
        needed = min(self.moved * self.hop + self.hop // 2 - self.reach, (self.first_hop + len(self.loud)) * self.hop)
        start = max(self.start, needed)
        self.recording, self.start = self.recording[start - self.start :], start

    def _speak(self, features: Tensor) -> None:
        """What the generator's trunk gave, `(1, channels, n)`, on to the vocoder."""
        count = features.shape[-1]
        if not count:
            return
        converted = self.target.denormalise(self.generator.answer(features)[0, 0])
        require_speech(converted)
        f0 = self.f0[:count]
        converted = keep_unvoiced(converted, self.entered[:, :count], f0)
        wav = self.vocoder.push(self.adaptation.finish(self.mel, self.unconverted[:, :count], converted), f0)
        require_finite(wav)
        self.f0, self.entered, self.unconverted = self.f0[count:], self.entered[:, count:], self.unconverted[:, count:]
        self.ready = np.concatenate([self.ready, wav.cpu().numpy()])

    def _send(self, limit: int) -> Wav:
        """Samples that are ready, gated, up to `limit` in all."""
        out = self.ready[: limit - self.sent]
        self.ready = self.ready[len(out) :]
        if len(out):
            out = out * gate(self.loud, self.sent - self.first_hop * self.hop, len(out), self.hop)
        self.sent += len(out)
        keep = max(self.sent // self.hop - 3, self.first_hop)
        self.loud, self.first_hop = self.loud[keep - self.first_hop :], keep
        return out


class VocoderStream:
    """The vocoder on a mel-spectrogram that is still growing."""

    def __init__(self, vocoder: ISTFTVocoder) -> None:
        self.noise_at, self.generator = vocoder.noise_at, vocoder.generator
        generator = vocoder.generator
        self.enter = Streamed([(generator.enter, generator.padding)])
        self.blocks = Streamed(block_layers(generator))
        device = generator.window.device
        self.waiting = torch.zeros(1, generator.mel.n_mels + 3, 0, device=device)  # mel, F0, voicing, phase
        self.last: tuple[float, float] | None = None  # F0 and phase of the last frame
        self.unvoiced = 0  # frames in a row until now
        self.frames = 0
        # Of the second pass: frames that it still looks at, which of them there are, and the mels of those that it has
        # not come to.
        self.first = torch.zeros(1, generator.before, generator.mel.n_fft, device=device)
        self.known = torch.zeros(generator.before, device=device)
        self.wanted = torch.zeros(1, generator.mel.n_mels, 0, device=device)
        self.sums = torch.zeros(2, 0, device=device)  # of the frames and of the windows, where more are to be added
        self.skip = generator.inverse.margin  # samples before the clip

    def push(self, mel: Tensor, f0: Tensor) -> Tensor:
        """log-mel `(n_mels, n)` and F0 in Hz `(n,)`, 0 where unvoiced -> waveform `(m,)`."""
        voiced = (f0 > 0).float()
        held = self._hold(f0)
        arrived = torch.cat([mel, torch.stack([held, voiced, self._phases(held, voiced)])])
        self.waiting = torch.cat([self.waiting, arrived[None]], dim=-1)
        return self._synthesise(self.enter.push(standardise(mel[None])))

    def flush(self) -> Tensor:
        last = self._synthesise(self.enter.flush())
        after = self.first.new_zeros(1, NEXT, self.generator.mel.n_fft)
        last = torch.cat([last, self._second_pass(after, there=False)])
        wav, weights = self.sums[:, : self.generator.inverse.margin]
        return torch.cat([last, self._clip(wav / weights)])

    def _hold(self, f0: Tensor) -> Tensor:
        index = torch.arange(1, len(f0) + 1, device=f0.device)
        last = torch.where(f0 > 0, index, 0).cummax(0).values
        before = self.last[0] if self.last else UNKNOWN_HZ
        return torch.cat([f0.new_tensor([before]), f0])[last]

    def _phases(self, held: Tensor, voiced: Tensor) -> Tensor:
        rate, hop = self.generator.mel.sample_rate, self.generator.mel.hop_length
        if self.last is None:
            phase = phases(held, voiced, hop, rate)
        else:
            f0, start = self.last
            unvoiced = self.unvoiced
            held, voiced = (torch.cat([x.new_tensor([y]), x]) for x, y in ((held, f0), (voiced, float(not unvoiced))))
            before = max(unvoiced - 1, 0)
            phase = phases(held, voiced, hop, rate, start=start, unvoiced_before=before)[1:]
        self.last = float(held[-1]), float(phase[-1])
        run = int(voiced.flip(0).cumsum(0).eq(0).sum())  # unvoiced frames at the end
        self.unvoiced = run if run < len(voiced) or self.unvoiced == 0 else self.unvoiced - 1 + run
        return phase.float()

    def _synthesise(self, entered: Tensor) -> Tensor:
        count = entered.shape[-1]
        if not count:
            return entered.new_zeros(0)
        generator = self.generator
        known, self.waiting = self.waiting[..., :count], self.waiting[..., count:]
        mel, f0, voiced, phase = known.split([generator.mel.n_mels, 1, 1, 1], dim=1)
        f0, voiced, phase = f0[:, 0], voiced[:, 0], phase[:, 0]
        h = self.blocks.push(entered + generator.enter_pitch(generator.pitch_features(f0, voiced)))
        noise = self.noise_at(self.frames * generator.mel.hop_length, generator.noise_length(count))
        self.frames += count
        spectrum, wanted = generator.first_pass(h, mel, f0, voiced, phase, noise)
        self.wanted = torch.cat([self.wanted, wanted], dim=-1)
        return self._second_pass(generator.inverse.frames(spectrum))

    def _second_pass(self, frames: Tensor, *, there: bool = True) -> Tensor:
        """More frames of the first pass `(1, n, n_fft)`, or zeros for those that there are not after the last one, ->
        the samples that are complete then."""
        generator = self.generator
        self.first = torch.cat([self.first, frames], dim=1)
        self.known = torch.cat([self.known, self.known.new_full((frames.shape[1],), float(there))])
        count = self.first.shape[1] - generator.before - NEXT
        if count < 1:
            return frames.new_zeros(0)
        wanted, self.wanted = self.wanted[..., :count], self.wanted[..., count:]
        spectrum = generator.second_pass(self.first, self.known, wanted)
        self.first, self.known = self.first[:, count:], self.known[count:]
        added = torch.cat(generator.inverse.overlap_add(spectrum))
        added[:, : self.sums.shape[1]] += self.sums
        done = count * generator.mel.hop_length
        self.sums = added[:, done:]
        wav, weights = added[:, :done]
        return self._clip(wav / weights)

    def _clip(self, wav: Tensor) -> Tensor:
        skipped = min(self.skip, len(wav))
        self.skip -= skipped
        return wav[skipped:].clamp(-1, 1)


def keep_unvoiced(converted: Tensor, source: Tensor, f0: Tensor) -> Tensor:
    """Half of the source where nothing is voiced: bursts and hisses tell little of who speaks and much of what is said,
    and a generator blurs them. Log-mels `(n_mels, T)`, both as of the target, and F0 `(T,)`, 0 where unvoiced."""
    return torch.lerp(converted, source, UNVOICED_SHARE * (f0.to(converted) == 0).to(converted))


def require_speech(mel: Tensor) -> None:
    """Raises `UserError` if a log-mel that a voice made is that of no sound there can be."""
    if not (mel < BROKEN_MEL).all():
        raise _broken()


def require_finite(wav: Tensor) -> None:
    """Raises `UserError` if not all samples that a vocoder made are numbers."""
    if not wav.isfinite().all():
        raise _broken()


def _broken() -> UserError:
    return UserError(
        "The voice turns this recording into values that are no sound: it is damaged, or was badly trained. "
        "Copy or train it again, or take another voice."
    )


def gate(loud: NDArray[np.bool_], start: int, length: int, hop: int) -> Wav:
    """`(length,)` for the samples from `start` on, counted from the first hop of `loud` (whether there is sound in a
    hop): 0 well inside silence, 1 elsewhere, with a ramp of one hop between."""
    near = np.convolve(loud, np.ones(3), mode="same") > 0  # keep a hop around sound, for its decay
    middles = np.arange(len(near)) * hop + hop / 2
    return np.interp(np.arange(start, start + length), middles, near.astype(np.float32)).astype(np.float32)

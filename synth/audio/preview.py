"""A picture of a recording: waveform over mel spectrogram, as PNG bytes. It plays nothing."""

from __future__ import annotations

import io

import numpy as np

from synth.audio.voices import SAMPLE_RATE_HZ, Samples


def spectrogram_png(samples: Samples, width_px: int = 720, height_px: int = 260) -> bytes:
    """PNG of mono float32 samples at 16 kHz: waveform above, 80-band mel spectrogram (dB below its loudest point)
    under it."""
    import torch
    import torchaudio
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if len(samples) < SAMPLE_RATE_HZ // 10:  # shorter than what the picture is made of
        samples = np.zeros(SAMPLE_RATE_HZ // 10, dtype=np.float32)
    mel = torchaudio.transforms.MelSpectrogram(SAMPLE_RATE_HZ, n_fft=512, hop_length=160, n_mels=80)
    level_db = 10 * torch.log10(mel(torch.from_numpy(samples)) + 1e-10).numpy()
    seconds = len(samples) / SAMPLE_RATE_HZ
    figure = Figure(figsize=(width_px / 100, height_px / 100), dpi=100, layout="constrained")
    wave, picture = figure.subplots(2, 1, sharex=True, height_ratios=(1, 3))
    step = max(1, len(samples) // 4000)  # more points than pixels only cost time
    wave.plot(np.arange(len(samples))[::step] / SAMPLE_RATE_HZ, samples[::step], linewidth=0.5)
    wave.set_axis_off()
    loudest = float(level_db.max())
    picture.imshow(level_db, origin="lower", aspect="auto", extent=(0, seconds, 0, 80), vmin=loudest - 70, vmax=loudest)
    picture.set(xlabel="seconds", ylabel="mel band", xlim=(0, seconds))
    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()

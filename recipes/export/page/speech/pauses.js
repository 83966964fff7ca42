// Where a long recording is cut: at its quietest places, as synth/audio/pauses.py does.
const FRAME_SEC = 0.02;
const PAUSE_SEC = 0.2;
const QUIET = 0.25;
const EARLIEST = 0.5;

// The recording as copies of its pieces, none longer than `longest` samples. Throws where no pause is found.
export function pieces(samples, longest, rate) {
  if (samples.length <= longest) return [samples];
  const hop = Math.floor(FRAME_SEC * rate);
  const frames = Math.ceil(samples.length / hop);
  const power = new Float64Array(frames);
  samples.forEach((value, place) => { power[Math.floor(place / hop)] += value * value / hop; });
  const sorted = Array.from(power, Math.sqrt).sort((one, other) => one - other);
  const speech = sorted[Math.floor(0.95 * (frames - 1))];
  const width = Math.round(PAUSE_SEC / FRAME_SEC);
  const loudness = (frame) => {
    let sum = 0;
    for (let near = frame - width / 2; near < frame + width / 2; near += 1) sum += power[near] ?? 0;
    return Math.sqrt(sum / width);
  };
  const found = [];
  let start = 0;
  while (samples.length - start > longest) {
    const first = Math.floor((start + Math.floor(EARLIEST * longest)) / hop);
    const last = Math.floor((start + longest) / hop);
    let place = first;
    for (let frame = first; frame < last; frame += 1) if (loudness(frame) < loudness(place)) place = frame;
    if (loudness(place) > QUIET * speech) {
      const window = `${(first * FRAME_SEC).toFixed(0)} and ${(last * FRAME_SEC).toFixed(0)} s`;
      throw new Error(`the model listens to ${(longest / rate).toFixed(0)} s at a time, and between ${window} no pause is found to cut at`);
    }
    const cut = place * hop + Math.floor(hop / 2);
    found.push(samples.slice(start, cut));
    start = cut;
  }
  return [...found, samples.slice(start)];
}

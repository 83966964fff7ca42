// Whisper in onnxruntime-web: samples to features, states, and the likeliest tokens, one after another.
import * as ort from "./runtime/ort.wasm.min.mjs";

let task;
let graphs;
let words;

async function download(url, seen) {
  const reply = await fetch(url);
  if (!reply.ok) throw new Error(`${url}: ${reply.status}`);
  const parts = [];
  for (const reader = reply.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    seen.bytes += value.length;
    postMessage({ seen: seen.bytes });
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

async function load(folder) {
  const seen = { bytes: 0 };
  const inside = (name) => new URL(name, folder).href;
  task = await (await fetch(inside("task.json"))).json();
  words = await (await fetch(inside("words.json"))).json();
  ort.env.logLevel = "error";
  ort.env.wasm.wasmPaths = { mjs: inside("runtime/ort-wasm-simd-threaded.mjs") };
  ort.env.wasm.wasmBinary = await download(inside("runtime/ort-wasm-simd-threaded.wasm"), seen);
  ort.env.wasm.numThreads = crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
  graphs = {};
  for (const name of ["features", "encoder", "decoder"]) {
    graphs[name] = await ort.InferenceSession.create(await download(inside(`model/${name}.onnx`), seen), { executionProviders: ["wasm"] });
  }
  return { threads: ort.env.wasm.numThreads };
}

function likeliest(logits, forbidden) {
  const [, tokens, size] = logits.dims;
  const scores = logits.data.subarray((tokens - 1) * size, tokens * size);
  let best = -1;
  for (let token = 0; token < size; token += 1) {
    if (!forbidden.has(token) && (best < 0 || scores[token] > scores[best])) best = token;
  }
  return best;
}

function written(tokens) {
  const hex = tokens.map((token) => words[token] ?? "").join("");
  const bytes = Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  return new TextDecoder().decode(bytes).trim();
}

async function transcribe(samples, language) {
  const waveform = new Float32Array(task.samples);
  waveform.set(samples);
  const { input_features } = await graphs.features.run({ waveform: new ort.Tensor("float32", waveform, [1, task.samples]) });
  const { last_hidden_state } = await graphs.encoder.run({ input_features });
  const cached = graphs.decoder.inputNames.filter((name) => name.startsWith("past_key_values."));
  let cache = Object.fromEntries(cached.map((name) => [name, new ort.Tensor("float32", new Float32Array(0), [1, task.cache.heads, 0, task.cache.width])]));
  let ids = task.heads[language];
  const never = new Set(task.never);
  const notFirst = new Set([...task.never, ...task.not_first]);
  const found = [];
  while (found.length < task.tokens) {
    const input_ids = new ort.Tensor("int64", BigInt64Array.from(ids, BigInt), [1, ids.length]);
    const step = await graphs.decoder.run({ input_ids, encoder_hidden_states: last_hidden_state, ...cache });
    const token = likeliest(step.logits, found.length ? never : notFirst);
    if (task.ends.includes(token)) return { text: written(found), cut: false };
    found.push(token);
    ids = [token];
    cache = Object.fromEntries(cached.map((name) => [name, step[name.replace("past_key_values", "present")]]));
  }
  return { text: written(found), cut: true };
}

self.addEventListener("message", async ({ data }) => {
  try {
    const answer = data.load ? await load(data.load) : await transcribe(data.samples, data.language);
    postMessage({ ...answer, number: data.number });
  } catch (error) {
    postMessage({ error: String(error.message ?? error), number: data.number });
  }
});

// The page of an exported Whisper: dictation or a file, as samples to a worker, its transcript back. Sends nothing.
import { at, copied, say, titled } from "./common.js";
import { pieces } from "./pauses.js";

let task;

// A worker from a blob obeys the content security policy of this page; one from a file would not.
const start = `import ${JSON.stringify(new URL("worker.js", location).href)};`;
const worker = new Worker(URL.createObjectURL(new Blob([start], { type: "text/javascript" })), { type: "module" });
const waiting = new Map();
let number = 0;

function ask(message, transferred = []) {
  number += 1;
  worker.postMessage({ ...message, number }, transferred);
  return new Promise((resolve, reject) => waiting.set(number, { resolve, reject }));
}

worker.addEventListener("error", (event) => say(`The model could not be started: ${event.message || "its worker did not load"}. Reload the page.`));
worker.addEventListener("message", ({ data }) => {
  if (data.seen) {
    at("progress").value = Math.min(1, data.seen / task.bytes);
    say(`Loading the model: ${(data.seen / 1e6).toFixed(0)} of ${(task.bytes / 1e6).toFixed(0)} MB`);
    return;
  }
  const { resolve, reject } = waiting.get(data.number);
  waiting.delete(data.number);
  data.error ? reject(new Error(data.error)) : resolve(data);
});

function ready(is) {
  at("record").disabled = at("file").disabled = !is;
}

async function load() {
  say("Loading …");
  const begun = performance.now();
  task = await titled();
  for (const language of Object.keys(task.heads)) at("language").append(new Option(language, language));
  at("spoken").hidden = at("language").options.length < 2;
  const { threads } = await ask({ load: new URL(".", location).href });
  at("progress").hidden = true;
  ready(true);
  say(`Ready after ${((performance.now() - begun) / 1000).toFixed(1)} s, ${threads} thread${threads === 1 ? "" : "s"}.`);
}

// Any recording that the browser reads, as one channel at the model's rate.
async function samplesOf(data) {
  const decoded = await new OfflineAudioContext(1, 1, task.rate).decodeAudioData(data);
  const mixed = new Float32Array(decoded.length);
  for (let channel = 0; channel < decoded.numberOfChannels; channel += 1) {
    decoded.getChannelData(channel).forEach((value, place) => { mixed[place] += value / decoded.numberOfChannels; });
  }
  return mixed;
}

async function transcribe(blob) {
  ready(false);
  say("Transcribing …");
  at("play").src = URL.createObjectURL(blob);
  at("play").hidden = false;
  const begun = performance.now();
  try {
    const samples = await samplesOf(await blob.arrayBuffer()).catch(() => { throw new Error("the browser cannot read this file as sound"); });
    const length = samples.length / task.rate;
    const said = [];
    let cut = false;
    for (const piece of pieces(samples, task.samples, task.rate)) {
      const answer = await ask({ samples: piece, language: at("language").value }, [piece.buffer]);
      said.push(answer.text);
      cut ||= answer.cut;
      at("text").value = said.join(" ");
      at("answer").hidden = false;
    }
    const seconds = (performance.now() - begun) / 1000;
    at("speed").textContent = `${length.toFixed(1)} s of sound in ${seconds.toFixed(1)} s`;
    say(cut ? "Cut off: the transcript was longer than the model may write here." : "Done.");
  } catch (error) {
    say(`No transcript: ${error.message}.`);
  } finally {
    ready(true);
  }
}

let recorder;
at("record").addEventListener("click", async () => {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (error) {
    say(`No microphone: ${error.message}. A file can be chosen instead.`);
    return;
  }
  const parts = [];
  recorder = new MediaRecorder(stream);
  recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
  recorder.addEventListener("stop", () => {
    stream.getTracks().forEach((track) => track.stop());
    at("record").hidden = false;
    at("stop").hidden = true;
    transcribe(new Blob(parts, { type: recorder.mimeType }));
  });
  recorder.start();
  at("record").hidden = true;
  at("stop").hidden = false;
  say("Listening …");
});
at("stop").addEventListener("click", () => recorder.stop());
at("file").addEventListener("change", () => { if (at("file").files.length) transcribe(at("file").files[0]); });
for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());
document.addEventListener("drop", ({ dataTransfer }) => {
  if (!at("file").disabled && dataTransfer.files.length) transcribe(dataTransfer.files[0]);
});
at("copy").addEventListener("click", async () => {
  say(await copied(at("text").value));
});

load().catch((error) => say(`The model could not be loaded: ${error.message}. Reload the page; if that does not help, your browser may lack memory or WebAssembly.`));
if (!navigator.mediaDevices) {  // only over https and on this computer
  at("record").hidden = true;
}
